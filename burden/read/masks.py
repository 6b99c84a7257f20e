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
_FLAT = 0.6  # a rounded end halves its area, or more, from the second last layer to the last one
_DEEP = 4  # layers; of what is thinner the shape of an end cannot be told
_LEAST_MM2 = 50.0


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
    said = (*_said(data, own, moved, grid, path.name), *_cut(data, own, grid, path.name))
    return Labels(moved, grid, names), said


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


def _cut(data: NDArray[Any], own: Grid, grid: Grid, name: str) -> tuple[Finding, ...]:
    """Whether the mask ends flat at a face of its own grid, where the image goes on.

    A mask may be stored in the box that just holds it, as DICOM SEG is without its empty frames;
    then it ends there because it is over, and its last layers are small.
    """
    area = 0.0
    for axis in range(3):
        layers = np.moveaxis(data, axis, 0)
        mm2 = own.voxel_ml * 1000.0 / own.spacing[axis]
        for end, ordered in ((-1, layers), (own.shape[axis], layers[::-1])):
            flat = _flat_end(ordered[:_DEEP] > 0, _LEAST_MM2 / mm2)
            if flat is None:
                continue
            index = np.insert(np.argwhere(flat), axis, end, axis=1)
            beyond = grid.index(own.world(index))  # one voxel outside the mask's grid
            inside = ((beyond > -0.5) & (beyond < np.array(grid.shape) - 0.5)).all(axis=1)
            area = max(area, float(np.count_nonzero(inside)) * mm2)
    if area < _LEAST_MM2:
        return ()
    text = (
        f"The mask {name} ends flat, {area / 100:.3g} cm2 wide, at the edge of its own grid, where the "
        "image goes on: it may be only a part, and numbers that rest on it are then wrong."
    )
    return (Finding("mask-cut", "warning", text),)


def _flat_end(layers: NDArray[np.bool_], least: float) -> NDArray[np.bool_] | None:
    """Of the first layer, the patches that go on through the next ones hardly any wider."""
    from scipy.ndimage import label

    if len(layers) < _DEEP or np.count_nonzero(layers[0]) < least:
        return None
    first, patches = label(layers[0])
    second, _ = label(layers[1])
    flat = np.zeros(first.shape, dtype=np.bool_)
    for number in range(1, patches + 1):
        patch = first == number
        under = np.setdiff1d(second[patch], [0])
        wider = np.count_nonzero(np.isin(second, under))
        deep = all(layer[patch].any() for layer in layers[1:])
        if deep and np.count_nonzero(patch) > max(_FLAT * wider, least):
            flat |= patch
    return flat if flat.any() else None


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
