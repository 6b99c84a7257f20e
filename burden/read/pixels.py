"""Stored pixels of one slice, compressed or not.

Uncompressed pixels are taken straight from the file at the place the header reader found;
everything else goes through :mod:`burden.read.decode`.
"""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.errors import InputError
from burden.read.decode import IN_THREADS, PLUGINS, decoded
from burden.read.headers import Slice, quiet_pydicom

AIR = -1024
MAX_VOXELS = 2**30
_PARSING, _ONE_AT_A_TIME = Lock(), Lock()
"""GDCM and the decoders written in Python gain nothing from threads; GDCM is not made for them."""
_GE_BIG_ENDIAN = "1.2.840.113619.5.2"  # implicit header in little endian, pixels in big endian
_NATIVE = {
    "": "<",
    "1.2.840.10008.1.2": "<",
    "1.2.840.10008.1.2.1": "<",
    "1.2.840.10008.1.2.2": ">",
    _GE_BIG_ENDIAN: ">",
}

Array = NDArray[Any]
Parsed = dict[Path, Any]


def same_pixels(a: Slice, b: Slice) -> bool:
    """Whether two slices hold the same image, to the last value."""
    if (a.slope, a.intercept) != (b.slope, b.intercept):
        return False
    with quiet_pydicom():
        return np.array_equal(stored_pixels(a, {}), stored_pixels(b, {}))


def native_bytes(one: Slice) -> int:
    """Bytes of an uncompressed slice that can be taken straight from its file, else 0."""
    file = one.file
    if file.syntax not in _NATIVE or file.bits[0] not in (8, 16, 32) or not file.offset:
        return 0
    return file.rows * file.columns * file.bits[0] // 8


def stored_pixels(one: Slice, parsed: Parsed, room: Array | None = None) -> Array:
    """Stored values of one slice, ``[row, column]``, before rescaling.

    Parameters
    ----------
    parsed
        Keeps the last compressed file between calls, for those with many frames.
    room
        Bytes that the result may lie in, until they are given again.
    """
    file = one.file
    if file.samples != 1:
        raise InputError("colour images have no measurable values.")
    if native_bytes(one):
        return _native(one, room)
    return _decoded(one, parsed)


def _native(one: Slice, room: Array | None) -> Array:
    """Uncompressed pixels straight from the file, with stray upper bits removed."""
    file = one.file
    allocated, stored, high = file.bits
    size = file.rows * file.columns * allocated // 8
    order = _NATIVE[file.syntax]
    with file.entry.path.open("rb", buffering=0) as stream:
        stream.seek(file.offset)
        head = stream.read(12)
        if head[:4] not in (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10"):
            raise InputError("an image without pixel data.", hint=_AGAIN)
        # An even length in implicit VR can never look like one of these letter pairs.
        skip = 12 if head[4:6] in (b"OW", b"OB", b"UN") else 8
        length = int.from_bytes(head[skip - 4 : skip], "big" if file.big_endian else "little")
        if length == 0xFFFFFFFF or length < (one.frame + 1) * size:
            raise _truncated()
        start = stream.seek(file.offset + skip + one.frame * size)
        if size == 0 or start + size > os.fstat(stream.fileno()).st_size:
            raise _truncated()
        raw = np.empty(size, np.uint8) if room is None else room[:size]
        if stream.readinto(raw.data) < size:
            raise _truncated()
    values = raw.view(f"{order}u{allocated // 8}").reshape(file.rows, file.columns)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if 0 < stored < allocated:  # the rest may hold overlays
        values >>= max(high + 1 - stored, 0)
        values &= (1 << stored) - 1
    if not file.signed:
        return values
    spare = allocated - stored if 0 < stored <= allocated else 0
    signed = values.view(f"i{allocated // 8}")
    if spare:  # bring the sign bit to the top and back
        signed <<= spare
        signed >>= spare
    return signed


def _decoded(one: Slice, parsed: Parsed) -> Array:
    """Compressed pixels, one frame at a time."""
    file = one.file
    try:
        if PLUGINS.get(file.syntax) in IN_THREADS:
            values = decoded(_data_set(one, parsed), one)
        else:
            with _ONE_AT_A_TIME:
                values = decoded(_data_set(one, parsed), one)
    except MemoryError as error:
        raise _truncated() from error
    except Exception as error:  # decoders raise anything on damaged streams
        reason = " (no decoder for this compression)" if isinstance(error, NotImplementedError) else ""
        raise InputError(f"the pixel data cannot be decoded{reason}.", hint=_AGAIN) from error
    if values.shape != (file.rows, file.columns):
        raise _truncated()
    return values


def _data_set(one: Slice, parsed: Parsed) -> Any:
    """The whole file; kept in ``parsed`` where it has more frames to come."""
    from pydicom import dcmread

    path = one.file.entry.path
    if one.file.frames == 1:
        return dcmread(path, force=True)
    with _PARSING:
        if path not in parsed:
            parsed.clear()
            parsed[path] = dcmread(path, force=True)
        return parsed[path]


_AGAIN = "Export the series again, best uncompressed."


def _truncated() -> InputError:
    return InputError("the pixel data are cut short.", hint=_AGAIN)
