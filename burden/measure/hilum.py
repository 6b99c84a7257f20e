"""The hilum: where the portal vein divides into its right and left branch.

The vein is walked from its far end outside the liver (from its thickest place where none of it
lies outside). The first place from which two parts go on, each feeding a good share of the liver,
is the bifurcation; tributaries such as the splenic vein feed none of it. A mask that ends before the
vein divides is taken to end there.
"""

from __future__ import annotations

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from burden.grid import Grid
from burden.lesions import Point

STEP_MM = 2.0
"""Length of one step along the vein."""
BRANCH = 0.12
"""Share of the vein in or at the liver that a part must hold to be one of the two branches."""
WIDEST = 8
"""Power of the vein's radius by which cells weigh where the hilum is placed among them."""
AT_LIVER_MM = 8.0
OUTSIDE_MM = 10.0
LEAST_ML = 0.3
END_MM = 10.0
"""Without a division, the hilum is the middle of the vein's last part of this length."""

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


def hilum_point(portal: Mask | None, liver: Mask, grid: Grid) -> Point | None:
    """Bifurcation of the portal vein, LPS mm; None without a portal vein (under 0.3 mL).

    Parameters
    ----------
    portal
        The vein with its branches, on ``grid``.
    """
    if portal is None or np.count_nonzero(portal) * grid.voxel_ml < LEAST_ML:
        return None
    vein, spacing, first = _coarse(portal, grid)
    away = _away(liver, grid, vein, spacing, first)
    thick = edt.edt(np.pad(vein, 1), anisotropy=tuple(spacing))[1:-1, 1:-1, 1:-1]
    walked = _walked(vein, away, thick, spacing)
    here = _division(vein, walked, away <= AT_LIVER_MM, thick)
    if here is None:
        here = _end(vein, walked, away)
    # The middle lines meet where the vein is widest: the roots of the branches hardly count.
    middle = np.average(np.argwhere(here), axis=0, weights=thick[here].astype(float) ** WIDEST)
    x, y, z = grid.world((middle + 0.5) * _steps(grid) - 0.5 + first)
    return float(x), float(y), float(z)


def _steps(grid: Grid) -> NDArray[np.intp]:
    return np.maximum(np.round(STEP_MM / np.array(grid.spacing)), 1).astype(np.intp)


def _coarse(portal: Mask, grid: Grid) -> tuple[Mask, FloatArray, NDArray[np.intp]]:
    """The largest piece of the vein at about 2 mm; a cell is vein where any of it is."""
    at = np.argwhere(portal)
    first, steps = at.min(0), _steps(grid)
    cells = (at - first) // steps
    vein = np.zeros(cells.max(0) + 1, bool)
    vein[tuple(cells.T)] = True
    pieces = cc3d.connected_components(np.pad(vein, 1), connectivity=26)[1:-1, 1:-1, 1:-1]
    largest = int(np.bincount(pieces[vein]).argmax())
    return np.asarray(pieces == largest), steps * np.array(grid.spacing), first


def _away(
    liver: Mask, grid: Grid, vein: Mask, spacing: FloatArray, first: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Distance of every cell to the liver, mm; 0 in it."""
    index = np.indices(vein.shape).reshape(3, -1).T * _steps(grid) + first
    near = np.zeros(vein.shape, bool)
    inside = ((index >= 0) & (index < liver.shape)).all(1)
    near.reshape(-1)[inside] = liver[tuple(index[inside].T)]
    if not near.any():
        return np.zeros(vein.shape, np.float32)
    return np.asarray(edt.edt(np.ascontiguousarray(~near), anisotropy=tuple(spacing)))


def _walked(
    vein: Mask, away: NDArray[np.float32], thick: NDArray[np.float32], spacing: FloatArray
) -> FloatArray:
    """Way along the vein from where it starts, mm."""
    from skimage.graph import MCP_Geometric

    outside = np.where(vein, away, -1.0)
    start = np.unravel_index(int(outside.argmax()), vein.shape)
    if outside.max() < OUTSIDE_MM:
        start = np.unravel_index(int(thick.argmax()), vein.shape)
    cost = np.where(vein, 1.0, -1.0)  # negative: no way
    walked, _ = MCP_Geometric(cost, sampling=tuple(spacing)).find_costs([start])
    return np.where(vein & np.isfinite(walked), walked, -1.0)


def _division(vein: Mask, walked: FloatArray, at_liver: Mask, thick: FloatArray) -> Mask | None:
    """Cells where the first two branches divide; None where the vein does not.

    Branches part from one another about the vein's radius beyond the meeting of their middle lines.
    """
    least = max(BRANCH * np.count_nonzero(vein & at_liver), 1.0)
    for far in np.arange(STEP_MM, walked.max(), STEP_MM):
        beyond = np.asarray(walked >= far)
        parts = cc3d.connected_components(np.pad(beyond, 1), connectivity=26)[1:-1, 1:-1, 1:-1]
        held = np.bincount(parts[beyond & at_liver], minlength=int(parts.max()) + 1)
        held[0] = 0
        if np.count_nonzero(held >= least) < 2:
            continue
        mouths = binary_dilation(np.isin(parts, np.flatnonzero(held >= least)), np.ones((3, 3, 3)))
        last = (walked >= far - 2.0 * STEP_MM) & ~beyond
        last = last & mouths if (last & mouths).any() else last
        back = far - float(thick[last].max())
        here = (walked >= back - 2.0 * STEP_MM) & (walked <= back + 2.0 * STEP_MM)
        return np.asarray(here & _within(last, 3.0 * STEP_MM + far - back))
    return None


def _within(cells: Mask, reach_mm: float) -> Mask:
    """Cells within a reach of others, so that another branch at the same way is not meant."""
    return np.asarray(binary_dilation(cells, np.ones((3, 3, 3)), iterations=int(reach_mm / STEP_MM) + 1))


def _end(vein: Mask, walked: FloatArray, away: NDArray[np.float32]) -> Mask:
    """The last part of an undivided vein: the cells at the liver that were walked to last."""
    reached = vein & (walked >= 0)
    close = reached & (away <= away[reached].min() + 1.0)
    last = float(walked[close].max())
    ends = np.argwhere(reached & (walked >= last - END_MM) & (walked <= last))
    # Two ends may have a middle outside the vein: take the cell of the vein that is nearest to it.
    cells = np.argwhere(reached)
    nearest = cells[int(((cells - ends.mean(0)) ** 2).sum(1).argmin())]
    here = np.zeros(vein.shape, bool)
    here[tuple(nearest)] = True
    return here
