"""Distance of every lesion to the vena cava and to the nearest vessel, where they were segmented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from burden.image import Labels
from burden.measure.anatomy import beside, edge
from burden.measure.tissue import Tissue

CAVA = "inferior_vena_cava"
VESSELS = ("portal_vein", "hepatic_veins", CAVA)

FloatArray = NDArray[np.float64]


def vessel_distances(tissue: Tissue, structures: Labels | None) -> tuple[FloatArray, FloatArray]:
    """Smallest distance of each lesion's surface to the vena cava and to any vessel, mm, (n,) each.

    Infinite where the structure was not segmented. Between voxel centres, less what half a voxel at
    either end takes up; 0 where any voxel of the lesion is vessel or shares a face with one.

    Parameters
    ----------
    structures
        On the grid of the whole image: a vessel may be nearest outside the box of the liver.
    """
    none = np.full(len(tissue.boxes), np.inf)
    masks = {} if structures is None else {n: structures.named(n) for n in VESSELS}
    if structures is None or not any(m is not None and m.any() for m in masks.values()):
        return none, none
    points, owner = _surfaces(tissue)
    found = {
        name: np.where(_met(tissue, structures, mask), 0.0, _nearest(points, owner, structures, mask))
        for name, mask in masks.items()
        if mask is not None and mask.any()
    }
    return found.get(CAVA, none), np.min(list(found.values()), axis=0)


def known_vessels(structures: Labels | None) -> tuple[str, ...]:
    """Vessels that were segmented, by name."""
    if structures is None:
        return ()
    masks = {n: structures.named(n) for n in VESSELS}
    return tuple(n for n, m in masks.items() if m is not None and m.any())


def _surfaces(tissue: Tissue) -> tuple[FloatArray, NDArray[np.intp]]:
    """Surface voxels of all lesions, LPS mm, and the lesion (0..n-1) of each."""
    points, owner = [], []
    for k, box in enumerate(tissue.boxes):
        at = np.argwhere(edge(tissue.lesions[box] == k + 1)) + [b.start for b in box]
        points.append(tissue.grid.world(at))
        owner.append(np.full(len(at), k, np.intp))
    if not points:
        return np.zeros((0, 3)), np.zeros(0, np.intp)
    return np.concatenate(points), np.concatenate(owner)


def _met(tissue: Tissue, structures: Labels, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which lesions hold some of a vessel or share a face with it, (n,).

    All their voxels are asked: the surface of neither says that one lies within the other.
    """
    first = np.rint(structures.grid.index(tissue.grid.world(np.zeros(3)))).astype(np.intp)
    box = tuple(slice(f, f + n) for f, n in zip(first.tolist(), tissue.grid.shape, strict=True))
    voxels = tissue.owner[beside(mask[box]).ravel()[tissue.at]]
    return np.asarray(np.bincount(voxels, minlength=len(tissue.boxes) + 1)[1:] > 0)


def _nearest(
    points: FloatArray,
    owner: NDArray[np.intp],
    structures: Labels,
    mask: NDArray[np.bool_],
) -> FloatArray:
    """Distance of each lesion's surface to the surface of a vessel, mm."""
    grid = structures.grid
    spans = [np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    first = [int(s[0]) for s in spans]
    cut = mask[tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)]
    tree = cKDTree(grid.world(np.argwhere(edge(cut)) + first))
    away, _ = tree.query(points, workers=2)
    found = np.full(int(owner.max(initial=-1)) + 1, np.inf)
    np.minimum.at(found, owner, away)
    return np.maximum(found - min(grid.spacing), 0.0)
