"""Which of all plans to show: the best one, the Pareto front, what needs growth first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from burden.answer import Answer
from burden.plan.anatomy import STANDARD, unions
from burden.plan.search import Options, Search, search, staying
from burden.plan.table import FloatArray, Table

TARGETS = (70.0, 90.0)
"""Shares of the tumor volume that debulking should reach, liberal and traditional (B5: S1, S2)."""
GROWTH_PER_WEEK = 2.0
"""Kinetic growth rate taken for the time to grow: points of FLR % a week."""
BY_EMBOLISATION = 1.5
BY_ALPPS = 2.0
"""Growth up to which either method is named; operating figures for what is usually reached."""
SURE = 0.99
MOST = 12

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Reach:
    """Whether a share of the tumor can be cleared with enough liver left.

    Parameters
    ----------
    p
        Probability that the plan that does it most surely leaves enough; None without draws.
    plan
        Row of that plan in the search; None where no plan clears that much at all.
    """

    target: float
    answer: Answer
    p: float | None
    plan: int | None


@dataclass(frozen=True, eq=False)
class Chosen:
    """All plans of a case and the rows to show, each with why it is shown.

    ``p`` is the probability of each plan to leave enough liver, None without draws.
    """

    table: Table
    options: Options
    plans: Search
    p: FloatArray | None
    best: int | None
    reach: tuple[Reach, ...]
    shown: dict[int, tuple[str, ...]]


def choose(table: Table, options: Options) -> Chosen:
    """Search and choose."""
    plans = search(table, options)
    percent = flr_percent(table, plans)
    enough = percent >= options.min_flr
    # Of plans that clear alike the one that rests on no unknown distance.
    best = _first(enough, -plans.debulked, (~plans.sure).astype(np.intp), -percent, plans.extent)
    p = p_enough(table, plans, options.min_flr)
    reach = tuple(_reach(plans, percent, p, t, options.min_flr, table.complete) for t in TARGETS)
    shown: dict[int, list[str]] = {}
    if best is not None:
        shown[best] = ["best"]
    for target in TARGETS:
        least = _first(enough & (plans.debulked >= target), plans.extent, -percent)
        if least is not None:
            shown.setdefault(least, []).append(f"least for {target:.0f} %")
    for row in _staged(plans, percent, options, best):
        shown.setdefault(row, []).append("staged")
    on_front = front(plans.debulked, percent, plans.extent)
    for row in shown:
        if on_front[row]:
            shown[row].append("front")
    for row in _spread(plans.debulked, percent, np.flatnonzero(on_front), room=MOST - len(shown) - 2):
        if row not in shown:
            shown[row] = ["front"]
    for row, name in _standard(plans):
        if row in shown:
            shown[row].append(name)
        elif len(shown) < MOST:
            shown[row] = [name]
    kept = {row: tuple(why) for row, why in shown.items()}
    return Chosen(table, options, plans, p, best, reach, kept)


def flr_percent(table: Table, plans: Search) -> FloatArray:
    """FLR of every plan, % of (total liver - tumor)."""
    return np.asarray(100.0 * plans.flr_ml / table.functioning_ml.sum())


def p_enough(table: Table, plans: Search, min_flr: float) -> FloatArray | None:
    """Probability that each plan leaves ``min_flr`` %: share of the draws; None without draws."""
    leaves = _leaves_enough(table, plans, min_flr)
    return None if leaves is None else np.asarray(leaves.mean(1))


def clearable(
    table: Table, plans: Search, min_flr: float, *, only_sure: bool = False
) -> FloatArray | None:
    """Largest share of the tumor that a plan leaving ``min_flr`` % clears, in every draw; 0 without one.

    The share itself is as measured: lesions have no draws of their own here, remnants do.
    ``only_sure`` leaves out plans that treat lesions whose distance to the hilum is not known.
    """
    leaves = _leaves_enough(table, plans, min_flr)
    if leaves is None:
        return None
    if only_sure:
        leaves &= plans.sure[:, None]
    return np.asarray(np.where(leaves, plans.debulked[:, None], 0.0).max(axis=0))


def _leaves_enough(table: Table, plans: Search, min_flr: float) -> Mask | None:
    """Whether each plan leaves enough in each draw, (p, n); None without draws."""
    if table.drawn_ml is None:
        return None
    left = np.stack([table.drawn_ml[:, staying(u)].sum(1) for u in unions()])
    needed = min_flr / 100.0 * table.drawn_ml.sum(1)
    return np.asarray(left[plans.union] - plans.margin_ml[:, None] >= needed)


def front(debulked: FloatArray, percent: FloatArray, extent: NDArray[np.intp]) -> Mask:
    """Plans that none beats: more cleared, more liver left, less done; the first of equals."""
    order = np.lexsort((extent, -percent, -debulked))
    keep = np.zeros(order.size, bool)
    for row in order:
        better = keep & (debulked >= debulked[row]) & (percent >= percent[row]) & (extent <= extent[row])
        keep[row] = not better.any()
    return keep


def _reach(
    plans: Search, percent: FloatArray, p: FloatArray | None, target: float, min_flr: float, seen: bool
) -> Reach:
    """What a target comes to: yes needs a plan that is sure, no that not even a doubtful one does."""
    known = _reach_among(plans.sure, plans, percent, p, target, min_flr, seen)
    if plans.sure.all() or known.answer is Answer.YES:
        return known
    every = _reach_among(np.ones_like(plans.sure), plans, percent, p, target, min_flr, seen)
    return replace(every, answer=Answer.UNKNOWN) if every.answer is Answer.YES else every


def _reach_among(
    among: Mask,
    plans: Search,
    percent: FloatArray,
    p: FloatArray | None,
    target: float,
    min_flr: float,
    seen: bool,
) -> Reach:
    """The plan that reaches a target and most surely leaves enough, and what that answers."""
    able = among & (plans.debulked >= target)
    keys = (-percent, plans.extent) if p is None else (-p, -percent, plans.extent)
    row = _first(able, *keys)
    if row is None:
        return Reach(target, Answer.NO if seen else Answer.UNKNOWN, None, None)
    chance = None if p is None else float(p[row])
    sure = float(percent[row] >= min_flr) if chance is None else chance
    answer = Answer.YES if sure >= SURE else Answer.NO if sure <= 1.0 - SURE else Answer.UNKNOWN
    return Reach(target, answer if seen else Answer.UNKNOWN, chance, row)


def _staged(plans: Search, percent: FloatArray, options: Options, best: int | None) -> list[int]:
    """Plans that clear more than the best one and need the remnant to grow first, least growth."""
    cleared = -1.0 if best is None else float(plans.debulked[best])
    could = (percent < options.min_flr) & (options.min_flr <= BY_ALPPS * percent)
    could &= plans.debulked > cleared + 1.0
    if not could.any():
        return []
    wanted = [t for t in TARGETS if t > cleared] + [float(plans.debulked[could].max())]
    rows = [_first(could & (plans.debulked >= t), -percent, plans.extent) for t in wanted]
    return sorted({row for row in rows if row is not None})


def _standard(plans: Search) -> list[tuple[int, str]]:
    """Rows of the standard hepatectomies with nothing else treated."""
    where = {u: k for k, u in enumerate(unions())}
    plain = (plans.ablated == 0) & (plans.wedged == 0)
    return [
        (int(np.flatnonzero(plain & (plans.union == where[segments]))[0]), name)
        for name, segments in STANDARD.items()
    ]


def _first(among: Mask, *keys: FloatArray | NDArray[np.intp]) -> int | None:
    """Row that comes first by the keys, the smallest of each first."""
    rows = np.flatnonzero(among)
    if not rows.size:
        return None
    order = np.lexsort(tuple(np.round(k[rows], 9) for k in reversed(keys)))
    return int(rows[order[0]])


def _spread(debulked: FloatArray, percent: FloatArray, rows: NDArray[np.intp], room: int) -> list[int]:
    """Some rows of the front: the one that leaves most liver for each step of tumor cleared."""
    found = []
    for target in np.linspace(95.0, 15.0, max(room, 1)):
        good = rows[(debulked[rows] >= target) & (debulked[rows] < target + 20.0)]
        if good.size:
            found.append(int(good[np.argmax(percent[good])]))
    return list(dict.fromkeys(found))[: max(room, 0)]
