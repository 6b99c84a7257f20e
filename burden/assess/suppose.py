"""What if a fact were otherwise: the answers as they are, and as they would be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from burden.assess.decide import decide, without_lesions
from burden.assess.derive import derive, disagreements
from burden.assess.explain import fact_text, value_text
from burden.assess.missing import with_fact
from burden.assess.rulebook import RuleBook
from burden.case import Assessment
from burden.errors import UsageError
from burden.facts import Choice, Facts, Interval
from burden.vocabulary import Entry, vocabulary

_SOURCE = "what if"


@dataclass(frozen=True)
class Supposed:
    """One book as the facts are, and as they are supposed to be."""

    now: Assessment
    then: Assessment

    @property
    def changes(self) -> bool:
        """Whether the answer would be another."""
        return self.now.answer is not self.then.answer


def assess_with(
    facts: Facts, books: Sequence[RuleBook], changes: Mapping[str, float | str | bool]
) -> tuple[Supposed, ...]:
    """Decide every book twice: with the facts, and with some of them supposed to be otherwise.

    What follows from a supposed fact is derived again; what was measured or entered stays, and
    the conflicts of the second answer name where the two no longer agree. As in `assess`, a liver
    without lesions, found or supposed, gets no verdicts.

    Parameters
    ----------
    changes
        ``{"tumor.burden": 48, "tumor.grade": "G2"}``; numbers in the unit of the vocabulary,
        also as text.

    Raises
    ------
    UsageError
        No such fact, or a value that it cannot have.
    """
    supposed = facts
    for fact_id, given in changes.items():
        supposed = with_fact(supposed, fact_id, _value(fact_id, given), _SOURCE)
    if without_lesions(facts) or without_lesions(supposed):
        return ()
    said = "; ".join(f"{fact_text(i)} {value_text(supposed[i])}" for i in changes)
    known, other = derive(facts), derive(supposed)
    odd = disagreements(facts)
    # that a supposed fact disagrees with what is known is what was asked for
    left = [f for f in disagreements(supposed) if not set(f.invalidates) <= set(changes)]
    found = []
    for book in books:
        then = decide(book, other, left)
        note = f"Supposed: {said}. {then.note}".strip()
        found.append(Supposed(decide(book, known, odd), replace(then, note=note)))
    return tuple(found)


def _value(fact_id: str, given: float | str | bool) -> Interval | Choice:
    entry = vocabulary().find(fact_id)
    if entry is None or "<" in fact_id:
        raise UsageError("no such fact.", where=fact_id, hint="See `burden facts`.")
    if entry.options:
        text = {True: "yes", False: "no"}[given] if isinstance(given, bool) else str(given)
        if text not in entry.options:
            raise UsageError(f"`{text}` is none of {', '.join(entry.options)}.", where=fact_id)
        return Choice.of(text)
    return Interval.exactly(_number(entry, fact_id, given))


def _number(entry: Entry, fact_id: str, given: float | str | bool) -> float:
    low, high = entry.range or (float("-inf"), float("inf"))
    try:
        number = float("nan") if isinstance(given, bool) else float(given)
    except ValueError:
        number = float("nan")
    if not low <= number <= high or abs(number) == float("inf"):
        between = f" from {low:g} to {high:g}" if entry.range else ""
        raise UsageError(f"`{given}` is no number{between} in {entry.unit}.", where=fact_id)
    if entry.whole and not number.is_integer():
        raise UsageError(f"`{given}` is no whole number.", where=fact_id, hint="It is a count.")
    return number
