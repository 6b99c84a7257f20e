"""Slices -> one array: several at a time, rescaled per slice, padding turned into air.

Reading, hashing and arithmetic all run outside Python's lock, so a few threads share them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from burden.errors import GeometryError, InputError
from burden.read.headers import Slice, quiet_pydicom
from burden.read.pixels import AIR, MAX_VOXELS, Array, Parsed, native_bytes, stored_pixels
from burden.read.stack import named_place

_MOST_THREADS = 8
_INT16 = 32767


def fill(slices: Sequence[Slice], modality: str, path: Path) -> tuple[Array, str]:
    """Pixels of ordered slices as ``[column, row, slice]``, and a sha256 of what was stored.

    int16 for CT wherever that is exact, else float32. Memory: the result and one slice for each
    thread, and for compressed multi-frame files the compressed bytes. ``path`` is for messages
    only. The hash is taken over the hashes of the slices, in their order.

    Raises
    ------
    InputError
        If pixel data are missing, truncated or cannot be decoded.
    """
    first = slices[0].file
    shape = (len(slices), first.rows, first.columns)
    if np.prod([float(n) for n in shape]) > MAX_VOXELS:
        raise GeometryError(f"a volume of {shape[::-1]} voxels is too large to measure.", where=path)
    whole = modality == "CT" and all(s.slope % 1 == 0 and s.intercept % 1 == 0 for s in slices)
    with quiet_pydicom():  # once, outside the threads: warning filters belong to all of them
        parsed: Parsed = {}
        # A header may promise a size that no pixel backs: memory only once one slice is there.
        _stored(slices[0], parsed, None, path)
        try:
            out = np.empty(shape, np.int16 if whole else np.float32)
            digest = _filled(slices, modality, out, path)
        except _BeyondInt16:
            out = np.empty(shape, np.float32)
            digest = _filled(slices, modality, out, path)
    return out.transpose(2, 1, 0), digest


class _BeyondInt16(Exception):  # noqa: N818 - not an error: the volume becomes float32
    """A value that int16 does not hold."""


def _filled(slices: Sequence[Slice], modality: str, out: Array, path: Path) -> str:
    """Fill ``out`` slice by slice, in threads; raise what the first bad slice raises."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1, len(slices))
    rooms: SimpleQueue[tuple[Array | None, Array]] = SimpleQueue()
    most = max(map(native_bytes, slices))
    for _ in range(threads):  # reading into the same memory again costs less than asking for more
        room = np.zeros(most, np.uint8) if most else None
        rooms.put((room, np.empty(out.shape[1:], np.int32 if out.dtype == np.int16 else np.float64)))
    parsed: Parsed = {}

    def one(number: int) -> bytes:
        item, place = slices[number], out[number]
        room, work = rooms.get()
        try:
            fits = place.dtype == np.int16 and place.nbytes == native_bytes(item)
            there = place.reshape(-1).view(np.uint8) if fits else room  # then nothing is copied
            stored = _stored(item, parsed, there, path)
            digest = hashlib.sha256(np.ascontiguousarray(stored).data).digest()
            if not _in_place(item, stored, modality, place):
                _rescale(item, stored, modality, work, place)
            return digest
        finally:
            rooms.put((room, work))

    with ThreadPoolExecutor(threads) as pool:
        digests = list(pool.map(one, range(len(slices))))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _stored(one: Slice, parsed: Parsed, room: Array | None, path: Path) -> Array:
    try:
        return stored_pixels(one, parsed, room)
    except InputError as error:
        what = f"slice at {named_place(one)}: {error.what}"
        raise InputError(what, where=path, hint=error.hint) from error


def _in_place(one: Slice, stored: Array, modality: str, out: Array) -> bool:
    """Rescale values that lie in ``out`` already; False, and nothing done, where that is inexact."""
    if modality != "CT" or one.slope != 1 or one.file.padding is not None:
        return False
    if stored.dtype.itemsize != 2 or not np.may_share_memory(stored, out):
        return False
    low, high = (int(end) + int(one.intercept) for end in (stored.min(), stored.max()))
    if low < -_INT16 or high > _INT16:
        return False
    if one.intercept:  # sums wrap around, and the result is known to fit
        out += np.array(int(one.intercept) & 0xFFFF, np.uint16).view(np.int16)
    if low < AIR:
        np.maximum(out, AIR, out=out)
    return True


def _rescale(one: Slice, stored: Array, modality: str, work: Array, out: Array) -> None:
    """Values of one slice into ``out``; ``work`` is memory of the same shape."""
    values: Array
    padding = one.file.padding
    # Before anything is written: the stored values may lie in the same memory.
    outside = None if padding is None else (stored >= padding[0]) & (stored <= padding[1])
    if out.dtype != np.int16:
        values = np.multiply(stored, one.slope, out=work, dtype=np.float64)
        values += one.intercept
    elif stored.dtype.itemsize > 2 or abs(one.slope) >= 2**14 or abs(one.intercept) >= 2**30:
        values = stored.astype(np.int64) * int(one.slope) + int(one.intercept)
    elif one.slope == 1:
        values = np.add(stored, int(one.intercept), out=work, dtype=np.int32)
    else:
        values = np.multiply(stored, int(one.slope), out=work, dtype=np.int32)
        values += int(one.intercept)
    if out.dtype == np.int16 and values.max() > _INT16:
        raise _BeyondInt16
    if modality == "CT":  # below air there are only padding values, like -3024
        np.maximum(values, AIR, out=out, casting="unsafe")
    else:
        out[:] = values
    if outside is not None:
        out[outside] = AIR if modality == "CT" else 0
