"""How well two masks of one thing agree: Dice, surface Dice, HD95, and what an empty mask means.

Surfaces are the mask's voxels with a face neighbour outside it, and distances lie between their
centres: the definition of MONAI's `SurfaceDiceMetric` and `HausdorffDistanceMetric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
State = Literal["both", "both empty", "missed", "false"]
Window = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Overlap:
    """Agreement of a predicted and a reference mask.

    Parameters
    ----------
    state
        ``both`` hold voxels; ``both empty``: agreement is perfect (1, 1, 0 mm); ``missed`` (only the
        reference holds any) and ``false`` (only the prediction does): it is nil (0, 0, infinite).
    dice, surface_dice
        0 to 1.
    hd95_mm
        Larger of the two 95th percentiles of surface distances.
    predicted_ml, reference_ml, common_ml
        Volumes.
    """

    state: State
    dice: float
    surface_dice: float
    hd95_mm: float
    predicted_ml: float
    reference_ml: float
    common_ml: float


def overlap(
    predicted: Mask, reference: Mask, spacing: tuple[float, float, float], *, tolerance_mm: float = 3.0
) -> Overlap:
    """Compare two masks on one grid.

    Parameters
    ----------
    predicted, reference : bool (i, j, k)
    spacing
        Voxel size along each array axis, mm.
    tolerance_mm
        Surface voxels within this distance of the other surface agree.
    """
    ml = float(np.prod(spacing)) / 1000.0
    ours, theirs = (int(np.count_nonzero(mask)) for mask in (predicted, reference))
    common = int(np.count_nonzero(predicted & reference))
    volumes = (ours * ml, theirs * ml, common * ml)
    if not ours and not theirs:
        return Overlap("both empty", 1.0, 1.0, 0.0, *volumes)
    if not ours or not theirs:
        return Overlap("false" if ours else "missed", 0.0, 0.0, np.inf, *volumes)
    there, back = surface_distances(predicted, reference, spacing)
    near = np.count_nonzero(there <= tolerance_mm) + np.count_nonzero(back <= tolerance_mm)
    return Overlap(
        "both",
        2.0 * common / (ours + theirs),
        near / (there.size + back.size),
        float(max(np.percentile(there, 95), np.percentile(back, 95))),
        *volumes,
    )


def surface_distances(
    one: Mask, other: Mask, spacing: tuple[float, float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance from each surface voxel of either mask to the other surface, mm.

    Neither mask may be empty.
    """
    from scipy.ndimage import distance_transform_edt

    window = around(one | other)
    surfaces = [_surface(mask[window]) for mask in (one, other)]
    fields = [np.asarray(distance_transform_edt(~surface, sampling=spacing)) for surface in surfaces]
    return fields[1][surfaces[0]], fields[0][surfaces[1]]


def around(mask: Mask) -> Window:
    """Bounding box of a mask that is not empty."""
    cuts = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        cuts.append(slice(int(there[0]), int(there[-1]) + 1))
    return cuts[0], cuts[1], cuts[2]


def _surface(mask: Mask) -> Mask:
    """Voxels with a face neighbour outside the mask; the world beyond the array is outside."""
    from scipy.ndimage import binary_erosion

    return np.asarray(mask & ~binary_erosion(mask))
