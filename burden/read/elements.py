"""The elements of an ordinary DICOM file, read in one pass over its first bytes.

A series of 600 slices has 600 headers, and pydicom takes longer over them than over the
pixels. This reads what nearly all files are: a file with a meta header, little endian, whose
wanted elements are plain text and numbers. For anything else, however slightly odd, it gives
None, and the file goes to pydicom. Both ways give the same values (tests/read/test_elements.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct, error

import numpy as np

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
MOST_BYTES = 2**14
"""Where a header is longer than this, pydicom reads it."""
TEXTS = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "SH", "TM", "UC", "UI"))
NUMBERS = {"US": "u2", "SS": "i2", "UL": "u4", "SL": "i4", "FL": "f4", "FD": "f8"}
_OTHER_SYNTAXES = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")  # compressed: explicit headers
_LONG = frozenset(
    (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
)
_SHORT = frozenset(kind.encode() for kind in (*(TEXTS - {"UC"}), *NUMBERS, "AT", "LT", "PN", "ST"))
_SYNTAX, _PIXELS = 0x0002_0010, (0x7FE0_0008, 0x7FE0_0009, 0x7FE0_0010)
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
_UNDEFINED = 0xFFFF_FFFF
_SHORT_FORM, _LONG_FORM, _IMPLICIT_FORM = Struct("<HH2sH"), Struct("<HH2s2xI"), Struct("<HHI")

Value = str | int | float
Known = Mapping[int, tuple[str, str]]


class _OddError(Exception):
    """Something that pydicom had better look at."""


def quick_header(data: bytes, known: Known) -> tuple[dict[str | int, Value], int, str] | None:
    """Values by keyword, the place of the pixel data, and the transfer syntax.

    Parameters
    ----------
    data
        The first bytes of the file.
    known
        Keyword and usual value representation by tag; an empty keyword marks a private element,
        whose value is given by its number.

    Returns
    -------
    tuple or None
        None where the file is out of the ordinary in any way.
    """
    if data[128:132] != b"DICM":
        return None
    try:
        meta, place = _elements(data, 132, {_SYNTAX: ("syntax", "UI")}, explicit=True, meta=True)
        syntax = str(meta.get("syntax", ""))
        if syntax not in (IMPLICIT, EXPLICIT) and not syntax.startswith(_OTHER_SYNTAXES):
            return None
        explicit = syntax != IMPLICIT
        if not explicit and data[place + 4 : place + 6] in _SHORT | _LONG:
            return None
        values, place = _elements(data, place, known, explicit=explicit)
    except (_OddError, error):  # the latter where the bytes end
        return None
    return values, place, syntax


def plain_value(kind: str, value: bytes, *, little: bool = True) -> Value | None:
    """Text as written or one number; None where a character set or several numbers come into it."""
    if kind in TEXTS and value.isascii() and b"\x1b" not in value:
        return value.decode("ascii").rstrip(" \0")
    dtype = NUMBERS.get(kind)
    if dtype and len(value) == int(dtype[1]):
        number: int | float = np.frombuffer(value, ("<" if little else ">") + dtype)[0].item()
        return number
    return None


def _elements(
    data: bytes, place: int, known: Known, *, explicit: bool, meta: bool = False
) -> tuple[dict[str | int, Value], int]:
    """Wanted values from ``place`` on, to the pixel data, or to the end of the meta header."""
    values: dict[str | int, Value] = {}
    while True:
        if meta and data[place : place + 2] != b"\2\0":
            return values, place
        tag, kind, start, length = _next(data, place, explicit)
        if tag in _PIXELS:
            return values, place
        place = _past_sequence(data, start, explicit) if length == _UNDEFINED else start + length
        wanted = known.get(tag)
        if wanted is None:
            continue
        keyword, usual = wanted
        if length == _UNDEFINED or place > len(data) or not (kind or usual):
            raise _OddError
        value = plain_value(kind or usual, data[start:place])
        if value is None:
            raise _OddError
        values[keyword or tag] = value


def _next(data: bytes, place: int, explicit: bool) -> tuple[int, str, int, int]:
    """Tag, value representation, start of the value and its length of the element at ``place``."""
    if not explicit:
        high, low, length = _IMPLICIT_FORM.unpack_from(data, place)
        return high << 16 | low, "", place + 8, length
    high, low, kind, length = _SHORT_FORM.unpack_from(data, place)
    start = place + 8
    if kind in _LONG:
        high, low, kind, length = _LONG_FORM.unpack_from(data, place)
        start = place + 12
    elif kind not in _SHORT:
        raise _OddError
    return high << 16 | low, kind.decode("latin-1"), start, length


def _past_sequence(data: bytes, place: int, explicit: bool) -> int:
    """Place after a sequence of undefined length that begins at ``place``."""
    while True:
        high, low, length = _IMPLICIT_FORM.unpack_from(data, place)
        place += 8
        tag = high << 16 | low
        if tag == _SEQUENCE_END:
            return place
        if tag != _ITEM:
            raise _OddError
        if length != _UNDEFINED:
            place += length
            continue
        place = _past_item(data, place, explicit)


def _past_item(data: bytes, place: int, explicit: bool) -> int:
    while True:
        high, low, _ = _IMPLICIT_FORM.unpack_from(data, place)
        if high << 16 | low == _ITEM_END:
            return place + 8
        _, kind, start, length = _next(data, place, explicit)
        if length == _UNDEFINED and kind == "UN":  # implicit inside
            raise _OddError
        place = _past_sequence(data, start, explicit) if length == _UNDEFINED else start + length
