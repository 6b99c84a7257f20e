"""Couinaud segments predicted from the shape of the liver alone.

A small 3-D U-Net looks at the liver mask on a coarse grid and gives each cell a probability for each
segment. It was fitted to 156 real livers by :mod:`burden.train.segments`; ``configs/segments.npz`` holds
the weights and the errors found by cross-validation (5 folds): Dice of the right and left hemiliver
0.967 and 0.939, of segments 1 to 8 0.76, 0.87, 0.79, 0.80, 0.85, 0.82, 0.88, 0.84; remnant of a right
hepatectomy off by 2.3 points in the median, 5.9 in one of ten.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, map_coordinates, uniform_filter, zoom

from burden.grid import Grid
from burden.resources import shipped

if TYPE_CHECKING:
    import torch

STEP_MM = 5.0
FINER = 3
CELLS = 40
CELL_MM = 7.6
"""The network's grid; larger livers get larger cells."""
WIDTHS = (16, 32, 64, 128)
CHANNELS = 10
_MARGIN = 2
_ROOM = 37
_PROFILE = 8
_FAR = 4.0
_LEAST_SEEN = 0.05

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Weights of the network and its errors.

    Parameters
    ----------
    weights
        Parameters of `shape_net` by name.
    mean, scale
        Of the `descriptors` of the livers fitted to.
    border_sd_mm
        Standard deviation of the place of each border, from cross-validation.
    """

    weights: dict[str, NDArray[np.float32]]
    mean: FloatArray
    scale: FloatArray
    border_sd_mm: dict[str, float]

    def strangeness(self, liver: Mask) -> float:
        """Share of a liver's descriptors that lie far (> 4 sd) outside those of the livers fitted to."""
        return float((np.abs((descriptors(liver) - self.mean) / self.scale) > _FAR).mean())

    def probabilities(self, liver: Mask) -> FloatArray:
        """Probability of each segment for the points of a liver on the 5 mm grid, (n, 8)."""
        import torch

        at = np.argwhere(liver)
        middle = (at.min(0) + at.max(0)) / 2.0
        step = max(CELL_MM / STEP_MM, float(np.ptp(at, axis=0).max()) / _ROOM)
        places = cells() * step + middle
        soft = map_coordinates(liver.astype(np.float32), places.T, order=1, mode="constant")
        small = (soft >= 0.5).reshape((CELLS,) * 3)
        net = shape_net()
        net.load_state_dict({name: torch.from_numpy(value) for name, value in self.weights.items()})
        # In double precision, so that the number of threads moves no voxel from one segment to another.
        net, seen = net.double().eval(), torch.from_numpy(inputs(small))[None].double()
        with torch.inference_mode():
            chance = torch.softmax(net(seen), 1)[0].numpy()
        # Between cells only those of the liver count, and where there are none all do.
        back = ((at - middle) / step + (CELLS - 1) / 2.0).T
        own = map_coordinates(small.astype(np.float64), back, order=1, mode="nearest")
        anywhere, here = (
            np.stack([map_coordinates(c, back, order=1, mode="nearest") for c in field], axis=1)
            for field in (chance, chance * small)
        )
        found = np.where(own[:, None] > _LEAST_SEEN, here, anywhere)
        return np.asarray(found / found.sum(1, keepdims=True))


def cells() -> FloatArray:
    """Places of the cells about their middle, in cells, (CELLS**3, 3)."""
    return np.asarray(np.indices((CELLS,) * 3).reshape(3, -1).T - (CELLS - 1) / 2.0)


def shape_net() -> torch.nn.Module:
    """The network with random weights: (batch, CHANNELS, i, j, k) to logits (batch, 8, i, j, k)."""
    import torch

    def block(given: int, width: int) -> torch.nn.Module:
        parts: list[torch.nn.Module] = []
        for wide in (given, width):
            parts += [torch.nn.Conv3d(wide, width, 3, padding=1), torch.nn.GroupNorm(8, width)]
            parts += [torch.nn.LeakyReLU(0.1), torch.nn.Dropout(0.1)]
        return torch.nn.Sequential(*parts)

    class ShapeNet(torch.nn.Module):
        """Halved three times, then doubled and joined with what was there before."""

        def __init__(self) -> None:
            super().__init__()
            steps = list(pairwise(WIDTHS))
            self.first = block(CHANNELS, WIDTHS[0])
            self.down = torch.nn.ModuleList(block(a, b) for a, b in steps)
            self.up = torch.nn.ModuleList(torch.nn.ConvTranspose3d(b, a, 2, 2) for a, b in steps)
            self.join = torch.nn.ModuleList(block(2 * a, a) for a, _ in steps)
            self.last = torch.nn.Conv3d(WIDTHS[0], 8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            levels = [self.first(x)]
            for down in self.down:
                levels.append(down(torch.nn.functional.max_pool3d(levels[-1], 2)))
            x = levels.pop()
            for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
                x = join(torch.cat([up(x), levels.pop()], 1))
            found: torch.Tensor = self.last(x)
            return found

    return ShapeNet()


def inputs(liver: Mask) -> NDArray[np.float32]:
    """What the network sees of a liver on its grid, (CHANNELS, i, j, k).

    The mask; and for each axis the place from the liver's centre (in cube roots of its volume), between
    its ends, and by the share of its volume on the near side.
    """
    at = np.argwhere(liver)
    size, centre = len(at) ** (1.0 / 3.0), at.mean(0)
    low, high = at.min(0), at.max(0)
    found = [liver.astype(np.float32)]
    for axis in range(3):
        line = [1, 1, 1]
        line[axis] = -1
        here = np.arange(liver.shape[axis])
        rank = np.cumsum(liver.sum(tuple(a for a in range(3) if a != axis))) / len(at) - 0.5
        between = np.clip((here - low[axis]) / max(1, high[axis] - low[axis]) - 0.5, -0.6, 0.6)
        for values in ((here - centre[axis]) / size, between, rank):
            found.append(np.broadcast_to(values.reshape(line), liver.shape).astype(np.float32))
    return np.stack(found)


@cache
def shape_model() -> ShapeModel:
    """The shipped model."""
    with np.load(shipped("configs", "segments.npz"), allow_pickle=False) as file:
        names = [n for n in file.files if n.startswith("net.")]
        weights = {name.removeprefix("net."): file[name].astype(np.float32) for name in names}
        sds = dict(zip(file["borders"].tolist(), file["border_sd_mm"].tolist(), strict=True))
        return ShapeModel(weights, file["mean"].astype(float), file["scale"].astype(float), sds)


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


def descriptors(liver: Mask) -> FloatArray:
    """Numbers of a liver's whole shape: extents, moments, profiles along each axis, (36,)."""
    at = np.argwhere(liver)
    size = len(at) ** (1.0 / 3.0)
    centre, low, high = at.mean(0), at.min(0), at.max(0)
    away = (at - centre) / size
    found = [(high - low) / size, np.cov(away.T)[np.triu_indices(3)], (away**3).mean(0)]
    for axis in range(3):
        filled = liver.sum(tuple(a for a in range(3) if a != axis))
        span = np.linspace(low[axis], high[axis], _PROFILE + 2)[1:-1]
        found.append(np.interp(span, np.arange(len(filled)), filled) / size**2)
    return np.concatenate(found)


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
