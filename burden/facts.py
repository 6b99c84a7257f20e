"""Interval, Choice, Fact, Facts: one vocabulary for measured and entered values.

A value is what is known about a quantity: an interval of numbers, or a set of options.
What is missing is the interval, or the set, that covers everything. There is no None,
NaN or zero for "don't know".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Interval:
    """All numbers from ``low`` to ``high``, both included; infinities allowed."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if math.isnan(self.low) or math.isnan(self.high) or self.low > self.high:
            raise ValueError(f"not an interval: [{self.low}, {self.high}]")

    @classmethod
    def exactly(cls, value: float) -> Interval:
        """The interval of one number."""
        return cls(value, value)

    @property
    def is_exact(self) -> bool:
        """Whether only one number remains."""
        return self.low == self.high

    @property
    def is_unknown(self) -> bool:
        """Whether nothing is known."""
        return math.isinf(self.low) and math.isinf(self.high)

    def covers(self, other: Interval) -> bool:
        """Whether every number of ``other`` lies in this interval."""
        return self.low <= other.low and other.high <= self.high


ANYTHING = Interval(-math.inf, math.inf)


@dataclass(frozen=True)
class Choice:
    """The options that remain possible, e.g. ``{"yes"}``, or ``{"yes", "no"}`` for unknown."""

    options: frozenset[str]

    def __post_init__(self) -> None:
        if not self.options:
            raise ValueError("a choice needs at least one option")

    @classmethod
    def of(cls, *options: str) -> Choice:
        """Choice among the given options."""
        return cls(frozenset(options))

    @property
    def is_exact(self) -> bool:
        """Whether only one option remains."""
        return len(self.options) == 1

    def covers(self, other: Choice) -> bool:
        """Whether every option of ``other`` is among these."""
        return other.options <= self.options


@dataclass(frozen=True, eq=False)
class Fact:
    """One thing known, or not known, about a case.

    Parameters
    ----------
    id
        A name of ``configs/facts.yaml``.
    value
        What is known for certain: the interval or the options left.
    unit
        The unit of the vocabulary entry; "" for choices.
    source
        Where it comes from: ``measured: ...``, ``facts.yaml``, ``derived: ...``.
    draws
        Equally likely values, shape (n,): draw k of every measured fact comes from the same
        perturbed segmentation. Options (strings) for a choice. None where there is no model of
        the error.
    estimate
        The single best number (or option) to show; by default the one that is left.
    valid
        False where a finding invalidates it; its value is then everything.
    note
        One line for the reader: why unknown, which definition, which reading.
    """

    id: str
    value: Interval | Choice
    unit: str
    source: str
    draws: NDArray[np.generic] | None = None
    estimate: float | str | None = None
    valid: bool = True
    note: str = ""

    @property
    def best(self) -> float | str | None:
        """The value to show: the estimate, or the one value left; None if not known."""
        if self.estimate is not None:
            return self.estimate
        if isinstance(self.value, Choice):
            return next(iter(self.value.options)) if self.value.is_exact else None
        return self.value.low if self.value.is_exact else None

    def quantiles(self) -> tuple[float, float, float] | None:
        """5th, 50th and 95th percentile of the draws of a number, else None."""
        if self.draws is None or isinstance(self.value, Choice):
            return None
        low, mid, high = quantiles_of(self.draws.astype(np.float64), (0.05, 0.5, 0.95))
        return low, mid, high

    def invalidated(self, note: str) -> Fact:
        """The same fact with nothing known any more, and the reason."""
        everything = ANYTHING if isinstance(self.value, Interval) else self.value
        return replace(self, value=everything, draws=None, estimate=None, valid=False, note=note)


def quantiles_of(draws: NDArray[np.floating], shares: Sequence[float]) -> list[float]:
    """Quantiles of draws: between them where values are continuous, else one of them.

    There is no infinite half-way to interpolate to, and no 41.2 lesions.
    """
    ordered = np.sort(draws)
    if np.isinf(ordered[[0, -1]]).any() or np.array_equal(ordered, np.rint(ordered)):
        return [float(ordered[int(share * (len(ordered) - 1) + 0.5)]) for share in shares]
    return [float(value) for value in np.quantile(ordered, shares)]


class Facts(Mapping[str, Fact]):
    """Facts by id. An id that is absent is not known; never a reason to assume a value."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._facts: dict[str, Fact] = {}
        for fact in facts:
            if fact.id in self._facts:
                raise ValueError(f"fact given twice: {fact.id}")
            self._facts[fact.id] = fact

    def __getitem__(self, key: str) -> Fact:
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __or__(self, other: Facts) -> Facts:
        """Both; where an id is in both, the right one holds."""
        merged = dict(self._facts) | dict(other._facts)
        return Facts(merged.values())
