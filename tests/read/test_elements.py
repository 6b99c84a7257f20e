"""The quick way through a header gives what pydicom gives, and leaves to it whatever is odd."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from burden.read import headers
from burden.read.elements import quick_header
from burden.read.entry import Entry
from burden.read.sources import opened

TAGS = {
    "EchoTime": 1.30,
    "RepetitionTime": "4.10",
    "FlipAngle": 10,
    "DiffusionBValue": 800.0,
    "ConvolutionKernel": ["Br38f", "3"],
    "PatientAge": "063Y",
    "PatientSize": 1.65,
    "AcquisitionTime": "101510.5",
    "ContrastBolusStartTime": "101400",
    "ContrastBolusAgent": " Iomeron ",
    "PixelPaddingValue": 2000,
    "ScanningSequence": ["GR", "SP"],
    "BurnedInAnnotation": "NO",
}


def nested(ds, k):
    """Sequences inside sequences, of defined and undefined length, before and after wanted tags."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.PixelSpacing = "X", [9, 9]  # not the image's own
    outer.ReferencedImageSequence = Sequence([inner, inner])
    outer.StudyInstanceUID = "9.9.9"
    ds.ReferencedStudySequence = Sequence([outer])
    ds["ReferencedStudySequence"].is_undefined_length = k % 2 == 0
    ds.RequestAttributesSequence = Sequence([])
    ds.add_new((0x0019, 0x0010), "LO", "SIEMENS CT VA0  COAD")
    ds.add_new((0x0019, 0x10B0), "UN", bytes(range(200)))


def both(path, monkeypatch):
    """Slices of a file by the quick way and by pydicom alone, and whether the quick way was taken."""
    entry = Entry(path, path.name)
    quick = quick_header(path.read_bytes()[: headers.MOST_BYTES], headers._keywords())
    here = by(entry)
    with monkeypatch.context() as patch:
        patch.setattr(headers, "quick_header", lambda *_: None)
        return here, by(entry), quick is not None


def by(entry):
    try:
        return headers.read_headers(entry)
    except ValueError as error:
        return str(error)


SYNTAXES = {
    ImplicitVRLittleEndian: True,
    ExplicitVRLittleEndian: True,
    RLELossless: True,
    JPEG2000Lossless: True,
    ExplicitVRBigEndian: False,
    DeflatedExplicitVRLittleEndian: False,
}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_same_values_as_pydicom(make, monkeypatch, syntax):
    for file in make(syntax=syntax, tags=TAGS, edit=nested).iterdir():
        ours, theirs, quick = both(file, monkeypatch)
        assert quick == SYNTAXES[syntax]
        assert ours == theirs
        assert ours[0].file.sequence["EchoTime"] == 1.3
        assert ours[0].spacing == (0.8, 0.7)


def odd(change):
    def edit(ds, k):
        change(ds)

    return edit


@pytest.mark.parametrize(
    ("what", "quick"),
    [
        (lambda ds: setattr(ds, "SeriesDescription", "Oberbauch venös"), False),
        (lambda ds: ds.add_new((0x0019, 0x0010), "LO", "SIEMENS MR HEADER"), True),
        (lambda ds: ds.add_new((0x0043, 0x1039), "IS", [1000000050, 8, 0, 0]), True),
        (lambda ds: ds.add_new((0x2001, 0x1003), "FL", 1000.0), True),
        (lambda ds: ds.add_new("PixelPaddingValue", "SS", -2000), True),
        (lambda ds: setattr(ds, "SliceThickness", None), True),
        (lambda ds: setattr(ds, "ImageType", ["ORIGINAL", "PRIMARY", ""]), True),
        (lambda ds: ds.add_new((0x0029, 0x1010), "OB", bytes(2**15)), False),
        (lambda ds: ds.pop("PixelSpacing"), True),
    ],
)
def test_odd_headers(make, monkeypatch, what, quick):
    folder = make(
        edit=odd(what), tags={"SpecificCharacterSet": "ISO_IR 192", "Modality": "MR"}, modality="MR"
    )
    for file in folder.iterdir():
        ours, theirs, taken = both(file, monkeypatch)
        assert ours == theirs
        assert taken == quick


def test_escapes_into_another_character_set_go_to_pydicom(make, monkeypatch):
    def edit(ds, k):
        ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
        ds.SeriesDescription = "腹部"

    for file in make(edit=edit).iterdir():
        ours, theirs, taken = both(file, monkeypatch)
        assert not taken
        assert ours == theirs
        assert ours[0].file.description == "腹部"


def test_damaged_headers_are_never_read_another_way(make, monkeypatch):
    """Whatever bytes change, the quick way says what pydicom says, or pydicom would say nothing."""
    file = next(make(tags=TAGS, edit=nested).iterdir())
    raw = file.read_bytes()
    end = len(raw) - 9 * 7 * 2
    rng = np.random.default_rng(5)
    taken = 0
    for _ in range(400):
        data = bytearray(raw)
        at = int(rng.integers(132, end))
        if rng.random() < 0.5:
            data[at] = int(rng.integers(0, 256))
        elif rng.random() < 0.5:
            del data[at : at + 2]
        else:
            data[at:at] = b"\\0"
        file.write_bytes(data)
        ours, theirs, quick = both(file, monkeypatch)
        taken += quick
        if quick and not isinstance(theirs, str):
            assert ours == theirs
    assert taken > 100


def test_hostile_nesting_stops(make):
    start = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    raw = next(make().iterdir()).read_bytes()
    meta = raw[: raw.index(b"\x08\0\x08\0")]
    with pytest.raises(RecursionError):
        quick_header(meta + start * 5000, headers._keywords())  # read_headers makes a refusal of it


@pytest.mark.real_data
def test_real_headers(real_data, monkeypatch):
    quick = total = 0
    with opened(real_data / "dicom") as source:
        for entry in source.dicom:
            ours, theirs, taken = both(entry.path, monkeypatch)
            assert ours == theirs, entry.name
            quick, total = quick + taken, total + 1
    assert total > 100
    assert quick > total / 2
