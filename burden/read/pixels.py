"""Pixels of slices: decoded one at a time, rescaled per slice, padding turned into air.

Uncompressed pixels are taken straight from the file at the place the header reader found;
everything else goes through :mod:`burden.read.decode`.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError, InputError
from burden.read.decode import decoded
from burden.read.headers import Slice, quiet_pydicom
from burden.read.stack import named_place

AIR = -1024
MAX_VOXELS = 2**30
_AHEAD = 8  # slices that may wait to be hashed
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


def fill(slices: Sequence[Slice], modality: str, path: Path) -> tuple[Array, str]:
    """Pixels of ordered slices as ``[column, row, slice]``, and the sha256 of what was stored.

    int16 for CT wherever that is exact, else float32. Memory: the result and one slice, and
    for compressed multi-frame files the compressed bytes. ``path`` is for messages only.

    Raises
    ------
    InputError
        If pixel data are missing, truncated or cannot be decoded.
    """
    first = slices[0].file
    shape = (len(slices), first.rows, first.columns)
    if np.prod([float(n) for n in shape]) > MAX_VOXELS:
        raise GeometryError(f"a volume of {shape[::-1]} voxels is too large to measure.", where=path)
    digest = hashlib.sha256()
    whole = modality == "CT" and all(s.slope % 1 == 0 and s.intercept % 1 == 0 for s in slices)
    out: Array | None = None
    parsed: Parsed = {}
    rooms = _rooms(slices)
    work: Array | None = None
    hashed: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as beside:  # hashing takes as long as reading, and waits for nobody
        for number, one in enumerate(slices):
            try:
                stored = stored_pixels(one, parsed, rooms[number % len(rooms)] if rooms else None)
            except InputError as error:
                what = f"slice at {named_place(one)}: {error.what}"
                raise InputError(what, where=path, hint=error.hint) from error
            hashed.append(beside.submit(digest.update, np.ascontiguousarray(stored).data))
            if len(hashed) > _AHEAD:
                hashed.popleft().result()
            work = np.empty(stored.shape, np.int32) if work is None else work
            values = _rescaled(one, stored, modality, work if whole else None)
            if whole and values.max() > 32767:
                whole = False
                out = None if out is None else out.astype(np.float32)
            if out is None:  # only now: a header may promise a size that no pixel backs
                out = np.empty(shape, dtype=np.int16 if whole else np.float32)
                if rooms:
                    out.fill(0)  # all pages at once: one by one they cost more than the pixels
            out[number] = values
    assert out is not None  # noqa: S101 - a stack has slices
    return out.transpose(2, 1, 0), digest.hexdigest()


def same_pixels(a: Slice, b: Slice) -> bool:
    """Whether two slices hold the same image, to the last value."""
    if (a.slope, a.intercept) != (b.slope, b.intercept):
        return False
    return np.array_equal(stored_pixels(a, {}), stored_pixels(b, {}))


def _rooms(slices: Sequence[Slice]) -> list[Array]:
    """Memory to read into, used in turns: asking for it anew each time costs more than reading.

    One more than may wait to be hashed, and one that is being read into. None where a file
    is compressed or smaller than its header promises.
    """
    size: dict[Path, int] = defaultdict(int)
    for one in slices:
        size[one.file.entry.path] += _native_bytes(one) or MAX_VOXELS * 8
    if any(path.stat().st_size < promised for path, promised in size.items()):
        return []
    return [np.zeros(max(map(_native_bytes, slices)), np.uint8) for _ in range(_AHEAD + 2)]


def _native_bytes(one: Slice) -> int:
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
    if _native_bytes(one):
        return _native(one, room)
    return _decoded(one, parsed)


def _rescaled(one: Slice, stored: Array, modality: str, work: Array | None) -> Array:
    """Values of one slice: whole numbers, in ``work`` where they fit, or float32 without it."""
    padding = one.file.padding
    outside = None
    if padding is not None:
        outside = (stored >= padding[0]) & (stored <= padding[1])
        outside = outside if outside.any() else None
    if work is None:
        values: Array = (stored * one.slope + one.intercept).astype(np.float32)
    elif stored.dtype.itemsize <= 2 and abs(one.slope) < 2**14 and abs(one.intercept) < 2**30:
        values = work
        np.multiply(stored, int(one.slope), out=values, dtype=np.int32)
        values += int(one.intercept)
    else:
        values = stored.astype(np.int64) * int(one.slope) + int(one.intercept)
    if modality == "CT":
        np.maximum(values, AIR, out=values)  # below air there are only padding values, like -3024
    if outside is not None:
        values[outside] = AIR if modality == "CT" else 0
    return values


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
    from pydicom import dcmread

    file = one.file
    try:
        if file.entry.path not in parsed:
            parsed.clear()
            with quiet_pydicom():
                parsed[file.entry.path] = dcmread(file.entry.path, force=True)
        values = decoded(parsed[file.entry.path], one)
    except MemoryError as error:
        raise _truncated() from error
    except Exception as error:  # decoders raise anything on damaged streams
        reason = " (no decoder for this compression)" if isinstance(error, NotImplementedError) else ""
        raise InputError(f"the pixel data cannot be decoded{reason}.", hint=_AGAIN) from error
    if values.shape != (file.rows, file.columns):
        raise _truncated()
    return values


_AGAIN = "Export the series again, best uncompressed."


def _truncated() -> InputError:
    return InputError("the pixel data are cut short.", hint=_AGAIN)
