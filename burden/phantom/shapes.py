"""Signed distances of simple shapes, at points that may broadcast.

A distance is negative inside and in mm; off the surface it is only roughly metric, on it the
slope is close to one, which is all that soft edges need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burden.grid import Grid

Array = NDArray[np.float32]
Window = tuple[slice, slice, slice]
FAR = np.float32(1e3)


@dataclass(frozen=True, eq=False)
class Points:
    """Sample points of a grid in the patient's own, unscaled frame (LPS mm).

    Parameters
    ----------
    grid
        The grid whose voxel centres are the points.
    scale
        Size of the patient along L, P, S against the standard one.
    x, y, z
        float32, broadcastable to ``grid.shape``; an axis-aligned grid keeps them one-dimensional,
        which is what makes axial phantoms fast.
    """

    grid: Grid
    scale: tuple[float, float, float]
    x: Array
    y: Array
    z: Array

    @classmethod
    def of(cls, grid: Grid, scale: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Points:
        """Points of all voxels of ``grid``."""
        index = [
            np.arange(n, dtype=np.float64).reshape([-1 if a == b else 1 for b in range(3)])
            for a, n in enumerate(grid.shape)
        ]
        found = []
        for world in range(3):
            total: NDArray[np.float64] = np.full((1, 1, 1), grid.affine[world, 3])
            for axis in range(3):
                if abs(grid.affine[world, axis]) > 1e-9:
                    total = total + grid.affine[world, axis] * index[axis]
            found.append((total / scale[world]).astype(np.float32))
        return cls(grid, scale, *found)

    @classmethod
    def scattered(
        cls, world: NDArray[np.float64], scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> Points:
        """Loose points (n, 3), LPS mm, as an array of shape (1, 1, n); they have no windows."""
        grid = Grid((1, 1, len(world)), np.eye(4))
        x, y, z = ((world[:, a] / scale[a]).astype(np.float32).reshape(1, 1, -1) for a in range(3))
        return cls(grid, scale, x, y, z)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a full array of values."""
        return self.grid.shape

    def window(self, low: ArrayLike, high: ArrayLike) -> Window | None:
        """Index ranges that cover a box of the unscaled frame; None where it is elsewhere."""
        lo, hi = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        corners = np.array(
            [[x, y, z] for x in (lo[0], hi[0]) for y in (lo[1], hi[1]) for z in (lo[2], hi[2])]
        )
        index = self.grid.index(corners * self.scale)
        first = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
        last = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, self.shape)
        if (last <= first).any():
            return None
        a, b, c = (slice(int(f), int(t)) for f, t in zip(first, last, strict=True))
        return a, b, c

    def at(self, window: Window) -> Points:
        """The points inside a window."""
        grid = self.grid.crop([s.start for s in window], [s.stop for s in window])
        cut = [
            a[tuple(s if n > 1 else slice(None) for s, n in zip(window, a.shape, strict=True))]
            for a in (self.x, self.y, self.z)
        ]
        return Points(grid, self.scale, *cut)


def ellipsoid(
    p: Points,
    centre: Sequence[float],
    radii: Sequence[float] | NDArray[np.float64],
    axes: ArrayLike | None = None,
) -> Array:
    """Ellipsoid; ``axes`` holds its unit axes as columns."""
    x, y, z = (p.x - np.float32(centre[0]), p.y - np.float32(centre[1]), p.z - np.float32(centre[2]))
    if axes is not None:
        m = np.asarray(axes, dtype=np.float32)
        x, y, z = (x * m[0, a] + y * m[1, a] + z * m[2, a] for a in range(3))
    a, b, c = (np.float32(1 / r) for r in radii)
    x, y, z = (x * a) ** 2, (y * b) ** 2, (z * c) ** 2
    outer = np.sqrt(x + y + z)
    slope = np.sqrt(x * a**2 + y * b**2 + z * c**2)
    return np.asarray(outer * (outer - 1) / np.maximum(slope, np.float32(1e-6)))


def capsule(p: Points, a: ArrayLike, b: ArrayLike, ra: float, rb: float) -> Array:
    """Round-ended cone from ``a`` (radius ``ra``) to ``b`` (radius ``rb``)."""
    a, b = np.asarray(a, dtype=np.float32), np.asarray(b, dtype=np.float32)
    d = b - a
    x, y, z = p.x - a[0], p.y - a[1], p.z - a[2]
    h = np.clip((x * d[0] + y * d[1] + z * d[2]) / np.float32(max(float(d @ d), 1e-6)), 0, 1)
    gap = np.sqrt((x - h * d[0]) ** 2 + (y - h * d[1]) ** 2 + (z - h * d[2]) ** 2)
    return np.asarray(gap - (np.float32(ra) + h * np.float32(rb - ra)))


def soft_min(a: Array, b: Array, k: float) -> Array:
    """Union of two shapes, blended over about ``k`` mm."""
    h = np.maximum(np.float32(k) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - h * h * np.float32(0.25 / k))


def soft_max(a: Array, b: Array, k: float) -> Array:
    """Intersection of two shapes, blended over about ``k`` mm."""
    h = np.maximum(np.float32(k) - np.abs(a - b), 0)
    return np.asarray(np.maximum(a, b) + h * h * np.float32(0.25 / k))


@dataclass(frozen=True, eq=False)
class Tube:
    """A bent tube: points of its middle line (n, 3) and its radius there (n,), mm."""

    line: NDArray[np.float64]
    radii: NDArray[np.float64]

    @classmethod
    def through(cls, knots: ArrayLike, radii: ArrayLike, steps: int = 4) -> Tube:
        """Smooth tube through few knots (Catmull-Rom)."""
        k, r = np.asarray(knots, dtype=float), np.asarray(radii, dtype=float)
        r = np.full(len(k), float(r)) if r.ndim == 0 else r
        table = np.column_stack([k, r])
        ends = np.vstack([2 * table[0] - table[1], table, 2 * table[-1] - table[-2]])
        t = np.linspace(0, 1, steps, endpoint=False)[:, None]
        parts = []
        for q0, q1, q2, q3 in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
            parts.append(
                0.5
                * (
                    2 * q1
                    + (q2 - q0) * t
                    + (2 * q0 - 5 * q1 + 4 * q2 - q3) * t**2
                    + (3 * q1 - q0 - 3 * q2 + q3) * t**3
                )
            )
        out = np.vstack([*parts, table[-1:]])
        return cls(out[:, :3], np.maximum(out[:, 3], 0.3))

    def box(self, margin: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Corners of a box that holds the tube and a margin."""
        reach = float(self.radii.max()) + margin
        return self.line.min(axis=0) - reach, self.line.max(axis=0) + reach

    def distance(self, p: Points, margin: float = 4.0) -> Array:
        """Signed distance; beyond ``margin`` from the surface it may be any large number."""
        out = np.full(p.shape, FAR)
        for a, b, ra, rb in zip(self.line, self.line[1:], self.radii, self.radii[1:], strict=False):
            reach = max(ra, rb) + margin
            window = p.window(np.minimum(a, b) - reach, np.maximum(a, b) + reach)
            if window is not None:
                view = out[window]
                np.minimum(view, capsule(p.at(window), a, b, ra, rb), out=view)
        return out
