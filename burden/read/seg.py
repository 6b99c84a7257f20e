"""DICOM Segmentation objects: BINARY, FRACTIONAL and LABELMAP, by the position of each frame.

Writers leave out empty frames and order frames as they like, so the slices are laid out by
position on the finest regular grid that holds them all; a slice without a frame is empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError, InputError, NotAnImageError
from burden.grid import Grid
from burden.read.entry import Entry
from burden.read.frames import read_frames
from burden.read.headers import Slice, quiet_pydicom, read_headers

_SEG_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
_HALF = 0.5  # fraction from which a voxel of a FRACTIONAL segmentation counts
_TOLERANCE = 0.02  # of the slice spacing


def read_seg(entry: Entry, path: Path) -> tuple[NDArray[np.unsignedinteger], Grid, dict[int, str]]:
    """Labels as SegmentNumber, the grid that holds all frames, and the segment labels.

    Where segments overlap, the smaller one is kept: a lesion inside a liver stays a lesion.
    """
    try:
        slices = read_headers(entry)
    except ValueError as error:
        raise InputError(f"{error}.", where=path, hint="Export it again.") from error
    if slices[0].file.sop_class not in _SEG_CLASSES:
        raise NotAnImageError(
            "a DICOM file, but not a segmentation.", where=path, hint="Give a DICOM SEG or NIfTI mask."
        )
    frames, numbers, names, labelmap = _frames(entry, path, len(slices))
    grid, layer = _layout(slices, path)
    highest = max([*names, int(frames.max()) if labelmap else 0, 1])
    out = np.zeros(grid.shape, dtype=np.uint8 if highest < 256 else np.uint16)
    sizes: Counter[int] = Counter()
    for number, frame in zip(numbers, frames, strict=True):
        sizes[number] += int(np.count_nonzero(frame))
    for number in sorted(range(len(numbers)), key=lambda n: (-sizes[numbers[n]], numbers[n])):
        plane = out[:, :, layer[number]]
        frame = frames[number].T
        if labelmap:
            plane[frame > 0] = frame[frame > 0]
        else:
            plane[frame > 0] = numbers[number]
    return out, grid, names


def _frames(
    entry: Entry, path: Path, count: int
) -> tuple[NDArray[Any], list[int], dict[int, str], bool]:
    """Frames ``[frame, row, column]`` (0 outside), the segment of each, and the names."""
    from pydicom import dcmread

    try:
        with quiet_pydicom():
            ds = dcmread(entry.path, force=True)
            kind = str(ds.get("SegmentationType", ""))
            frames = read_frames(ds, count)
            listed = {int(s.SegmentNumber): str(s.SegmentLabel) for s in ds.SegmentSequence}
            names = {number: name for number, name in listed.items() if number > 0}
            labelmap = kind == "LABELMAP"
            numbers = [1] * count if labelmap else _segment_numbers(ds)
            if kind == "FRACTIONAL":
                frames = frames >= _HALF * float(ds.get("MaximumFractionalValue", 255))
    except Exception as error:  # any byte may be wrong
        raise InputError("a damaged segmentation.", where=path, hint="Export it again.") from error
    return frames, numbers, names, labelmap


def _segment_numbers(ds: Any) -> list[int]:
    shared = list(ds.get("SharedFunctionalGroupsSequence") or [])
    numbers = []
    for group in ds.PerFrameFunctionalGroupsSequence:
        place = next(g for g in (group, *shared) if "SegmentIdentificationSequence" in g)
        numbers.append(int(place.SegmentIdentificationSequence[0].ReferencedSegmentNumber))
    return numbers


def _layout(slices: Sequence[Slice], path: Path) -> tuple[Grid, list[int]]:
    """Grid along the normal that holds all frames, and the layer of each."""
    first = slices[0]
    if any(s.position is None or s.axes != first.axes for s in slices) or first.axes is None:
        raise GeometryError("the segmentation's frames are not parallel planes in space.", where=path)
    row, column = np.array(first.axes)
    normal = np.cross(row, column)
    positions = np.array([s.position for s in slices])
    along = positions @ normal
    levels = np.unique(np.round(along, 3))
    step = _step(levels, first.thickness, path)
    layer = np.rint((along - levels[0]) / step).astype(int)
    if np.abs(along - levels[0] - layer * step).max() > _TOLERANCE * step + 0.01:
        raise GeometryError("the segmentation's frames are unevenly spaced.", where=path)
    sideways = positions - positions[0]
    if np.abs(sideways - np.outer(sideways @ normal, normal)).max() > 0.1:
        raise GeometryError(
            "the segmentation's frames are shifted sideways (gantry tilt).",
            where=path,
            hint="Give a mask drawn on a grid at right angles.",
        )
    spacing = first.spacing
    if spacing is None:
        raise GeometryError("the segmentation has no pixel spacing.", where=path)
    shape = (first.file.columns, first.file.rows, int(layer.max()) + 1)
    origin = positions[int(along.argmin())]
    axes = np.stack([row, column, normal], axis=1)
    return Grid.from_axes(shape, (*spacing, step), origin, axes), [int(n) for n in layer]


def _step(levels: NDArray[np.float64], thickness: float, path: Path) -> float:
    """Spacing of the slices a segmentation was drawn on, gaps left by empty frames allowed."""
    if len(levels) == 1:
        return thickness or 1.0
    gaps = np.diff(levels)
    step = float(gaps.min())
    if len(levels) > 2:
        # many rounded positions give a better estimate than the one smallest gap
        counts = np.rint(gaps / step)
        step = float(gaps.sum() / counts.sum())
    if step < 0.05:
        raise GeometryError("the segmentation's frames lie too close together.", where=path)
    return step
