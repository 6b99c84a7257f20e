"""Which lesion of the follow-up is which lesion of the base study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid
from burden.image import Labels
from burden.lesions import Lesion

OVERLAP = 0.25
"""Common volume, as a share of the smaller lesion, from which two lesions are one."""
SLACK_MM = 8.0
"""Centres no farther apart than this, or than half the sum of both diameters, may be one lesion; never
by more than this and the radius of the smaller one, or a large lesion would take in every new one
at its rim."""

FloatArray = NDArray[np.float64]
Link = tuple[int, int]


@dataclass(frozen=True)
class Match:
    """Lesions of both studies that belong together.

    Parameters
    ----------
    kind
        ``same``, ``merged``, ``split``, ``regrouped`` (several on both sides), ``gone``, ``new``,
        ``outside`` where the follow-up image does not reach, or ``unseen`` where it could not have
        shown the lesion.
    base, follow
        Lesion ids.
    """

    kind: str
    base: tuple[int, ...]
    follow: tuple[int, ...]

    @property
    def hidden(self) -> bool:
        """Whether the follow-up does not say what became of the lesion."""
        return self.kind in ("outside", "unseen")


def match(
    base: Sequence[Lesion],
    follow: Sequence[Lesion],
    base_labels: Labels,
    follow_labels: Labels,
    to_base: FloatArray,
) -> tuple[Match, ...]:
    """Match by overlap after alignment, then what is left one to one by distance."""
    back = np.asarray(np.linalg.inv(to_base), dtype=np.float64)
    sizes = (max((r.id for r in base), default=0), max((r.id for r in follow), default=0))
    there = _common(follow_labels, base_labels, to_base, (sizes[1], sizes[0])).T
    here = _common(base_labels, follow_labels, back, sizes)
    links = _overlapping(base, follow, np.maximum(there, here))
    links |= _near(base, follow, links, to_base)
    groups = _groups([r.id for r in base], [r.id for r in follow], links)
    seen = {r.id for r in base if _inside(r, follow_labels.grid, back)}
    return tuple(Match(_kind(b, f, seen), b, f) for b, f in groups)


def _overlapping(base: Sequence[Lesion], follow: Sequence[Lesion], common: FloatArray) -> set[Link]:
    return {
        (b.id, f.id)
        for b in base
        for f in follow
        if common[b.id, f.id] >= OVERLAP * min(b.volume_ml, f.volume_ml)
    }


def _common(one: Labels, two: Labels, matrix: FloatArray, sizes: tuple[int, int]) -> FloatArray:
    """Volume of lesion a of ``one`` inside lesion b of ``two``, mL; row and column 0 are empty."""
    at = np.argwhere(one.data > 0)
    own = one.data[one.data > 0].astype(np.intp)
    table = np.zeros((sizes[0] + 1, sizes[1] + 1))
    points = one.grid.world(at) @ matrix[:3, :3].T + matrix[:3, 3]
    index = np.rint(two.grid.index(points)).astype(np.intp)
    valid = ((index >= 0) & (index < np.array(two.grid.shape))).all(1)
    other = two.data[tuple(index[valid].T)].astype(np.intp)
    np.add.at(table, (own[valid], other), one.grid.voxel_ml)
    table[0], table[:, 0] = 0.0, 0.0
    return table


def _near(
    base: Sequence[Lesion], follow: Sequence[Lesion], links: set[Link], to_base: FloatArray
) -> set[Link]:
    """Pairs of still unmatched lesions, nearest first."""
    lone_b = [r for r in base if r.id not in {b for b, _ in links}]
    lone_f = [r for r in follow if r.id not in {f for _, f in links}]
    pairs = []
    for f in lone_f:
        at = to_base[:3, :3] @ np.array(f.centroid_mm) + to_base[:3, 3]
        for b in lone_b:
            gap = float(np.linalg.norm(at - np.array(b.centroid_mm)))
            small, large = sorted(0.5 * r.equivalent_diameter_mm for r in (b, f))
            if gap <= min(max(SLACK_MM, small + large), SLACK_MM + small):
                pairs.append((gap, b.id, f.id))
    found: set[Link] = set()
    for _, b_id, f_id in sorted(pairs):
        if b_id not in {b for b, _ in found} and f_id not in {f for _, f in found}:
            found.add((b_id, f_id))
    return found


def _groups(
    base: list[int], follow: list[int], links: set[Link]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Connected parts of the graph of links, by the ids on either side."""
    found = []
    left_b, left_f = set(base), set(follow)
    for start in base:
        if start not in left_b:
            continue
        group_b, group_f = {start}, set[int]()
        while True:
            more_f = {f for b, f in links if b in group_b} - group_f
            more_b = {b for b, f in links if f in group_f | more_f} - group_b
            if not more_f and not more_b:
                break
            group_f |= more_f
            group_b |= more_b
        left_b -= group_b
        left_f -= group_f
        found.append((tuple(sorted(group_b)), tuple(sorted(group_f))))
    return found + [((), (f,)) for f in sorted(left_f)]


def _kind(base: tuple[int, ...], follow: tuple[int, ...], seen: set[int]) -> str:
    if not base:
        return "new"
    if not follow:
        return "gone" if seen.issuperset(base) else "outside"
    if len(base) == 1:
        return "same" if len(follow) == 1 else "split"
    return "merged" if len(follow) == 1 else "regrouped"


def _inside(lesion: Lesion, grid: Grid, to_follow: FloatArray) -> bool:
    """Whether the place of a base lesion is in the follow-up image."""
    place = to_follow[:3, :3] @ np.array(lesion.centroid_mm) + to_follow[:3, 3]
    index = grid.index(place)
    return bool((index >= -0.5).all() and (index <= np.array(grid.shape) - 0.5).all())
