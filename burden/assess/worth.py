"""Which single fact, if it were known, would settle most: what to ask or measure next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from burden.assess.decide import without_lesions
from burden.assess.derive import derive
from burden.assess.logic import Verdicts, evaluate, table_of
from burden.assess.missing import missing_facts, outcomes
from burden.assess.rulebook import RuleBook
from burden.facts import Facts
from burden.vocabulary import vocabulary


@dataclass(frozen=True)
class Worth:
    """What knowing one fact would do to the books that are still open.

    Parameters
    ----------
    question
        How to ask for it.
    imaging
        Whether it is measured from the image rather than asked for.
    decides
        Books that every value of it decides.
    may_decide
        Books that some value of it decides.
    bears_on
        Books for which it matters, but not without another fact.
    """

    fact: str
    question: str
    imaging: bool
    decides: tuple[str, ...]
    may_decide: tuple[str, ...]
    bears_on: tuple[str, ...]


def worth_of_facts(facts: Facts, books: Sequence[RuleBook]) -> tuple[Worth, ...]:
    """The facts not known, those first that decide most books, then that may decide most."""
    if without_lesions(facts):
        return ()  # no book has anything to say, so nothing is worth asking for
    known = derive(facts)
    found: dict[str, tuple[list[str], list[str], list[str]]] = {}
    for book in books:
        root = book.root
        seen: dict[int, Verdicts] = {}
        evaluate(root, table_of(known), seen)
        for fact_id in missing_facts(root, known, seen):
            decided = outcomes(root, known, fact_id) != 0
            rank = 0 if decided.all() else 1 if decided.any() else 2
            found.setdefault(fact_id, ([], [], []))[rank].append(book.id)
    rows = [_worth(fact_id, *(tuple(ids) for ids in lists)) for fact_id, lists in found.items()]
    return tuple(sorted(rows, key=_rank))  # stable: reading order among equals


def _worth(fact_id: str, *ids: tuple[str, ...]) -> Worth:
    entry = vocabulary()[fact_id]
    return Worth(fact_id, entry.ask or entry.text, entry.origin == "image", *ids)


def _rank(row: Worth) -> tuple[int, int, int]:
    return -len(row.decides), -len(row.may_decide), -len(row.bears_on)
