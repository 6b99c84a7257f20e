"""How the page counts voxels: nearest to L, P, S axes, whatever the order of the array.

In these indices an axial slice has the patient's right on the left and the front at the top,
as radiologists look at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid, reorder
from burden.review.masks import Box, Masks, runs

_POINTS = ("at", "start", "end")
_LISTS = ("stroke", "seeds")
_AXES = ("flat", "across")


class View:
    """Between the array of the image and the page."""

    def __init__(self, grid: Grid) -> None:
        self._shape = grid.shape
        self._order, self._flip = grid.to_lps_order()
        self.grid = grid.reorder(self._order, self._flip)
        self.slice_axis = self._order.index(grid.slice_axis)

    def turned(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """The array in the page's order."""
        return reorder(array, self._order, self._flip)

    def box(self, box: Box) -> Box:
        """A box of the array in the page's order."""
        spans = []
        for axis, flip in zip(self._order, self._flip, strict=True):
            s, n = box[axis], self._shape[axis]
            spans.append(slice(n - s.stop, n - s.start) if flip else slice(s.start, s.stop))
        return spans[0], spans[1], spans[2]

    def asked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the page asks, its points and axes brought to the array; the rest as it is.

        Anything that is no point stays as it is, to be refused where it is used.
        """
        out = dict(given)
        for key in _POINTS:
            if key in out:
                out[key] = self._point(out[key])
        for key in _LISTS:
            if isinstance(out.get(key), list):
                out[key] = [self._point(p) for p in out[key]]
        for key in _AXES:
            if out.get(key) in (0, 1, 2):
                out[key] = self._order[out[key]]
        return out

    def _point(self, point: Any) -> Any:
        if not isinstance(point, list) or len(point) != 3:
            return point
        if not all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in point):
            return point
        out = [0.0, 0.0, 0.0]
        for x, axis, flip in zip(point, self._order, self._flip, strict=True):
            out[axis] = self._shape[axis] - 1 - float(x) if flip else float(x)
        return out

    def place(self, world: tuple[float, float, float]) -> list[int]:
        """Voxel of a point (LPS mm) in the page's order, inside the image."""
        index = np.rint(self.grid.index(np.array(world))).astype(int)
        return [int(i) for i in np.clip(index, 0, np.array(self.grid.shape) - 1)]

    def part(self, masks: Masks, box: Box) -> dict[str, Any]:
        """Codes of a box of the array as the page takes them: start, size and run lengths."""
        return self.packed(masks.code[box], box)

    def packed(self, part: NDArray[np.unsignedinteger], box: Box) -> dict[str, Any]:
        """Any labels of a box of the array, likewise."""
        turned = self.box(box)
        return {
            "start": [s.start for s in turned],
            "size": [s.stop - s.start for s in turned],
            "runs": runs(np.ascontiguousarray(self.turned(part).transpose(2, 1, 0))),  # x fastest
        }
