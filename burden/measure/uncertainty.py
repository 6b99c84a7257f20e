"""Joint draws of everything measured, without segmenting again.

Each draw moves the drawn surfaces: the edge of the liver, the edge of every lesion (a part
common to the case, a part of its own) and the borders between segments; and each lesion exists or
not with its probability. Volumes follow from how much tissue lies within a given distance of each
surface; diameters grow by twice the shift, and have a further error of their own. How large the
errors are says :mod:`burden.measure.readers`. Draw k of every fact is the same perturbed segmentation.

To this comes what the voxels themselves leave open. Counting a ball of diameter d in slices of
thickness h errs by 32 % x (h / d)^2 (1 sd, by Euler and Maclaurin), random lesions on turned grids by
42 % (100 of them, pixels included), and no slice need pass
through the middle: one that lies u half slices off it shows a diameter too small by
d (h / d)^2 u^2 / 2, with u anywhere from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import edt
import numpy as np
from numpy.typing import NDArray

from burden.lesions import Lesion
from burden.measure.anatomy import BORDERS, LEFT, RIGHT, Anatomy, border, border_areas, cantlie_distance
from burden.measure.readers import Errors
from burden.measure.tissue import Tissue

SHARED = 0.5
"""Share of the variance of a lesion's surface that all lesions of a case have in common."""
VOXEL_SD = 0.42
PIXEL_SD = 0.3
"""Sd of a diameter in pixels, however well the mask is drawn."""
KEEP = 0.5
"""A lesion that exists never shrinks by more than this share of its deepest point."""

_REACH_SD = 4.0
_BIN_MM = 0.2
_T = TypeVar("_T", bound=np.generic)
_FINE_MM = 1.0

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spread:
    """Draws, n of them, of m lesions.

    Parameters
    ----------
    liver_ml, segment_ml, segment_tumor_ml
        Shapes (n,), (n, 9), (n, 9).
    lesion_ml, long_mm
        Shape (n, m); 0 where the lesion does not exist in that draw.
    exists
        Shape (n, m).
    right_share, left_share
        Share of each lesion in segments 5-8 and 2-4, shape (n, m).
    shift_mm, liver_shift_mm
        How far the surface of each lesion, (n, m), and of the liver, (n,), was moved outward.
    luck
        Standard normal, shape (n,), for whatever else is uncertain.
    """

    liver_ml: FloatArray
    segment_ml: FloatArray
    segment_tumor_ml: FloatArray
    lesion_ml: FloatArray
    long_mm: FloatArray
    exists: Mask
    right_share: FloatArray
    left_share: FloatArray
    shift_mm: FloatArray
    liver_shift_mm: FloatArray
    luck: FloatArray

    @property
    def tumor_ml(self) -> FloatArray:
        """Volume of all lesions, never more than the liver, shape (n,)."""
        return np.asarray(np.minimum(self.lesion_ml.sum(1), self.liver_ml))


def draw(
    tissue: Tissue,
    rows: Sequence[Lesion],
    anatomy: Anatomy,
    errors: Errors,
    *,
    draws: int,
    seed: int,
) -> Spread:
    """Joint draws of volumes, diameters, existence and sides."""
    rng = np.random.default_rng(seed)
    spacing = tissue.grid.spacing
    liver_shift = errors.liver_surface_mm * rng.standard_normal(draws)
    shared, own = rng.standard_normal((draws, 1)), rng.standard_normal((draws, len(rows)))
    luck = rng.random((draws, len(rows)))[
        :, [(r.component or r.id) - 1 for r in rows]
    ]  # one body, one luck
    exists = luck < np.array([r.p_lesion for r in rows])
    borders = dict(anatomy.border_sd_mm)
    if anatomy.known and not borders and errors.segment_border_mm:
        borders = dict.fromkeys(BORDERS, errors.segment_border_mm)
    moved = {name: sd * rng.standard_normal(draws) for name, sd in sorted(borders.items())}
    size = np.array([r.equivalent_diameter_mm for r in rows])
    sd = np.minimum(errors.lesion_surface_mm, errors.lesion_surface_share * size)
    shift = sd * (np.sqrt(SHARED) * shared + np.sqrt(1.0 - SHARED) * own)

    coarse = (spacing[tissue.grid.slice_axis] / np.maximum(size, 1e-9)).clip(max=1.0) ** 2
    counted = 1.0 + VOXEL_SD * coarse * rng.standard_normal(shift.shape)
    by_segment = np.zeros((draws, 9))
    lesion_ml = np.zeros((draws, len(rows)))
    for k in range(len(rows)):
        curve, shrink = growth(tissue, k + 1, anatomy.segments, _REACH_SD * float(sd[k]))
        shift[:, k] = np.maximum(shift[:, k], -shrink)
        parts = curve.at(shift[:, k]) * (np.maximum(counted[:, k], 0.0) * exists[:, k])[:, None]
        by_segment += parts
        lesion_ml[:, k] = parts.sum(1)
    segment_ml = _livers(tissue, anatomy, liver_shift, _REACH_SD * errors.liver_surface_mm)
    liver_ml = segment_ml.sum(1)
    if anatomy.known and moved:
        areas = border_areas(anatomy.segments, tissue.liver, spacing)
        segment_ml = np.maximum(segment_ml + _transfer(areas, moved, draws), 0.0)
        areas = border_areas(anatomy.segments, tissue.lesions > 0, spacing)
        by_segment = np.maximum(by_segment + _transfer(areas, moved, draws), 0.0)
    right, left = _sides(rows, anatomy, tissue, moved.get("cantlie", np.zeros(draws)))
    long_mm = _longest(rows, shift, coarse, tissue, errors, rng)
    return Spread(
        liver_ml=liver_ml,
        segment_ml=segment_ml,
        segment_tumor_ml=np.minimum(by_segment, segment_ml),
        lesion_ml=lesion_ml,
        long_mm=np.where(exists, np.maximum(long_mm, 0.0), 0.0),
        exists=exists,
        right_share=right,
        left_share=left,
        shift_mm=shift,
        liver_shift_mm=liver_shift,
        luck=np.random.default_rng([seed, 1]).standard_normal(draws),
    )


def _longest(
    rows: Sequence[Lesion],
    shift: FloatArray,
    coarse: FloatArray,
    tissue: Tissue,
    errors: Errors,
    rng: np.random.Generator,
) -> FloatArray:
    """Longest diameters in every draw, (n, m) mm."""
    long_mm = np.array([r.recist_long_mm for r in rows])
    pixel = max(s for a, s in enumerate(tissue.grid.spacing) if a != tissue.grid.slice_axis)
    own = np.hypot(np.minimum(errors.diameter_mm, errors.diameter_share * long_mm), PIXEL_SD * pixel)
    missed = long_mm * coarse * rng.random(shift.shape) ** 2 / 2.0
    noisy = long_mm + 2.0 * shift + own * rng.standard_normal(shift.shape)
    # The longest of several is too long on average, once as measured and once again as drawn; but of
    # many alike what was measured stays possible.
    above = noisy.max(axis=1, initial=0.0) - long_mm.max(initial=0.0)
    most = float(np.quantile(above, 0.95))
    return np.asarray(noisy + missed - min(max(2.0 * float(above.mean()), 0.0), max(most, 0.0)))


@dataclass(frozen=True, eq=False)
class Curve:
    """Volume by segment, mL, as a function of a shift of the surface (mm, outward positive)."""

    first_mm: float
    ml: FloatArray

    def at(self, shift: FloatArray) -> FloatArray:
        """Volumes at shifts (n,), shape (n, 9)."""
        place = np.clip((shift - self.first_mm) / _BIN_MM, 0, len(self.ml) - 1)
        low = np.minimum(place.astype(np.intp), len(self.ml) - 2)
        part = (place - low)[:, None]
        return np.asarray(self.ml[low] * (1.0 - part) + self.ml[low + 1] * part)


def growth(
    tissue: Tissue, label: int, segments: NDArray[np.uint8], reach_mm: float
) -> tuple[Curve, float]:
    """Volume of one lesion when its surface moves, and how far it may shrink (mm).

    It grows into parenchyma that is nearer to it than to other lesions, and shrinks where it
    borders on parenchyma; its surface on the capsule is the liver's. Voxels are cut until nearly
    cubic, so that thick slices count as the boxes they are.
    """
    spacing = tissue.grid.spacing
    margin = [int(np.ceil((reach_mm + _BIN_MM) / s)) + 1 for s in spacing]
    box = zip(tissue.boxes[label - 1], margin, strict=True)
    wide = tuple(slice(max(b.start - m, 0), b.stop + m) for b, m in box)
    cuts = _cuts(spacing)
    step = tuple(s / c for s, c in zip(spacing, cuts, strict=True))
    local, liver = _finer(tissue.lesions[wide], cuts), _finer(tissue.liver[wide], cuts)
    segment = _finer(segments[wide], cuts)
    mine, free = local == label, liver & (local == 0)
    voxel_ml, width = float(np.prod(step)) / 1000.0, float(np.mean(step))
    inside = edt.edt(np.ascontiguousarray(~free), anisotropy=step)[mine] if free.any() else None
    outside = edt.edt(np.ascontiguousarray(~mine), anisotropy=step)
    grow = free & (outside <= reach_mm + width)
    if ((local > 0) & ~mine).any():
        others = edt.edt(np.ascontiguousarray((local == 0) | mine), anisotropy=step)
        grow &= outside <= others
    bins = int(np.ceil(reach_mm / _BIN_MM)) + 1
    gained = _layers(outside[grow], segment[grow], width, bins) * voxel_ml
    here = np.bincount(segment[mine], minlength=9) * voxel_ml
    lost = np.zeros_like(gained)
    deepest = np.inf
    if inside is not None:
        lost = _layers(inside, segment[mine], width, bins) * voxel_ml
        deepest = float(inside.max())
    ml = np.concatenate([here - np.cumsum(lost, 0)[::-1], here[None], here + np.cumsum(gained, 0)])
    return Curve(-bins * _BIN_MM, ml), KEEP * deepest


def _layers(
    distance: NDArray[np.floating], segment: NDArray[np.uint8], width: float, bins: int
) -> FloatArray:
    """Voxels by depth bin and segment, each spread over the depth it takes up.

    ``distance`` is to the nearest voxel centre across the surface, which lies half a voxel
    beyond it for the first layer, but on average only a fifth for deeper ones (they see more
    of the ragged surface, and take its nearest point).
    """
    counts = np.zeros(bins * 9)
    middle = distance - width * (0.5 - 0.3 * np.clip(distance / width - 1.0, 0.0, 1.0))
    for part in (-0.375, -0.125, 0.125, 0.375):
        layer = np.maximum((middle + width * part) / _BIN_MM, 0.0).astype(np.intp)
        near = layer < bins
        counts += np.bincount(layer[near] * 9 + segment[near], minlength=bins * 9)
    return counts.reshape(bins, 9) / 4.0


def _cuts(spacing: tuple[float, float, float]) -> tuple[int, int, int]:
    fine = max(min(spacing), _FINE_MM)
    a, b, c = (max(1, round(s / fine)) for s in spacing)
    return a, b, c


def _finer(array: NDArray[_T], cuts: tuple[int, int, int]) -> NDArray[_T]:
    for axis, n in enumerate(cuts):
        if n > 1:
            array = np.repeat(array, n, axis=axis)
    return array


def _livers(tissue: Tissue, anatomy: Anatomy, shift: FloatArray, reach_mm: float) -> FloatArray:
    """Liver volume by segment when the liver's edge moves: its outer shell grows or goes."""
    segment, voxel_ml = anatomy.segments[tissue.liver], tissue.grid.voxel_ml
    here = np.bincount(segment, minlength=9) * voxel_ml
    if reach_mm <= 0.0:
        return np.repeat(here[None], len(shift), 0)
    bins = int(np.ceil(reach_mm / _BIN_MM)) + 1
    width = float(np.prod(tissue.grid.spacing) ** (1.0 / 3.0))
    depth = tissue.depth_mm[tissue.liver]
    near = depth < reach_mm + width + _BIN_MM
    shell = np.cumsum(_layers(depth[near], segment[near], width, bins) * voxel_ml, 0)
    ml = np.concatenate([here - shell[::-1], here[None], here + shell])
    return Curve(-bins * _BIN_MM, ml).at(shift)


def _transfer(areas: FloatArray, moved: dict[str, FloatArray], draws: int) -> FloatArray:
    """Volume each segment gains, (draws, 9) mL, when borders move by ``moved`` mm.

    A positive move of a border takes tissue from the higher segment to the lower one.
    """
    gained = np.zeros((draws, 9))
    for low in range(1, 9):
        for high in range(low + 1, 9):
            if areas[low, high] > 0:
                ml = areas[low, high] * moved.get(border(low, high), np.zeros(draws)) / 1000.0
                gained[:, low] += ml
                gained[:, high] -= ml
    return gained


def _sides(
    rows: Sequence[Lesion], anatomy: Anatomy, tissue: Tissue, moved: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Share of each lesion right and left of the Cantlie border when that border moves.

    A lesion is taken for a sphere: the border cuts off a cap whose share of the volume is
    known in closed form, and which starts from the share measured.
    """
    right = np.array([sum(r.segments.get(s, 0.0) for s in RIGHT) for r in rows])
    left = np.array([sum(r.segments.get(s, 0.0) for s in LEFT) for r in rows])
    if not rows or not moved.any():
        return np.repeat(right[None], len(moved), 0), np.repeat(left[None], len(moved), 0)
    radius = np.array([r.equivalent_diameter_mm for r in rows]) / 2.0
    depth = np.linspace(-1.0, 1.0, 401)
    share = (1.0 + depth) ** 2 * (2.0 - depth) / 4.0
    sided = np.maximum(right + left, 1e-9)
    start = np.interp(right / sided, share, depth) * radius
    gap = cantlie_distance(anatomy.segments, tissue.grid, np.array([r.centroid_mm for r in rows]))
    gap = np.maximum(gap - radius, 0.0)
    start += np.where(right >= sided, gap, 0.0) - np.where(left >= sided, gap, 0.0)
    moved_right = np.interp((start - moved[:, None]) / radius, depth, share) * sided
    return moved_right, sided - moved_right
