"""RECIST 1.1 on the liver alone, and change by volume."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from burden.compare.match import Match
from burden.lesions import Lesion

TARGETS = 2
"""RECIST 1.1: targets of one organ at most."""
MEASURABLE_MM = 10.0
THIN_MM = 5.0
"""Slices thicker than this ask for targets of twice their thickness."""
PARTIAL = -30.0
PROGRESSION = 20.0
PROGRESSION_MM = 5.0
SURE_NEW_MM = 5.0
"""New spots shorter than this, or more likely none than one, are equivocal."""
VOLUME_LIMITS = (-65.7, 72.8)
"""Change of a sphere's volume, %, where its diameter changes by -30 % and +20 %."""

Lesions = Sequence[Lesion]


@dataclass(frozen=True)
class Response:
    """Response of the liver.

    Parameters
    ----------
    overall, target, non_target
        ``CR``, ``PR``, ``SD``, ``PD``, ``non-CR/non-PD``, ``NE`` (cannot be told) or ``none`` (nothing
        of the kind at base).
    targets
        Ids in the base study.
    base_mm, follow_mm
        Sums of diameters; the latter is nan where a target lies outside the follow-up image.
    new, equivocal
        Ids in the follow-up.
    """

    overall: str
    target: str
    non_target: str
    targets: tuple[int, ...]
    base_mm: float
    follow_mm: float
    new: tuple[int, ...]
    equivocal: tuple[int, ...]

    @property
    def change_percent(self) -> float | None:
        """Change of the sum of diameters, or None where it cannot be told."""
        if not self.targets or np.isnan(self.follow_mm):
            return None
        return 100.0 * (self.follow_mm / self.base_mm - 1.0)


def choose_targets(base: Lesions, slice_mm: float) -> tuple[Lesion, ...]:
    """The longest measurable lesions, two at most, none cut by the edge of the image."""
    least = 2.0 * slice_mm if slice_mm > THIN_MM else MEASURABLE_MM
    able = [r for r in base if r.recist_long_mm >= least and not r.touches_edge]
    return tuple(sorted(able, key=lambda r: (-r.recist_long_mm, r.id))[:TARGETS])


def respond(
    base: Lesions,
    follow: Lesions,
    matches: Iterable[Match],
    *,
    slice_mm: float,
    nadir_mm: float | None = None,
    comparable: bool = True,
) -> Response:
    """RECIST 1.1 between two studies of the liver.

    Parameters
    ----------
    nadir_mm
        Smallest sum of these targets so far, where studies lie between; progression is counted
        from it.
    comparable
        False where the base study could have missed lesions that the follow-up shows (another
        modality, no contrast): new lesions are then equivocal.
    """
    groups = list(matches)
    after = {r.id: r for r in follow}
    targets = choose_targets(base, slice_mm)
    ids = {r.id for r in targets}
    sums = sum(r.recist_long_mm for r in targets), _sum_after(ids, groups, after)
    new = [after[m.follow[0]] for m in groups if m.kind == "new"]
    sure = {r.id for r in new if comparable and r.recist_long_mm >= SURE_NEW_MM and r.p_lesion >= 0.5}
    rest = [m for m in groups if m.base and not ids.issuperset(m.base)]
    target = _of_targets(sums[0], sums[1], nadir_mm) if targets else "none"
    non_target = _of_rest(rest)
    return Response(
        overall=_overall(target, non_target, bool(sure)),
        target=target,
        non_target=non_target,
        targets=tuple(r.id for r in targets),
        base_mm=sums[0],
        follow_mm=sums[1],
        new=tuple(sorted(sure)),
        equivocal=tuple(sorted(r.id for r in new if r.id not in sure)),
    )


def respond_viable(
    base: Lesions,
    follow: Lesions,
    matches: Iterable[Match],
    *,
    slice_mm: float,
    nadir_mm: float | None = None,
    comparable: bool = True,
) -> Response | str:
    """mRECIST: the same with the longest viable diameters, or why it cannot be told.

    Targets are the longest viable lesions of 10 mm and more.
    """
    groups = list(matches)
    if any(r.viable_long_mm is None for r in (*base, *follow)):
        return "needs the viable diameter of every lesion in both studies (CT, arterial phase)"
    one, two = (
        [replace(r, recist_long_mm=float(r.viable_long_mm or 0.0)) for r in rows]
        for rows in (base, follow)
    )
    return respond(one, two, groups, slice_mm=slice_mm, nadir_mm=nadir_mm, comparable=comparable)


def _sum_after(targets: set[int], groups: list[Match], after: dict[int, Lesion]) -> float:
    """Sum of the targets' diameters: parts of a split one add up, a merged one counts once."""
    total = 0.0
    for m in groups:
        if targets.isdisjoint(m.base):
            continue
        if m.kind == "outside":
            return float("nan")
        total += sum(after[f].recist_long_mm for f in m.follow)
    return total


def _of_targets(base_mm: float, follow_mm: float, nadir_mm: float | None) -> str:
    if np.isnan(follow_mm):
        return "NE"
    if follow_mm == 0.0:
        return "CR"
    least = base_mm if nadir_mm is None else min(base_mm, nadir_mm)
    grown = follow_mm - least
    if grown >= PROGRESSION_MM - 1e-9 and grown >= PROGRESSION / 100.0 * least - 1e-9:
        return "PD"
    return "PR" if follow_mm <= (1.0 + PARTIAL / 100.0) * base_mm + 1e-9 else "SD"


def _of_rest(rest: list[Match]) -> str:
    if not rest:
        return "none"
    if any(m.kind == "outside" for m in rest):
        return "NE"
    return "CR" if all(m.kind == "gone" for m in rest) else "non-CR/non-PD"


def _overall(target: str, non_target: str, new: bool) -> str:
    """RECIST 1.1, the tables of time point response with and without targets."""
    if new or target == "PD":
        return "PD"
    if target == "none":
        return non_target
    if target == "CR" and non_target not in ("none", "CR"):
        return "PR"
    return target


def by_volume(change_percent: float) -> str:
    """Response by total tumor volume, at the limits of RECIST carried over to spheres."""
    if change_percent <= -100.0:
        return "CR"
    low, high = VOLUME_LIMITS
    return "PR" if change_percent <= low else "PD" if change_percent >= high else "SD"
