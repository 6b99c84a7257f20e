"""Lesion shapes: ellipsoids, bumpy ellipsoids and unions, with their exact measures.

An ellipsoid's volume and diameters are closed formulas. A bumpy one is star-shaped: its volume
is an integral over directions (4,096 of them, error below 0.01 %). A union is counted on a fine
lattice (longest side / 96, soft edges; tested to 0.3 %). Diameters of bumpy shapes and unions
come from contours of 49 fine sections parallel to the acquired slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid
from burden.phantom.shapes import FAR, Array, Points, Window
from burden.phantom.spec import LesionSpec, turned

Floats = NDArray[np.float64]
EVERYWHERE: Window = (slice(None), slice(None), slice(None))
_LOBES = 9  # cosine waves that make the bumps


@cache
def directions(n: int = 4096) -> Floats:
    """Evenly spread unit vectors (n, 3)."""
    k = np.arange(n) + 0.5
    z, a = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    r = np.sqrt(1 - z * z)
    return np.column_stack([r * np.cos(a), r * np.sin(a), z])


@cache
def ball(n: int = 3000) -> Floats:
    """Evenly spread points of the unit ball (n, 3)."""
    from scipy.stats import qmc

    u = qmc.Sobol(3, scramble=False, seed=0).random(4096)[:n]
    z, a, r = 1 - 2 * u[:, 0], 2 * np.pi * u[:, 1], np.cbrt(u[:, 2])
    s = np.sqrt(np.maximum(1 - z * z, 0))
    return np.asarray(np.column_stack([s * np.cos(a), s * np.sin(a), z]) * r[:, None])


@dataclass(frozen=True, eq=False)
class Blob:
    """A placed lesion.

    Parameters
    ----------
    look
        How it looks, see :data:`burden.phantom.spec.LOOKS`.
    centres, radii
        (n, 3) of its ellipsoids, LPS mm.
    axes
        3 x 3 unit axes, shared by all parts.
    bump, waves
        Height of the bumps and the waves (9, 5) that make them: direction, count, phase.
    """

    look: str
    centres: Floats
    radii: Floats
    axes: Floats
    bump: float
    waves: Floats

    @classmethod
    def of(cls, lesion: LesionSpec, seed: int) -> Blob:
        """Blob of a lesion whose centre is known."""
        if lesion.centre is None:
            raise ValueError("a lesion must be placed before it has a shape")
        rng = np.random.default_rng([seed, 77])
        u = rng.normal(size=(_LOBES, 3))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        waves = np.column_stack([u, rng.uniform(2, 4.5, _LOBES), rng.uniform(0, 2 * np.pi, _LOBES)])
        offsets = np.array([(0.0, 0.0, 0.0), *(o for o, _ in lesion.parts)])
        sizes = np.array([lesion.diameters, *(d for _, d in lesion.parts)])
        axes = turned(lesion.angles)
        return cls(lesion.look, np.array(lesion.centre) + offsets, sizes / 2, axes, lesion.bump, waves)

    # --- where it is ------------------------------------------------------------------------

    def _bumps(self, unit: tuple[Array, Array, Array]) -> Array:
        total: Array = np.float32(0)  # type: ignore[assignment]
        for x, y, z, n, phase in self.waves.astype(np.float32):
            total = total + np.cos(n * (unit[0] * x + unit[1] * y + unit[2] * z) + phase)
        return np.asarray(total * np.float32(self.bump / np.sqrt(_LOBES)), dtype=np.float32)

    def distance(self, p: Points) -> Array:
        """Signed distance at points in world mm (``p.scale`` must be 1)."""
        if len(self.centres) == 1:
            return self._one(p, self.centres[0], self.radii[0])
        best = np.full(p.shape, FAR)
        margin = 4.0 + 2 * max(p.grid.spacing)
        loose = p.shape[:2] == (1, 1)  # scattered points have no windows
        for centre, radii in zip(self.centres, self.radii, strict=True):
            reach = float(radii.max()) + margin
            window = EVERYWHERE if loose else p.window(centre - reach, centre + reach)
            if window is not None:
                view = best[window]
                np.minimum(view, self._one(p if loose else p.at(window), centre, radii), out=view)
        return best

    def _one(self, p: Points, centre: Floats, radii: Floats) -> Array:
        m, c = self.axes.astype(np.float32), centre.astype(np.float32)
        x, y, z = p.x - c[0], p.y - c[1], p.z - c[2]
        a, b, c3 = (
            (x * m[0, k] + y * m[1, k] + z * m[2, k]) * np.float32(1 / radii[k]) for k in range(3)
        )
        rho = np.maximum(np.sqrt(a * a + b * b + c3 * c3), np.float32(1e-4))
        slope = np.sqrt((a / radii[0]) ** 2 + (b / radii[1]) ** 2 + (c3 / radii[2]) ** 2)
        reach: Array = np.ones((1, 1, 1), dtype=np.float32)
        if self.bump:
            reach = reach + self._bumps((a / rho, b / rho, c3 / rho))
        return np.asarray((rho - reach) * rho / np.maximum(slope, 1e-6), dtype=np.float32)

    def _reach(self) -> Floats:
        """Relative radius (n,) along :func:`directions`."""
        u = directions()
        return 1 + self._bumps((u[:, 0], u[:, 1], u[:, 2])) if self.bump else np.ones(len(u))  # type: ignore[arg-type,return-value]

    @cached_property
    def surface(self) -> Floats:
        """Points of the surface (n, 3), LPS mm; those of a union's parts that lie on the outside."""
        u = directions() * self._reach()[:, None]
        u = u if len(self.centres) == 1 else u[:: max(4, len(self.centres) // 3)]
        parts = []
        for n, (c, r) in enumerate(zip(self.centres, self.radii, strict=True)):
            points = c + (u * r) @ self.axes.T
            for other in range(len(self.centres)):
                if other != n and len(points):
                    q = (points - self.centres[other]) @ self.axes / self.radii[other]
                    points = points[(q * q).sum(axis=1) >= 1]
            parts.append(points)
        return np.vstack(parts)

    @cached_property
    def box(self) -> tuple[Floats, Floats]:
        """Corners of the box around it, LPS mm."""
        reach = np.sqrt(((self.axes[None] * self.radii[:, None, :]) ** 2).sum(axis=2)) * (
            1 + 1.6 * self.bump
        )
        return (self.centres - reach).min(axis=0), (self.centres + reach).max(axis=0)

    # --- how big it is ----------------------------------------------------------------------

    @cached_property
    def interior(self) -> tuple[Floats, Floats]:
        """Points inside (n, 3), LPS mm, and the mL (n,) each of them stands for."""
        if len(self.centres) > 1:
            return self._lattice()
        points, weight = ball(), np.ones(len(ball()))
        if self.bump:
            length = np.maximum(np.linalg.norm(points, axis=1), 1e-9)
            unit = points / length[:, None]
            reach = 1 + self._bumps((unit[:, 0], unit[:, 1], unit[:, 2]))
            points, weight = points * reach[:, None], reach.astype(np.float64) ** 3
        share = weight / weight.sum() * self.volume_ml
        return self.centres[0] + (points * self.radii[0]) @ self.axes.T, share

    def _lattice(self, count: int = 96) -> tuple[Floats, Floats]:
        low, high = self.box
        step = float((high - low).max()) / count
        shape = np.ceil((high - low) / step).astype(int) + 2
        grid = Grid.from_axes((int(shape[0]), int(shape[1]), int(shape[2])), (step,) * 3, low - step / 2)
        cover = np.clip(0.5 - self.distance(Points.of(grid)) / step, 0, 1)
        inside = np.argwhere(cover > 0)
        return grid.world(inside), cover[cover > 0].astype(np.float64) * step**3 / 1000

    @cached_property
    def volume_ml(self) -> float:
        """Volume in mL: exact for an ellipsoid, integrated otherwise."""
        if len(self.centres) > 1:
            return float(self.interior[1].sum())
        return float(4 / 3 * np.pi * self.radii[0].prod() * (self._reach() ** 3).mean()) / 1000

    @cached_property
    def centroid(self) -> Floats:
        """Centre of mass, LPS mm."""
        points, ml = self.interior
        plain = len(self.centres) == 1 and not self.bump
        if plain:
            return np.array(self.centres[0])
        return np.asarray((points * ml[:, None]).sum(axis=0) / ml.sum())

    @cached_property
    def feret(self) -> float:
        """Largest distance between two of its points, mm."""
        if len(self.centres) == 1 and not self.bump:
            return float(2 * self.radii.max())
        from scipy.spatial import ConvexHull
        from scipy.spatial.distance import pdist

        points = self.surface[ConvexHull(self.surface).vertices]
        return float(pdist(points[:: max(1, len(points) // 1500)]).max())

    def recist(self, across: Floats) -> tuple[float, float, Floats]:
        """Longest diameter in planes normal to ``across``, the width across it, four ends (4, 3)."""
        if len(self.centres) > 1 or self.bump:
            return _sections(self, across)
        frame = plane(across)
        # the section through the centre: {u : u' (F' M F) u <= 1}
        shape = frame.T @ (self.axes @ np.diag(self.radii[0] ** -2) @ self.axes.T) @ frame
        values, vectors = np.linalg.eigh(shape)
        half = 1 / np.sqrt(values)
        ends = [
            self.centres[0] + s * h * (frame @ v)
            for h, v in zip(half, vectors.T, strict=True)
            for s in (-1, 1)
        ]
        return float(2 * half[0]), float(2 * half[1]), np.array(ends)


def plane(across: Floats) -> Floats:
    """Two unit vectors (3, 2) normal to ``across``."""
    basis: Floats = np.linalg.svd(np.asarray(across, dtype=np.float64)[None])[2]
    across_two: Floats = basis[1:].T
    return across_two


def _sections(blob: Blob, across: Floats, count: int = 49) -> tuple[float, float, Floats]:
    """RECIST diameters from fine sections."""
    from skimage.measure import find_contours

    frame = np.column_stack([plane(across), across])
    local = blob.surface @ frame
    low, high = local.min(axis=0), local.max(axis=0)
    step = float((high - low)[:2].max()) / 72
    n = np.ceil((high - low)[:2] / step + 5).astype(int)
    grid = Grid.from_axes(
        (int(n[0]), int(n[1]), count),
        (step, step, (high[2] - low[2]) / count),
        frame @ (low - np.array([2 * step, 2 * step, -(high[2] - low[2]) / count / 2])),
        frame,
    )
    field = blob.distance(Points.of(grid))
    best: tuple[float, float, Floats] = (0.0, 0.0, np.zeros((4, 3)))
    for k in range(count):
        for line in find_contours(field[:, :, k], 0.0):
            long, ends = _longest(line * step)
            if long > best[0]:
                short, sides = _widest(line * step, ends)
                flat = np.vstack([ends, sides]) / step
                best = (long, short, grid.world(np.column_stack([flat, np.full(4, k)])))
    return best


def _longest(line: Floats) -> tuple[float, Floats]:
    angles = np.linspace(0, np.pi, 90, endpoint=False)
    cast = line @ np.array([np.cos(angles), np.sin(angles)])
    ends = np.unique(np.concatenate([cast.argmax(axis=0), cast.argmin(axis=0)]))
    if len(ends) < 2:
        return 0.0, line[:1].repeat(2, axis=0)
    hull = line[ends]
    apart = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    a, b = np.unravel_index(int(apart.argmax()), apart.shape)
    return float(apart[a, b]), hull[[a, b]]


def _widest(line: Floats, ends: Floats) -> tuple[float, Floats]:
    """Extent of the outline across the long axis, and its two end points."""
    along = (ends[1] - ends[0]) / max(float(np.hypot(*(ends[1] - ends[0]))), 1e-9)
    cast = line @ np.array([-along[1], along[0]])
    return float(np.ptp(cast)), line[[int(cast.argmin()), int(cast.argmax())]]
