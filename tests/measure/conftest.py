"""Small livers with known answers, on any grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume

Ball = tuple[tuple[float, float, float], tuple[float, float, float]]  # centre LPS mm, radii mm

AXES = Rotation.from_euler("xyz", [11.0, -8.0, 17.0], degrees=True).as_matrix()


@dataclass(frozen=True)
class Toy:
    """An ellipsoid of liver cut by x = 0 (right is x < 0) with ellipsoids in it."""

    lesions: tuple[Ball, ...] = ()
    liver: Ball = ((0.0, 0.0, 0.0), (75.0, 48.0, 40.0))
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    axes: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    cut_top: bool = False
    segments: bool = True
    separate: bool = True

    def grid(self) -> Grid:
        radii = np.array(self.liver[1])
        corners = np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]) * (radii + 8)
        local = (corners + np.array(self.liver[0])) @ self.axes
        low, high = local.min(0), local.max(0)
        if self.cut_top:
            high[2] = (low[2] + high[2]) / 2
        shape = tuple(int(n) for n in np.ceil((high - low) / self.spacing) + 1)
        return Grid.from_axes(shape, self.spacing, self.axes @ low, self.axes)

    def make(self) -> tuple[Volume, Segmentation]:
        grid = self.grid()
        points = grid.world(np.stack(np.indices(grid.shape), -1))
        liver = inside(points, self.liver)
        marks = np.zeros(grid.shape, np.uint16)
        for n, ball in enumerate(self.lesions):
            marks[inside(points, ball)] = n + 1
        x, y, z = np.moveaxis(points, -1, 0)
        right = np.where(y < 0, np.where(z < 0, 5, 8), np.where(z < 0, 6, 7))
        left = np.where(x < 35, 4, np.where(z < 0, 3, 2))
        segments = (np.where(x < 0, right, left) * (liver | (marks > 0))).astype(np.uint8)
        data = np.where(liver, 100, -80).astype(np.int16)
        volume = Volume(data, grid, "CT", Origin("phantom", "toy"), "portal")
        lesions = Labels(marks, grid) if self.separate else Labels((marks > 0).astype(np.uint8), grid)
        found = Segmentation(
            liver=Labels(liver.astype(np.uint8), grid, {1: "liver"}),
            lesions=lesions,
            source="toy",
            separate=self.separate,
            segments=Labels(segments, grid) if self.segments else None,
        )
        return volume, found


def inside(points: NDArray[np.float64], ball: Ball) -> NDArray[np.bool_]:
    return np.asarray((((points - np.array(ball[0])) / np.array(ball[1])) ** 2).sum(-1) <= 1.0)


def ball_ml(ball: Ball) -> float:
    return float(4.0 / 3.0 * np.pi * np.prod(ball[1]) / 1000.0)


THREE: Sequence[Ball] = (
    ((-45.27, 5.31, 0.14), (18.0, 14.0, 12.0)),
    ((-25.33, -30.12, 12.29), (7.4, 7.1, 7.2)),
    ((50.41, 5.23, -8.37), (7.5, 6.3, 8.2)),
)


@pytest.fixture
def toy() -> Callable[..., Toy]:
    return Toy


@pytest.fixture
def three() -> tuple[Ball, ...]:
    return tuple(THREE)


@pytest.fixture
def oblique() -> NDArray[np.float64]:
    return AXES
