"""Longest straight way through viable tissue in one slice, for mRECIST."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TURN_DEG = 4.0
GAP_MM = 3.0
"""A gap no longer than this (or one and a half pixels) is noise; a longer one is necrosis."""


def longest_run(mask: NDArray[np.bool_], spacing: tuple[float, float, float], slice_axis: int) -> float:
    """Longest line in the acquisition plane that stays in ``mask``, mm; 0 for an empty one.

    Lines one pixel wide are laid over every slice in 45 directions. As for other diameters a pixel
    reaches a quarter of its size beyond its centre.
    """
    at = np.argwhere(mask)
    if not len(at):
        return 0.0
    u, v = (a for a in range(3) if a != slice_axis)
    x, y = at[:, u] * spacing[u], at[:, v] * spacing[v]
    pixel = max(spacing[u], spacing[v])
    gap, best = max(GAP_MM, 1.5 * pixel), 0.0
    for turn in np.deg2rad(np.arange(0.0, 180.0, TURN_DEG)):
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        line = np.round((across - across.min()) / pixel).astype(np.int64)
        line += at[:, slice_axis] * (int(line.max()) + 1)
        order = np.lexsort((along, line))
        line, along = line[order], along[order]
        new = np.concatenate([[True], (np.diff(line) != 0) | (np.diff(along) > gap), [True]])
        starts = np.flatnonzero(new)
        best = max(best, float((along[starts[1:] - 1] - along[starts[:-1]]).max()))
    return best + 0.5 * pixel
