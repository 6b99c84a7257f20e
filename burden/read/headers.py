"""DICOM headers as plain values: one :class:`Slice` for each image plane of each file.

A classic file gives one slice, an Enhanced multi-frame file one for each frame. Only the
tags named here are ever read, so no name, identifier or date of a patient can leak.
"""

from __future__ import annotations

import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, BinaryIO

import numpy as np

from burden.read.elements import MOST_BYTES, plain_value, quick_header
from burden.read.entry import Entry
from burden.read.tags import Tags, quantity, several, text, vector, whole

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_MAX_INFLATED = 2**29
_MAX_VALUE = 2**26  # bytes of one header value that are still read; frames of a thousand slices fit

Vector = tuple[float, float, float]

_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
    "Modality", "ImageType", "SeriesDescription", "ProtocolName", "BodyPartExamined",
    "ConvolutionKernel", "ContrastBolusAgent", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit", "RescaleSlope", "RescaleIntercept", "EchoTime", "RepetitionTime",
    "InversionTime", "FlipAngle", "EchoNumbers", "DiffusionBValue", "TemporalPositionIdentifier",
    "AcquisitionNumber", "TriggerTime", "AcquisitionTime", "ContrastBolusStartTime", "PatientAge",
    "PatientSex", "PatientSize", "PatientWeight", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "ScanningSequence", "SequenceVariant", "BurnedInAnnotation",
    "ConcatenationUID", "InConcatenationNumber", "InConcatenationTotalNumber",
)  # fmt: skip
# Where makers put the b-value before there was a tag for it: their mark, then the element.
_PRIVATE_B = (
    (0x00190010, "SIEMENS MR HEADER", 0x0019100C),
    (0x20010010, "PHILIPS IMAGING DD 001", 0x20011003),
    (0x00430010, "GEMS_PARM_01", 0x00431039),
)


@dataclass(frozen=True)
class File:
    """What one file says about all of its planes."""

    entry: Entry
    sop_class: str
    sop_uid: str
    syntax: str
    study_uid: str
    series_uid: str
    frame_uid: str
    modality: str
    image_type: tuple[str, ...]
    description: str
    body_part: str
    kernel: str
    contrast: str
    delay_s: float | None
    rows: int
    columns: int
    frames: int
    samples: int
    bits: tuple[int, int, int]  # allocated, stored, high bit
    signed: bool
    padding: tuple[int, int] | None
    offset: int  # of the PixelData element; 0 where it cannot be found without parsing
    big_endian: bool
    sequence: dict[str, float]  # echo time and the like, where given
    codes: str  # ScanningSequence and SequenceVariant, like GR/SP
    burned_in: bool
    patient: dict[str, str]
    part: tuple[str, int, int]  # of a concatenation: its UID, number and total; "" where it is none


@dataclass(frozen=True)
class Slice:
    """One image plane.

    Parameters
    ----------
    frame
        Frame number in the file, from 0.
    position
        Centre of the first pixel, LPS mm; None where the file does not say.
    axes
        Unit vectors along a row (to the next column) and along a column (to the next row).
    spacing
        Between columns (along a row), then between rows, mm.
    rescaled
        Whether the header says how stored values become measured ones.
    stack
        What tells volumes at the same place apart: b-value, echo, time point, ....
    """

    file: File
    frame: int
    position: Vector | None
    axes: tuple[Vector, Vector] | None
    spacing: tuple[float, float] | None
    thickness: float
    slope: float
    intercept: float
    rescaled: bool
    stack: tuple[tuple[str, str], ...]
    image_type: tuple[str, ...]


class _Careful(io.BufferedReader):
    """A file that gives no single header value of a size that only an attack has."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_VALUE:
            raise ValueError("a header value of more than 64 MiB")
        return super().read(size)


@cache
def _wanted() -> list[Any]:
    """The tags as pydicom's numbers: looking up names costs a quarter of the reading."""
    from pydicom.tag import Tag

    private = [Tag(place) for mark, _, value in _PRIVATE_B for place in (mark, value)]
    return [*(Tag(name) for name in _TAGS), *private]


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """No warnings, and no values refused for style: hospitals write what they write."""
    from pydicom import config

    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def read_headers(entry: Entry) -> tuple[Slice, ...]:
    """Slices of one DICOM file, without its pixels.

    Raises
    ------
    ValueError
        If the header cannot be parsed, in one line without any value from the file.
    """
    from pydicom import dcmread

    try:
        with entry.path.open("rb", buffering=0) as start:
            quick = quick_header(start.read(MOST_BYTES), _keywords())
        if quick is not None:
            plain, offset, syntax = quick
            return _slices(plain, _file(plain, entry, offset, syntax, little=True))
        with quiet_pydicom(), _Careful(io.FileIO(entry.path)) as stream:
            _refuse_bomb(stream)
            # Preamble or not: a data set without one is still DICOM.
            ds = dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_wanted())
            syntax = str(getattr(ds, "file_meta", {}).get("TransferSyntaxUID", "") or "")
            plain = _plain(ds)
            file = _file(plain, entry, stream.tell(), syntax, little=ds.original_encoding[1])
            return _slices(plain, file)
    except Exception as error:  # any byte may be wrong, so anything may be raised
        raise ValueError(f"damaged DICOM header ({type(error).__name__})") from error


def _refuse_bomb(stream: BinaryIO) -> None:
    """Refuse a deflated data set that unpacks to more than any image; pydicom would not stop."""
    head = stream.read(1024)
    stream.seek(0)
    if _DEFLATED not in head or head[128:138] != b"DICM\x02\0\0\0UL":
        return
    stream.seek(144 + int.from_bytes(head[140:144], "little"))
    unpacker, total = zlib.decompressobj(-15), 0
    while chunk := unpacker.unconsumed_tail or stream.read(2**16):
        total += len(unpacker.decompress(chunk, 2**20))
        if total > _MAX_INFLATED:
            raise ValueError("deflated to more than any image")
    stream.seek(0)


@cache
def _keywords() -> dict[int, tuple[str, str]]:
    """Keyword and usual value representation by tag, of everything that is ever looked at."""
    from pydicom.datadict import dictionary_VR
    from pydicom.tag import Tag

    names = {*_TAGS, *_MACROS, *_STACK, "FrameType"}
    tags = {int(Tag(name)): (name, dictionary_VR(name).split(" ")[0]) for name in names}
    marks = {mark: ("", "LO") for mark, _, _ in _PRIVATE_B}
    return tags | marks | {value: ("", "") for _, _, value in _PRIVATE_B}


def _plain(ds: Any) -> Tags:
    """Values by keyword (by number where private).

    Text is left as it was written, with its backslashes, and numbers stay text until somebody
    asks: pydicom's own conversion takes longer than reading the pixels. What is not plain goes
    through it all the same.
    """
    known, values = _keywords(), {}
    for tag in ds.keys():  # noqa: SIM118 - iterating converts every value
        number = int(tag)
        keyword, usual = known.get(number, ("", ""))
        if not keyword and not number >> 16 & 1:
            continue
        raw = ds.get_item(tag)
        value = None
        if keyword and raw.is_raw and raw.value is not None:
            value = plain_value(raw.VR or usual, raw.value, little=raw.is_little_endian)
        values[keyword or number] = ds[tag].value if value is None else value
    return values


def _file(ds: Tags, entry: Entry, offset: int, syntax: str, *, little: bool) -> File:
    frames = whole(ds, "NumberOfFrames", 1) or 1
    padding = ds.get("PixelPaddingValue")
    limit = ds.get("PixelPaddingRangeLimit", padding)
    sequence = {k: quantity(ds, k) for k in ("EchoTime", "RepetitionTime", "FlipAngle", "InversionTime")}
    agent = text(ds, "ContrastBolusAgent")
    signed = whole(ds, "PixelRepresentation") == 1
    signed_bits = whole(ds, "BitsAllocated") if signed else 0
    return File(
        entry=entry,
        sop_class=text(ds, "SOPClassUID"),
        sop_uid=text(ds, "SOPInstanceUID"),
        syntax=syntax,
        study_uid=text(ds, "StudyInstanceUID"),
        series_uid=text(ds, "SeriesInstanceUID"),
        frame_uid=text(ds, "FrameOfReferenceUID"),
        modality=text(ds, "Modality").upper(),
        image_type=several(ds),
        description=(text(ds, "SeriesDescription") or text(ds, "ProtocolName")),
        body_part=text(ds, "BodyPartExamined"),
        kernel=text(ds, "ConvolutionKernel"),
        contrast="" if agent.upper() in ("NO", "NONE", "N", "0") else agent,
        delay_s=_delay(text(ds, "AcquisitionTime"), text(ds, "ContrastBolusStartTime")),
        rows=whole(ds, "Rows"),
        columns=whole(ds, "Columns"),
        frames=frames,
        samples=whole(ds, "SamplesPerPixel", 1),
        bits=(whole(ds, "BitsAllocated"), whole(ds, "BitsStored"), whole(ds, "HighBit")),
        signed=signed,
        padding=_padding(padding, limit, signed_bits),
        offset=offset,
        big_endian=not little,
        sequence={k: v for k, v in sequence.items() if v is not None},
        codes="/".join((*several(ds, "ScanningSequence"), *several(ds, "SequenceVariant"))),
        burned_in=text(ds, "BurnedInAnnotation").upper() == "YES",
        patient={k: text(ds, k) for k in ("PatientAge", "PatientSex", "PatientSize", "PatientWeight")},
        part=(
            text(ds, "ConcatenationUID"),
            whole(ds, "InConcatenationNumber"),
            whole(ds, "InConcatenationTotalNumber"),
        ),
    )


def _padding(value: Any, limit: Any, signed_bits: int) -> tuple[int, int] | None:
    """First and last stored value that mean "no image here"."""
    if not isinstance(value, int):
        return None
    ends = [value, limit if isinstance(limit, int) else value]
    if signed_bits:  # often written as if unsigned
        ends = [e - (1 << signed_bits) if e >= 1 << (signed_bits - 1) else e for e in ends]
    return min(ends), max(ends)


def _delay(acquired: str, injected: str) -> float | None:
    """Seconds from injection to acquisition, by two clock times of one day."""
    if len(acquired) < 6 or len(injected) < 6 or not (acquired[:6] + injected[:6]).isdigit():
        return None
    seconds = [int(t[:2]) * 3600 + int(t[2:4]) * 60 + float(t[4:6]) for t in (acquired, injected)]
    delay = (seconds[0] - seconds[1]) % 86400
    return delay if 0 < delay < 3600 else None


def _slices(ds: Tags, file: File) -> tuple[Slice, ...]:
    groups = ds.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        one = _slice(file, 0, [ds])
        return (one if file.frames == 1 else replace(one, position=None),)
    if len(groups) != file.frames:
        raise ValueError("frames without a position")
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])
    return tuple(
        _slice(file, number, [*_macros(group), *(m for s in shared for m in _macros(s)), ds])
        for number, group in enumerate(groups)
    )


_MACROS = (
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "FrameContentSequence", "MRDiffusionSequence",
    "MREchoSequence", "CTImageFrameTypeSequence", "MRImageFrameTypeSequence",
    "TemporalPositionSequence", "UnassignedPerFrameConvertedAttributesSequence",
)  # fmt: skip


def _macros(group: Any) -> list[Tags]:
    """Items of a functional group whose tags matter here, flattened."""
    return [_plain(item) for name in _MACROS for item in (group.get(name) or [])]


_STACK = (
    "DiffusionBValue", "EffectiveEchoTime", "EchoTime", "EchoNumbers", "TemporalPositionIdentifier",
    "TemporalPositionIndex", "TriggerTime", "AcquisitionNumber", "AcquisitionTime",
)  # fmt: skip


def _slice(file: File, number: int, places: list[Tags]) -> Slice:
    """Slice whose tags are looked for in ``places``, the most specific first."""

    def first(read: Any, *args: Any) -> Any:
        found = (read(place, *args) for place in places)
        return next((value for value in found if value not in (None, "", ())), None)

    spacing = first(vector, "PixelSpacing", 2)
    kind = first(several, "FrameType") or file.image_type
    stack = [(key, first(text, key)) for key in _STACK]
    b_value = first(quantity, "DiffusionBValue")
    stack[0] = ("DiffusionBValue", first(_private_b) if b_value is None else f"{b_value:g}")
    slope, intercept = first(quantity, "RescaleSlope"), first(quantity, "RescaleIntercept")
    return Slice(
        file=file,
        frame=number,
        position=first(vector, "ImagePositionPatient", 3),
        axes=_axes(first(vector, "ImageOrientationPatient", 6)),
        # DICOM's PixelSpacing: between rows first, then between columns
        spacing=(spacing[1], spacing[0]) if spacing and min(spacing) > 0 else None,
        thickness=first(quantity, "SliceThickness") or 0.0,
        slope=1.0 if slope in (None, 0.0) else slope,
        intercept=intercept or 0.0,
        rescaled=slope not in (None, 0.0) and intercept is not None,
        stack=tuple((k, v) for k, v in [*stack, ("ImageType", "/".join(kind))] if v),
        image_type=kind,
    )


def _private_b(ds: Tags) -> str:
    """b-value from a private element, "" where there is none."""
    for place, mark, element in _PRIVATE_B:
        if mark not in str(ds.get(place, "")).upper():
            continue
        value: Any = ds.get(element)
        if isinstance(value, bytes):  # the private dictionary did not know its type
            value = value.decode("ascii", "ignore").strip(" \0")
        if isinstance(value, str):
            value = value.split("\\")
        try:
            number = float(value[0] if isinstance(value, Sequence) else value)
        except (TypeError, ValueError, IndexError):
            continue
        number %= 1e9 if mark.startswith("GEMS") else np.inf  # GE adds 1e9 to mark a true value
        return f"{number:g}"
    return ""


@lru_cache(maxsize=64)  # the same in all slices of a series
def _axes(cosines: tuple[float, ...] | None) -> tuple[Vector, Vector] | None:
    """Row and column direction as unit vectors at right angles; None where they are not."""
    if cosines is None:
        return None
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.9 or max(lengths) > 1.1:
        return None
    row, column = row / lengths[0], column / lengths[1]
    if abs(row @ column) > 0.01:
        return None
    column = column - (row @ column) * row  # printed with few digits, hence not quite orthogonal
    column /= np.linalg.norm(column)
    return (row[0], row[1], row[2]), (column[0], column[1], column[2])
