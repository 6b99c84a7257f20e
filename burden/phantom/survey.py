"""Survey: the liver of one anatomy on a fine fixed lattice, for truth and for placing lesions.

It is independent of the image grid: volumes are summed over a 2.5 mm lattice with soft edges
(tested to 0.3 % against counting at 1.2 mm); depths are good to about half a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid
from burden.phantom.anatomy import Anatomy
from burden.phantom.liver import BOX, liver, segments
from burden.phantom.shapes import Points

RIGHT, LEFT = (5, 6, 7, 8), (2, 3, 4)
STEP = 2.5


@dataclass(frozen=True, eq=False)
class Survey:
    """The liver on a lattice.

    Parameters
    ----------
    grid
        The lattice in world mm.
    cover
        Share of each cell inside the liver, 0..1.
    segment
        Couinaud segment of each cell.
    depth
        Distance below the liver surface, mm; 0 outside.
    segment_ml
        Volume of each segment; four random points a cell decide what lies at a border.
    scale
        Size of the patient, see :class:`~burden.phantom.anatomy.Anatomy`.
    """

    grid: Grid
    cover: NDArray[np.float32]
    segment: NDArray[np.uint8]
    depth: NDArray[np.float32]
    segment_ml: Mapping[int, float]
    scale: tuple[float, float, float]

    def inside_lobe(self, lobe: tuple[int, ...]) -> NDArray[np.float32]:
        """Distance, mm, to the edge of the part of the liver made of these segments."""
        mask = (self.cover > 0.5) & np.isin(self.segment, lobe)
        return distance_inside(mask, self.grid)

    def depth_at(self, world: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth below the liver surface at points (n, 3)."""
        from scipy.ndimage import map_coordinates

        index = self.grid.index(world).T
        return np.asarray(map_coordinates(self.depth, index, order=1, mode="constant", cval=0.0))

    def segment_at(self, world: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Segment at points (n, 3), whether or not they are in the liver."""
        return segments(Points.scattered(world, self.scale)).ravel()


def distance_inside(mask: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Distance of each cell of ``mask`` to its edge, mm; 0 outside."""
    import edt

    found = edt.edt(np.asfortranarray(mask), anisotropy=grid.spacing, black_border=True, order="F")
    return np.asarray(np.maximum(found - min(grid.spacing) / 2, 0), dtype=np.float32)


def survey(anatomy: Anatomy) -> Survey:
    """Survey of an anatomy; what does not touch the liver is ignored, and results are kept."""
    return _survey(replace(anatomy, seed=0, fat_mm=9.0, spleen=1.0))


@lru_cache(maxsize=16)
def _survey(anatomy: Anatomy) -> Survey:
    grid = lattice(anatomy, STEP)
    points = Points.of(grid, anatomy.scale)
    cover = np.clip(0.5 - liver(points, anatomy) / STEP, 0, 1)
    depth = distance_inside(cover > 0.5, grid)
    return Survey(grid, cover, segments(points), depth, _segment_ml(grid, cover, anatomy), anatomy.scale)


def _segment_ml(grid: Grid, cover: NDArray[np.float32], anatomy: Anatomy) -> dict[int, float]:
    rng = np.random.default_rng(0)
    cells = np.argwhere(cover > 0)
    weights = cover[cover > 0]
    sums = np.zeros(9)
    for _ in range(4):
        spread = grid.world(cells + rng.random(cells.shape) - 0.5)
        sums += np.bincount(
            segments(Points.scattered(spread, anatomy.scale)).ravel(), weights=weights, minlength=9
        )
    return {n: float(sums[n]) / 4 * grid.voxel_ml for n in range(1, 9)}


def lattice(anatomy: Anatomy, step: float) -> Grid:
    """Lattice over the box that holds every liver of this size."""
    low, high = np.array(BOX) * anatomy.scale
    size = np.ceil((high - low) / step).astype(int)
    return Grid.from_axes((int(size[0]), int(size[1]), int(size[2])), (step,) * 3, low + step / 2)
