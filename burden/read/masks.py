"""Masks somebody else drew: NIfTI labels or a DICOM segmentation, on the wanted grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError, InputError, NotAnImageError
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels
from burden.read import sources
from burden.read.nifti import load
from burden.read.seg import read_seg

MAX_LABELS = 65_535


def checked_mask(path: Path, grid: Grid) -> tuple[Labels, tuple[Finding, ...]]:
    """Labels 1..n of a NIfTI file or DICOM SEG on ``grid``, and what had to be done for it.

    Nearest neighbour where the grids differ: on a grid of whole-voxel shifts and flips that
    is exact, otherwise the boundary moves by up to half a voxel.

    Raises
    ------
    InputError
        If it is no mask.
    GeometryError
        If it lies outside ``grid``.
    """
    with sources.opened(path) as source:
        if len(source.dicom) == 1:
            data, own, names = read_seg(source.dicom[0], path)
        elif len(source.nifti) == 1 and not source.dicom:
            data, own = _from_nifti(source.nifti[0].path, path)
            names = {}
        elif source.dicom or source.nifti:
            raise InputError("more than one file.", where=path, hint="Give one NIfTI or DICOM SEG file.")
        else:
            raise sources.nothing_to_read(source)
    if not data.any():
        empty = Finding("empty-mask", "warning", f"The mask {path.name} is empty.")
        return Labels(np.zeros(grid.shape, dtype=np.uint8), grid, names), (empty,)
    if own.same_as(grid):
        return Labels(data, grid, names), ()
    moved = _nearest(data, own, grid)
    if not moved.any():
        raise GeometryError(
            "the mask does not overlap the image.",
            where=path,
            hint="Give the mask drawn on this series.",
        )
    return Labels(moved, grid, names), _said(data, own, moved, grid, path.name)


def _said(
    data: NDArray[Any], own: Grid, moved: NDArray[Any], grid: Grid, name: str
) -> tuple[Finding, ...]:
    """How much the mask changed on its way to another grid."""
    before = np.count_nonzero(data) * own.voxel_ml
    after = np.count_nonzero(moved) * grid.voxel_ml
    if abs(after - before) < 1e-6 * before:
        return ()  # the same voxels in another order, or on a larger grid
    text = (
        f"The mask {name} was drawn on another grid and moved to the image's by nearest neighbour: "
        f"{before:.4g} mL became {after:.4g} mL."
    )
    return (Finding("mask-resampled", "warning" if after < 0.98 * before else "info", text),)


def _from_nifti(file: Path, path: Path) -> tuple[NDArray[np.unsignedinteger], Grid]:
    data, grid, _ = load(file, str(path))
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise InputError("the mask holds values that are not numbers.", where=path)
    low, high = data.min(), data.max()
    whole = data.dtype.kind != "f" or np.array_equal(data, np.rint(data))
    if low < 0 or high > MAX_LABELS or not whole:
        raise NotAnImageError(
            f"not a mask: values from {low:g} to {high:g}.",
            where=path,
            hint="A mask holds whole numbers, 0 outside.",
        )
    return data.astype(np.uint8 if high < 256 else np.uint16), grid


def _nearest(data: NDArray[Any], own: Grid, grid: Grid) -> NDArray[Any]:
    """Nearest neighbour of ``data`` on ``own`` at the voxels of ``grid``; 0 outside."""
    matrix = np.linalg.inv(own.affine) @ grid.affine
    exact = np.rint(matrix)
    # A slab at a time keeps the index arrays small.
    out = np.zeros(grid.shape, dtype=data.dtype)
    i, j = np.meshgrid(np.arange(grid.shape[0]), np.arange(grid.shape[1]), indexing="ij")
    if np.abs(matrix - exact).max() < 1e-4:
        matrix = exact
    for k in range(grid.shape[2]):
        index = [
            np.floor(
                matrix[a, 0] * i + matrix[a, 1] * j + (matrix[a, 2] * k + matrix[a, 3]) + 0.5
            ).astype(np.int64)
            for a in range(3)
        ]
        inside = np.ones(i.shape, dtype=bool)
        for a in range(3):
            inside &= (index[a] >= 0) & (index[a] < own.shape[a])
        slab = out[:, :, k]
        slab[inside] = data[index[0][inside], index[1][inside], index[2][inside]]
    return out
