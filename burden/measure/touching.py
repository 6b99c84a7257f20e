"""Touching lesions told apart where a neck joins them.

Each component is flooded from the deepest places of its distance map. Two floods that meet in a
neck clearly narrower than either body stay apart; all others are joined again, so that an
oval or bumpy lesion remains one. The split is undone by taking connected components again.
"""

from __future__ import annotations

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, maximum_filter
from skimage.segmentation import watershed

NECK = 0.75
"""Half width of a neck, as a share of the thinner body's, from which two bodies are one."""
LEAST_MM = 2.0
"""A body less deep than this is never split off."""

Mask = NDArray[np.bool_]
LabelArray = NDArray[np.int32]


def split_touching(labels: LabelArray, spacing: tuple[float, float, float]) -> LabelArray:
    """Labels 1..n in which joined bodies have labels of their own; 0 stays 0.

    Parameters
    ----------
    labels
        Components; each is looked at alone.
    spacing
        mm.
    """
    out, top = np.zeros_like(labels), 0
    for label, box in enumerate(find_objects(labels), 1):
        if box is None:
            continue
        mask = labels[box] == label
        parts = bodies(mask, spacing)
        out[box][mask] = parts[mask] + top
        top += int(parts.max())
    return out


def bodies(mask: Mask, spacing: tuple[float, float, float]) -> LabelArray:
    """Bodies 1..n of one component."""
    deep = edt.edt(np.pad(mask, 1), anisotropy=spacing)[1:-1, 1:-1, 1:-1]
    window = [2 * max(1, round(LEAST_MM / s)) + 1 for s in spacing]
    peaks = mask & (deep >= LEAST_MM) & (deep == maximum_filter(deep, size=window))
    if np.count_nonzero(peaks) < 2:
        return mask.astype(np.int32)
    markers = np.zeros(mask.shape, np.int32)
    markers[peaks] = np.arange(1, np.count_nonzero(peaks) + 1)
    floods = np.asarray(watershed(-deep, markers, mask=mask), dtype=np.int32)
    return _joined(floods, deep)


def _joined(floods: LabelArray, deep: NDArray[np.float32]) -> LabelArray:
    """Join floods over every wide border, the widest first."""
    count = int(floods.max())
    peak = np.zeros(count + 1)
    np.maximum.at(peak, floods.ravel(), deep.ravel())
    saddle = _saddles(floods, deep, count)
    owner = np.arange(count + 1)
    while True:
        ratio = saddle / np.maximum(np.minimum(peak[:, None], peak[None]), 1e-9)
        a, b = np.unravel_index(int(ratio.argmax()), ratio.shape)
        if ratio[a, b] < NECK:
            break
        owner[owner == b] = a
        peak[a] = max(peak[a], peak[b])
        saddle[a] = np.maximum(saddle[a], saddle[b])
        saddle[:, a] = saddle[a]
        saddle[b], saddle[:, b], saddle[a, a] = 0.0, 0.0, 0.0
    owner[0] = 0
    _, new = np.unique(owner, return_inverse=True)
    return np.asarray(new[floods], dtype=np.int32)


def _saddles(floods: LabelArray, deep: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Depth of the deepest place on the border of every two floods, symmetric, mm."""
    table = np.zeros((count + 1, count + 1))
    for axis in range(3):
        f, d = np.moveaxis(floods, axis, 0), np.moveaxis(deep, axis, 0)
        meet = (f[1:] != f[:-1]) & (f[1:] > 0) & (f[:-1] > 0)
        one, two = f[1:][meet], f[:-1][meet]
        depth = np.minimum(d[1:], d[:-1])[meet]
        np.maximum.at(table, (one, two), depth)
        np.maximum.at(table, (two, one), depth)
    return table
