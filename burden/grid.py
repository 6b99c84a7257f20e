"""Grid: where voxels are. The only module in which RAS meets LPS.

Inside the program every coordinate is DICOM's patient system, LPS in mm: x grows
to the patient's Left, y to the Posterior, z to the Superior (head). NIfTI and MONAI
speak RAS; they meet LPS only in :meth:`Grid.from_ras` and :attr:`Grid.ras`.

Arrays are indexed ``[i, j, k]`` in the order of the affine's columns. SimpleITK's
numpy arrays are ``[k, j, i]``: transpose them at the edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burden.errors import GeometryError

FloatArray = NDArray[np.float64]

_RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_POSITIVE, _NEGATIVE = "LPS", "RAI"  # letter an axis points to, by world axis and sign
_THICK = 1.5  # an axis this much coarser than the others shows how slices were acquired


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of voxels in patient space.

    Parameters
    ----------
    shape
        Number of voxels along each array axis.
    affine
        4 x 4, from voxel index (centres) to LPS mm.

    Raises
    ------
    GeometryError
        If the affine is not finite, is singular, or shears by more than 0.1 %.
    """

    shape: tuple[int, int, int]
    affine: FloatArray

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        if affine.shape != (4, 4) or not np.isfinite(affine).all():
            raise GeometryError("the image has no usable position in space (affine not finite).")
        if len(shape) != 3 or min(shape) < 1:
            raise GeometryError(f"a volume needs three axes with at least one voxel, not {shape}.")
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if lengths.min() <= 1e-6:
            raise GeometryError("the image has an axis of zero spacing.")
        cosines = affine[:3, :3] / lengths
        if np.abs(cosines.T @ cosines - np.eye(3)).max() > 1e-3:
            raise GeometryError("the image axes are not at right angles (gantry tilt or shear).")
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)
        object.__setattr__(self, "shape", shape)

    # --- construction -------------------------------------------------------------------

    @classmethod
    def from_ras(cls, shape: tuple[int, ...], affine: ArrayLike) -> Grid:
        """Grid from a NIfTI or MONAI affine (index to RAS mm)."""
        return cls((shape[0], shape[1], shape[2]), _RAS_LPS @ np.asarray(affine, dtype=np.float64))

    @classmethod
    def from_axes(
        cls, shape: tuple[int, ...], spacing: ArrayLike, origin: ArrayLike, axes: ArrayLike = _IDENTITY
    ) -> Grid:
        """Grid from spacing (mm), centre of voxel 0 (LPS mm) and unit axes as columns."""
        affine = np.eye(4)
        affine[:3, :3] = np.asarray(axes, dtype=np.float64) * np.asarray(spacing, dtype=np.float64)
        affine[:3, 3] = np.asarray(origin, dtype=np.float64)
        return cls((shape[0], shape[1], shape[2]), affine)

    # --- what it is ----------------------------------------------------------------------

    @property
    def ras(self) -> FloatArray:
        """4 x 4 affine from index to RAS mm, for NIfTI and MONAI."""
        return np.asarray(_RAS_LPS @ self.affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along each array axis, mm."""
        a, b, c = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(a), float(b), float(c)

    @property
    def axes(self) -> FloatArray:
        """3 x 3, unit direction of each array axis as a column (LPS)."""
        return np.asarray(self.affine[:3, :3] / np.array(self.spacing))

    @property
    def origin(self) -> FloatArray:
        """Centre of voxel (0, 0, 0), LPS mm."""
        return self.affine[:3, 3].copy()

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel, mL."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def world_axes(self) -> tuple[int, int, int]:
        """For each array axis the world axis (0 L, 1 P, 2 S) it follows most closely.

        One-to-one even for oblique grids: the pairing with the largest sum of cosines.
        """
        cosines = np.abs(self.axes)
        best = max(permutations(range(3)), key=lambda p: sum(cosines[p[a], a] for a in range(3)))
        return best[0], best[1], best[2]

    @property
    def codes(self) -> str:
        """Three letters: where each array axis points, e.g. ``LPS`` or ``RAI``."""
        axes = self.axes
        return "".join(
            _POSITIVE[w] if axes[w, a] > 0 else _NEGATIVE[w] for a, w in enumerate(self.world_axes)
        )

    def axis_of(self, world: int) -> int:
        """Array axis that follows world axis ``world`` (0 L, 1 P, 2 S) most closely."""
        return self.world_axes.index(world)

    @property
    def slice_axis(self) -> int:
        """Array axis across the acquired slices.

        The coarsest axis where one is at least 1.5 times coarser than both others (so a
        coronal MR keeps its own plane), else the axis nearest head-foot.
        """
        order = np.argsort(self.spacing)
        if self.spacing[order[2]] >= _THICK * self.spacing[order[1]]:
            return int(order[2])
        return self.axis_of(2)

    # --- going between index and world ------------------------------------------------------

    def world(self, index: ArrayLike) -> FloatArray:
        """Voxel indices ``(..., 3)`` to LPS mm ``(..., 3)``."""
        return np.asarray(index, dtype=np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3]

    def index(self, world: ArrayLike) -> FloatArray:
        """LPS mm ``(..., 3)`` to fractional voxel indices ``(..., 3)``."""
        inverse = np.linalg.inv(self.affine[:3, :3])
        return (np.asarray(world, dtype=np.float64) - self.affine[:3, 3]) @ inverse.T

    def same_as(self, other: Grid, tolerance_mm: float = 0.01) -> bool:
        """Whether both grids have the same voxels (corners within ``tolerance_mm``)."""
        if self.shape != other.shape:
            return False
        corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        corners = corners * (np.array(self.shape) - 1)
        return bool(np.abs(self.world(corners) - other.world(corners)).max() <= tolerance_mm)

    # --- the same voxels in another order ----------------------------------------------------

    def to_lps_order(self) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
        """``(order, flip)`` that bring an array on this grid nearest to L, P, S axes.

        Apply with :meth:`reorder` to the grid and :func:`reorder` to arrays.
        """
        order = (self.axis_of(0), self.axis_of(1), self.axis_of(2))
        axes = self.axes
        flip = tuple(bool(axes[w, a] < 0) for w, a in enumerate(order))
        return order, (flip[0], flip[1], flip[2])

    def reorder(self, order: tuple[int, int, int], flip: tuple[bool, bool, bool]) -> Grid:
        """Grid of the same voxels after transposing by ``order``, then flipping ``flip``."""
        columns = self.affine[:3, list(order)].copy()
        shape = tuple(self.shape[a] for a in order)
        origin = self.origin
        for axis in range(3):
            if flip[axis]:
                origin = origin + columns[:, axis] * (shape[axis] - 1)
                columns[:, axis] *= -1
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = columns, origin
        return Grid((shape[0], shape[1], shape[2]), affine)

    def crop(self, start: ArrayLike, stop: ArrayLike) -> Grid:
        """Grid of ``array[start:stop]`` (three indices each)."""
        first, last = np.asarray(start, dtype=int), np.asarray(stop, dtype=int)
        affine = self.affine.copy()
        affine[:3, 3] = self.world(first)
        size = last - first
        return Grid((int(size[0]), int(size[1]), int(size[2])), affine)


def reorder(
    array: NDArray[np.generic], order: tuple[int, int, int], flip: tuple[bool, bool, bool]
) -> NDArray[np.generic]:
    """View of ``array`` transposed by ``order``, then flipped (see :meth:`Grid.to_lps_order`)."""
    steps = tuple(slice(None, None, -1) if f else slice(None) for f in flip)
    return array.transpose(order)[steps]
