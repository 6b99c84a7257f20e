"""Damaged bytes: every input is read or refused in one line, quickly, whatever was changed.

And what is read is not wrong: a volume made of damaged files holds the values and places that
pydicom finds in the same bytes (it parses and decodes on its own, and knows nothing of our
stacking), and files whose geometry was made to contradict one another are refused or spoken of.

``BURDEN_FUZZ=5000`` tries that many damaged inputs instead of a few hundred.
"""

from __future__ import annotations

import json
import os
import resource
import time
import warnings
import zipfile

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from burden.errors import BurdenError
from burden.grid import Grid
from burden.read import list_series, read_facts, read_mask, read_study

KINDS = 15
EACH = -(-int(os.environ.get("BURDEN_FUZZ", "330")) // KINDS)  # damaged inputs of each kind
SECONDS = 10.0
MEMORY_MB = 2048
COUNTS = {"inputs": 0, "read": 0, "refused": 0, "checked": 0, "beyond pydicom": 0, "found": 0}
FACTS = """# patient
patient.age: {value: 61, unit: year}
patient.sex: female
tumor.ki67: {low: 2, high: 5}
tumor.grade: [G1, G2]
primary.resected: yes
lab.bilirubin: {value: 17.1, unit: umol/L, note: "taken in spring"}
"""


TABLE = "case,patient.age,lab.bilirubin [umol/L],tumor.grade\nA,61,17.1,G1|G2\nB,<40,,G3\n"
BUNDLE = {
    "resourceType": "Bundle",
    "timestamp": "2026-01-01T10:00:00Z",
    "entry": [
        {"resource": {"resourceType": "Patient", "birthDate": "1965-03", "gender": "female"}},
        {
            "resource": {
                "resourceType": "Observation",
                "status": "final",
                "code": {"coding": [{"system": "http://loinc.org", "code": "1975-2"}]},
                "valueQuantity": {"value": 17.1, "code": "umol/L", "comparator": "<"},
                "effectiveDateTime": "2026-01-01",
            }
        },
    ],
}


@pytest.fixture(scope="module", autouse=True)
def told():
    """Say how many inputs were tried, how many readings they took, and the largest memory."""
    yield
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"\nfuzz: {COUNTS}, {memory} MB at most")
    assert memory < MEMORY_MB


def mutated(raw: bytes, rng: np.random.Generator) -> bytes:
    """One to eight changes: flipped, replaced, removed, repeated or cut-off bytes."""
    out = bytearray(raw)
    for _ in range(rng.integers(1, 9)):
        at = int(rng.integers(0, max(len(out), 1)))
        if rng.random() < 0.7:
            at = int(at * rng.random() ** 2)  # headers come first and matter most
        length = int(rng.integers(1, 9))
        kind = rng.integers(0, 5)
        if kind == 0:
            out[at : at + 1] = bytes([out[at] ^ (1 << int(rng.integers(0, 8)))]) if out else b""
        elif kind == 1:
            out[at : at + length] = (
                rng.choice([0, 255, 127, 128], size=length).astype(np.uint8).tobytes()
            )
        elif kind == 2:
            del out[at : at + length]
        elif kind == 3:
            out[at:at] = out[at : at + 4 * length]
        elif rng.random() < 0.2:
            del out[at:]
    return bytes(out)


def survives(read, *args) -> bool:
    """Whether it was read; anything but a one-line BurdenError fails the test."""
    start = time.monotonic()
    try:
        read(*args)
        done = True
    except BurdenError as error:
        done = False
        message = str(error)
    COUNTS["read" if done else "refused"] += 1
    assert time.monotonic() - start < SECONDS
    assert done or "\n" not in message
    return done


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
    ],
)
def test_dicom_series(make, tmp_path, syntax):
    folder = make(syntax=syntax, shape=(9, 7, 4))
    originals = {file: file.read_bytes() for file in folder.iterdir()}
    rng = np.random.default_rng(1)
    for _ in range(EACH):
        COUNTS["inputs"] += 1
        for file, raw in originals.items():
            file.write_bytes(mutated(raw, rng) if rng.random() < 0.4 else raw)
        survives(list_series, folder)
        if survives(read_study, folder):
            not_wrong(read_study(folder), folder)


def not_wrong(study, folder) -> None:
    """Hold an accepted volume against what pydicom reads in the same files, slice by slice."""
    volume = study.volume
    for k, name in enumerate(volume.origin.files):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ds = dcmread(folder / name, force=True)
                stored = ds.pixel_array.astype(float)
            slope, intercept = (float(ds.get(t) or d) for t, d in SCALE)
            place = np.array(ds.ImagePositionPatient, dtype=float)
            right, down = np.array(ds.ImageOrientationPatient, dtype=float).reshape(2, 3)
            between_rows, between_columns = map(float, ds.PixelSpacing)
        except Exception:  # a damaged file that we read and pydicom does not
            COUNTS["beyond pydicom"] += 1
            continue
        COUNTS["checked"] += 1
        tilted = any(f.code == "gantry-tilt-corrected" for f in study.findings)
        if tilted or "PixelPaddingValue" in ds:
            continue  # values are moved or replaced, and the findings or the tag say so
        values = np.maximum(stored * slope + intercept, -1024)
        assert np.allclose(volume.data[:, :, k].T, values, rtol=1e-6)
        assert np.abs(volume.grid.world([0, 0, k]) - place).max() <= 0.4
        last = place + right * between_columns * 8 + down * between_rows * 6
        assert np.abs(volume.grid.world([8, 6, k]) - last).max() <= 0.4


SCALE = (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0))


def contradicted(ds, rng) -> str:
    """Make one slice contradict the others; what was done."""
    kind = str(rng.choice(["moved", "shifted", "turned", "spacing", "matrix", "frame", "pixels"]))
    if kind == "moved":
        ds.ImagePositionPatient[2] += float(rng.choice([-1, 1]) * rng.uniform(0.4, 60))
    elif kind == "shifted":
        ds.ImagePositionPatient[int(rng.integers(2))] += float(rng.choice([-1, 1]) * rng.uniform(1, 300))
    elif kind == "turned":
        angle = rng.choice([-1, 1]) * rng.uniform(0.01, 1.5)
        ds.ImageOrientationPatient = [1, 0, 0, 0, np.cos(angle), np.sin(angle)]
    elif kind == "spacing":
        factor = float(rng.choice([rng.uniform(0.2, 0.97), rng.uniform(1.03, 5)]))
        ds.PixelSpacing = [x * factor for x in ds.PixelSpacing]
    elif kind == "matrix":
        ds.Rows, ds.Columns = [(ds.Rows - 1, ds.Columns), (ds.Columns, ds.Rows)][int(rng.integers(2))]
    elif kind == "frame":
        ds.FrameOfReferenceUID = "9.9"
    else:
        ds.PixelData = ds.PixelData[: 2 * int(rng.integers(0, len(ds.PixelData) // 2 - 1))]
    return kind


def test_no_contradiction_is_accepted_in_silence(make):
    """One slice of eight says something else about where it lies: never a word-less volume."""
    folder = make(shape=(9, 7, 8))
    originals = {file: file.read_bytes() for file in sorted(folder.iterdir())}
    whole = read_study(folder)
    usual = {f.code for f in whole.findings}
    rng = np.random.default_rng(6)
    for _ in range(EACH):
        COUNTS["inputs"] += 1
        file = list(originals)[int(rng.integers(len(originals)))]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = dcmread(file)
            kind = contradicted(ds, rng)
            ds.save_as(file)
        if survives(read_study, folder):
            study = read_study(folder)
            said = {f.code for f in study.findings} - usual
            assert said, kind
            COUNTS["found"] += 1
            not_wrong(study, folder)
        file.write_bytes(originals[file])


def test_damaged_directory_of_a_disc(make, tmp_path):
    fileset = FileSet()
    for file in make(edit=complete).iterdir():
        fileset.add(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fileset.write(tmp_path / "disc")
    fileset._stage["t"].cleanup()
    path = tmp_path / "disc" / "DICOMDIR"
    raw, rng = path.read_bytes(), np.random.default_rng(7)
    for _ in range(EACH):
        COUNTS["inputs"] += 1
        path.write_bytes(mutated(raw, rng))
        survives(read_study, path)
        assert survives(read_study, tmp_path / "disc")  # the files themselves are sound


def complete(ds, k):
    """What a directory record asks for."""
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200101", "1000", "1", ""
    ds.SeriesNumber, ds.InstanceNumber = 1, k + 1


def test_enhanced_and_zipped(series_type, phantom, tmp_path):
    single = series_type(phantom((9, 7, 4))).write_enhanced(tmp_path / "multi.dcm")
    packed = tmp_path / "study.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(single, "multi.dcm")
    rng = np.random.default_rng(2)
    for path in (single, packed):
        raw = path.read_bytes()
        for _ in range(EACH):
            COUNTS["inputs"] += 1
            path.write_bytes(mutated(raw, rng))
            survives(read_study, path)


@pytest.mark.parametrize("name", ["image.nii", "image.nii.gz"])
def test_nifti_as_image_and_mask(tmp_path, name):
    values = (np.arange(8 * 7 * 6).reshape(8, 7, 6) % 3).astype(np.int16)
    path = tmp_path / name
    nib.Nifti1Image(values, np.diag([0.8, 0.7, 2.5, 1.0])).to_filename(path)
    grid = Grid.from_ras(values.shape, np.diag([0.8, 0.7, 2.5, 1.0]))
    raw = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(EACH):
        COUNTS["inputs"] += 1
        path.write_bytes(mutated(raw, rng))
        survives(read_study, path)
        survives(read_mask, path, grid)


@pytest.mark.parametrize(
    ("name", "text"),
    [("facts.yaml", FACTS), ("facts.csv@A", TABLE), ("facts.json", json.dumps(BUNDLE))],
)
def test_facts(tmp_path, name, text):
    path = tmp_path / name.partition("@")[0]
    rng = np.random.default_rng(4)
    for _ in range(EACH):
        COUNTS["inputs"] += 1
        path.write_bytes(mutated(text.encode(), rng))
        survives(read_facts, tmp_path / name)
