"""Rule books from YAML: every mistake is refused with its file and line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from burden.assess.located import Located, only, read_located, text_of
from burden.assess.rulebook import Criterion, Grade, Grades, Group, Join, Node, Op, RuleBook
from burden.case import Citation
from burden.errors import RuleError, UsageError
from burden.resources import shipped
from burden.vocabulary import Entry, vocabulary

_JOINS: tuple[str, ...] = get_args(Join)
_OPS: tuple[str, ...] = get_args(Op)
_BOOK_KEYS = {
    "book", "version", "title", "short", "modality", "purpose", "status", "inventory", "note",
    "criteria", "contraindications", "advisories",
}  # fmt: skip
_NODE_KEYS = {"id", "text", "cite", "note", "decides", "grades"}
_LEAF_KEYS = _NODE_KEYS | {"fact", "op", "limit", "unit"}
_BOOK_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+){2,}")
_NODE_ID = re.compile(r"[a-z0-9_]+")


def books_folder() -> Path:
    """The folder of the shipped rule books."""
    return shipped("configs", "rulebooks")


def load_books(ids: Sequence[str] | None = None, folder: Path | None = None) -> tuple[RuleBook, ...]:
    """The rule books of a folder, in the order of their file names.

    Parameters
    ----------
    ids
        Only these: a whole id (``nelm.transplant.milan``), its end (``milan``), or a row of the
        inventory (``C1``). None for all.
    folder
        By default the shipped books.

    Raises
    ------
    RuleError
        A book is invalid: file, line and what is wrong.
    UsageError
        No book has such an id.
    """
    books = tuple(load_book(path) for path in sorted((folder or books_folder()).rglob("*.yaml")))
    seen: dict[str, str] = {}
    for book in books:
        if book.id in seen:
            raise RuleError(f"`{book.id}` is also in {seen[book.id]}.", where=f"{book.path}:1")
        seen[book.id] = book.path
    if ids is None:
        return books
    wanted = {book.id for name in ids for book in _named(name, books)}
    return tuple(book for book in books if book.id in wanted)


def _named(name: str, books: Sequence[RuleBook]) -> list[RuleBook]:
    found = [b for b in books if name == b.id or b.id.endswith("." + name) or name in b.inventory]
    if not found:
        known = ", ".join(b.id for b in books)
        raise UsageError("no such rule book.", where=name, hint=f"There are: {known}.")
    return found


def load_book(path: Path) -> RuleBook:
    """One rule book.

    Raises
    ------
    RuleError
        File, line and what is wrong.
    """
    top = read_located(path)
    only(top, _BOOK_KEYS)
    book_id = text_of(top, "book")
    if not _BOOK_ID.fullmatch(book_id):
        raise RuleError("an id is like nelm.transplant.milan.", where=top.where("book"))
    if "criteria" not in top:
        raise RuleError("`criteria` is missing.", where=top.where())
    book = RuleBook(
        id=book_id,
        version=text_of(top, "version"),
        title=text_of(top, "title"),
        modality=text_of(top, "modality"),
        purpose=_one_of(top, "purpose", ("eligibility", "information")),
        status=_one_of(top, "status", ("released", "draft", "superseded")),
        inventory=tuple(str(i) for i in _list(top, "inventory", optional=True)),
        note=text_of(top, "note", optional=True),
        criteria=_node(top["criteria"], top, "criteria", named=False),
        contraindications=_nodes(top, "contraindications"),
        advisories=_nodes(top, "advisories"),
        path=str(path),
        short=text_of(top, "short", optional=True),
    )
    _distinct(book, top)
    return book


def _nodes(above: Located, key: str) -> tuple[Node, ...]:
    return tuple(_node(item, above, key) for item in _list(above, key, optional=True))


def _node(
    given: Any, above: Located, key: str, cite: tuple[Citation, ...] = (), *, named: bool = True
) -> Node:
    if not isinstance(given, Located):
        raise RuleError("expected a criterion or a group.", where=above.where(key))
    joins = [j for j in _JOINS if j in given]
    if len(joins) + ("fact" in given) != 1:
        raise RuleError(f"expected `fact` or exactly one of {', '.join(_JOINS)}.", where=given.where())
    own = _citations(given) or cite
    if "fact" in given:
        return _leaf(given, own)
    return _group(given, joins[0], own, named=named)


def _group(given: Located, join: str, cite: tuple[Citation, ...], *, named: bool) -> Group:
    only(given, _NODE_KEYS | {join})
    count, items = 0, given[join]
    if join == "at_least":
        if not isinstance(items, Located):
            raise RuleError("at_least takes {count, of}.", where=given.where(join))
        only(items, {"count", "of"})
        count, given_list = items.get("count", 0), _list(items, "of")
    else:
        given_list = [items] if join == "not" else _list(given, join)
    if not given_list:
        raise RuleError("an empty group.", where=given.where(join))
    nodes = tuple(_node(item, given, join, cite, named=join != "not") for item in given_list)
    if join == "at_least" and (not isinstance(count, int) or not 1 <= count <= len(nodes)):
        raise RuleError(f"count must be 1 to {len(nodes)}.", where=given.where(join))
    return Group(
        id=_id(given, optional=not named),
        text=text_of(given, "text", optional=not named),
        join=join,  # type: ignore[arg-type]
        nodes=nodes,
        count=count,
        decides=_deciding(given, given_list) if join == "readings" else 0,
        cite=cite,
        note=text_of(given, "note", optional=True),
        line=given.line,
        grades=_grades(given),
    )


def _deciding(given: Located, items: list[Any]) -> int:
    marked = [i for i, item in enumerate(items) if item.get("decides") is True]
    if len(marked) != 1 or len(items) < 2:
        raise RuleError(
            "readings are two or more, and exactly one has `decides: true`.",
            where=given.where("readings"),
        )
    return marked[0]


def _leaf(given: Located, cite: tuple[Citation, ...]) -> Criterion:
    only(given, _LEAF_KEYS)
    fact = text_of(given, "fact")
    entry = vocabulary().find(fact)
    if entry is None:
        raise RuleError(f"`{fact}` is not in configs/facts.yaml.", where=given.where("fact"))
    if not cite:
        raise RuleError("a criterion needs `cite`: source and where.", where=given.where())
    op = text_of(given, "op")
    if op not in _OPS:
        raise RuleError(f"`op` is one of {' '.join(_OPS)}.", where=given.where("op"))
    return Criterion(
        id=_id(given),
        text=text_of(given, "text"),
        fact=fact,
        op=op,  # type: ignore[arg-type]
        limit=limit_of(given, entry, op),
        unit=entry.unit,
        cite=cite,
        note=text_of(given, "note", optional=True),
        line=given.line,
        grades=_grades(given),
    )


def _grades(given: Located) -> Grades:
    """``{TARE: "+++"}``: how a scenario grades treatments."""
    grades = given.get("grades", Located(given.path, given.line))
    if not isinstance(grades, Located) or not all(g in get_args(Grade) for g in grades.values()):
        raise RuleError(
            f"`grades` are treatments, each with one of {' '.join(get_args(Grade))} in quotes.",
            where=given.where("grades"),
        )
    return tuple(grades.items())


def limit_of(given: Located, entry: Entry, op: str) -> float | frozenset[str]:
    """The ``limit`` of a criterion (with its ``unit``): a number or options, as the fact has it."""
    return _options(given, entry, op) if entry.options else _number(given, entry, op)


def _number(given: Located, entry: Entry, op: str) -> float:
    limit, unit = given.get("limit"), given.get("unit")
    if op == "in" or isinstance(limit, bool) or not isinstance(limit, int | float):
        raise RuleError(f"{entry.id} is a number: `op` < <= > >= == != and a number as `limit`.",
                        where=given.where("limit"))  # fmt: skip
    if str(unit) != entry.unit:
        raise RuleError(
            f"unit is `{unit}`, but {entry.id} is in `{entry.unit}`.", where=given.where("unit")
        )
    return float(limit)


def _options(given: Located, entry: Entry, op: str) -> frozenset[str]:
    limit = given.get("limit")
    if op not in ("==", "!=", "in") or (op == "in") != isinstance(limit, list) or "unit" in given:
        raise RuleError(
            f"{entry.id} is a choice: `==` or `!=` one option, or `in` a list; no unit.",
            where=given.where("op"),
        )
    # YAML 1.1 reads a bare yes or no as true or false
    items = limit if isinstance(limit, list) else [limit]
    names = [{True: "yes", False: "no"}[i] if isinstance(i, bool) else str(i) for i in items]
    odd = [n for n in names if n not in entry.options]
    if odd or not names:
        raise RuleError(f"{odd} not among {list(entry.options)}.", where=given.where("limit"))
    return frozenset(names)


def _citations(given: Located) -> tuple[Citation, ...]:
    found = []
    for item in _list(given, "cite", optional=True):
        if not isinstance(item, Located):
            raise RuleError("a citation is {source, where}.", where=given.where("cite"))
        only(item, {"source", "where"})
        source = text_of(item, "source")
        if source not in references():
            raise RuleError(f"`{source}` is not in configs/references.yaml.", where=item.where())
        found.append(Citation(source, text_of(item, "where")))
    return tuple(found)


@cache
def references() -> dict[str, Located]:
    """The papers, by key, as in ``configs/references.yaml``."""
    return dict(read_located(shipped("configs", "references.yaml")))


@cache
def elsewhere() -> dict[str, Located]:
    """Rows of the inventory of published systems that are no rule book, and where they are."""
    return dict(read_located(shipped("configs", "inventory.yaml")))


def _distinct(book: RuleBook, top: Located) -> None:
    seen: dict[str, int] = {}
    for _, path, node in book.rows():
        if path in seen:
            raise RuleError(
                f"id `{path}` is used twice (first on line {seen[path]}).",
                where=f"{top.path}:{node.line}",
            )
        seen[path] = node.line


def _id(given: Located, *, optional: bool = False) -> str:
    found = text_of(given, "id", optional=optional)
    if found and not _NODE_ID.fullmatch(found):
        raise RuleError("an id has a-z, 0-9 and _ only.", where=given.where("id"))
    return found


def _one_of(given: Located, key: str, options: tuple[str, ...]) -> Any:
    value = given.get(key, options[0])
    if value not in options:
        raise RuleError(f"`{key}` is one of {', '.join(options)}.", where=given.where(key))
    return value


def _list(given: Located, key: str, *, optional: bool = False) -> list[Any]:
    value = given.get(key, [] if optional else None)
    if not isinstance(value, list):
        raise RuleError(f"`{key}` must be a list.", where=given.where(key))
    return value
