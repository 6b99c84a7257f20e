"""The linter behind `burden rules check`: everything wrong with a folder of books, not one thing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from burden.assess.load import load_book
from burden.assess.located import Located, read_located
from burden.assess.logic import evaluate
from burden.assess.missing import outcomes, values_of
from burden.assess.rulebook import Criterion, Group, Node, RuleBook, facts_in, leaves, walk
from burden.errors import RuleError
from burden.facts import Facts
from burden.vocabulary import vocabulary

CASES = ("inside", "on", "outside", "missing")  # the test rows that each criterion needs


def check_books(folder: Path, tests: Path | None = None) -> list[str]:
    """Problems of the rule books in a folder, each with file and line; empty if sound.

    Parameters
    ----------
    tests
        Folder with the test rows of the books; where given, missing rows are problems too.
    """
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
        for node in (book.root, *book.advisories):
            problems += _out_of_range(book, node)
            problems += _contradictions(book, node, set())
            problems += _idle(book, node)
    return problems + (list(_without_rows(books, tests)) if tests is not None else [])


def _out_of_range(book: RuleBook, node: Node) -> Iterator[str]:
    for leaf in leaves(node):
        limits = vocabulary()[leaf.fact].range
        if limits and not isinstance(leaf.limit, frozenset):
            low, high = limits
            if not low <= leaf.limit <= high:
                yield f"{book.path}:{leaf.line}: {leaf.fact} is never {leaf.limit:g} {leaf.unit}."


def _contradictions(book: RuleBook, node: Node, told: set[str]) -> Iterator[str]:
    """Facts for which every value, or no value, meets a group; told of the smallest such group."""
    below: set[str] = set()
    if isinstance(node, Group):
        for inner in node.nodes:
            yield from _contradictions(book, inner, below)
    for fact_id in facts_in(node):
        if fact_id in below:
            continue
        answers = outcomes(node, Facts(), fact_id)
        line = min(leaf.line for leaf in leaves(node) if leaf.fact == fact_id)
        if (answers < 0).all():
            yield f"{book.path}:{line}: the criteria on {fact_id} contradict one another."
        elif (answers > 0).all():
            yield f"{book.path}:{line}: always met, whatever {fact_id} is."
        else:
            continue
        below.add(fact_id)
    told |= below


def _idle(book: RuleBook, top: Node) -> Iterator[str]:
    """Criteria that cannot matter beside another one on the same fact in the same group."""
    for _, group in walk(top):
        if not isinstance(group, Group) or group.join not in ("all", "any"):
            continue
        direct = [node for node in group.nodes if isinstance(node, Criterion)]
        for leaf in direct:
            same = tuple(other for other in direct if other.fact == leaf.fact)
            rest = tuple(other for other in same if other is not leaf)
            if rest and _equal(replace(group, nodes=same), replace(group, nodes=rest), leaf.fact):
                yield (
                    f"{book.path}:{leaf.line}: `{leaf.id}` cannot matter beside "
                    f"`{'`, `'.join(other.id for other in rest)}`."
                )


def _equal(one: Node, other: Node, fact_id: str) -> bool:
    """Whether two nodes on one fact answer alike for every value of it."""
    table = values_of(one, fact_id)
    return bool((evaluate(one, table) == evaluate(other, table)).all())


def _without_rows(books: Sequence[RuleBook], tests: Path) -> Iterator[str]:
    given: dict[str, dict[str, set[str]]] = {}
    known = {book.id: {path for _, path, _ in book.rows()} for book in books}
    paths = sorted(tests.glob("*.yaml"))
    if not paths:
        yield f"{tests}: no test rows here."
    for path in paths:
        try:
            table = read_located(path)
        except RuleError as error:
            yield str(error)
            continue
        rows = given.setdefault(str(table.get("book")), {})
        for row in table.get("rows", ()):
            if isinstance(row, Located):
                named = str(row.get("row"))
                if named not in known.get(str(table.get("book")), {named}):
                    yield f"{row.where('row')}: {table.get('book')} has no criterion `{named}`."
                rows.setdefault(str(row.get("row")), set()).add(str(row.get("case")))
    for book in books:
        for _, path_in_book, node in book.rows():
            if isinstance(node, Criterion):
                cases = given.get(book.id, {}).get(path_in_book, set())
                if lacking := [case for case in CASES if case not in cases]:
                    yield (
                        f"{book.path}:{node.line}: no test row of `{path_in_book}` "
                        f"in {tests} for: {', '.join(lacking)}."
                    )
