"""Which lesions were found: components of one mask matched with those of the other.

The rule treats both masks alike, so that swapping them swaps recall and precision. Each component is
linked with the one of the other mask that it shares most voxels with. A reference lesion is found
where it and all parts linked with it overlap enough, or where the part it is linked with overlaps
enough with all lesions linked with that one: parts of one lesion count together, and so do lesions
that one part covers. Overlap is intersection over union; 0 asks for one shared voxel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from burden.evaluate.overlap import Mask, around

BANDS_MM = (10.0, 20.0, 50.0)
"""Limits between the size bands."""


@dataclass(frozen=True)
class Component:
    """One lesion of either mask.

    Parameters
    ----------
    side
        ``reference`` or ``predicted``.
    diameter_mm
        Of the sphere of the same volume.
    overlap
        Best intersection over union that counts for it; 0 where nothing of the other mask is in it.
    """

    side: str
    volume_ml: float
    diameter_mm: float
    overlap: float

    def matched(self, least: float) -> bool:
        """Whether it is found (reference) or true (predicted) at this overlap."""
        return self.overlap > 0.0 if least <= 0.0 else self.overlap >= least


def match(predicted: Mask, reference: Mask, voxel_ml: float) -> tuple[Component, ...]:
    """All components of both masks, each with the overlap that counts for it.

    Components are 26-connected, as in the rest of the program. The order is the reference's, then
    the prediction's, by volume.
    """
    import cc3d

    either = predicted | reference
    if not either.any():
        return ()
    window = around(either)
    theirs = cc3d.connected_components(np.ascontiguousarray(reference[window]), connectivity=26)
    ours = cc3d.connected_components(np.ascontiguousarray(predicted[window]), connectivity=26)
    shared = _shared(np.asarray(theirs), np.asarray(ours))
    sizes = [np.bincount(np.asarray(labels).ravel())[1:] for labels in (theirs, ours)]
    found, true = _best(shared, sizes[0], sizes[1])
    rows = []
    for side, counts, best in (("reference", sizes[0], found), ("predicted", sizes[1], true)):
        for n in np.argsort(-counts, kind="stable"):
            ml = float(counts[n]) * voxel_ml
            rows.append(Component(side, ml, (6000.0 * ml / np.pi) ** (1 / 3), float(best[n])))
    return tuple(rows)


def _shared(theirs: NDArray[np.integer], ours: NDArray[np.integer]) -> NDArray[np.int64]:
    """Voxels shared by each pair of components, (reference, predicted)."""
    rows, columns = int(theirs.max()), int(ours.max())
    both = (theirs > 0) & (ours > 0)
    pairs = (theirs[both].astype(np.int64) - 1) * columns + ours[both] - 1
    return np.bincount(pairs, minlength=rows * columns).reshape(rows, columns)


def _best(
    shared: NDArray[np.int64], theirs: NDArray[np.intp], ours: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Overlap that counts for each reference and each predicted component."""
    if not shared.size:
        return np.zeros(len(theirs)), np.zeros(len(ours))
    to_ours, to_theirs = shared.argmax(axis=1), shared.argmax(axis=0)
    parts = _groups(shared, theirs, ours, to_theirs)
    covers = _groups(shared.T, ours, theirs, to_ours)
    linked, hit = shared.max(axis=1) > 0, shared.max(axis=0) > 0
    found = np.where(linked, np.maximum(parts, covers[to_ours]), 0.0)
    true = np.where(hit, np.maximum(covers, parts[to_theirs]), 0.0)
    return found, true


def _groups(
    shared: NDArray[np.int64],
    these: NDArray[np.intp],
    others: NDArray[np.intp],
    link: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Intersection over union of each of ``these`` with all ``others`` linked with it."""
    inside, outside = np.zeros(len(these)), np.zeros(len(these))
    for other, this in enumerate(link):
        if shared[this, other]:
            inside[this] += shared[this, other]
            outside[this] += others[other] - shared[this, other]
    return np.asarray(inside / (these + outside))


def bands() -> tuple[tuple[str, float, float], ...]:
    """Name and limits (from, below) of each size band, mm."""
    edges = (0.0, *BANDS_MM, np.inf)
    names = [f"< {edges[1]:g} mm"]
    names += [f"{a:g}-{b:g} mm" for a, b in pairwise(BANDS_MM)]
    names.append(f">= {edges[-2]:g} mm")
    return tuple((name, a, b) for name, (a, b) in zip(names, pairwise(edges), strict=True))


def rates(components: Sequence[Component], least: float) -> dict[str, float | int | None]:
    """Recall, precision and F1 at one overlap; None where there is nothing to divide by.

    F1 is 0 where one side has lesions and the other none, and None where neither has any.
    """
    reference = [c for c in components if c.side == "reference"]
    predicted = [c for c in components if c.side == "predicted"]
    found = sum(c.matched(least) for c in reference)
    true = sum(c.matched(least) for c in predicted)
    recall = found / len(reference) if reference else None
    precision = true / len(predicted) if predicted else None
    f1 = None
    if recall or precision:
        f1 = 2 * (recall or 0.0) * (precision or 0.0) / ((recall or 0.0) + (precision or 0.0))
    elif reference or predicted:
        f1 = 0.0
    return {
        "reference": len(reference),
        "found": found,
        "predicted": len(predicted),
        "false": len(predicted) - true,
        "recall": recall,
        "precision": precision,
        "f1": f1,
    }
