"""Between a volume's native grid and the upright isotropic grid the networks work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from burden.grid import Grid, reorder
from burden.segment.intensity import WINDOW_HU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from burden.image import Volume


def upright_grid(grid: Grid, spacing_mm: float) -> Grid:
    """Isotropic LPS grid that covers every voxel of `grid`."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    edges = grid.world(corners * np.array(grid.shape) - 0.5)
    low, high = edges.min(axis=0), edges.max(axis=0)
    shape = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-3)).astype(int)
    return Grid.from_axes((shape[0], shape[1], shape[2]), [spacing_mm] * 3, low + spacing_mm / 2)


def to_upright(volume: Volume, spacing_mm: float) -> tuple[NDArray[np.float32], Grid]:
    """Resample an image, smoothed first along axes that lose resolution.

    Returns
    -------
    values : float32 (i, j, k)
        HU clipped to the CT window, or MR intensities. Outside the volume: air.
    grid : Grid
        Where they are (`upright_grid`).
    """
    from scipy.ndimage import affine_transform, gaussian_filter1d

    order, flip = volume.grid.to_lps_order()
    native = volume.grid.reorder(order, flip)
    values = np.array(reorder(volume.data, order, flip), dtype=np.float32, order="C")
    np.nan_to_num(values, copy=False)
    air = 0.0
    if volume.modality == "CT":
        air = WINDOW_HU[0]
        np.clip(values, *WINDOW_HU, out=values)
    for axis, step in enumerate(native.spacing):
        if spacing_mm > 1.05 * step:
            gaussian_filter1d(
                values, 0.5 * ((spacing_mm / step) ** 2 - 1) ** 0.5, axis, output=values, truncate=3
            )
    grid = upright_grid(volume.grid, spacing_mm)
    matrix, offset = _index_map(grid, native)
    out: NDArray[np.float32] = affine_transform(
        values, matrix, offset, output_shape=grid.shape, output=np.float32, order=1, mode="nearest"
    )
    out[_outside(grid, native)] = air
    return out, grid


def from_upright(values: NDArray[np.float32], grid: Grid, target: Grid) -> NDArray[np.float32]:
    """Linear resampling of `values` on `grid` to `target`; 0 outside. Both in any order."""
    from scipy.ndimage import affine_transform

    matrix, offset = _index_map(target, grid)
    out: NDArray[np.float32] = affine_transform(
        values,
        matrix,
        offset,
        output_shape=target.shape,
        output=np.float32,
        order=1,
        mode="grid-constant",
    )
    return out


def _index_map(source: Grid, target: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Matrix and offset from voxel indices of `source` to those of `target`.

    A diagonal matrix is returned as its diagonal, which scipy applies axis by axis, many times faster.
    """
    offset = target.index(source.world(np.zeros(3)))
    matrix = (target.index(source.world(np.eye(3))) - offset).T
    if np.abs(matrix - np.diag(np.diag(matrix))).max() < 1e-6:
        return np.diag(matrix).copy(), offset
    return matrix, offset


def _outside(grid: Grid, native: Grid) -> NDArray[np.bool_]:
    """Voxels of `grid` whose centre is outside the voxels of `native`."""
    matrix, offset = _index_map(grid, native)
    matrix = np.diag(matrix) if matrix.ndim == 1 else matrix
    i, j, k = (np.arange(size, dtype=np.float32) for size in grid.shape)
    out = np.zeros(grid.shape, bool)
    for row, start, size in zip(matrix.astype(np.float32), offset, native.shape, strict=True):
        place = (row[0] * i + np.float32(start))[:, None, None] + (row[1] * j)[:, None] + row[2] * k
        out |= (place < -0.51) | (place > size - 0.49)
    return out
