"""Growth of a liver remnant between two studies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact, Facts, Interval

CUTOFF = 2.0
"""Kinetic growth rate, points a week, below which failure of the remnant becomes likelier."""


@dataclass(frozen=True)
class Growth:
    """Growth of a remnant.

    Parameters
    ----------
    base_percent, follow_percent
        Remnant, % of one reference volume.
    reference
        What that volume is.
    hypertrophy
        Degree of hypertrophy: points gained.
    kgr
        Kinetic growth rate: points gained a week; None without weeks.
    p_fast
        Probability that the rate reaches ``CUTOFF``; None without draws in both studies.
    """

    plan: str
    base_ml: float
    follow_ml: float
    base_percent: float
    follow_percent: float
    reference: str
    hypertrophy: float
    kgr: float | None
    p_fast: float | None


def remnant_growth(base: Facts, follow: Facts, plan: str, weeks: float | None) -> Growth | None:
    """Growth of the remnant of ``plan``; None where either study does not know it.

    Both are held against one volume: that expected of the body's size where known (sFLR), else the
    base study's (total liver - tumor), since the liver as a whole changes too.
    """
    before, after = (facts.get(f"flr.{plan}.volume") for facts in (base, follow))
    one, two = _best(before), _best(after)
    reference, name = _reference(base, follow, plan)
    if before is None or after is None or one is None or two is None or reference is None:
        return None
    gained = 100.0 * (two - one) / reference
    return Growth(
        plan,
        one,
        two,
        100.0 * one / reference,
        100.0 * two / reference,
        name,
        gained,
        None if not weeks else gained / weeks,
        None if not weeks else _p_fast(before, after, reference * weeks),
    )


def _reference(base: Facts, follow: Facts, plan: str) -> tuple[float | None, str]:
    for facts in (base, follow):
        expected = facts.get("liver.estimated_volume")
        if expected is not None and isinstance(expected.value, Interval):
            middle = _best(expected) or 0.5 * (expected.value.low + expected.value.high)
            if np.isfinite(middle) and middle > 0:
                return middle, "liver volume expected of the body's size"
    ml, percent = _best(base.get(f"flr.{plan}.volume")), _best(base.get(f"flr.{plan}.percent"))
    if not ml or not percent:
        return None, ""
    return 100.0 * ml / percent, "total liver - tumor of the base study"


def _best(fact: Fact | None) -> float | None:
    if fact is None or not fact.valid or not isinstance(fact.best, float | int):
        return None
    return float(fact.best)


def _p_fast(before: Fact, after: Fact, reference: float) -> float | None:
    """Share of all pairs of draws: the errors of two studies are independent."""
    if before.draws is None or after.draws is None:
        return None
    one: NDArray[np.float64] = before.draws.astype(np.float64)
    two: NDArray[np.float64] = after.draws.astype(np.float64)
    return float(np.mean(100.0 * (two[:, None] - one[None]) / reference >= CUTOFF))
