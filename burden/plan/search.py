"""Every plan: each removable union, with the residual lesions ablated or wedged, largest first.

A plan takes out a union of segments, then treats lesions that stay: up to ``ablations`` of those
that qualify for ablation and up to ``wedges`` of those that qualify for a wedge, always the
largest remaining ones first, every number of them from none upwards. All such plans are
evaluated; none is sampled. Where the distance of some lesions to the hilum is not known there are plans
that treat them, and plans that do without: the largest of the others take their place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from burden.plan.anatomy import Segments, unions
from burden.plan.table import FloatArray, Table

WHOLE = 0.9
"""A lesion with this share in the removed segments goes whole: the line is led around it."""
SUPERFICIAL_MM = 5.0
"""Nearer to the capsule than this a lesion is wedged and not ablated (D3: S1, subcapsular)."""
NEAR_HILUM_MM = 10.0
"""Nearer to the hilum than this a lesion is neither ablated nor wedged (D3: S1)."""
MARGIN_MM = 5.0
"""Liver lost around every ablated or wedged lesion; an operating figure, no source prints one."""


@dataclass(frozen=True)
class Options:
    """Limits of a plan.

    Parameters
    ----------
    min_flr
        Remnant that has to stay, % of (total liver - tumor) (S1: 30 %).
    max_ablation_mm, ablations
        Longest diameter of a lesion to ablate, and how many (D2: S4 three or fewer, 3 cm).
    max_wedge_mm, wedges
        The same for wedges of superficial lesions; operating figures.
    """

    min_flr: float = 30.0
    max_ablation_mm: float = 30.0
    ablations: int = 3
    max_wedge_mm: float = 30.0
    wedges: int = 5


@dataclass(frozen=True, eq=False)
class Search:
    """All plans, p of them, in columns.

    Parameters
    ----------
    union
        Index into ``unions()``, shape (p,).
    ablated, wedged
        How many lesions are ablated and wedged, shape (p,).
    debulked
        Tumor volume removed or ablated, %.
    residual
        Lesions of which something stays.
    flr_ml
        Functioning liver that stays, less the margins around treated lesions.
    extent
        Segments removed + lesions wedged + lesions ablated.
    sure
        Whether every lesion treated is known to be away from the hilum.
    """

    union: NDArray[np.intp]
    ablated: NDArray[np.intp]
    wedged: NDArray[np.intp]
    debulked: FloatArray
    residual: NDArray[np.intp]
    flr_ml: FloatArray
    margin_ml: FloatArray
    extent: NDArray[np.intp]
    sure: NDArray[np.bool_]


def search(table: Table, options: Options) -> Search:
    """Evaluate every plan."""
    rows = np.array([row for k, u in enumerate(unions()) for row in _of_union(table, options, k, u)])
    whole = rows[:, [0, 1, 2, 4, 7]].astype(np.intp)
    return Search(
        union=whole[:, 0],
        ablated=whole[:, 1],
        wedged=whole[:, 2],
        debulked=rows[:, 3],
        residual=whole[:, 3],
        flr_ml=rows[:, 5],
        margin_ml=rows[:, 6],
        extent=whole[:, 4],
        sure=rows[:, 8] > 0,
    )


def _of_union(table: Table, options: Options, index: int, removed: Segments) -> Iterator[list[float]]:
    stays = remaining(table, removed)
    left_ml = table.lesion_ml * stays
    flr = float(table.functioning_ml[staying(removed)].sum())
    margins = margin_ml(table) * stays
    total = table.lesion_ml.sum()
    seen: set[tuple[int, ...]] = set()
    for sure, (ablate, wedge) in _choices(table, options, removed):
        for a, w in product(range(len(ablate) + 1), range(len(wedge) + 1)):
            treated = [*ablate[:a], *wedge[:w]]
            if tuple(treated) in seen:
                continue
            seen.add(tuple(treated))
            lost = float(margins[treated].sum())
            cleared = 100.0 * (1.0 - (left_ml.sum() - left_ml[treated].sum()) / total)
            residual = int(np.count_nonzero(left_ml)) - a - w
            extent = len(removed) + a + w
            yield [
                index,
                a,
                w,
                min(max(cleared, 0.0), 100.0),
                residual,
                max(flr - lost, 0.0),
                lost,
                extent,
                sure,
            ]


def _choices(
    table: Table, options: Options, removed: Segments
) -> Iterator[tuple[bool, tuple[list[int], list[int]]]]:
    """Lesions to choose from: those known to be treatable, then with those that perhaps are."""
    yield True, treatable(table, options, removed, sure=True)
    if np.isnan(table.hilum_mm).any():
        yield False, treatable(table, options, removed, sure=False)


def remaining(table: Table, removed: Segments) -> FloatArray:
    """Share of each lesion that stays when segments are removed, shape (m,)."""
    gone = table.share[:, sorted(removed)].sum(1)
    return np.where(gone >= WHOLE, 0.0, np.clip(1.0 - gone, 0.0, 1.0))


def staying(removed: Segments) -> list[int]:
    """Segments that stay."""
    return [n for n in range(1, 9) if n not in removed]


def treatable(
    table: Table, options: Options, removed: Segments, *, sure: bool
) -> tuple[list[int], list[int]]:
    """Rows of the lesions to ablate and to wedge after a removal, largest remainder first.

    A lesion is one or the other by its depth; a lesion cut by the removal counts with its whole
    diameter. One whose distance to the hilum is not known is among them unless ``sure``.
    """
    left_ml = table.lesion_ml * remaining(table, removed)
    order = np.lexsort((np.arange(left_ml.size), -left_ml))
    order = order[left_ml[order] > 0]
    free = table.hilum_mm >= NEAR_HILUM_MM
    if not sure:
        free |= np.isnan(table.hilum_mm)
    shallow = table.capsule_mm < SUPERFICIAL_MM
    ablate = free & ~shallow & (table.long_mm <= options.max_ablation_mm)
    wedge = free & shallow & (table.long_mm <= options.max_wedge_mm)
    return (
        [int(i) for i in order if ablate[i]][: options.ablations],
        [int(i) for i in order if wedge[i]][: options.wedges],
    )


def margin_ml(table: Table) -> FloatArray:
    """Liver lost with a margin around each lesion, taken for a sphere, mL."""
    diameter = np.cbrt(6000.0 * table.lesion_ml / np.pi)
    return np.asarray(np.pi / 6000.0 * ((diameter + 2 * MARGIN_MM) ** 3 - diameter**3))
