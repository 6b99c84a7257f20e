"""Masks under correction, and the patches by which they change.

Liver and lesions share one array: ``code = 2 * lesion + liver``. A lesion voxel is always liver, so
that no edit can leave tumor outside the organ it is counted against.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid

Code = NDArray[np.uint16]
Mask = NDArray[np.bool_]
Box = tuple[slice, slice, slice]
MAX_LABEL = 32_767


@dataclass(frozen=True, eq=False)
class Masks:
    """Liver and lesions on the grid of the image; never changed in place.

    Parameters
    ----------
    code
        ``[i, j, k]``; 0 outside the liver, 1 liver, ``2 n + 1`` lesion n.
    """

    code: Code
    grid: Grid

    @classmethod
    def of(cls, liver: NDArray[np.generic], lesions: NDArray[np.generic], grid: Grid) -> Masks:
        """Masks of a liver (any non-zero value) and lesions 1..n, which join the liver."""
        labels = np.asarray(lesions).astype(np.uint16)
        code = labels * np.uint16(2) + ((np.asarray(liver) > 0) | (labels > 0)).astype(np.uint16)
        return cls(code, grid)

    @property
    def labels(self) -> NDArray[np.uint16]:
        """Lesion of each voxel, 0 for none."""
        return np.asarray(self.code >> 1, dtype=np.uint16)

    @property
    def liver(self) -> Mask:
        """Liver with lesions."""
        return self.code > 0

    @cached_property
    def window(self) -> Box:
        """A box that holds the liver: the smallest one, or wider after edits at its edge."""
        return box_of(self.code > 0) or _whole(self.code.shape)

    @cached_property
    def voxels(self) -> NDArray[np.intp]:
        """Number of voxels of each code, by code; those outside the liver are not counted."""
        counts = _counts(self.code[self.window], 2)
        counts[0] = 0
        return counts

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the lesions there are."""
        return tuple(int(c) // 2 for c in np.flatnonzero(self.voxels[2:]) + 2)

    def ml(self, number: int) -> float:
        """Volume of a lesion, mL; 0 where there is none of this number."""
        code = 2 * number + 1
        return float(self.voxels[code]) * self.grid.voxel_ml if code < self.voxels.size else 0.0

    @property
    def liver_ml(self) -> float:
        """Volume of the liver with lesions, mL."""
        return float(self.voxels[1:].sum()) * self.grid.voxel_ml

    @property
    def tumor_ml(self) -> float:
        """Volume of all lesions, mL."""
        return float(self.voxels[2:].sum()) * self.grid.voxel_ml

    def box(self, number: int) -> Box | None:
        """Bounding box of a lesion, None where there is none of this number."""
        inner = box_of(self.code[self.window] == 2 * number + 1)
        if inner is None:
            return None
        a, b, c = (
            slice(w.start + s.start, w.start + s.stop) for w, s in zip(self.window, inner, strict=True)
        )
        return a, b, c


@dataclass(frozen=True)
class Patch:
    """What one edit changed: the codes of a box before and after, compressed.

    Steps of a session share nothing but these few kilobytes, so that undo has no end.
    """

    box: Box
    before: bytes
    after: bytes

    @classmethod
    def between(cls, masks: Masks, box: Box, new: Code) -> Patch | None:
        """Patch that puts ``new`` into ``box``, cut to what differs; None where nothing does."""
        old = masks.code[box]
        inner = box_of(old != new)
        if inner is None:
            return None
        a, b, c = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(box, inner, strict=True))
        return cls((a, b, c), _packed(old[inner]), _packed(new[inner]))

    def old(self) -> Code:
        """Codes before, in the box."""
        return self._unpacked(self.before)

    def new(self) -> Code:
        """Codes after, in the box."""
        return self._unpacked(self.after)

    def forward(self, masks: Masks) -> Masks:
        """The masks after this edit."""
        return self._put(masks, self.new())

    def backward(self, masks: Masks) -> Masks:
        """The masks before this edit."""
        return self._put(masks, self.old())

    def _put(self, masks: Masks, part: Code) -> Masks:
        code = masks.code.copy()
        old = masks.code[self.box]
        code[self.box] = part
        after = Masks(code, masks.grid)
        # What a look at the whole grid would find, from what changed alone.
        top = max(masks.voxels.size, int(part.max(initial=0)) + 1)
        voxels = np.zeros(top, np.intp)
        voxels[: masks.voxels.size] = masks.voxels
        voxels += _counts(part, top) - _counts(old, top)
        voxels[0] = 0
        after.__dict__["voxels"] = voxels
        after.__dict__["window"] = _around(masks.window, self.box)
        return after

    def _unpacked(self, packed: bytes) -> Code:
        shape = tuple(s.stop - s.start for s in self.box)
        return np.frombuffer(zlib.decompress(packed), np.uint16).reshape(shape)


def box_of(mask: Mask) -> Box | None:
    """Bounding box of a mask, None for an empty one."""
    spans = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not there.size:
            return None
        spans.append(slice(int(there[0]), int(there[-1]) + 1))
    return spans[0], spans[1], spans[2]


def wider(box: Box, by: tuple[int, int, int], shape: tuple[int, ...]) -> Box:
    """The box with a margin in voxels, inside the grid."""
    a, b, c = (
        slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(box, by, shape, strict=True)
    )
    return a, b, c


def runs(part: NDArray[np.unsignedinteger]) -> list[int]:
    """Run lengths of an array in C order: value, length, value, length ..."""
    flat = part.ravel()
    if not flat.size:
        return []
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    lengths = np.diff(np.append(starts, flat.size))
    pairs = np.empty(2 * starts.size, np.int64)
    pairs[0::2], pairs[1::2] = flat[starts], lengths
    return [int(x) for x in pairs]


def _counts(part: Code, top: int) -> NDArray[np.intp]:
    return np.asarray(np.bincount(part.ravel(), minlength=top))


def _around(one: Box, other: Box) -> Box:
    """The smallest box that holds two."""
    a, b, c = (
        slice(min(s.start, t.start), max(s.stop, t.stop)) for s, t in zip(one, other, strict=True)
    )
    return a, b, c


def _whole(shape: tuple[int, ...]) -> Box:
    return slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2])


def _packed(part: Code) -> bytes:
    return zlib.compress(np.ascontiguousarray(part).tobytes(), 1)
