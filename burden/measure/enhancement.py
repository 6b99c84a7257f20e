"""Viable tumor and how lesions take up contrast, where the phase is known to show it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from burden.facts import Fact, Interval
from burden.image import Volume
from burden.measure.fact import unknown
from burden.measure.scene import Scene
from burden.measure.tissue import Tissue

CONTRAST = ("arterial", "portal")
ENHANCING_HU = 40.0
ENHANCING_RANGE_HU = (30.0, 50.0)
"""Dead tissue and fluid stay below this in a contrast phase; the range says how sure that is."""
SMOOTH_MM = 1.5
DIFFERENCE_HU = 10.0


def viable(scene: Scene) -> Iterator[Fact]:
    """Volume of lesion tissue that takes up contrast (CT, arterial or portal phase).

    Tissue above 40 HU after smoothing by 1.5 mm; the interval runs from 50 HU to 30 HU.
    """
    volume, spacing = scene.volume, np.array(scene.grid.spacing)
    if volume.modality != "CT" or volume.phase not in CONTRAST:
        yield unknown("tumor.viable_volume", "mL", "needs CT in a known arterial or portal phase")
        return
    image, seen = (
        volume.data[scene.window],
        dict.fromkeys((ENHANCING_HU, *ENHANCING_RANGE_HU), 0.0),
    )
    for k, box in enumerate(scene.tissue.boxes):
        mine = scene.lesions[box] == k + 1
        soft = gaussian_filter(image[box].astype(np.float32), SMOOTH_MM / spacing)[mine]
        for limit in seen:
            seen[limit] += float(np.count_nonzero(soft >= limit)) * scene.grid.voxel_ml
    low, high = seen[ENHANCING_RANGE_HU[1]], seen[ENHANCING_RANGE_HU[0]]
    note = f"lesion tissue above {ENHANCING_HU:.0f} HU in the {volume.phase} phase"
    source = f"measured: {scene.source}"
    best = seen[ENHANCING_HU]
    yield Fact("tumor.viable_volume", Interval(low, high), "mL", source, None, best, note=note)


def patterns(
    volume: Volume, image: NDArray[np.generic], tissue: Tissue, means: NDArray[np.float64]
) -> list[str]:
    """``hyper``, ``hypo`` or ``iso`` to the liver around, for CT in a known contrast phase."""
    plain = tissue.liver & (tissue.lesions == 0)
    if volume.modality != "CT" or volume.phase not in CONTRAST or not plain.any():
        return [""] * len(means)
    liver = float(np.median(image[plain][::7]))
    names = np.select(
        [means > liver + DIFFERENCE_HU, means < liver - DIFFERENCE_HU], ["hyper", "hypo"], "iso"
    )
    return [str(n) for n in names]
