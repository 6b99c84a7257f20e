"""The brush: the track of a ball or a disc, added to a lesion or the liver, or taken off.

Points are fractional voxel indices ``(i, j, k)`` of the grid; lengths are mm.
"""

from __future__ import annotations

from collections.abc import Sequence

import cc3d
import numpy as np
from numpy.typing import ArrayLike, NDArray

from burden.errors import UsageError
from burden.review.edits import add, box_of_lesion, code_of, patch_of
from burden.review.masks import Box, Code, Mask, Masks, Patch

LEAST_VOXELS = 3
"""A crumb smaller than this, left over when a lesion is cut in pieces, goes with what was cut."""


def paint(
    masks: Masks, number: int, stroke: Sequence[ArrayLike], radius: float, flat: int | None
) -> Patch:
    """Add the track of a brush to a lesion; it stays in the liver and beside other lesions.

    Parameters
    ----------
    stroke
        Centres the brush went through, one after the other.
    flat
        Array axis across which a flat brush has no extent; None for a ball.
    """
    box, track = swept(masks, stroke, radius, flat)
    return add(masks, box, track, number)


def erase(
    masks: Masks,
    number: int | None,
    stroke: Sequence[ArrayLike],
    radius: float,
    flat: int | None,
    first_new: int,
) -> Patch:
    """Take the track of a brush off one lesion, or off all of them (None).

    A lesion cut in pieces becomes several: the largest keeps its number, the others count on from
    ``first_new``.
    """
    box, track = swept(masks, stroke, radius, flat)
    old = masks.code[box]
    hit = track & ((old > 1) if number is None else (old == code_of(number)))
    touched = [int(c) for c in np.unique(old[hit])]
    if not touched:
        raise UsageError("there is nothing to erase here.")
    box, old = _with_lesions(masks, box, touched)
    inner = _within(box, swept_box(masks, stroke, radius, flat))
    new = old.copy()
    new[inner][hit] = 1
    for code in touched:
        first_new = _tell_pieces_apart(old, new, code, first_new)
    return patch_of(masks, box, new)


def paint_liver(masks: Masks, stroke: Sequence[ArrayLike], radius: float, flat: int | None) -> Patch:
    """Add the track of a brush to the liver."""
    box, track = swept(masks, stroke, radius, flat)
    new = masks.code[box].copy()
    new[track & (new == 0)] = 1
    return patch_of(masks, box, new, "this is liver already.")


def erase_liver(masks: Masks, stroke: Sequence[ArrayLike], radius: float, flat: int | None) -> Patch:
    """Take the track of a brush off the liver, with what lesions lie in it."""
    box, track = swept(masks, stroke, radius, flat)
    new = masks.code[box].copy()
    new[track] = 0
    patch = patch_of(masks, box, new, "there is no liver here.")
    if np.count_nonzero(patch.old()) - np.count_nonzero(patch.new()) >= masks.voxels[1:].sum():
        raise UsageError("this would take the whole liver away.")
    return patch


def swept(
    masks: Masks, stroke: Sequence[ArrayLike], radius: float, flat: int | None
) -> tuple[Box, Mask]:
    """Voxels whose centre lies within ``radius`` of the track of a brush, in their box.

    A flat brush paints the plane of its first centre alone. The voxel under each centre always
    counts, so that the smallest brush leaves a trace.
    """
    box = swept_box(masks, stroke, radius, flat)
    spacing = np.array(masks.grid.spacing)
    points = np.array([np.asarray(p, float) for p in stroke])
    if flat is not None:
        points[:, flat] = np.rint(points[0, flat])
    track = np.zeros(tuple(s.stop - s.start for s in box), bool)
    ends = points[1:] if len(points) > 1 else points
    for a, b in zip(points, ends, strict=False):
        part = _span(np.minimum(a, b), np.maximum(a, b), radius, spacing, flat, masks.code.shape)
        inner = _within(box, part)
        track[inner] |= _near(part, a, b, spacing) <= radius
    for p in points:
        at = np.rint(p).astype(int) - [s.start for s in box]
        if ((at >= 0) & (at < track.shape)).all():
            track[tuple(at)] = True
    return box, track


def swept_box(masks: Masks, stroke: Sequence[ArrayLike], radius: float, flat: int | None) -> Box:
    """Box that holds the track of a brush."""
    points = np.array([np.asarray(p, float) for p in stroke])
    if points.ndim != 2 or points.shape[1:] != (3,) or not np.isfinite(points).all():
        raise UsageError("a stroke needs points of the image.")
    if flat is not None:
        points[:, flat] = np.rint(points[0, flat])
    spacing = np.array(masks.grid.spacing)
    return _span(points.min(0), points.max(0), radius, spacing, flat, masks.code.shape)


def _span(
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    radius: float,
    spacing: NDArray[np.float64],
    flat: int | None,
    shape: tuple[int, ...],
) -> Box:
    """Box of a segment and its surroundings, inside the grid."""
    reach = radius / spacing
    if flat is not None:
        reach[flat] = 0.0
    first = np.clip(np.floor(low - reach), 0, np.array(shape) - 1).astype(int)
    last = np.clip(np.ceil(high + reach), first, np.array(shape) - 1).astype(int) + 1
    a, b, c = (slice(int(f), int(t)) for f, t in zip(first, last, strict=True))
    return a, b, c


def _near(
    box: Box, a: NDArray[np.float64], b: NDArray[np.float64], spacing: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Distance of the voxels of a box to the segment from a to b, mm."""
    axes = np.ogrid[box]
    along = (b - a) * spacing
    length = float(along @ along)
    away = [(x - p) * s for x, p, s in zip(axes, a, spacing, strict=True)]
    share = 0.0
    if length > 0:
        share = np.clip(sum(d * u for d, u in zip(away, along, strict=True)) / length, 0.0, 1.0)
    square = sum((d - share * u) ** 2 for d, u in zip(away, along, strict=True))
    return np.sqrt(np.asarray(square, dtype=np.float64))


def _with_lesions(masks: Masks, box: Box, codes: Sequence[int]) -> tuple[Box, Code]:
    """The box, grown until it holds these lesions whole, and its codes."""
    boxes = [box, *(box_of_lesion(masks, code // 2) for code in codes)]
    a, b, c = (
        slice(min(one[axis].start for one in boxes), max(one[axis].stop for one in boxes))
        for axis in range(3)
    )
    return (a, b, c), masks.code[a, b, c]


def _within(outer: Box, inner: Box) -> Box:
    """A box inside another one, in the other's indices."""
    a, b, c = (slice(i.start - o.start, i.stop - o.start) for o, i in zip(outer, inner, strict=True))
    return a, b, c


def _tell_pieces_apart(old: Code, new: Code, code: int, first_new: int) -> int:
    """Number the pieces that a cut made of one body; changes ``new``, returns the next number."""
    if cc3d.connected_components(old == code, connectivity=26, return_N=True)[1] != 1:
        return first_new  # it had several parts before and was called one lesion all the same
    pieces, count = cc3d.connected_components(new == code, connectivity=26, return_N=True)
    if count < 2:
        return first_new
    sizes = np.bincount(pieces.ravel())[1:]
    for piece in np.argsort(-sizes, kind="stable")[1:]:
        part = pieces == piece + 1
        if sizes[piece] < LEAST_VOXELS:
            new[part] = 1
            continue
        new[part] = code_of(first_new)
        first_new += 1
    return first_new
