"""RECIST 1.1 on the liver alone, and change by volume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
WHOLE_RISE = 20.0
"""Growth of non-targets is progression where the volume of all lesions rises by this, %, with it."""

Lesions = Sequence[Lesion]
ById = Mapping[int, Lesion]
Pair = tuple[float, float]


@dataclass(frozen=True)
class Response:
    """Response of the liver.

    Parameters
    ----------
    overall, target, non_target
        ``CR``, ``PR``, ``SD``, ``PD``, ``non-CR/non-PD``, ``NE`` (cannot be told) or ``none`` (nothing
        of the kind at base); ``possible PD`` of non-targets where a reader must judge.
    targets
        Ids in the base study.
    base_mm, follow_mm
        Sums of diameters; nan where they cannot be told: a target lies outside the follow-up image,
        is cut by its edge or merged with a lesion that is none, or the lesions are not known.
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
    cleared: bool = False,
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
    cleared
        Whether a study between them showed a complete response: what is back has progressed.
    """
    groups = list(matches)
    before, after = {r.id: r for r in base}, {r.id: r for r in follow}
    targets = choose_targets(base, slice_mm)
    ids = {r.id for r in targets}
    base_mm = sum(r.recist_long_mm for r in targets)
    seen_mm, whole = _sum_after(ids, groups, before, after)
    new = [after[m.follow[0]] for m in groups if m.kind == "new"]
    sure = {r.id for r in new if comparable and r.recist_long_mm >= SURE_NEW_MM and r.p_lesion >= 0.5}
    rest = [m for m in groups if m.base and not ids.issuperset(m.base)]
    target = _of_targets(base_mm, seen_mm, whole, 0.0 if cleared else nadir_mm) if targets else "none"
    non_target = _of_rest(rest, cleared)
    if non_target not in ("none", "PD"):
        own = [m for m in rest if ids.isdisjoint(m.base)]
        non_target = _worsening(own, groups, before, after) or non_target
    return Response(
        overall=_overall(target, non_target, bool(sure)),
        target=target,
        non_target=non_target,
        targets=tuple(r.id for r in targets),
        base_mm=base_mm,
        follow_mm=seen_mm if whole else float("nan"),
        new=tuple(sorted(sure)),
        equivocal=tuple(sorted(r.id for r in new if r.id not in sure)),
    )


def not_told(base: Lesions | None, slice_mm: float) -> Response:
    """Response where the lesions of the follow-up, or of the base study (None), are not known."""
    targets = choose_targets(base or (), slice_mm)
    sum_mm = float("nan") if base is None else sum(r.recist_long_mm for r in targets)
    ids = tuple(r.id for r in targets)
    return Response("NE", "NE", "NE", ids, sum_mm, float("nan"), (), ())


def respond_viable(
    base: Lesions,
    follow: Lesions,
    matches: Iterable[Match],
    *,
    slice_mm: float,
    nadir_mm: float | None = None,
    comparable: bool = True,
    cleared: bool = False,
) -> Response | str:
    """mRECIST: the same with the longest viable diameters, or why it cannot be told.

    Targets are the longest viable lesions of 10 mm and more. What is left of a lesion without viable
    tissue is gone, and what had none in either study does not count.
    """
    if any(r.viable_long_mm is None for r in (*base, *follow)):
        return "needs the viable diameter of every lesion in both studies (CT, arterial phase)"
    one, two = (
        [replace(r, recist_long_mm=float(r.viable_long_mm or 0.0)) for r in rows]
        for rows in (base, follow)
    )
    return respond(
        one,
        two,
        _living(one, two, matches),
        slice_mm=slice_mm,
        nadir_mm=nadir_mm,
        comparable=comparable,
        cleared=cleared,
    )


def _living(base: Lesions, follow: Lesions, matches: Iterable[Match]) -> Iterator[Match]:
    """Matches with necrotic lesions taken as gone; new ones stay as they are."""
    # A lesion cut by the edge may live beyond it.
    dead = {r.id for r in follow if r.recist_long_mm == 0.0 and not r.touches_edge}
    alive = {r.id for r in base if r.recist_long_mm > 0.0}
    for m in matches:
        left = tuple(f for f in m.follow if f not in dead)
        if not m.base or left == m.follow != ():
            yield m
        elif left:
            yield replace(m, follow=left)
        elif not alive.isdisjoint(m.base):
            yield m if m.hidden else replace(m, kind="gone", follow=())


def _sum_after(targets: set[int], groups: list[Match], before: ById, after: ById) -> tuple[float, bool]:
    """Sum of the targets' diameters as far as it is sure, mm, and whether that is all of it.

    Parts of a split one add up, a merged one counts once. Of a lesion that took in non-targets no
    more is sure than what exceeds their length at base.
    """
    total, whole = 0.0, True
    for m in groups:
        if targets.isdisjoint(m.base):
            continue
        now = [after[f] for f in m.follow]
        taken_in = sum(before[b].recist_long_mm for b in m.base if b not in targets)
        total += max(0.0, sum(r.recist_long_mm for r in now) - taken_in)
        if m.hidden or taken_in > 0.0 or any(r.touches_edge for r in now):
            whole = False
    return total, whole


def _of_targets(base_mm: float, seen_mm: float, whole: bool, nadir_mm: float | None) -> str:
    least = base_mm if nadir_mm is None else min(base_mm, nadir_mm)
    # Progression that what was seen suffices for is one, whatever was not (RECIST 1.1, 4.4.2).
    if _progressed(least, seen_mm) or (least == 0.0 and seen_mm > 0.0):
        return "PD"
    if not whole:
        return "NE"
    if seen_mm == 0.0:
        return "CR"
    return "PR" if seen_mm <= (1.0 + PARTIAL / 100.0) * base_mm + 1e-9 else "SD"


def _progressed(least_mm: float, now_mm: float) -> bool:
    grown = now_mm - least_mm
    return grown >= PROGRESSION_MM - 1e-9 and grown >= PROGRESSION / 100.0 * least_mm - 1e-9


def _of_rest(rest: list[Match], cleared: bool) -> str:
    if not rest:
        return "none"
    if cleared and any(m.follow for m in rest):
        return "PD"
    if any(m.hidden for m in rest):
        return "NE"
    return "CR" if all(m.kind == "gone" for m in rest) else "non-CR/non-PD"


def _worsening(rest: list[Match], every: list[Match], before: ById, after: ById) -> str:
    """``PD`` or ``possible PD`` where non-targets have grown, else nothing.

    RECIST 1.1, 4.3.4 asks for a substantial worsening of the whole: here 5 mm in their sum of
    diameters and +73 % of their volume, while all lesions together rise by ``WHOLE_RISE``. The same
    without that rise, or +20 % of the sum while all together rise at all, is for a reader to judge.
    """
    own_mm, own_ml = _grown(rest, before, after)
    if own_mm[1] - own_mm[0] < PROGRESSION_MM - 1e-9:
        return ""
    _, all_ml = _grown(every, before, after)
    if own_ml[1] >= (1.0 + VOLUME_LIMITS[1] / 100.0) * own_ml[0]:
        return "PD" if all_ml[1] >= (1.0 + WHOLE_RISE / 100.0) * all_ml[0] else "possible PD"
    return "possible PD" if _progressed(*own_mm) and all_ml[1] > all_ml[0] else ""


def _grown(groups: list[Match], before: ById, after: ById) -> tuple[Pair, Pair]:
    """Sum of diameters, mm, and of volumes as of spheres, mL, at base and now.

    Lesions that the base image cuts, or the follow-up does not reach, are left out. Merged ones have
    the volume of a sphere as long as all of them, so that merging alone is no growth.
    """
    length, volume = [0.0, 0.0], [0.0, 0.0]
    for m in groups:
        if not m.base or m.hidden or any(before[b].touches_edge for b in m.base):
            continue
        one = sum(before[b].recist_long_mm for b in m.base)
        two = [after[f].recist_long_mm for f in m.follow]
        length = [length[0] + one, length[1] + sum(two)]
        volume = [volume[0] + _ball(one), volume[1] + sum(map(_ball, two))]
    return (length[0], length[1]), (volume[0], volume[1])


def _ball(mm: float) -> float:
    return np.pi / 6000.0 * mm**3


def _overall(target: str, non_target: str, new: bool) -> str:
    """RECIST 1.1, the tables of time point response with and without targets."""
    if new or "PD" in (target, non_target):
        return "PD"
    if non_target == "possible PD":
        return "NE"
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
