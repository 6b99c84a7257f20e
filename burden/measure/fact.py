"""How a measurement is said: a fact with its interval, its draws, and its reason.

The interval of a measured number is the central 98 % of its draws (1st to 99th percentile),
stretched to hold the measured value itself. The rules engine answers yes or no from the
interval and P(met) from the draws, so a value near a limit becomes ``unknown`` with a
probability beside it, and one far from it is decided. Hard bounds (every doubtful voxel in or
out) would leave nearly every verdict unknown; the measured number alone would decide them all.
Without draws the masks are taken at their word and the interval is the one number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from burden.facts import ANYTHING, Choice, Fact, Interval, quantiles_of

TAIL = 0.01
"""Share of the draws left outside the interval on each side."""


def number(
    fact_id: str,
    unit: str,
    measured: float,
    draws: NDArray[np.floating] | None,
    source: str,
    note: str = "",
) -> Fact:
    """A measured number."""
    value = Interval.exactly(float(measured))
    if draws is not None:
        low, high = quantiles_of(draws, (TAIL, 1.0 - TAIL))
        value = Interval(min(low, value.low), max(high, value.high))
    return Fact(fact_id, value, unit, f"measured: {source}", draws, float(measured), note=note)


def choice(
    fact_id: str, measured: str, draws: NDArray[np.str_] | None, source: str, note: str = ""
) -> Fact:
    """A measured option: the one measured and every one that more than ``TAIL`` of draws gave."""
    options = {measured}
    if draws is not None:
        names, counts = np.unique(draws, return_counts=True)
        options |= {str(n) for n, c in zip(names, counts, strict=True) if c > TAIL * draws.size}
    return Fact(
        fact_id, Choice(frozenset(options)), "", f"measured: {source}", draws, measured, note=note
    )


def unknown(fact_id: str, unit: str, why: str, options: Sequence[str] = ()) -> Fact:
    """A measurement that cannot be made, and why."""
    value = Choice.of(*options) if options else ANYTHING
    return Fact(fact_id, value, unit, "measured: not possible", note=why)


def invalid(fact: Fact, why: str, options: Sequence[str] = ()) -> Fact:
    """A fact that a finding takes back."""
    value = Choice.of(*options) if options else ANYTHING
    return replace(fact, value=value, draws=None, estimate=None, valid=False, note=why)


def at_least_seen(fact: Fact, why: str, ceiling: float = math.inf) -> Fact:
    """A number of which only a part was seen: [seen, ceiling]."""
    if not isinstance(fact.value, Interval) or math.isinf(fact.value.low):
        return fact
    return replace(
        fact,
        value=Interval(fact.value.low, max(ceiling, fact.value.low)),
        draws=None,
        estimate=None,
        note=why,
    )
