"""Intervals and draws carried through a formula, or from one choice to another."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

DERIVED = "derived: "
Array = NDArray[np.float64]


def combined(
    fact_id: str,
    formula: Callable[..., Array],
    rising: Iterable[Fact],
    falling: Iterable[Fact] = (),
    *,
    source: str,
) -> tuple[Fact, ...]:
    """A number computed from others by a formula that rises with some and falls with others.

    Parameters
    ----------
    formula
        Takes the rising inputs, then the falling ones.

    Returns
    -------
    One fact, with draws where every input is exact or has draws; none if nothing is known.
    """
    up, down = tuple(rising), tuple(falling)
    inputs = (*up, *down)
    if any(isinstance(f.value, Interval) and f.value.is_unknown for f in inputs):
        return ()
    low = formula(*(_end(f, "low") for f in up), *(_end(f, "high") for f in down))
    high = formula(*(_end(f, "high") for f in up), *(_end(f, "low") for f in down))
    best = [f.best for f in inputs]
    known = all(isinstance(b, float | int) for b in best)
    # infinity over infinity leaves the bound open
    lower = -math.inf if np.isnan(low) else float(low)
    upper = math.inf if np.isnan(high) else float(high)
    unit = vocabulary()[fact_id].unit
    return (
        Fact(
            fact_id,
            Interval(lower, upper),
            unit,
            DERIVED + source,
            draws=joint(formula, inputs),
            estimate=float(formula(*(np.float64(b) for b in best if b is not None))) if known else None,
        ),
    )


def _end(fact: Fact, end: str) -> np.float64:
    """One end of an amount; an open lower end is zero, since amounts are never negative."""
    return np.float64(max(0.0, getattr(fact.value, end)))


def joint(formula: Callable[..., Array], inputs: tuple[Fact, ...]) -> Array | None:
    """Draw k of the result from draw k of every input; None where one has an interval only."""
    if all(f.draws is None for f in inputs):
        return None
    if any(f.draws is None and not f.value.is_exact for f in inputs):
        return None
    return formula(*(_end(f, "low") if f.draws is None else f.draws.astype(float) for f in inputs))


def numbers(facts: Facts, *ids: str) -> tuple[Fact, ...] | None:
    """The numbers of these ids; None unless all are given."""
    found = tuple(facts[i] for i in ids if i in facts and isinstance(facts[i].value, Interval))
    return found if len(found) == len(ids) else None


def options_of(facts: Facts, fact_id: str) -> frozenset[str]:
    """The options that remain of a choice; none where it is not given."""
    value = facts[fact_id].value if fact_id in facts else None
    return value.options if isinstance(value, Choice) else frozenset()


def mapped(
    facts: Facts, given_id: str, new_id: str, answers: Mapping[str, tuple[str, ...]], source: str
) -> tuple[Fact, ...]:
    """A choice that follows from another, option by option and draw by draw."""
    given = facts.get(given_id)
    if given is None:
        return ()
    options = {answer for option in options_of(facts, given_id) for answer in answers[option]}
    draws = None
    if given.draws is not None and all(len(answers[str(d)]) == 1 for d in np.unique(given.draws)):
        draws = np.array([answers[str(d)][0] for d in given.draws])
    return (choice(new_id, options, source, draws),)


def choice(
    fact_id: str, options: Iterable[str], source: str, draws: NDArray[np.str_] | None = None
) -> Fact:
    """A derived choice."""
    return Fact(fact_id, Choice(frozenset(options)), "", DERIVED + source, draws)
