"""The largest liver remnant with which a standard hepatectomy removes every lesion."""

from __future__ import annotations

import numpy as np

from burden.facts import ANYTHING, Fact, Facts, Interval

PLANS = (
    "right_hepatectomy",
    "left_hepatectomy",
    "extended_right",
    "extended_left",
    "left_lateral",
    "right_posterior",
    "central",
)
ALL_OF_IT = 99.9  # % of the tumor volume that counts as every lesion, against rounding


def best_complete(facts: Facts) -> tuple[Fact, ...]:
    """``resection.complete_flr``: FLR (% of total liver - tumor), 0 if no plan removes everything.

    Derived when at least one standard plan has its ``debulk.<plan>.percent`` and
    ``flr.<plan>.percent``; a plan without them may be anything.
    """
    pairs = [(_fact(facts, f"debulk.{p}.percent"), _fact(facts, f"flr.{p}.percent")) for p in PLANS]
    if all(removed is None or left is None for removed, left in pairs):
        return ()
    bounds = [(_value(removed), _value(left)) for removed, left in pairs]
    low = max([max(f.low, 0.0) for d, f in bounds if d.low >= ALL_OF_IT], default=0.0)
    high = max([min(f.high, 100.0) for d, f in bounds if d.high >= ALL_OF_IT], default=0.0)
    value = Interval(low, max(low, high))
    estimate = _best(pairs) if not value.is_exact else None
    return (
        Fact(
            "resection.complete_flr",
            value,
            "%",
            "derived: largest remnant among the standard plans that remove every lesion",
            draws=_draws(pairs),
            estimate=estimate,
        ),
    )


Pair = tuple[Fact | None, Fact | None]


def _best(pairs: list[Pair]) -> float | None:
    best = 0.0
    for removed, left in pairs:
        one, two = (f.best if f else None for f in (removed, left))
        if not isinstance(one, float | int) or not isinstance(two, float | int):
            return None
        best = max(best, float(two) if one >= ALL_OF_IT else 0.0)
    return best


def _draws(pairs: list[Pair]) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    given = [f for pair in pairs for f in pair]
    if not any(f is not None and f.draws is not None for f in given):
        return None
    if any(f is None or (f.draws is None and not f.value.is_exact) for f in given):
        return None
    remnants = [np.where(_many(r) >= ALL_OF_IT, _many(x), 0.0) for r, x in pairs if r and x]
    best: np.ndarray[tuple[int], np.dtype[np.float64]] = np.max(np.broadcast_arrays(*remnants), axis=0)
    return best


def _many(fact: Fact) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if fact.draws is not None:
        return fact.draws.astype(np.float64)
    return np.array([_value(fact).low])


def _fact(facts: Facts, fact_id: str) -> Fact | None:
    """The fact; None where nothing is known of it."""
    fact = facts.get(fact_id)
    return None if fact is None or _value(fact).is_unknown else fact


def _value(fact: Fact | None) -> Interval:
    value = fact.value if fact is not None else ANYTHING
    return value if isinstance(value, Interval) else ANYTHING
