"""Damaged bytes: every input is read or refused in one line, quickly, whatever was changed."""

from __future__ import annotations

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

EACH = 30  # mutations of each kind of file; 11 kinds
SECONDS = 10.0
FACTS = """# patient
patient.age: {value: 61, unit: year}
patient.sex: female
tumor.ki67: {low: 2, high: 5}
tumor.grade: [G1, G2]
primary.resected: yes
lab.bilirubin: {value: 17.1, unit: umol/L, note: "taken in spring"}
"""


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
        path.write_bytes(mutated(raw, rng))
        survives(read_study, path)
        survives(read_mask, path, grid)


def test_facts(tmp_path):
    path = tmp_path / "facts.yaml"
    rng = np.random.default_rng(4)
    for _ in range(2 * EACH):
        path.write_bytes(mutated(FACTS.encode(), rng))
        survives(read_facts, path)
