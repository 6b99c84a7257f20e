"""Render: a settled spec to voxels, slab by slab.

Each slice is the mean of several thin ones across its thickness (partial volume), edges are soft
in the plane by one voxel; then come texture, point spread, noise and shading.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid
from burden.phantom.blobs import Blob
from burden.phantom.canvas import Canvas
from burden.phantom.noise import ct_noise, grain, shading
from burden.phantom.organs import paint_organs
from burden.phantom.shapes import Array, Points
from burden.phantom.spec import Spec
from burden.phantom.tissues import look_up
from burden.phantom.torso import paint_bones, paint_table, paint_torso

_SLAB = 3_000_000  # samples painted at a time


def render(spec: Spec, blobs: tuple[Blob, ...]) -> NDArray[np.generic]:
    """Image of a settled spec: int16 HU for CT, uint16 for MR, on ``spec.grid``."""
    grid = spec.grid
    axis = grid.slice_axis
    value = np.empty(grid.shape, dtype=np.float32)
    texture = np.empty(grid.shape, dtype=np.float32)
    fine = _thin_slices(spec, grid.spacing[axis])
    rows = max(1, int(_SLAB / (fine * value.size / grid.shape[axis])))
    for first in range(0, grid.shape[axis], rows):
        last = min(first + rows, grid.shape[axis])
        here = tuple(slice(first, last) if a == axis else slice(None) for a in range(3))
        value[here], texture[here] = _slab(spec, blobs, grid, (first, last), fine)
    return _finish(spec, grid, value, texture)


def _thin_slices(spec: Spec, gap: float) -> int:
    finest = 1.3 if spec.detail == "full" else 3.0
    return int(np.ceil(max(gap, spec.thickness) / finest)) // 2 * 2 + 1


def _slab(
    spec: Spec, blobs: tuple[Blob, ...], grid: Grid, rows: tuple[int, int], fine: int
) -> tuple[Array, Array]:
    axis = grid.slice_axis
    start, stop = np.zeros(3, dtype=int), np.array(grid.shape)
    start[axis], stop[axis] = rows
    part = grid.crop(start, stop)
    thick = spec.thickness or grid.spacing[axis]
    offsets = ((np.arange(fine) + 0.5) / fine - 0.5) * thick
    value: Array | None = None
    grains: Array | None = None
    for offset in offsets:
        affine = part.affine.copy()
        affine[:3, 3] += part.axes[:, axis] * offset
        canvas = _paint(spec, blobs, Grid(part.shape, affine))
        value = canvas.value if value is None else value + canvas.value
        grains = canvas.texture if grains is None else grains + canvas.texture
    assert value is not None  # noqa: S101 - there is at least one thin slice
    assert grains is not None  # noqa: S101
    return value / np.float32(fine), grains / np.float32(fine)


def _paint(spec: Spec, blobs: tuple[Blob, ...], grid: Grid) -> Canvas:
    flat = [s for a, s in enumerate(grid.spacing) if a != grid.slice_axis]
    world = Points.of(grid)
    points = Points.of(grid, spec.anatomy.scale)
    canvas = Canvas.blank(points, world, look_up(spec.modality, spec.phase), float(np.mean(flat)))
    full = spec.detail == "full"
    if full and spec.modality == "CT":
        paint_table(canvas)
    paint_torso(canvas, spec.anatomy, full)
    paint_organs(canvas, spec.anatomy, full)
    for blob in blobs:
        paint_lesion(canvas, blob)
    if full:
        paint_bones(canvas, spec.anatomy)
    return canvas


_BODY = {
    "hypo": "lesion_hypo",
    "miliary": "lesion_hypo",
    "confluent": "lesion_matrix",
    "rim": "lesion_rim",
    "hyper_arterial": "lesion_hyper",
    "necrotic": "lesion_rim",
    "cystic": "lesion_cyst",
    "calcified": "lesion_matrix",
}


def paint_lesion(c: Canvas, blob: Blob) -> None:
    """One lesion: its body, then the core, rim or calcium that its look asks for."""
    low, high = blob.box
    window = c.world.window(low - 3, high + 3)
    if window is None:
        return
    q = c.world.at(window)
    d = blob.distance(q)
    c.paint(_BODY[blob.look], d, window)
    size = float(np.cbrt(blob.volume_ml * 1000 * 6 / np.pi)) / 2
    uneven = 0.5 * np.sin(q.x * 0.55 + q.y * 0.31) + 0.5 * np.sin(q.y * 0.47 - q.z * 0.52 + 1)
    uneven = (uneven * min(0.16 * size, 3.0)).astype(np.float32)
    if blob.look == "rim":
        c.paint("lesion_hypo", d + np.float32(min(0.28 * size, 4.5)) + 0.3 * uneven, window)
    elif blob.look == "necrotic":
        c.paint("lesion_matrix", d + np.float32(min(0.2 * size, 3.0)) + 0.3 * uneven, window)
        c.paint("lesion_necrosis", d + np.float32(0.42 * size) + uneven, window)
    elif blob.look == "calcified":
        spots = np.sin(q.x / 2.3 + 2 * np.sin(q.y / 5)) * np.sin(q.y / 2.1 + 1) * np.sin(q.z / 2.6 + 2)
        grit = np.maximum(
            d + np.float32(0.35 * size) + 2 * uneven, (0.42 - spots).astype(np.float32) * 3
        )
        c.paint("lesion_calcium", grit, window)
    elif blob.look in ("confluent", "hypo", "hyper_arterial") and size > 14:
        c.paint("lesion_necrosis", d + np.float32(0.62 * size) + 2.2 * uneven, window, 0.55)


def _finish(spec: Spec, grid: Grid, value: Array, texture: Array) -> NDArray[np.generic]:
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([spec.seed, 101])
    if spec.detail == "full":
        value = value + grain(rng, grid.shape, grid.spacing) * texture
        sharp = {"CT": 0.55, "MR": 0.6}[spec.modality] * (2.6 if spec.phase == "dwi" else 1.0)
        sigma = [0.0 if a == grid.slice_axis else sharp / s for a, s in enumerate(grid.spacing)]
        value = gaussian_filter(value, sigma, truncate=3)
    if spec.modality == "CT":
        return _ct(spec, grid, value, rng)
    return _mr(spec, grid, value, rng)


def _ct(spec: Spec, grid: Grid, value: Array, rng: np.random.Generator) -> NDArray[np.generic]:
    if spec.noise:
        thick = spec.thickness or grid.spacing[grid.slice_axis]
        p = Points.of(grid, spec.anatomy.scale)
        depth = np.clip(1.25 - (p.x / 190) ** 2 - (p.y / 175) ** 2, 0.35, 1.3)
        sd = spec.noise * 10.5 * min(2.0, float(np.sqrt(2.5 / thick)))
        value = value + ct_noise(rng, grid.shape, grid.spacing, grid.slice_axis) * (sd * depth).astype(
            np.float32
        )
        value = value + np.float32(2.5 * spec.noise) * shading(rng, grid)
    return np.clip(np.rint(value), -1024, 3071).astype(np.int16)


def _mr(spec: Spec, grid: Grid, value: Array, rng: np.random.Generator) -> NDArray[np.generic]:
    if spec.noise:
        value = value * np.exp(np.float32(0.22) * shading(rng, grid))
        sd = np.float32(spec.noise * {"t2": 11.0, "dwi": 12.0}.get(spec.phase, 14.0))
        real = value + sd * rng.standard_normal(grid.shape, dtype=np.float32)
        value = np.hypot(real, sd * rng.standard_normal(grid.shape, dtype=np.float32))
    return np.clip(np.rint(value), 0, 4095).astype(np.uint16)
