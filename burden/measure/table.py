"""The lesion table: one row a lesion."""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from burden.image import Segmentation
from burden.lesions import Lesion, Point
from burden.measure.anatomy import LEFT, RIGHT, Anatomy, beside
from burden.measure.diameters import axial, feret_3d, sphere_diameter
from burden.measure.profile import corrected_ml
from burden.measure.tissue import Tissue

CROSSING = 0.10
"""A lesion counts in a hemiliver that holds this share of it or more."""

FloatArray = NDArray[np.float64]


class Extent(TypedDict):
    """The part of a lesion's row that measures its extent."""

    volume_corrected_ml: float
    recist_long_mm: float
    recist_short_mm: float
    recist_slice_index: int
    recist_ends_mm: tuple[Point, Point, Point, Point]
    feret_3d_mm: float


def lesion_rows(
    tissue: Tissue,
    anatomy: Anatomy,
    found: Segmentation,
    image: NDArray[np.generic],
    probability: NDArray[np.floating] | None,
    hilum_mm: Point | None,
    edges: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    slice_start: int,
) -> tuple[Lesion, ...]:
    """Measure every lesion.

    Parameters
    ----------
    image, probability
        Image values and voxel probabilities of the box.
    hilum_mm
        Centre of the hilum, LPS mm, or None.
    edges
        For the three axes, whether the first and the last plane of the box lie on the edge of
        the image.
    slice_start
        Index in the whole image of the box's first slice.
    """
    grid, count = tissue.grid, len(tissue.boxes)
    if not count:
        return ()
    voxels = np.bincount(tissue.owner, minlength=count + 1)[1:]
    centroid = _centroids(tissue, voxels)
    shares = _shares(tissue, anatomy, voxels)
    intensity = _means(tissue, image, voxels)
    chance = _existence(tissue, found, probability, voxels)
    capsule, hilum = _distances(tissue, hilum_mm)
    rows = []
    for k, box in enumerate(tissue.boxes):
        segments = {n: float(shares[k, n]) for n in range(1, 9) if shares[k, n] > 0}
        ml = float(voxels[k]) * grid.voxel_ml
        rows.append(
            Lesion(
                id=k + 1,
                volume_ml=ml,
                **_extent(tissue, k + 1, slice_start),
                equivalent_diameter_mm=sphere_diameter(ml),
                centroid_mm=_point(centroid[k]),
                segments=segments,
                lobe=lobe(segments),
                distance_capsule_mm=float(capsule[k]),
                distance_hilum_mm=None if hilum is None else float(hilum[k]),
                mean_intensity=float(intensity[k]),
                p_lesion=float(chance[k]),
                source=found.source,
                touches_edge=_at_edge(box, tissue.lesions.shape, edges),
                component=tissue.component[k] if tissue.component else k + 1,
            )
        )
    return tuple(rows)


def _extent(tissue: Tissue, label: int, slice_start: int) -> Extent:
    """Diameters of one lesion, where they lie in the whole image, and its corrected volume."""
    grid, box = tissue.grid, tissue.boxes[label - 1]
    mask = tissue.lesions[box] == label
    flat = axial(mask, grid.spacing, grid.slice_axis)
    ends = grid.world(flat.ends + np.array([b.start for b in box]))
    areas = mask.sum(axis=tuple(a for a in range(3) if a != grid.slice_axis)).astype(np.float64)
    thick = grid.spacing[grid.slice_axis]
    return Extent(
        volume_corrected_ml=corrected_ml(areas * 1000.0 * grid.voxel_ml / thick, thick),
        recist_long_mm=flat.long_mm,
        recist_short_mm=flat.short_mm,
        recist_slice_index=flat.slice_index + box[grid.slice_axis].start + slice_start,
        recist_ends_mm=(_point(ends[0]), _point(ends[1]), _point(ends[2]), _point(ends[3])),
        feret_3d_mm=feret_3d(mask, grid.spacing),
    )


def lobe(segments: dict[int, float]) -> str:
    """``right`` (5-8), ``left`` (2-4), ``both``, ``caudate`` (1 alone) or ``unknown``."""
    if not segments:
        return "unknown"
    right = sum(segments.get(n, 0.0) for n in RIGHT)
    left = sum(segments.get(n, 0.0) for n in LEFT)
    if min(right, left) >= CROSSING:
        return "both"
    if max(right, left) < CROSSING:
        return "caudate"
    return "right" if right > left else "left"


def _centroids(tissue: Tissue, voxels: NDArray[np.intp]) -> FloatArray:
    index = np.unravel_index(tissue.at, tissue.lesions.shape)
    sums = [np.bincount(tissue.owner, weights=a, minlength=len(voxels) + 1)[1:] for a in index]
    return tissue.grid.world(np.stack(sums, axis=1) / voxels[:, None])


def _shares(tissue: Tissue, anatomy: Anatomy, voxels: NDArray[np.intp]) -> FloatArray:
    """Share of each lesion in each segment, (n, 9)."""
    segment = anatomy.segments.ravel()[tissue.at]
    pairs = np.bincount(tissue.owner * 9 + segment, minlength=(len(voxels) + 1) * 9)
    return np.asarray(pairs.reshape(-1, 9)[1:] / voxels[:, None])


def _means(tissue: Tissue, values: NDArray[np.generic], voxels: NDArray[np.intp]) -> FloatArray:
    inside = values.reshape(-1)[tissue.at] if values.flags.c_contiguous else values[tissue.lesions > 0]
    weights = inside.astype(np.float64)
    return np.asarray(np.bincount(tissue.owner, weights=weights, minlength=len(voxels) + 1)[1:] / voxels)


def _existence(
    tissue: Tissue,
    found: Segmentation,
    probability: NDArray[np.floating] | None,
    voxels: NDArray[np.intp],
) -> FloatArray:
    """Probability that each component is a lesion: logistic in its mean probability and size.

    Lesions that were told apart have that of their component, for which the model was calibrated.
    """
    if found.lesion_existence is None:
        return np.ones(len(voxels))
    mean = np.ones(len(voxels)) if probability is None else _means(tissue, probability, voxels)
    start, by_mean, by_size = found.lesion_existence
    whole = np.arange(len(voxels)) if not tissue.component else np.array(tissue.component) - 1
    size = np.bincount(whole, weights=voxels, minlength=len(voxels))[whole]
    mean = np.bincount(whole, weights=mean * voxels, minlength=len(voxels))[whole] / size
    score = start + by_mean * mean + by_size * np.log10(size * tissue.grid.voxel_ml)
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -50.0, 50.0))))


def _distances(tissue: Tissue, hilum_mm: Point | None) -> tuple[FloatArray, FloatArray | None]:
    """Smallest distance of each lesion's surface to the liver's surface and to the hilum, mm.

    Between voxel centres, less what half a voxel at either end takes up; 0 where they share a face
    or the hilum lies inside, since across thick slices less than a slice would be taken off.
    """
    count, spacing = len(tissue.boxes), np.array(tissue.grid.spacing)
    capsule = np.full(count + 1, np.inf)
    np.minimum.at(capsule, tissue.owner, tissue.depth_mm.ravel()[tissue.at].astype(np.float64))
    capsule[tissue.owner[beside(~tissue.liver).ravel()[tissue.at]]] = 0.0
    capsule = np.maximum(capsule[1:] - spacing.min(), 0.0)
    if hilum_mm is None:
        return capsule, None
    centre = tissue.grid.index(np.array(hilum_mm))
    index = np.unravel_index(tissue.at, tissue.lesions.shape)
    steps = np.stack(index, axis=1) - centre
    away = np.where((np.abs(steps) <= 0.5).all(1), 0.0, np.linalg.norm(steps * spacing, axis=1))
    hilum = np.full(count + 1, np.inf)
    np.minimum.at(hilum, tissue.owner, away)
    return capsule, np.maximum(hilum[1:] - spacing.min() / 2.0, 0.0)


def _at_edge(
    box: tuple[slice, slice, slice],
    shape: tuple[int, ...],
    edges: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> bool:
    return any(
        (first and b.start == 0) or (last and b.stop == n)
        for b, n, first, last in zip(box, shape, *edges, strict=True)
    )


def _point(p: FloatArray) -> Point:
    return float(p[0]), float(p[1]), float(p[2])
