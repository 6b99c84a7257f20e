"""Couinaud segments: given, else predicted; which source, and how sure of its borders."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from burden.findings import Finding
from burden.grid import Grid

RIGHT = [5, 6, 7, 8]
LEFT = [2, 3, 4]
SEGMENTS = tuple(range(1, 9))

BORDERS = ("cantlie", "umbilical", "right_portal", "level", "caudate")
"""Borders between segments that move together when their place is in error."""

MOSTLY = 0.5
"""A mask that leaves more than this share of the liver without a segment says too little of it."""

Mask = NDArray[np.bool_]
SegmentArray = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Segments of the box, and what is known about them.

    Parameters
    ----------
    segments
        Couinaud 1..8 wherever there is liver and segments are known; 0 elsewhere.
    source
        One line for people: where the segments come from.
    border_sd_mm
        Standard deviation of the place of each border of ``BORDERS``; absent is 0.
    known
        Whether there are segments at all.
    """

    segments: SegmentArray
    source: str
    border_sd_mm: dict[str, float] = field(default_factory=dict)
    known: bool = True
    findings: tuple[Finding, ...] = ()


def border(a: int, b: int) -> str:
    """Name of the border between two segments."""
    if 1 in (a, b):
        return "caudate"
    if (a in LEFT) != (b in LEFT):
        return "cantlie"
    if a in LEFT:
        return "umbilical" if 4 in (a, b) else "level"
    return "right_portal" if (a in (6, 7)) != (b in (6, 7)) else "level"


def unknown_anatomy(shape: tuple[int, ...], why: str) -> Anatomy:
    """No segments, and why."""
    return Anatomy(np.zeros(shape, np.uint8), why, known=False)


def given_anatomy(given: NDArray[np.unsignedinteger], liver: Mask, grid: Grid) -> Anatomy:
    """Segments from a mask; liver it leaves unlabelled joins the nearest segment.

    A mask that is no Couinaud mask of this liver (labels of lobes, a part of it) gives none: every
    hepatectomy of segments that it does not know would leave all of the liver.
    """
    segments = np.where(liver & (given <= 8), given, 0).astype(np.uint8)
    bare = liver & (segments == 0)
    total, missing = int(np.count_nonzero(liver)), int(np.count_nonzero(bare))
    if missing == total:
        return unknown_anatomy(liver.shape, "the segment mask does not overlap the liver")
    absent = [n for n in SEGMENTS[1:] if not (segments == n).any()]
    lobes = [name for name, group in (("right", RIGHT), ("left", LEFT)) if set(group) <= set(absent)]
    if lobes or missing > MOSTLY * total:
        why = f"knows no segment of the {' or the '.join(lobes)} hemiliver" if lobes else ""
        why = why or f"leaves {100 * missing / total:.0f} % of the liver without a segment"
        text = f"The segment mask {why} and is not used: what needs segments is not known."
        said = Finding("segments-unknown", "error", text)
        return replace(unknown_anatomy(liver.shape, f"the segment mask {why}"), findings=(said,))
    findings = []
    if absent:
        numbers = ", ".join(map(str, absent))
        text = f"The segment mask has no segment {numbers}: remnants take it for removed before."
        findings.append(Finding("segments-absent", "warning", text))
    if missing:
        segments[bare] = nearest_segment(segments, bare, grid)
        if missing > 0.1 * total:
            findings.append(
                Finding(
                    "segments-incomplete",
                    "warning",
                    f"The segment mask leaves {100 * missing / total:.0f} % of the liver without a "
                    "segment; it was joined to the nearest one.",
                )
            )
    findings.append(Finding("segments-source", "info", "Couinaud segments: from the mask given."))
    return Anatomy(segments, "segments given", findings=tuple(findings))


def nearest_segment(segments: SegmentArray, bare: Mask, grid: Grid) -> SegmentArray:
    """Segment of the nearest labelled voxel, for every bare voxel."""
    shell = edge(segments > 0)
    at = np.argwhere(shell)
    tree = cKDTree(at * np.array(grid.spacing))
    _, nearest = tree.query(np.argwhere(bare) * np.array(grid.spacing))
    return np.asarray(segments[shell][nearest])


def edge(mask: Mask) -> Mask:
    """Voxels of a mask with a face outside it."""
    core = mask.copy()
    for axis in range(3):
        m, c = np.moveaxis(mask, axis, 0), np.moveaxis(core, axis, 0)
        c[1:] &= m[:-1]
        c[:-1] &= m[1:]
        c[[0, -1]] = False
    return mask & ~core


def beside(mask: Mask) -> Mask:
    """A mask with every voxel that shares a face with it."""
    wide = mask.copy()
    for axis in range(3):
        m, w = np.moveaxis(mask, axis, 0), np.moveaxis(wide, axis, 0)
        w[1:] |= m[:-1]
        w[:-1] |= m[1:]
    return wide


def border_areas(
    segments: SegmentArray, inside: Mask, spacing: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Area of the border between every two segments, shape (9, 9), mm2.

    The faces between voxels are summed as vectors, so that a plane has its true area however it
    lies to the voxel axes (the plain sum of faces is up to 1.7 times too large).
    """
    areas = np.zeros((9, 9, 3))
    labels = np.where(inside, segments, 0)
    for axis in range(3):
        face = float(np.prod(spacing)) / spacing[axis]
        before, after = (np.moveaxis(labels, axis, 0)[s] for s in (slice(None, -1), slice(1, None)))
        differ = (before != after) & (before > 0) & (after > 0)
        pairs = before[differ].astype(np.intp) * 9 + after[differ]
        counts = np.bincount(pairs, minlength=81).reshape(9, 9)
        areas[:, :, axis] = (counts - counts.T) * face
    return np.asarray(np.linalg.norm(areas, axis=2))


def cantlie_distance(
    segments: SegmentArray, grid: Grid, points_mm: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of points (n, 3) to the border between right and left hemiliver, mm."""
    right, left = np.isin(segments, RIGHT), np.isin(segments, LEFT)
    beside = np.zeros(segments.shape, bool)
    for axis in range(3):
        r, m, b = (np.moveaxis(x, axis, 0) for x in (right, left, beside))
        b[:-1] |= (r[:-1] & m[1:]) | (m[:-1] & r[1:])
    if not beside.any():
        return np.full(len(points_mm), np.inf)
    distance, _ = cKDTree(grid.world(np.argwhere(beside))).query(points_mm)
    return np.asarray(distance)
