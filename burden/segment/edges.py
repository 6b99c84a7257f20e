"""Move the outline of a sharply bounded lesion to where the image has its edge.

A network that learned lesions which fade towards their rim draws sharp ones too large, by the same 1
to 3 mm all round. How intensity changes with the distance from the outline tells which kind a lesion
is: where it goes from the lesion's level to the liver's within a few millimetres, the edge is at the
middle between the two, and the outline is moved there, voxel by voxel. Everything else stays as drawn.
"""

from __future__ import annotations

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes, gaussian_filter

LEAST_ML = 0.3
SHARP_MM = 2.0
TAIL = 0.25
"""A sharp edge takes at most so many mm from TAIL to 1 - TAIL of the way between lesion and liver."""
OVER = 1.2
"""Where the level goes beyond the liver's by more than a fifth, that is not the liver's level."""
FARTHEST_MM = 2.5
"""An edge farther than this from the outline is another one: that of a dead core, say."""
CONTRAST_HU = 10.0
CLEAR = 1.0
"""Half the contrast must be this many standard deviations of the smoothed noise."""
SMOOTH_MM = 1.0
BAND_MM = 2.0
"""Voxels within this of the edge are lesion or not by their intensity."""
_INNER_MM, _OUTER_MM = (-10.0, -4.0), (4.0, 10.0)
_APART_MM = 4.0
_FEWEST = 20

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float32]
Spacing = tuple[float, float, float]


def at_their_edges(lesions: Mask, liver: Mask, image: NDArray[np.generic], spacing: Spacing) -> Mask:
    """The lesions with the outlines of sharply bounded ones at their edges.

    Parameters
    ----------
    lesions, liver : bool (i, j, k)
        Masks; the liver holds the lesions.
    image : (i, j, k)
        HU.
    spacing
        Voxel size, mm.

    Returns
    -------
    bool (i, j, k)
        Within the liver. Connected lesions may come apart.
    """
    labels = cc3d.connected_components(lesions, connectivity=26)
    boxes = cc3d.statistics(labels)["bounding_boxes"]
    margin = [int(np.ceil((_OUTER_MM[1] + 1.0) / step)) for step in spacing]
    found = np.zeros(lesions.shape, bool)
    for label in range(1, int(labels.max(initial=0)) + 1):
        wide = tuple(
            slice(max(0, b.start - m), b.stop + m) for b, m in zip(boxes[label], margin, strict=True)
        )
        mine = labels[wide] == label
        others = (labels[wide] > 0) & ~mine
        found[wide] |= _one(mine, others, liver[wide], image[wide].astype(np.float32), spacing)
    return found & liver


def _one(mine: Mask, others: Mask, liver: Mask, image: FloatArray, spacing: Spacing) -> Mask:
    """One lesion in its box, moved to its edge where that is sharp."""
    if np.count_nonzero(mine) * float(np.prod(spacing)) < 1000.0 * LEAST_ML:
        return mine
    # Distance from the outline, which lies half a voxel from the centres on either side.
    half = 0.5 * float(np.mean(sorted(spacing)[:2]))
    away = np.where(mine, half - _distance(mine, spacing), _distance(~mine, spacing) - half)
    free = liver & ~others
    if others.any():
        free &= _distance(~others, spacing) > _APART_MM
    deepest = float(-away.min())
    core = (away > _INNER_MM[0]) & (away < _INNER_MM[1]) if deepest > 8.0 else away < -0.5 * deepest
    core, around = free & core, free & (away > _OUTER_MM[0]) & (away < _OUTER_MM[1])
    if min(core.sum(), around.sum()) < _FEWEST:
        return mine
    inside, outside = float(np.median(image[core])), float(np.median(image[around]))
    if abs(outside - inside) < CONTRAST_HU:
        return mine
    level = (image - inside) / (outside - inside)  # 0 in the lesion, 1 in the liver
    edge = _edge(away, level, free, deepest)
    if edge is None:
        return mine
    smooth = gaussian_filter(level, [SMOOTH_MM / step for step in spacing])
    noise = 1.48 * float(np.median(np.abs(smooth[around] - np.median(smooth[around]))))
    if CLEAR * noise > 0.5:
        return (away < edge) & (free | mine)
    near = free & (np.abs(away - edge) < BAND_MM)
    moved = np.where(near, smooth < 0.5, (away < edge) & mine)
    return _solid(moved, mine & (away < edge - 0.5 * BAND_MM))


def _distance(mask: Mask, spacing: Spacing) -> FloatArray:
    """Distance of the voxels of a mask to what is outside of it, mm; 0 elsewhere."""
    return np.asarray(edt.edt(np.ascontiguousarray(mask), anisotropy=spacing))


def _edge(away: FloatArray, level: FloatArray, free: Mask, deepest: float) -> float | None:
    """Where the level is half way, mm from the outline; None where the edge is not sharp."""
    places, levels = [], []
    for low in np.arange(-min(deepest, 8.0), 5.01):
        shell = free & (away >= low) & (away < low + 1.0)
        if np.count_nonzero(shell) >= _FEWEST:
            places.append(float(away[shell].mean()))
            levels.append(float(np.median(level[shell])))
    if len(places) < 4:
        return None
    first, middle, last = (_crossing(places, levels, part) for part in (TAIL, 0.5, 1.0 - TAIL))
    sharp = last - first <= SHARP_MM and abs(middle) <= FARTHEST_MM and max(levels) <= OVER
    return middle if sharp else None


def _crossing(places: list[float], levels: list[float], part: float) -> float:
    """The first place, from within, at which the level reaches a part; nan where it does not."""
    k = next((k for k, level in enumerate(levels) if level >= part), 0)
    if k == 0:
        return np.nan
    share = (part - levels[k - 1]) / (levels[k] - levels[k - 1])
    return places[k - 1] + share * (places[k] - places[k - 1])


def _solid(moved: Mask, sure: Mask) -> Mask:
    """Pieces that hold some of what is surely lesion, without holes."""
    pieces = cc3d.connected_components(moved, connectivity=26)
    kept = np.unique(pieces[sure & moved])
    return np.asarray(binary_fill_holes(np.isin(pieces, kept[kept > 0])))
