"""Distance of every lesion to the vena cava and to the nearest vessel, where they were segmented."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from burden.image import Labels
from burden.measure.anatomy import edge
from burden.measure.tissue import Tissue

CAVA = "inferior_vena_cava"
VESSELS = ("portal_vein", "hepatic_veins", CAVA)

FloatArray = NDArray[np.float64]


def vessel_distances(tissue: Tissue, structures: Labels | None) -> tuple[FloatArray, FloatArray]:
    """Smallest distance of each lesion's surface to the vena cava and to any vessel, mm, (n,) each.

    Infinite where the structure was not segmented. Between voxel centres, less what half a voxel at
    either end takes up.

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
        name: _nearest(points, owner, structures, mask, len(none))
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


def _nearest(
    points: FloatArray,
    owner: NDArray[np.intp],
    structures: Labels,
    mask: NDArray[np.bool_],
    count: int,
) -> FloatArray:
    grid = structures.grid
    spans = [np.flatnonzero(mask.any(tuple(a for a in range(3) if a != axis))) for axis in range(3)]
    first = [int(s[0]) for s in spans]
    cut = mask[tuple(slice(int(s[0]), int(s[-1]) + 1) for s in spans)]
    # Inside a vessel the distance is 0: its surface alone would not say so.
    tree = cKDTree(grid.world(np.argwhere(edge(cut)) + first))
    away, _ = tree.query(points, workers=2)
    index = np.rint(grid.index(points)).astype(np.intp)
    valid = ((index >= 0) & (index < grid.shape)).all(1)
    away[valid] = np.where(mask[tuple(index[valid].T)], 0.0, away[valid])
    found = np.full(count, np.inf)
    np.minimum.at(found, owner, away)
    return np.maximum(found - min(grid.spacing), 0.0)
