"""Scene: what all measurements of one case share, so that nothing is computed twice.

Everything lies on the native grid, cut to the liver's bounding box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from burden.facts import Facts
from burden.grid import Grid
from burden.image import Segmentation, Volume
from burden.lesions import Lesion
from burden.measure.anatomy import Anatomy
from burden.measure.enhancement import Enhancement
from burden.measure.tissue import Tissue
from burden.measure.totals import Totals, of_all, of_found
from burden.measure.uncertainty import Spread

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scene:
    """One case, prepared.

    Parameters
    ----------
    volume, found, patient
        As given, uncut.
    tissue
        Liver and lesions in their bounding box, one voxel wider where the image allows.
    window
        That box as slices into the arrays of ``volume``.
    anatomy
        Couinaud segments of the box, where they come from and how sure they are.
    rows
        The lesion table.
    spread
        Draws; None where the masks are taken at their word.
    complete
        Whether the whole liver is in the image.
    enhancement
        How the lesions take up contrast, or why that is not known.
    """

    volume: Volume
    found: Segmentation
    patient: Facts
    tissue: Tissue
    window: tuple[slice, slice, slice]
    anatomy: Anatomy
    rows: tuple[Lesion, ...]
    spread: Spread | None
    complete: bool
    enhancement: Enhancement

    @property
    def grid(self) -> Grid:
        """Grid of the box."""
        return self.tissue.grid

    @property
    def liver(self) -> Mask:
        """Liver with lesions, in the box."""
        return self.tissue.liver

    @property
    def lesions(self) -> NDArray[np.int32]:
        """Lesions 1..n, in the box."""
        return self.tissue.lesions

    @cached_property
    def totals(self) -> Totals | None:
        """Draws of what is said of all lesions together; None without draws."""
        if self.spread is None:
            return None
        if not self.found.total_errors or not self.rows:
            return of_found(self.spread)
        burden = 100.0 * np.count_nonzero(self.lesions) / np.count_nonzero(self.liver)
        longest = max(row.recist_long_mm for row in self.rows)
        found = (burden, float(len(self.rows)), longest)
        return of_all(self.spread, found, self.found.total_errors)

    @cached_property
    def segment_ml(self) -> FloatArray:
        """Volume by Couinaud segment, shape (9,), 0 for liver without a segment, mL."""
        counts = np.bincount(self.anatomy.segments[self.liver], minlength=9)
        return np.asarray(counts * self.grid.voxel_ml)

    @cached_property
    def segment_tumor_ml(self) -> FloatArray:
        """Lesion volume by Couinaud segment, shape (9,), mL."""
        counts = np.bincount(self.anatomy.segments[self.lesions > 0], minlength=9)
        return np.asarray(counts * self.grid.voxel_ml)

    @property
    def source(self) -> str:
        """Whose masks, for the source of a fact."""
        return self.found.source

    def structure(self, name: str) -> Mask | None:
        """Mask of another organ or vessel inside the box, or None."""
        if self.found.structures is None:
            return None
        mask = self.found.structures.named(name)
        return None if mask is None else mask[self.window]


def image_of(scene: Scene) -> NDArray[np.generic]:
    """The image inside the box."""
    return scene.volume.data[scene.window]
