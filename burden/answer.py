"""Answer: yes, no or unknown, joined by Kleene's strong three-valued logic.

Learning a missing fact may turn ``unknown`` into ``yes`` or ``no``, and can never turn a
``yes`` into a ``no``; an answer therefore has no truth value of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Answer(StrEnum):
    """A three-valued answer; ``bool(answer)`` raises."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"

    def __bool__(self) -> bool:
        raise TypeError("an Answer is yes, no or unknown: compare it with Answer.YES")

    def __invert__(self) -> Answer:
        return {Answer.YES: Answer.NO, Answer.NO: Answer.YES}.get(self, Answer.UNKNOWN)


def at_least(count: int, answers: Iterable[Answer]) -> Answer:
    """Yes when ``count`` answers are yes whatever the unknown ones turn out to be."""
    given = list(answers)
    yes = sum(a is Answer.YES for a in given)
    if yes >= count:
        return Answer.YES
    possible = yes + sum(a is Answer.UNKNOWN for a in given)
    return Answer.UNKNOWN if possible >= count else Answer.NO


def all_of(answers: Iterable[Answer]) -> Answer:
    """Kleene conjunction; yes for none at all."""
    given = list(answers)
    return at_least(len(given), given)


def any_of(answers: Iterable[Answer]) -> Answer:
    """Kleene disjunction; no for none at all."""
    return at_least(1, answers)
