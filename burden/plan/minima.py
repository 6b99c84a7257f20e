"""Remnants of the standard hepatectomies against the published minima, by the state of the liver.

Both tables: the remnant as a share of (total liver - tumor), and standardised to body size. Minima:
20 % of a normal liver, 30 % after chemotherapy, 40 % in cirrhosis; the NELM source asks for 30 %
whatever the liver (S1).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from burden.answer import Answer
from burden.facts import Fact, Facts, Interval
from burden.plan.anatomy import STANDARD

MINIMA = {"normal": 20.0, "chemotherapy": 30.0, "cirrhosis": 40.0, "nelm": 30.0}
MEASURES = {"flr": "percent", "sflr": "sflr", "sflr_urata": "sflr_urata"}
ROUNDED = 0.01
"""Points by which draws may miss an interval that is theirs: they are stored rounded."""

Json = dict[str, Any]


def minima_table(facts: Facts) -> tuple[Json, ...]:
    """One row a standard hepatectomy and way of measuring it: whether each minimum is reached.

    A row is ``{plan, measure, percent, reaches: {state: {minimum, answer, p}}}``; what was not
    measured has ``percent`` None and answers ``unknown``. The interval answers: draws are of the remnant
    alone, and the size of the body may be open as well; ``p`` is None there.
    """
    return tuple(_row(facts, plan, measure) for plan in STANDARD for measure in MEASURES)


def _row(facts: Facts, plan: str, measure: str) -> Json:
    fact = facts.get(f"flr.{plan}.{MEASURES[measure]}")
    best = None if fact is None or not fact.valid else fact.best
    return {
        "plan": plan,
        "measure": measure,
        "percent": round(best, 2) if isinstance(best, float | int) else None,
        "reaches": {state: _reaches(fact, minimum) for state, minimum in MINIMA.items()},
    }


def _reaches(fact: Fact | None, minimum: float) -> Json:
    answer, p = Answer.UNKNOWN, None
    if fact is not None and fact.valid and isinstance(fact.value, Interval):
        if fact.value.low >= minimum:
            answer = Answer.YES
        elif fact.value.high < minimum:
            answer = Answer.NO
        p = _chance(fact, fact.value, minimum)
    return {"minimum": minimum, "answer": answer.value, "p": p}


def _chance(fact: Fact, value: Interval, minimum: float) -> float | None:
    """Share of the draws that reach a minimum; None where they do not span all that is open."""
    if fact.draws is None:
        return None
    draws = fact.draws.astype(np.float64)
    known = np.append(draws, fact.best if isinstance(fact.best, float | int) else draws[:1])
    if value.low < known.min() - ROUNDED or value.high > known.max() + ROUNDED:
        return None
    return float(np.mean(draws >= minimum))
