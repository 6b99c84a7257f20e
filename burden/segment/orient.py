"""Bring a volume into the axis order and voxel size that a foreign model was trained on, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid, reorder
from burden.image import Volume
from burden.segment.sampling import from_upright

AIR = {"CT": -1024.0, "MR": 0.0}
"""Values beyond the edge of the image."""
_LETTERS = {
    "L": (0, True),
    "R": (0, False),
    "P": (1, True),
    "A": (1, False),
    "S": (2, True),
    "I": (2, False),
}


@dataclass(frozen=True)
class Orientation:
    """How the axes of a native array become those of a model.

    Parameters
    ----------
    order, flip
        For `burden.grid.reorder`.
    """

    order: tuple[int, int, int]
    flip: tuple[bool, bool, bool]

    def there(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Native to model order."""
        return np.ascontiguousarray(reorder(array, self.order, self.flip))

    def back(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Model to native order."""
        a, b, c = (self.order.index(axis) for axis in range(3))
        return np.ascontiguousarray(
            reorder(array, (a, b, c), (self.flip[a], self.flip[b], self.flip[c]))
        )


def is_orientation(codes: str) -> bool:
    """Whether the letters say where three axes point to, e.g. ``RAS``."""
    return len(codes) == 3 and {_LETTERS.get(c, (-1,))[0] for c in codes} == {0, 1, 2}


def orientation(grid: Grid, codes: str) -> Orientation:
    """The way from a grid to axes that point to ``codes``, e.g. ``RAS``, as nearly as they can."""
    order = tuple(grid.axis_of(_LETTERS[c][0]) for c in codes)
    flip = tuple(
        bool((grid.axes[_LETTERS[c][0], axis] > 0) != _LETTERS[c][1])
        for c, axis in zip(codes, order, strict=True)
    )
    return Orientation((order[0], order[1], order[2]), (flip[0], flip[1], flip[2]))


def model_grid(grid: Grid, codes: str, spacing_mm: tuple[float, float, float] | None) -> Grid:
    """Grid with the axes and the extent of ``grid``, in another order and voxel size."""
    turn = orientation(grid, codes)
    turned = grid.reorder(turn.order, turn.flip)
    if spacing_mm is None:
        return turned
    old, new = np.array(turned.spacing), np.array(spacing_mm, dtype=float)
    shape = np.maximum(1, np.ceil(np.array(turned.shape) * old / new - 1e-3)).astype(int)
    first = turned.origin + turned.axes @ ((new - old) / 2)
    return Grid.from_axes((shape[0], shape[1], shape[2]), new, first, turned.axes)


def resampled(volume: Volume, grid: Grid) -> NDArray[np.float32]:
    """Image on another grid, linear, without smoothing; air beyond its edge."""
    air = np.float32(AIR[volume.modality])
    values = np.nan_to_num(np.asarray(volume.data, dtype=np.float32)) - air
    return from_upright(values, volume.grid, grid) + air
