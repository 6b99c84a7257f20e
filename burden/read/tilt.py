"""A leaning stack (gantry tilt) brought to right angles.

Each slice is moved in its own plane by linear interpolation, so that all slices lie behind
one another; nothing is interpolated between slices. The matrix grows by the lean, so no
voxel is lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.findings import Finding
from burden.grid import Grid
from burden.read.pixels import AIR
from burden.read.stack import Stack


def straightened(data: NDArray[Any], stack: Stack, modality: str) -> tuple[NDArray[Any], Grid, Finding]:
    """Resample a leaning ``[column, row, slice]`` array to an orthogonal grid.

    Returns
    -------
    tuple
        The array, its grid, and the finding that says what was done.
    """
    from scipy.ndimage import shift as moved

    columns, rows, count = data.shape
    lean = stack.tilt / np.array(stack.spacing[:2])  # pixels per slice
    offsets = np.arange(count)[:, None] * lean
    least, most = np.floor(offsets.min(axis=0)).astype(int), np.ceil(offsets.max(axis=0)).astype(int)
    wider = most - least
    background = AIR if modality == "CT" else 0
    out = np.full((count, rows + wider[1], columns + wider[0]), background, dtype=data.dtype)
    for number in range(count):
        target = np.full(out.shape[1:], background, dtype=np.float32)
        target[:rows, :columns] = data[:, :, number].T
        by = offsets[number] - least
        target = moved(target, (by[1], by[0]), order=1, mode="constant", cval=background)
        out[number] = np.rint(target) if data.dtype.kind == "i" else target
    axes, spacing = stack.axes, stack.spacing
    origin = stack.origin + axes[:, :2] @ (least * np.array(spacing[:2]))
    grid = Grid.from_axes((out.shape[2], out.shape[1], count), spacing, origin, axes)
    angle = np.rad2deg(np.arctan2(np.linalg.norm(stack.tilt), spacing[2]))
    text = (
        f"The slices lean by {angle:.1f} degrees (gantry tilt); they were moved in their planes "
        "onto a grid at right angles."
    )
    return out.transpose(2, 1, 0), grid, Finding("gantry-tilt-corrected", "warning", text)
