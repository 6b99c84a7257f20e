"""Which voxels are lesion: by their probability, by what they are connected to, and as a whole.

A voxel deep in a metastasis of 10 cm looks to a network like one of fatty liver: its probability
stays below a half although the lesion around it is certain. Small lesions gain nothing by a lower
limit, they only grow rims; so it holds only for what is connected to a large one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from burden.segment.trust import likely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from burden.findings import Finding
    from burden.segment.bundle import Calibration

LARGE_ML = 20.0
"""Lesions from this volume on (a ball of 34 mm) have outskirts."""


def outline(
    allowed: NDArray[np.bool_],
    lesion: NDArray[np.float32],
    whole: NDArray[np.float32],
    fitted: Calibration,
    voxel_ml: float,
) -> tuple[NDArray[np.bool_], NDArray[np.float32], tuple[Finding, ...]]:
    """Lesions of a model's probabilities.

    Parameters
    ----------
    allowed : bool (i, j, k)
        The liver, without what is likelier something else.
    lesion, whole : float (i, j, k)
        Probability of lesion; of lesion or liver.
    fitted
        Limits and the chance of a component to be a lesion.
    voxel_ml : float
        Volume of a voxel.

    Returns
    -------
    lesions, probability, findings
        What is lesion, the probability of each voxel as part of its lesion, and a note of what was
        left out.
    """
    found = allowed & (lesion > fitted.lesion_share * whole)
    kept, left_out = likely(found, lesion, fitted, voxel_ml)
    possible = allowed & ~found & (lesion > fitted.outer_share * whole)
    return *with_outskirts(kept, possible, lesion, voxel_ml), left_out


def with_outskirts(
    lesions: NDArray[np.bool_],
    possible: NDArray[np.bool_],
    probability: NDArray[np.float32],
    voxel_ml: float,
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Add to large lesions the possible voxels connected to them, face to face.

    Parameters
    ----------
    lesions : bool (i, j, k)
        What is lesion without this.
    possible : bool (i, j, k)
        What may be lesion if it is part of one.
    probability : float (i, j, k)
        Probability of each voxel to be lesion.
    voxel_ml : float
        Volume of a voxel.

    Returns
    -------
    lesions, probability
        With the outskirts; there the probability is at least the mean of the lesion they belong to,
        as they are lesion if it is.
    """
    import cc3d

    labels = cc3d.connected_components(lesions, connectivity=26)
    large = np.bincount(labels.ravel()) * voxel_ml >= LARGE_ML
    large[0] = False
    if not large.any():
        return lesions, probability
    core = large[labels]
    reach = cc3d.connected_components(core | (possible & ~lesions), connectivity=6)
    size = np.bincount(reach[core], minlength=int(reach.max()) + 1)
    mean = np.bincount(reach[core], weights=probability[core], minlength=len(size)) / np.maximum(1, size)
    size[0] = 0
    added = (size > 0)[reach] & ~core
    raised = np.where(added, np.maximum(probability, mean[reach]), probability)
    return lesions | added, raised.astype(np.float32)
