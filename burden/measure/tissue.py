"""Tissue: liver and lesions of one case in the liver's bounding box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import edt
import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid

Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Tissue:
    """Liver and lesions on the native grid, cut to the liver.

    Parameters
    ----------
    liver
        Lesions included.
    lesions
        1..n, largest volume first.
    boxes
        Bounding box of each lesion.
    component
        For each lesion, the largest lesion of the connected body that it is part of; empty where
        each is its own.
    """

    grid: Grid
    liver: Mask
    lesions: NDArray[np.int32]
    boxes: tuple[Box, ...]
    component: tuple[int, ...] = ()

    @cached_property
    def depth_mm(self) -> NDArray[np.float32]:
        """Distance of each liver voxel's centre to the nearest one outside the liver.

        The edge of the image is not a surface of the liver.
        """
        padded = np.pad(self.liver, 1, mode="edge")
        depth = edt.edt(padded, anisotropy=self.grid.spacing, parallel=2)
        return np.asarray(depth[1:-1, 1:-1, 1:-1])

    @cached_property
    def at(self) -> NDArray[np.intp]:
        """Flat indices of all lesion voxels."""
        return np.flatnonzero(self.lesions)

    @cached_property
    def owner(self) -> NDArray[np.int32]:
        """Lesion of each voxel of ``at``."""
        return np.asarray(self.lesions.ravel()[self.at])
