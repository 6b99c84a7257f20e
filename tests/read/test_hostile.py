"""Input made to do harm: what becomes of it, as a table; each within ten seconds and bounded memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zipfile

import nibabel as nib
import numpy as np
import pytest

from burden.errors import BurdenError
from burden.read import read_study

META = (
    b"\0" * 128
    + b"DICM"
    + b"\x02\0\0\0UL\x04\0\x1c\0\0\0"
    + b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1\0"
)
LONG = b"\x08\0\x08\0UN\0\0"  # ImageType, as unknown bytes of any length


def nested(folder):
    start = b"\x00\x52\x30\x92SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\0\xe0\xff\xff\xff\xff"
    (folder / "x.dcm").write_bytes(META + b"\x08\0\x60\0CS\x02\0CT" + start * 20_000)


def gigabyte_header(folder):
    with (folder / "x.dcm").open("wb") as out:
        out.write(META + LONG + struct.pack("<I", 1_500_000_000))
        out.truncate(1_500_000_400)  # a hole: costs no disk


def promised_header(folder):
    (folder / "x.dcm").write_bytes(META + LONG + struct.pack("<I", 0xFFFFFFF0) + b"CT")


def zip_bomb(folder):
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(2):
            with archive.open(f"{number}.dcm", "w") as out:
                for _ in range(150):
                    out.write(b"\0" * 2**20)


def way_out(folder):
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr("../../evil.dcm", META)


def image(folder, values, affine=None):
    affine = np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine
    nib.Nifti1Image(values, affine, dtype=values.dtype).to_filename(folder / "x.nii")


def spoilt(folder, offset, raw):
    image(folder, np.zeros((6, 6, 6), np.int16))
    with (folder / "x.nii").open("r+b") as out:
        out.seek(offset)
        out.write(raw)


OUTCOMES = {
    "sequences 20,000 deep": (nested, "damaged DICOM header|no position"),
    "header value of 1.5 GB": (gigabyte_header, "damaged DICOM header|not CT or MR"),
    "header value longer than the file": (promised_header, "damaged DICOM header"),
    "zip of zeros": (zip_bomb, "unpacks to more than|no image among"),
    "zip with a way out": (way_out, "leads outside"),
    "NIfTI of terabytes": (
        lambda f: spoilt(f, 42, struct.pack("<3h", *[32000] * 3)),
        "cut short|too large|size",
    ),
    "NIfTI with NaN affine": (
        lambda f: spoilt(f, 280, struct.pack("<4f", *[np.nan] * 4)),
        "finite|position|affine",
    ),
    "NIfTI 4-D": (lambda f: image(f, np.zeros((4, 4, 4, 2), np.int16)), "4|axes|dimension"),
    "NIfTI complex": (lambda f: image(f, np.zeros((4, 4, 4), np.complex64)), "complex|colour"),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(tmp_path, name):
    make, words = OUTCOMES[name]
    make(tmp_path)
    path = next(iter(tmp_path.iterdir()))
    tracemalloc.start()
    start = time.monotonic()
    with pytest.raises(BurdenError, match=words) as error:
        read_study(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.monotonic() - start < 10
    assert most < 400 * 2**20
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 3
