"""Frames of one bit a pixel in encodings that pydicom does not decode.

Segmentations are BINARY by default, and a writer may pack them by RLE or deflate each frame
(Supplement 244). Both keep the packed bits of a frame, lowest bit first.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.read.decode import PLUGINS

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
RLE = "1.2.840.10008.1.2.5"


def read_frames(ds: Any, count: int) -> NDArray[Any]:
    """All frames of a data set as ``[frame, row, column]``.

    Raises
    ------
    Exception
        Anything; the caller names the file.
    """
    from pydicom.pixels import pixel_array

    syntax = str(ds.file_meta.TransferSyntaxUID)
    rows, columns, bits = int(ds.Rows), int(ds.Columns), int(ds.BitsAllocated)
    if not (syntax == DEFLATED_FRAMES or (syntax == RLE and bits == 1)):
        plugin = PLUGINS.get(syntax, "")
        values = pixel_array(ds, raw=True, decoding_plugin=plugin)
        return np.asarray(values).reshape(count, rows, columns)
    from pydicom.encaps import generate_frames

    pixels = rows * columns
    size = (pixels * bits + 7) // 8
    out = np.empty((count, rows, columns), dtype=np.uint8 if bits <= 8 else np.uint16)
    for number, packed in zip(
        range(count), generate_frames(ds.PixelData, number_of_frames=count), strict=True
    ):
        raw = _inflated(packed, size) if syntax == DEFLATED_FRAMES else _packbits(packed, size)
        if bits == 1:
            values = np.unpackbits(raw, bitorder="little")[:pixels]
        else:
            values = raw.view("<u2") if bits == 16 else raw
        out[number] = values.reshape(rows, columns)
    return out


def _inflated(packed: bytes, size: int) -> NDArray[np.uint8]:
    raw = zlib.decompressobj(-15).decompress(packed, size)
    return np.frombuffer(raw, dtype=np.uint8, count=size)


def _packbits(packed: bytes, size: int) -> NDArray[np.uint8]:
    """One RLE segment of PS3.5 annex G: a signed count, then literals or one byte to repeat."""
    (first,) = struct.unpack_from("<I", packed, 4)
    out = bytearray()
    place = first
    while len(out) < size:
        control = packed[place]
        if control < 128:
            out += packed[place + 1 : place + 2 + control]
            place += 2 + control
        elif control > 128:
            out += packed[place + 1 : place + 2] * (257 - control)
            place += 2
        else:
            place += 1
    return np.frombuffer(bytes(out), dtype=np.uint8, count=size)
