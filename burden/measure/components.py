"""Which voxels are which lesion: 26-connected components or the labels given, largest first."""

from __future__ import annotations

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects

from burden.findings import Finding
from burden.measure.touching import split_touching

MIN_ML = 0.03
"""Smallest component of a model's output that counts as a lesion (a 3.9 mm sphere), mL."""
MIN_VOXELS = 3
"""And the smallest in voxels. Masks given by people are kept whole."""

Mask = NDArray[np.bool_]
LabelArray = NDArray[np.int32]
Box = tuple[slice, slice, slice]

_NEIGHBOURS = np.ones((3, 3, 3), bool)


@dataclass(frozen=True, eq=False)
class Components:
    """Lesions told apart.

    Parameters
    ----------
    labels
        1..n, largest volume first; 0 elsewhere.
    boxes
        Bounding box of each, in order.
    component
        For each lesion, the largest lesion of the connected body that it is part of.
    liver
        The liver with every lesion that touches it.
    findings
        What was left out.
    """

    labels: LabelArray
    boxes: tuple[Box, ...]
    component: tuple[int, ...]
    liver: Mask
    findings: tuple[Finding, ...]


def separate(
    lesions: NDArray[np.generic],
    liver: Mask,
    *,
    given: bool,
    keep_all: bool,
    voxel_ml: float,
    world: NDArray[np.float64],
    split: bool = False,
) -> Components:
    """Tell lesions apart, join them to the liver, and number them by volume.

    A lesion that shares a face, edge or corner with the liver, or overlaps it, is liver tissue and
    is added to the liver mask (burden counts lesions as liver, LiTS). One that touches the liver
    nowhere is not a liver lesion: it is left out, with a finding.

    Parameters
    ----------
    lesions
        Any integers; 0 is none.
    given
        The values of ``lesions`` already tell lesions apart; one value stays one lesion even
        where it has several pieces.
    keep_all
        Keep every component whatever its size (masks given by people).
    world
        4 x 4 affine: spacing, and ties of volume broken in a way no axis order can change.
    split
        Tell bodies apart that only a neck joins (see :mod:`burden.measure.touching`); labels that
        are given already are never split.
    """
    if given:
        labels = np.asarray(lesions).astype(np.int32)
    else:
        labels = np.asarray(cc3d.connected_components(lesions != 0, connectivity=26)).astype(np.int32)
    bodies = labels
    if split and not given:
        a, b, c = np.linalg.norm(world[:3, :3], axis=0).tolist()
        labels = split_touching(labels, (a, b, c))
    count = int(labels.max(initial=0))
    if count == 0:
        return Components(labels, (), (), liver, ())
    at = np.flatnonzero(labels)
    value = labels.ravel()[at]
    body = np.zeros(count + 1, np.intp)
    body[value] = bodies.ravel()[at]
    voxels = np.bincount(value, minlength=count + 1)
    floor = 1 if keep_all else max(MIN_VOXELS, int(np.ceil(MIN_ML / voxel_ml)))
    specks = (voxels > 0) & (voxels < floor)
    inside = np.bincount(value, weights=liver.ravel()[at], minlength=count + 1) > 0
    outside = (voxels >= floor) & ~inside
    if outside.any():
        near = binary_dilation(liver, _NEIGHBOURS)
        outside &= np.bincount(value, weights=near.ravel()[at], minlength=count + 1) == 0
    kept = (voxels >= floor) & ~outside
    order = _by_volume(at, value, voxels, kept, labels.shape, world)
    new = np.zeros(count + 1, np.int32)
    new[order] = np.arange(1, order.size + 1)
    labels = new[labels]
    _, first, which = np.unique(body[order], return_index=True, return_inverse=True)
    component = tuple((first[which] + 1).tolist())
    return Components(
        labels=labels,
        boxes=tuple(b for b in find_objects(labels) if b is not None),
        component=component,
        liver=liver | (labels > 0),
        findings=(*_left_out(voxels, specks, outside, voxel_ml), *_told_apart(component)),
    )


def _by_volume(
    at: NDArray[np.intp],
    value: LabelArray,
    voxels: NDArray[np.intp],
    kept: Mask,
    shape: tuple[int, ...],
    world: NDArray[np.float64],
) -> NDArray[np.intp]:
    """Old labels to keep, largest first; equal volumes by their place in the patient."""
    size = np.maximum(voxels, 1)
    index = np.unravel_index(at, shape)
    mean = np.stack([np.bincount(value, weights=a, minlength=voxels.size) / size for a in index])
    place = np.round(world[:3, :3] @ mean + world[:3, 3:], 3)
    order = np.lexsort((place[0], place[1], -place[2], -voxels))
    return np.asarray(order[kept[order]])


def _told_apart(component: tuple[int, ...]) -> list[Finding]:
    count, bodies = len(component), len(set(component))
    if count == bodies:
        return []
    return [
        Finding(
            "touching-lesions-split",
            "info",
            f"Touching lesions were told apart at their necks: {count} lesions in {bodies} connected "
            "bodies. Lesions of one body have the same number under `component`; --no-split counts "
            "bodies.",
        )
    ]


def _left_out(voxels: NDArray[np.intp], specks: Mask, outside: Mask, voxel_ml: float) -> list[Finding]:
    found = []
    if specks.any():
        ml = float(voxels[specks].sum()) * voxel_ml
        found.append(
            Finding(
                "specks-left-out",
                "info",
                f"{int(specks.sum())} spots smaller than {MIN_ML} mL or {MIN_VOXELS} voxels "
                f"({ml:.2f} mL together) are not counted as lesions.",
            )
        )
    if outside.any():
        ml = float(voxels[outside].sum()) * voxel_ml
        found.append(
            Finding(
                "lesion-outside-liver",
                "warning",
                f"{int(outside.sum())} marked lesions ({ml:.1f} mL) touch the liver nowhere and are "
                "not counted.",
            )
        )
    return found
