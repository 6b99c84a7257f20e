"""A lesion from one click: what looks like the clicked spot, around it, inside the liver.

The edge is put where the image has gone a given share of the way from the liver to the spot; half
way is where the true edge of a blurred object lies.
"""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_closing, binary_fill_holes, gaussian_filter

from burden.errors import UsageError
from burden.review.masks import Box, Mask, Masks

SMOOTH_MM = 0.8
SURROUND_MM = 25.0
"""Liver up to this far from the size limit is what the spot is compared with."""
LEAST_CONTRAST = 1.0
"""In standard deviations of the liver around: a spot nearer to the liver than this is not one."""


@dataclass(frozen=True, eq=False)
class Grown:
    """What a click found.

    Parameters
    ----------
    region
        In ``box``.
    spot, liver
        Image values of the spot and of the liver around it.
    at_limit
        Whether the size limit stopped it somewhere.
    """

    box: Box
    region: Mask
    spot: float
    liver: float
    at_limit: bool


def grow(
    masks: Masks, image: NDArray[np.generic], at: ArrayLike, *, edge: float = 0.5, size: float = 60.0
) -> Grown:
    """Region around a voxel that stands out from the liver like it.

    Parameters
    ----------
    image
        On the grid of the masks.
    at
        Voxel index.
    edge
        Where the edge lies between liver (0) and spot (1); larger makes the region smaller.
    size
        Largest diameter, mm.

    Raises
    ------
    UsageError
        Outside the liver, on a lesion, or where the spot does not stand out.
    """
    seed = np.rint(np.asarray(at, float)).astype(int)
    if (seed < 0).any() or (seed >= masks.code.shape).any() or masks.code[tuple(seed)] == 0:
        raise UsageError("this is outside the liver: correct the liver's edge first.")
    if masks.code[tuple(seed)] > 1:
        raise UsageError(f"this is part of lesion {int(masks.code[tuple(seed)]) // 2} already.")
    spacing = np.array(masks.grid.spacing)
    box = _around(seed, size / 2.0 + SURROUND_MM, spacing, masks.code.shape)
    code = masks.code[box]
    local = gaussian_filter(np.asarray(image[box], np.float32), SMOOTH_MM / spacing)
    here = seed - [s.start for s in box]
    spot, liver = _levels(local, code, here)
    away = sum(
        ((x - c) * s) ** 2
        for x, c, s in zip(np.ogrid[tuple(slice(n) for n in code.shape)], here, spacing, strict=True)
    )
    ball = np.asarray(away) <= (size / 2.0) ** 2
    allowed = ball & (code == 1)
    like = allowed & ((local - liver) / (spot - liver) >= edge)
    like[tuple(here)] = True
    region = _body(like, here)
    region = binary_fill_holes(binary_closing(np.pad(region, 1))[1:-1, 1:-1, 1:-1]) & allowed
    region = _body(region, here)
    rim = ball & (np.asarray(away) > (size / 2.0 - spacing.max()) ** 2)
    return Grown(box, region, spot, liver, bool((region & rim).any()))


def _levels(
    local: NDArray[np.float32], code: NDArray[np.uint16], here: NDArray[np.intp]
) -> tuple[float, float]:
    """Values of the spot and of the liver around it; refused where they are the same."""
    around = local[code == 1]
    liver = float(np.median(around))
    noise = 1.4826 * float(np.median(np.abs(around - liver)))
    near = tuple(slice(max(h - 1, 0), h + 2) for h in here)
    spot = float(np.median(local[near][code[near] == 1]))
    if abs(spot - liver) <= max(LEAST_CONTRAST * noise, 1e-6):
        raise UsageError(
            "this spot does not stand out from the liver around it.", hint="Draw it with the brush."
        )
    return spot, liver


def _body(mask: Mask, here: NDArray[np.intp]) -> Mask:
    """The 6-connected part of a mask that holds a voxel."""
    parts = np.asarray(cc3d.connected_components(mask, connectivity=6))
    return np.asarray((parts == parts[tuple(here)]) & mask)


def _around(
    seed: NDArray[np.intp], reach: float, spacing: NDArray[np.float64], shape: tuple[int, ...]
) -> Box:
    steps = np.ceil(reach / spacing).astype(int)
    a, b, c = (
        slice(int(max(s - n, 0)), int(min(s + n + 1, end)))
        for s, n, end in zip(seed, steps, shape, strict=True)
    )
    return a, b, c
