"""Where a point of one study lies in the other: liver laid on liver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from burden.grid import Grid

STEP_MM = 2.5
MARGIN_MM = 40.0
POINTS = 1200
ROBUST_MM = 3.0
"""Surface farther off than about this pulls less: livers are cut, resected and grow."""
WORTH_IT = 0.01
SCALES = (0.6, 1.6)

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Alignment:
    """Transform between two studies.

    Parameters
    ----------
    to_base
        4 x 4, LPS mm of the follow-up to LPS mm of the base study.
    kind
        ``rigid``, or ``affine`` where that fits clearly better.
    dice
        Overlap of the two livers after it.
    turned_deg, moved_mm
        How far the liver was turned, and its centre moved.
    """

    to_base: FloatArray
    kind: str
    dice: float
    turned_deg: float
    moved_mm: float


@dataclass(frozen=True, eq=False)
class _Shape:
    """A liver as a field of signed distances (mm, inside negative) and points on its surface.

    Where the image ends in the liver (``cut``), the liver goes on straight in the field, and what
    lies outside the image is nowhere off.
    """

    field: NDArray[np.float32]
    grid: Grid
    image: Grid
    cut: bool
    surface: FloatArray
    inside: FloatArray
    centre: FloatArray
    ml: float

    def distance(self, points: FloatArray) -> FloatArray:
        at = self.grid.index(points).T
        found = np.asarray(map_coordinates(self.field, at, order=1, mode="nearest"), dtype=np.float64)
        return np.where(_in(self.image, points), found, 0.0) if self.cut else found


_Model = Callable[[FloatArray, _Shape, _Shape], FloatArray]


def align(base: Mask, base_grid: Grid, follow: Mask, follow_grid: Grid) -> Alignment:
    """Lay the follow-up liver on the base liver.

    The centres of volume are brought together; then the surface of each liver is drawn to that of
    the other, by least squares of distances with a robust loss: first rigid, then affine, which is
    kept where the overlap gains at least ``WORTH_IT`` and the volume changes within ``SCALES``;
    never where a liver is cut by its image.
    """
    one, two = _shape(base, base_grid), _shape(follow, follow_grid)
    start = np.zeros(6)
    rigid = _fit(one, two, start, _rigid)
    matrix, kind, dice = rigid, "rigid", _dice(one, two, rigid)
    if one.cut or two.cut:  # part of the surface is not there to hold a scale
        return _said(rigid, "rigid", dice, rigid, two)
    near = np.concatenate([(rigid[:3, :3] - np.eye(3)).ravel(), _offset(one, two, rigid)])
    free = _fit(one, two, near, _affine)
    scale, gain = float(np.linalg.det(free[:3, :3])), _dice(one, two, free)
    if SCALES[0] <= scale <= SCALES[1] and gain >= dice + WORTH_IT:
        matrix, kind, dice = free, "affine", gain
    return _said(matrix, kind, dice, rigid, two)


def _said(matrix: FloatArray, kind: str, dice: float, rigid: FloatArray, two: _Shape) -> Alignment:
    turn = Rotation.from_matrix(rigid[:3, :3]).magnitude()
    moved = np.linalg.norm(matrix[:3, :3] @ two.centre + matrix[:3, 3] - two.centre)
    return Alignment(matrix, kind, dice, float(np.degrees(turn)), float(moved))


def _shape(mask: Mask, grid: Grid) -> _Shape:
    margin = [int(np.ceil(MARGIN_MM / s)) for s in grid.spacing]
    spans, cut_at = [], []
    for axis in range(3):
        seen = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((int(seen[0]), int(seen[-1]) + 1))
        cut_at.append((spans[-1][0] == 0, spans[-1][1] == mask.shape[axis]))
    cut = mask[tuple(slice(a, b) for a, b in spans)]
    for axis in range(3):
        for side in (0, 1):
            width = [(0, 0)] * 3
            width[axis] = (0, margin[axis]) if side else (margin[axis], 0)
            cut = np.pad(cut, width, mode="edge" if cut_at[axis][side] else "constant")
    first = [a - m for (a, _), m in zip(spans, margin, strict=True)]
    near = Grid(cut.shape, _moved(grid.affine, grid.world(first)))
    outside = edt.edt(np.ascontiguousarray(~cut), anisotropy=near.spacing)
    inside = edt.edt(np.ascontiguousarray(cut), anisotropy=near.spacing)
    # Distances are to voxel centres; the surface lies half a voxel nearer from either side.
    half = 0.5 * float(np.mean(near.spacing))
    field = np.where(cut, half - inside, outside - half)
    steps = [max(1, round(STEP_MM / s)) for s in near.spacing]
    field = field[:: steps[0], :: steps[1], :: steps[2]]
    affine = near.affine.copy()
    affine[:3, :3] = affine[:3, :3] * np.array(steps)
    coarse = Grid(field.shape, affine)
    shell = 0.5 * max(coarse.spacing)
    surface = coarse.world(np.argwhere(np.abs(field) <= shell))
    body = coarse.world(np.argwhere(field < 0))
    surface, body = surface[_in(grid, surface)], body[_in(grid, body)]
    every = max(1, len(surface) // POINTS)
    return _Shape(
        np.ascontiguousarray(field, dtype=np.float32),
        coarse,
        grid,
        any(any(sides) for sides in cut_at),
        surface[::every],
        body,
        body.mean(0),
        float(np.count_nonzero(mask)) * grid.voxel_ml,
    )


def _in(image: Grid, points: FloatArray) -> Mask:
    at = image.index(points)
    return np.asarray(((at >= -0.5) & (at <= np.array(image.shape) - 0.5)).all(-1))


def _moved(affine: FloatArray, origin: FloatArray) -> FloatArray:
    new = affine.copy()
    new[:3, 3] = origin
    return new


def _fit(one: _Shape, two: _Shape, start: FloatArray, matrix_of: _Model) -> FloatArray:
    """Parameters of ``matrix_of`` that bring both surfaces together, as a 4 x 4 matrix."""

    def gaps(parameters: FloatArray) -> FloatArray:
        matrix = matrix_of(parameters, one, two)
        back = np.linalg.inv(matrix)
        there = one.distance(two.surface @ matrix[:3, :3].T + matrix[:3, 3])
        here = two.distance(one.surface @ back[:3, :3].T + back[:3, 3])
        return np.concatenate([there, here])

    scale = np.where(np.arange(start.size) < start.size - 3, 0.01, 1.0)
    best = least_squares(gaps, start, loss="soft_l1", f_scale=ROBUST_MM, x_scale=scale, max_nfev=60)
    return matrix_of(np.asarray(best.x), one, two)


def _rigid(parameters: FloatArray, one: _Shape, two: _Shape) -> FloatArray:
    turn = Rotation.from_rotvec(parameters[:3]).as_matrix()
    return _about(turn, parameters[3:], one, two)


def _affine(parameters: FloatArray, one: _Shape, two: _Shape) -> FloatArray:
    return _about(np.eye(3) + parameters[:9].reshape(3, 3), parameters[9:], one, two)


def _about(linear: FloatArray, offset: FloatArray, one: _Shape, two: _Shape) -> FloatArray:
    """Linear map about the follow-up's centre, which goes to the base's centre plus ``offset``."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = one.centre + offset - linear @ two.centre
    return matrix


def _offset(one: _Shape, two: _Shape, matrix: FloatArray) -> FloatArray:
    return np.asarray(matrix[:3, :3] @ two.centre + matrix[:3, 3] - one.centre)


def _dice(one: _Shape, two: _Shape, matrix: FloatArray) -> float:
    back = np.linalg.inv(matrix)
    common = np.mean(two.distance(one.inside @ back[:3, :3].T + back[:3, 3]) < 0) * one.ml
    scale = abs(float(np.linalg.det(matrix[:3, :3])))
    return float(2.0 * common / (one.ml + two.ml * scale))
