"""The image in which enhancement is judged: the arterial phase, laid on the masks.

It is the measured image itself where that is arterial, else a companion of the same frame of
reference. Between two phases the patient breathes: a companion is moved as a whole by the shift
that makes both images of the liver's surroundings tell most about one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from burden.findings import Finding
from burden.grid import Grid
from burden.image import Volume

ARTERIAL = "arterial"
POINTS = 20000
STEPS_MM = (8.0, 4.0, 2.0, 1.0)
AROUND_MM = 15.0
FAR_MM = 30.0
"""A shift beyond this is not breathing, and is not believed."""
WORTH = 1.02
"""Factor by which the images must tell more about one another for a shift to be used."""
_BINS = 32

FloatArray = NDArray[np.float64]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Phase:
    """An image, and how far (LPS mm) a point of the masks has to be moved to lie on it."""

    volume: Volume
    shift_mm: FloatArray
    own: bool

    def values(self, grid: Grid, box: Box) -> NDArray[np.float32]:
        """Image at the voxel centres of a box of ``grid``; nan outside the image."""
        index = np.stack(np.meshgrid(*(np.arange(b.start, b.stop) for b in box), indexing="ij"), -1)
        return self.at(grid.world(index.astype(np.float64)))

    def at(self, points_mm: FloatArray) -> NDArray[np.float32]:
        """Image at points of the masks (..., 3), LPS mm."""
        return _at(self.volume, points_mm + self.shift_mm)


def arterial_phase(
    volume: Volume, companions: tuple[Volume, ...], grid: Grid
) -> tuple[Phase | None, tuple[Finding, ...]]:
    """The arterial image to use, and what to know about it; None where there is none.

    Parameters
    ----------
    grid
        The box of the liver.
    """
    if volume.phase == ARTERIAL:
        return Phase(volume, np.zeros(3), own=True), ()
    able = [c for c in companions if c.phase == ARTERIAL and c.modality == volume.modality]
    if not able:
        return None, ()
    best = min(able, key=lambda c: c.grid.voxel_ml)
    shift = shift_mm(volume, best, grid)
    far = float(np.linalg.norm(shift))
    if far > FAR_MM:
        text = (
            f"The arterial image seems to lie {far:.0f} mm off, too far for breathing: it is not used."
        )
        return None, (Finding("phase-apart", "warning", text),)
    text = "Viable tumor is measured in the arterial image of the same study"
    text += (
        f", moved by {far:.0f} mm to lie on the liver." if far else "; it lies on the liver as it is."
    )
    return Phase(best, shift, own=False), (Finding("arterial-phase-used", "info", text),)


def shift_mm(volume: Volume, other: Volume, grid: Grid) -> FloatArray:
    """Shift (LPS mm) to add to points of ``volume`` so that they fall on the same tissue of ``other``.

    Mutual information over points in and around the liver's box, by descent along the axes.
    """
    rng = np.random.default_rng(0)
    margin = AROUND_MM / np.array(grid.spacing)
    points = grid.world(rng.uniform(-margin, np.array(grid.shape) - 1 + margin, (POINTS, 3)))
    here = _at(volume, points)
    start = best = _information(here, _at(other, points))
    shift = np.zeros(3)
    for step in STEPS_MM:
        moving = True
        while moving and np.linalg.norm(shift) <= FAR_MM:
            trials = [shift + step * sign * axis for axis in np.eye(3) for sign in (-1.0, 1.0)]
            scores = [_information(here, _at(other, points + t)) for t in trials]
            moving = max(scores) > best
            if moving:
                best, shift = max(scores), trials[int(np.argmax(scores))]
    return shift if best > WORTH * start else np.zeros(3)


def _at(volume: Volume, points: FloatArray) -> NDArray[np.float32]:
    index = np.moveaxis(volume.grid.index(points), -1, 0)
    found = map_coordinates(volume.data, index, np.float32, order=1, mode="constant", cval=np.nan)
    return np.asarray(found)


def _information(one: NDArray[np.float32], two: NDArray[np.float32]) -> float:
    """Mutual information of paired values, by their ranks' histogram."""
    both = np.isfinite(one) & np.isfinite(two)
    if np.count_nonzero(both) < len(one) // 4:
        return 0.0
    a, b = (_binned(x[both]) for x in (one, two))
    table = np.bincount(a * _BINS + b, minlength=_BINS**2).reshape(_BINS, _BINS) / len(a)
    alone = table.sum(1, keepdims=True) * table.sum(0, keepdims=True)
    seen = table > 0
    return float((table[seen] * np.log(table[seen] / alone[seen])).sum())


def _binned(values: NDArray[np.float32]) -> NDArray[np.intp]:
    low, high = np.quantile(values, (0.01, 0.99))
    part = (values - low) / max(float(high - low), 1e-6)
    return np.asarray(np.clip(part * _BINS, 0, _BINS - 1), dtype=np.intp)
