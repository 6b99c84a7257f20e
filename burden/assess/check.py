"""The linter behind `burden rules check`: everything wrong with a folder of books, not one thing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from burden.assess.load import load_book
from burden.assess.missing import outcomes
from burden.assess.rulebook import RuleBook, facts_in, leaves
from burden.errors import RuleError
from burden.facts import Facts
from burden.vocabulary import vocabulary


def check_books(folder: Path) -> list[str]:
    """Problems of the rule books in a folder, each with file and line; empty if sound."""
    problems: list[str] = []
    books: list[RuleBook] = []
    paths = sorted(folder.rglob("*.yaml"))
    for path in paths:
        try:
            books.append(load_book(path))
        except RuleError as error:
            problems.append(str(error))
    if not paths:
        problems.append(f"{folder}: no rule books here.")
    first: dict[str, str] = {}
    for book in books:
        if book.id in first:
            problems.append(f"{book.path}:1: `{book.id}` is also in {first[book.id]}.")
        first.setdefault(book.id, book.path)
        problems += _unreachable(book)
    return problems


def _unreachable(book: RuleBook) -> Iterator[str]:
    for leaf in leaves(book.root):
        limits = vocabulary()[leaf.fact].range
        if limits and not isinstance(leaf.limit, frozenset):
            low, high = limits
            if not low <= leaf.limit <= high:
                yield f"{book.path}:{leaf.line}: {leaf.fact} is never {leaf.limit:g} {leaf.unit}."
    for fact_id in facts_in(book.root):
        answers = outcomes(book.root, Facts(), fact_id)
        lines = sorted({leaf.line for leaf in leaves(book.root) if leaf.fact == fact_id})
        if (answers < 0).all():
            yield f"{book.path}:{lines[0]}: the criteria on {fact_id} contradict one another."
        elif (answers > 0).all():
            yield f"{book.path}:{lines[0]}: always met, whatever {fact_id} is."
