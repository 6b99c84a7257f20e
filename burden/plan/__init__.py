"""Plan: resections, with ablation and wedges, from the facts and lesions of a case alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from burden.facts import Fact, Facts, Interval
from burden.lesions import Lesion
from burden.plan.anatomy import named, pieces, unions
from burden.plan.choose import (
    BY_EMBOLISATION,
    GROWTH_PER_WEEK,
    Chosen,
    choose,
    clearable,
    flr_percent,
)
from burden.plan.minima import minima_table
from burden.plan.search import Options, treatable
from burden.plan.table import CannotPlanError, FloatArray, table_of, why_no_share

__all__ = ["Options", "Planned", "make_plans", "plan_case"]

TAIL = 0.01
"""Share of the draws left outside an interval on each side, as for measurements."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """Plans of a case as plain values, ready for ``case.json``.

    Parameters
    ----------
    plans
        Twelve at most, most tumor cleared first; ``roles`` says why each is shown, ``caveat`` on
        what that is not known it rests.
    answers
        Whether 70 % and 90 % can be cleared with enough liver left.
    options
        The limits used.
    searched
        How many plans were evaluated.
    why_not
        Why there is no plan; "" where there are some.
    best
        Name of the plan that clears most and leaves enough; None without one.
    staged
        Plans that clear more, once the remnant has grown: by how much, and by which method (portal
        vein embolisation with two stages, or ALPPS).
    minima
        Remnants against the published minima, see :mod:`burden.plan.minima`.
    """

    plans: tuple[Json, ...]
    answers: tuple[Json, ...]
    options: Json
    searched: int = 0
    why_not: str = ""
    best: str | None = None
    staged: tuple[Json, ...] = ()
    minima: tuple[Json, ...] = ()

    @property
    def answers_alone(self) -> Json:
        """Everything but the plans: for ``planned`` of ``case.json``."""
        return {name: value for name, value in asdict(self).items() if name != "plans"}


def make_plans(facts: Facts, lesions: Sequence[Lesion], options: Options | None = None) -> Planned:
    """Search all plans of a case and describe those worth showing."""
    return plan_case(facts, lesions, options)[0]


def plan_case(
    facts: Facts, lesions: Sequence[Lesion], options: Options | None = None
) -> tuple[Planned, Facts]:
    """Plans of a case, and what their search says that a rule may ask for.

    That is ``debulk.with_ablation.percent``, unless somebody has entered it.
    """
    limits = options or Options()
    minima = minima_table(facts)
    if why := why_no_share(facts):
        return Planned((), (), asdict(limits), why_not=why, minima=minima), Facts()
    try:
        chosen = choose(table_of(facts, lesions), limits)
    except CannotPlanError as reason:
        return Planned((), (), asdict(limits), why_not=str(reason), minima=minima), Facts()
    rows = sorted(chosen.shown, key=lambda r: (-chosen.plans.debulked[r], chosen.plans.extent[r], r))
    plans = tuple(_described(chosen, row, lesions) for row in rows)
    planned = Planned(
        plans=plans,
        answers=tuple(
            {
                "question": f"clear >= {r.target:.0f} % of the tumor with FLR >= {limits.min_flr:g} %",
                "target_percent": r.target,
                "answer": r.answer.value,
                "p": r.p,
                "plan": None if r.plan is None else _name(chosen, r.plan),
                "caveat": "" if r.plan is None else _caveat(chosen, r.plan, lesions),
            }
            for r in chosen.reach
        ),
        options=asdict(limits),
        searched=len(chosen.plans.union),
        best=None if chosen.best is None else _name(chosen, chosen.best),
        staged=tuple(
            {"plan": p["name"], "debulked_percent": p["debulked_percent"], **p["growth"]}
            for p in plans
            if "staged" in p["roles"]
        ),
        minima=minima,
    )
    return planned, _said(chosen, facts, lesions)


def _said(chosen: Chosen, facts: Facts, lesions: Sequence[Lesion]) -> Facts:
    """The largest share that resection and ablation clear together while enough liver stays.

    Where that hangs on lesions whose distance to the hilum is not known, it lies anywhere between
    what is cleared without and with them; which of the two it is has no draws.
    """
    name = "debulk.with_ablation.percent"
    if name in facts or not chosen.table.complete:
        return Facts()
    how = "no plan leaves enough liver" if chosen.best is None else _name(chosen, chosen.best)
    note = f"{how}; FLR >= {chosen.options.min_flr:g} %; the error is that of the remnant"
    best, value, draws = _cleared(chosen)
    _, least, fewest = _cleared(chosen, only_sure=True)
    told: float | None = best
    same = draws is None or fewest is None or np.array_equal(draws, fewest)
    if value != least or not same:
        caveat = "" if chosen.best is None else _caveat(chosen, chosen.best, lesions)
        note += f"; {caveat or 'distances of lesions to the hilum are not known'}"
        value, draws, told = Interval(least.low, value.high), None, None
    return Facts([Fact(name, value, "%", "measured: plan search", draws, told, note=note)])


def _cleared(chosen: Chosen, *, only_sure: bool = False) -> tuple[float, Interval, FloatArray | None]:
    """Largest share that a plan clears and leaves enough, %: as measured, its interval, its draws."""
    table, plans, least = chosen.table, chosen.plans, chosen.options.min_flr
    able = flr_percent(table, plans) >= least
    if only_sure:
        able &= plans.sure
    best = float(plans.debulked[able].max(initial=0.0))
    draws = clearable(table, plans, least, only_sure=only_sure)
    if draws is None:
        return best, Interval.exactly(best), None
    low, high = np.quantile(draws, (TAIL, 1.0 - TAIL))
    return best, Interval(min(float(low), best), max(float(high), best)), draws


def _treated(chosen: Chosen, row: int) -> tuple[list[int], list[int]]:
    """Rows of the lesions that a plan ablates and wedges."""
    plans = chosen.plans
    removed, sure = unions()[plans.union[row]], bool(plans.sure[row])
    ablate, wedge = treatable(chosen.table, chosen.options, removed, sure=sure)
    return ablate[: plans.ablated[row]], wedge[: plans.wedged[row]]


def _caveat(chosen: Chosen, row: int, lesions: Sequence[Lesion]) -> str:
    """Which lesions that a plan treats may lie too near to the hilum for that; "" where none."""
    ablate, wedge = _treated(chosen, row)
    doubtful = sorted(lesions[i].id for i in (*ablate, *wedge) if lesions[i].distance_hilum_mm is None)
    if not doubtful:
        return ""
    if len(doubtful) == 1:
        return f"the distance of lesion {doubtful[0]} to the hilum is not known"
    return f"the distances of lesions {', '.join(map(str, doubtful))} to the hilum are not known"


def _described(chosen: Chosen, row: int, lesions: Sequence[Lesion]) -> Json:
    plans, table, options = chosen.plans, chosen.table, chosen.options
    removed = unions()[plans.union[row]]
    ablate, wedge = _treated(chosen, row)
    percent = float(flr_percent(table, plans)[row])
    flr, expected = float(plans.flr_ml[row]), table.expected_ml
    return {
        "name": _name(chosen, row),
        "roles": list(chosen.shown[row]),
        "removed_segments": sorted(removed),
        "resections": len(pieces(removed)),
        "ablated_lesions": [lesions[i].id for i in ablate],
        "wedged_lesions": [lesions[i].id for i in wedge],
        "debulked_percent": round(float(plans.debulked[row]), 2),
        "residual_lesions": int(plans.residual[row]),
        "flr_ml": round(flr, 1),
        "flr_percent": round(percent, 2),
        "sflr_percent": None if expected is None else round(100.0 * flr / expected, 2),
        "p_flr_enough": None if chosen.p is None else float(chosen.p[row]),
        "min_flr_percent": options.min_flr,
        "extent": int(plans.extent[row]),
        "growth": _growth(percent, options.min_flr),
        "caveat": _caveat(chosen, row, lesions),
    }


def _name(chosen: Chosen, row: int) -> str:
    plans = chosen.plans
    extra = [
        f"{n} {word}{'s' if n > 1 else ''}"
        for n, word in ((plans.wedged[row], "wedge"), (plans.ablated[row], "ablation"))
        if n
    ]
    removed = unions()[plans.union[row]]
    return " + ".join([named(removed), *extra] if removed or not extra else extra)


def _growth(percent: float, needed: float) -> Json | None:
    """What the remnant must grow by before a plan with too small a one; None where it is enough."""
    if percent >= needed or percent <= 0:
        return None
    ratio = needed / percent
    method = (
        "portal vein embolisation or ligation, two stages"
        if ratio <= BY_EMBOLISATION
        else "ALPPS, or two stages with a long interval"
    )
    return {
        "factor": round(ratio, 2),
        "points": round(needed - percent, 1),
        "weeks_at_2_percent": round((needed - percent) / GROWTH_PER_WEEK, 1),
        "method": method,
    }
