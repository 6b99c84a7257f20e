"""Couinaud segments predicted from the shape of the liver alone.

A small network (two hidden layers, applied to each point of a 5 mm grid) maps numbers that
describe where a point lies in the liver, and what the liver looks like around it, to a
probability for each segment. It was fitted to 156 real livers by :mod:`burden.train.segments`;
``configs/segments.npz`` holds the weights and the errors found by cross-validation: Dice of the
right and left hemiliver 0.963 and 0.932, of segments 1 to 8 0.75, 0.87, 0.80, 0.78, 0.84, 0.81,
0.87, 0.83; remnant of a right hepatectomy off by 2.7 points in the median, 6.8 in one of ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates, uniform_filter, zoom

from burden.grid import Grid
from burden.resources import shipped

STEP_MM = 5.0
FINER = 3
_MARGIN = 2
_PROFILE = 8
_AROUND_MM = (20.0, 45.0)
_FAR = 4.0

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Weights of the network and its errors.

    Parameters
    ----------
    layers
        Weight and bias of each layer.
    mean, scale
        Normalisation of the features.
    border_sd_mm
        Standard deviation of the place of each border, from cross-validation.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    mean: FloatArray
    scale: FloatArray
    border_sd_mm: dict[str, float]

    def strangeness(self, features: FloatArray) -> float:
        """Share of the numbers that lie far (> 4 sd) outside those of the livers fitted to."""
        return float((np.abs((features - self.mean) / self.scale) > _FAR).mean())

    def probabilities(self, features: FloatArray) -> FloatArray:
        """Probability of each segment, (n, 8)."""
        x = np.clip((features - self.mean) / self.scale, -_FAR, _FAR)
        for k, (weight, bias) in enumerate(self.layers):
            x = x @ weight + bias
            if k < len(self.layers) - 1:
                x = np.maximum(x, 0.0)
        x = np.exp(x - x.max(1, keepdims=True))
        return np.asarray(x / x.sum(1, keepdims=True))


@cache
def shape_model() -> ShapeModel:
    """The shipped model."""
    with np.load(shipped("configs", "segments.npz"), allow_pickle=False) as file:
        count = int(file["layers"])
        layers = tuple(
            (file[f"weight{k}"].astype(np.float64), file[f"bias{k}"].astype(np.float64))
            for k in range(count)
        )
        sds = dict(zip(file["borders"].tolist(), file["border_sd_mm"].tolist(), strict=True))
        return ShapeModel(layers, file["mean"].astype(float), file["scale"].astype(float), sds)


def coarse_liver(liver: Mask, grid: Grid) -> tuple[Mask, Grid]:
    """The liver on a 5 mm grid along L, P, S."""
    at = np.argwhere(liver)
    corners = grid.world(
        np.array(
            [[at[:, a].min() if b >> a & 1 else at[:, a].max() for a in range(3)] for b in range(8)]
        )
    )
    low = corners.min(0) - _MARGIN * STEP_MM
    size = np.ceil((corners.max(0) - low) / STEP_MM).astype(int) + _MARGIN + 1
    coarse = Grid.from_axes(tuple(int(n) for n in size), (STEP_MM,) * 3, low)
    index = grid.index(coarse.world(np.indices(coarse.shape).reshape(3, -1).T))
    # A point takes the mean over about its 5 mm cube; odd widths, so that no axis order matters.
    wide = [2 * int(STEP_MM / s / 2.0) + 1 for s in grid.spacing]
    soft = uniform_filter(liver.astype(np.float32), wide)
    value = map_coordinates(soft, index.T, order=1, mode="constant")
    return (value >= 0.5).reshape(coarse.shape), coarse


def features(liver: Mask) -> FloatArray:
    """Numbers of every liver point of a 5 mm L, P, S grid, (n, features), in row-major order.

    Lengths are in units of the cube root of the liver's volume.
    """
    at = np.argwhere(liver)
    size = len(at) ** (1.0 / 3.0)
    centre, low, high = at.mean(0), at.min(0), at.max(0)
    parts = [(at - centre) / size, (at - low) / np.maximum(high - low, 1)]
    shape = [(high - low) / size, np.cov(((at - centre) / size).T)[np.triu_indices(3)]]
    shape.append((((at - centre) / size) ** 3).mean(0))
    for axis in range(3):
        filled = liver.sum(tuple(a for a in range(3) if a != axis))
        rank = np.cumsum(filled) / len(at)
        parts.append(rank[at[:, axis], None])
        span = np.linspace(low[axis], high[axis], _PROFILE + 2)[1:-1]
        shape.append(np.interp(span, np.arange(len(filled)), filled) / size**2)
        parts.extend(_columns(liver, axis, at, size))
    parts.append(edt.edt(liver)[liver][:, None] / size)
    parts.append(_around(liver, at))
    parts.append(np.repeat(np.concatenate(shape)[None], len(at), 0))
    return np.concatenate(parts, axis=1)


def _columns(liver: Mask, axis: int, at: NDArray[np.intp], size: float) -> list[FloatArray]:
    """How far the liver goes either way along an axis, and how much of it lies on that line."""
    line = np.moveaxis(liver, axis, -1)
    first = line.argmax(-1)
    last = line.shape[-1] - 1 - line[..., ::-1].argmax(-1)
    other = tuple(at[:, a] for a in range(3) if a != axis)
    here = at[:, axis]
    found = (here - first[other], last[other] - here, line.sum(-1)[other])
    return [np.asarray(f[:, None] / size) for f in found]


def _around(liver: Mask, at: NDArray[np.intp]) -> FloatArray:
    """How full of liver the neighbourhood is, in the middle and along and between the axes."""
    found = []
    for mm in _AROUND_MM:
        reach = mm / STEP_MM
        soft = gaussian_filter(liver.astype(np.float32), reach / 2.5, mode="constant")
        for step in np.argwhere(np.ones((3, 3, 3))) - 1:
            if np.abs(step).sum() in (0, 1, 2):
                place = np.round(at + step * reach / max(float(np.linalg.norm(step)), 1.0)).astype(int)
                inside = ((place >= 0) & (place < liver.shape)).all(1)
                place = np.clip(place, 0, np.array(liver.shape) - 1)
                found.append(np.where(inside, soft[tuple(place.T)], 0.0))
    return np.stack(found, axis=1).astype(np.float64)


def to_native(
    chance: FloatArray, small: Mask, coarse: Grid, liver: Mask, grid: Grid
) -> NDArray[np.uint8]:
    """Most probable segment of every native liver voxel, interpolated from the 5 mm grid.

    0 for what lies too far from any point of the 5 mm grid (thin tips, loose pieces).
    """
    best = np.full([(n - 1) * FINER + 1 for n in small.shape], 1e-3, np.float32)
    winner = np.zeros(best.shape, np.uint8)
    factor = np.divide(best.shape, small.shape).tolist()
    for k in range(8):
        field = np.zeros(small.shape, np.float32)
        field[small] = chance[:, k]
        field = np.asarray(zoom(gaussian_filter(field, 1.0), factor, order=1))
        better = field > best
        best[better], winner[better] = field[better], k + 1
    # Nearest point of the finer grid, for every native voxel at once.
    finer = Grid.from_axes(winner.shape, (STEP_MM / FINER,) * 3, coarse.origin)
    start = finer.index(grid.world(np.zeros(3)))
    steps = (finer.index(grid.world(np.eye(3))) - start).T
    near = affine_transform(winner, steps, start, liver.shape, order=0, mode="nearest")
    return np.asarray(np.where(liver, near, 0), dtype=np.uint8)
