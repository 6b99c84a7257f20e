"""Which single fact, if it were known, would settle most: what to ask or measure next."""

from __future__ import annotations

from collections.abc import Sequence

from burden.assess.decide import without_lesions
from burden.assess.derive import derive
from burden.assess.explain import fact_text
from burden.assess.logic import Verdicts, evaluate, table_of
from burden.assess.missing import missing_facts, outcomes
from burden.assess.rulebook import RuleBook
from burden.facts import Facts
from burden.options import Question
from burden.vocabulary import vocabulary


def worth_of_facts(facts: Facts, books: Sequence[RuleBook]) -> tuple[Question, ...]:
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
    rows = [_question(fact_id, *(tuple(ids) for ids in lists)) for fact_id, lists in found.items()]
    return tuple(sorted(rows, key=_rank))  # stable: reading order among equals


def _question(fact_id: str, *ids: tuple[str, ...]) -> Question:
    entry = vocabulary()[fact_id]
    text = entry.ask or fact_text(fact_id)
    return Question(fact_id, text[:1].upper() + text[1:], entry.origin == "image", *ids)


def _rank(row: Question) -> tuple[int, int, int]:
    return -len(row.decides), -len(row.may_decide), -len(row.bears_on)
