"""Which slices a reader should see: those of the largest lesions, spread over the liver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.case import Images
from burden.grid import Grid, reorder
from burden.lesions import Lesion

AXIAL_PICTURES = 4
_APART_MM = 9.0  # closer than this two slices tell the reader the same


@dataclass(frozen=True, eq=False)
class View:
    """The images in L, P, S order: the same arrays for each of the 48 ways to store them."""

    data: NDArray[np.generic]
    liver: NDArray[np.bool_]
    lesions: NDArray[np.unsignedinteger]
    grid: Grid
    modality: str


def lps_view(images: Images) -> View:
    """The images with axes in the order Left, Posterior, Superior (no resampling)."""
    grid = images.volume.grid
    order, flip = grid.to_lps_order()
    return View(
        data=reorder(images.volume.data, order, flip),
        liver=np.asarray(reorder(images.liver.data, order, flip)).astype(bool),
        lesions=reorder(images.lesions.data, order, flip),  # type: ignore[arg-type]
        grid=grid.reorder(order, flip),
        modality=images.volume.modality,
    )


def key_slices(view: View, lesions: Sequence[Lesion]) -> list[int]:
    """Axial slice indices, head first.

    The RECIST slice of each lesion, largest first, unless one close by is already shown;
    a liver with few lesions is filled up with slices spread over its height.
    """
    apart = max(1, round(_APART_MM / view.grid.spacing[2]))
    found = np.flatnonzero(view.liver.any(axis=(0, 1)))
    if not len(found):
        return [view.grid.shape[2] // 2]
    wanted = [_slice_of(view, lesion) for lesion in sorted(lesions, key=lambda one: -one.volume_ml)]
    spread = [int(found[round(q * (len(found) - 1))]) for q in (0.5, 0.75, 0.25)]
    chosen: list[int] = []
    for index in wanted:
        if len(chosen) < AXIAL_PICTURES and all(abs(index - k) >= apart for k in chosen):
            chosen.append(index)
    for index in spread:
        if len(chosen) < AXIAL_PICTURES - 1 and all(abs(index - k) >= 2 * apart for k in chosen):
            chosen.append(index)
    return sorted(chosen, reverse=True)


def coronal_slice(view: View) -> int:
    """Coronal slice with most lesion, or most liver where there is no lesion."""
    mask = view.lesions > 0 if view.lesions.any() else view.liver
    return int(mask.sum(axis=(0, 2)).argmax()) if mask.any() else view.grid.shape[1] // 2


def _slice_of(view: View, lesion: Lesion) -> int:
    middle = np.mean(lesion.recist_ends_mm, axis=0)
    return int(np.clip(round(float(view.grid.index(middle)[2])), 0, view.grid.shape[2] - 1))
