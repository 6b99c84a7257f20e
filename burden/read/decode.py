"""Compressed pixels through pydicom, each syntax by the decoder that survives damaged data.

GDCM ends the whole process on some damaged JPEG 2000 streams, so Pillow (OpenJPEG) and
pyjpegls come first; GDCM is left for lossless JPEG, and sees only streams whose own header
agrees with the data set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.read.headers import Slice

PLUGINS = {
    "1.2.840.10008.1.2.4.50": "pillow",
    "1.2.840.10008.1.2.4.51": "pillow",
    "1.2.840.10008.1.2.4.57": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pillow",
    "1.2.840.10008.1.2.4.91": "pillow",
}
IN_THREADS = ("pillow", "pyjpegls")
"""Decoders that may run in several threads at once."""
_SOF3 = 0xC3  # start of frame, lossless Huffman


def decoded(ds: Any, one: Slice) -> NDArray[Any]:
    """Stored values ``[row, column]`` of one frame of a parsed data set.

    Call it inside ``quiet_pydicom``, which is no part of it because it is not made for threads.

    Raises
    ------
    Exception
        Anything, as decoders do on damaged streams; the caller says where.
    """
    from pydicom.pixels import pixel_array

    file = one.file
    plugin = PLUGINS.get(file.syntax, "")
    frame = one.frame if file.frames > 1 else None
    if plugin == "gdcm":
        _quiet_gdcm()
        _check_lossless_jpeg(ds, one)
    return np.asarray(pixel_array(ds, index=frame, raw=True, decoding_plugin=plugin))


def _check_lossless_jpeg(ds: Any, one: Slice) -> None:
    """Raise unless the stream's frame header fits the data set's rows, columns and bits."""
    from pydicom.encaps import get_frame

    stream = get_frame(ds.PixelData, one.frame, number_of_frames=one.file.frames)
    place = 2
    while stream[:2] == b"\xff\xd8" and place + 10 <= len(stream) and stream[place] == 0xFF:
        marker, length = stream[place + 1], int.from_bytes(stream[place + 2 : place + 4], "big")
        if marker == _SOF3:
            precision = stream[place + 4]
            rows, columns = (int.from_bytes(stream[place + n : place + n + 2], "big") for n in (5, 7))
            fits = (rows, columns, stream[place + 9]) == (one.file.rows, one.file.columns, 1)
            if fits and one.file.bits[1] <= precision <= one.file.bits[0]:
                return
            break
        place += 2 + length
    raise ValueError("the compressed stream does not fit its header")


def _quiet_gdcm() -> None:
    """Keep GDCM from writing to the terminal; its errors come back as exceptions."""
    try:
        import gdcm  # type: ignore[import-untyped]
    except ImportError:  # then pydicom says that there is no decoder
        return
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    gdcm.Trace.DebugOff()
