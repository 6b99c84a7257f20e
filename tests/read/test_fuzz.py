"""Damaged bytes: every input is read or refused in one line, quickly, whatever was changed.

``BURDEN_FUZZ=5000`` tries that many damaged inputs instead of a few hundred.
"""

from __future__ import annotations

import json
import os
import resource
import time
import zipfile

import nibabel as nib
import numpy as np
import pytest
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

KINDS = 13
EACH = -(-int(os.environ.get("BURDEN_FUZZ", "330")) // KINDS)  # damaged inputs of each kind
SECONDS = 10.0
MEMORY_MB = 2048
COUNTS = {"inputs": 0, "read": 0, "refused": 0}
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
            volume = read_study(folder).volume
            assert volume.grid.spacing == pytest.approx((0.8, 0.7, 2.5), rel=0.04)


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
