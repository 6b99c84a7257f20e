"""Corrections of masks as pure functions: masks in, a patch out, nothing read or kept.

Points are fractional voxel indices ``(i, j, k)`` of the grid; lengths are mm. An edit that would
change nothing raises :class:`~burden.errors.UsageError`, so that the reader hears why.
"""

from __future__ import annotations

from collections.abc import Sequence

import edt
import numpy as np
from numpy.typing import ArrayLike
from skimage.segmentation import watershed

from burden.errors import UsageError
from burden.review.masks import Box, Code, Mask, Masks, Patch


def code_of(number: int) -> int:
    """Code of a lesion's voxels."""
    return 2 * number + 1


def delete(masks: Masks, number: int) -> Patch:
    """Make a lesion liver again."""
    box = box_of_lesion(masks, number)
    new = masks.code[box].copy()
    new[new == code_of(number)] = 1
    return patch_of(masks, box, new)


def restore(masks: Masks, number: int, deleted: Patch) -> Patch:
    """Bring a deleted lesion back, as far as no other lesion has taken its place."""
    new = masks.code[deleted.box].copy()
    new[(deleted.old() == code_of(number)) & (new <= 1)] = code_of(number)
    return patch_of(masks, deleted.box, new, "another lesion has taken its place.")


def merge(masks: Masks, keep: int, other: int) -> Patch:
    """Join two lesions under the first one's number."""
    if keep == other:
        raise UsageError("choose two different lesions.")
    box_of_lesion(masks, keep)
    box = box_of_lesion(masks, other)
    new = masks.code[box].copy()
    new[new == code_of(other)] = code_of(keep)
    return patch_of(masks, box, new)


def add(masks: Masks, box: Box, region: Mask, number: int) -> Patch:
    """Make a region a lesion, inside the liver and beside the other lesions."""
    new = masks.code[box].copy()
    new[region & (new == 1)] = code_of(number)
    return patch_of(masks, box, new, "there is no free liver here.")


def split_line(
    masks: Masks, number: int, start: ArrayLike, end: ArrayLike, across: int, new_number: int
) -> Patch:
    """Cut a lesion by the plane through a line drawn in one plane of the grid.

    The larger part keeps the number.

    Parameters
    ----------
    across
        Array axis across the plane in which the line was drawn; the cut goes straight along it.
    """
    spacing = np.array(masks.grid.spacing)
    along = (np.asarray(end, float) - np.asarray(start, float)) * spacing
    along[across] = 0.0
    if np.linalg.norm(along) < 1e-6:
        raise UsageError("draw a line across the lesion.")
    normal = np.cross(np.eye(3)[across], along)
    box = box_of_lesion(masks, number)
    mine = masks.code[box] == code_of(number)
    at = (np.argwhere(mine) + [s.start for s in box] - np.asarray(start, float)) * spacing
    side = np.zeros(mine.shape, bool)
    side[mine] = at @ normal > 0
    return _two_parts(masks, box, mine & side, mine & ~side, new_number)


def split_seeds(
    masks: Masks, number: int, seeds: Sequence[ArrayLike], new_numbers: Sequence[int]
) -> Patch:
    """Cut a lesion so that each seed has its part; borders run through the necks between them.

    The first seed's part keeps the number; the others get ``new_numbers`` in turn.
    """
    box = box_of_lesion(masks, number)
    mine = masks.code[box] == code_of(number)
    at, first = np.argwhere(mine), np.array([s.start for s in box])
    spacing = np.array(masks.grid.spacing)
    markers = np.zeros(mine.shape, np.int32)
    for n, seed in enumerate(seeds, start=1):
        away = (at - (np.asarray(seed, float) - first)) * spacing
        markers[tuple(at[(away**2).sum(1).argmin()])] = n
    if len(seeds) < 2 or len(np.unique(markers)) - 1 < len(seeds):
        raise UsageError("put two or more seeds on different places of the lesion.")
    deep = edt.edt(np.pad(mine, 1), anisotropy=masks.grid.spacing)[1:-1, 1:-1, 1:-1]
    parts = np.asarray(watershed(-deep, markers, mask=mine))
    new = masks.code[box].copy()
    for n, other in enumerate(new_numbers[: len(seeds) - 1], start=2):
        new[parts == n] = code_of(other)
    return patch_of(masks, box, new)


def _two_parts(masks: Masks, box: Box, one: Mask, other: Mask, new_number: int) -> Patch:
    """The smaller of two parts gets a number of its own."""
    if not one.any() or not other.any():
        raise UsageError("the line does not cross the lesion.")
    smaller = one if np.count_nonzero(one) <= np.count_nonzero(other) else other
    new = masks.code[box].copy()
    new[smaller] = code_of(new_number)
    return patch_of(masks, box, new)


def box_of_lesion(masks: Masks, number: int) -> Box:
    """Bounding box of a lesion; refused where there is none of this number."""
    box = masks.box(number)
    if box is None:
        raise UsageError(f"there is no lesion {number}.")
    return box


def patch_of(masks: Masks, box: Box, new: Code, why: str = "this changes nothing.") -> Patch:
    """Patch that puts ``new`` into ``box``; refused, with the reason, where it changes nothing."""
    patch = Patch.between(masks, box, new)
    if patch is None:
        raise UsageError(why)
    return patch
