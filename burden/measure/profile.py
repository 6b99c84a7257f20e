"""Volume of a lesion from the course of its areas through the slices.

Counting voxels takes every slice for a slab as thick as the slices are apart, so that a small
lesion in thick slices is found too large or too small as its ends happen to lie. Here the area runs
smoothly from slice to slice, and beyond the last one closes as the parabola through the last three
does (that of an ellipsoid, exactly), at the latest where the next slice shows nothing. A flat end,
as of a cylinder, may lie anywhere up to that slice and is taken half way. This is the correction for
the partial volume of slices; that within pixels needs grey values and is small.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

LEAST = 3
"""Slices that a lesion needs for this; with fewer its voxels are counted."""

FloatArray = NDArray[np.float64]


def corrected_ml(areas_mm2: FloatArray, thick_mm: float) -> float:
    """Volume from areas of slices next to one another, mL.

    Parameters
    ----------
    areas_mm2
        From the first slice with lesion to the last; areas of 0 in between are gaps.
    """
    counted = float(areas_mm2.sum()) * thick_mm / 1000.0
    if len(areas_mm2) < LEAST or (areas_mm2 <= 0).any():
        return counted
    inner = float(CubicSpline(np.arange(len(areas_mm2)), areas_mm2).integrate(0, len(areas_mm2) - 1))
    ends = _cap(areas_mm2[:3]) + _cap(areas_mm2[::-1][:3])
    return max(inner + ends, 0.0) * thick_mm / 1000.0


def _cap(first: FloatArray) -> float:
    """Area x slices beyond the first slice, from the parabola through the first three."""
    a0, a1, a2 = (float(a) for a in first)
    bend = 0.5 * a2 - a1 + 0.5 * a0
    slope = -1.5 * a0 + 2.0 * a1 - 0.5 * a2
    roots = np.roots([bend, slope, a0])
    roots = roots.real[(np.abs(roots.imag) < 1e-9) & (roots.real < 0)]
    end = float(max(roots.max(), -1.0)) if len(roots) else -1.0
    whole = -(bend * end**3 / 3.0 + slope * end**2 / 2.0 + a0 * end)
    # Area that the parabola still has where the next slice shows none ends somewhere before it: in a
    # flat end, all of it, each place alike; in a round one, none.
    flat = min(max((a0 - slope + bend) / a0, 0.0), 1.0) if end <= -1.0 else 0.0
    whole -= flat * (a0 / 2.0 - slope / 3.0 + bend / 4.0)
    return min(max(whole, 0.0), a0)
