"""Every criterion of every shipped book, inside its limit, on it, outside it, and not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from burden.assess import Criterion, Group, RuleBook, Table, decide, derive, load_books, table_of
from burden.assess.load import elsewhere, references
from burden.assess.logic import evaluate
from burden.assess.rulebook import Node
from burden.vocabulary import vocabulary

HERE = Path(__file__).parent
CASES = {"inside", "on", "outside", "missing"}
SIGN = {"yes": 1, "unknown": 0, "no": -1}
WORD = {True: "yes", False: "no", "unknown": "unknown"}


@dataclass(frozen=True)
class Row:
    book: str
    row: str
    case: str
    facts: dict[str, Any]
    criterion: str
    answer: str


def _rows() -> Iterator[Row]:
    for path in sorted(HERE.glob("*.yaml")):
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        for row in table["rows"]:
            facts = table["base"] | row["facts"]
            yield Row(
                table["book"], row["row"], row["case"], facts, WORD[row["criterion"]], WORD[row["book"]]
            )


ROWS = tuple(_rows())
BOOKS = {book.id: book for book in load_books()}


def _check(book: RuleBook, row: Row, make_facts: Any) -> list[str]:
    """What differs from the row's expectation."""
    found = decide(book, derive(make_facts(row.facts)))
    said = {c.id: c.answer.value for c in found.criteria}
    wrong = [] if said.get(row.row) == row.criterion else [f"{row.row} is {said.get(row.row)}"]
    return wrong + ([] if found.answer.value == row.answer else [f"the book says {found.answer.value}"])


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r.book}-{r.row}-{r.case}")
def test_row(row: Row, make_facts: Any) -> None:
    assert _check(BOOKS[row.book], row, make_facts) == []


@pytest.mark.parametrize("book", BOOKS.values(), ids=lambda b: b.id)
def test_every_criterion_has_its_four_rows(book: RuleBook) -> None:
    asked = {path for _, path, node in book.rows() if isinstance(node, Criterion)}
    given = {row.row: set() for row in ROWS if row.book == book.id}  # type: dict[str, set[str]]
    for row in ROWS:
        if row.book == book.id:
            given[row.row].add(row.case)
    assert {
        path: CASES - given.get(path, set()) for path in asked if not given.get(path, set()) >= CASES
    } == {}


def test_base_patients_meet_every_criterion_of_their_book(make_facts: Any) -> None:
    for path in sorted(HERE.glob("*.yaml")):
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
        book = BOOKS[table["book"]]
        if book.purpose == "eligibility":
            assert decide(book, derive(make_facts(table["base"]))).answer.value == "yes", path.name


_OPS = ("<", "<=", ">", ">=", "==", "!=")


def _leaf_mutants(leaf: Criterion) -> Iterator[Criterion]:
    """The criterion with another operator, or with its limit moved."""
    if isinstance(leaf.limit, frozenset):
        yield replace(leaf, op="==" if leaf.op == "!=" else "!=")
        options = vocabulary()[leaf.fact].options
        for option in options:
            changed = leaf.limit ^ {option}
            if changed and changed != frozenset(options):
                yield replace(leaf, limit=changed, op="in" if leaf.op != "!=" else "!=")
        return
    lowest = (vocabulary()[leaf.fact].range or (None,))[0]
    for op in _OPS:
        # above the lowest possible value is the same as not that value
        same = (leaf.op, op) == (">", "!=") and leaf.limit == lowest
        if op != leaf.op and not same:
            yield replace(leaf, op=op)
    step = 1.0 if leaf.unit == "1" else 0.5
    yield replace(leaf, limit=leaf.limit + step)
    yield replace(leaf, limit=leaf.limit - step)


def _node_mutants(node: Node) -> Iterator[Node]:
    """The node with one thing in it changed."""
    if isinstance(node, Criterion):
        yield from _leaf_mutants(node)
        return
    if node.join in ("all", "any") and len(node.nodes) > 1:
        yield replace(node, join="any" if node.join == "all" else "all")
    if node.join == "readings":
        yield from (replace(node, decides=i) for i in range(len(node.nodes)) if i != node.decides)
    if node.join == "at_least":
        yield from (replace(node, count=n) for n in (node.count - 1, node.count + 1) if n > 0)
    for i, inner in enumerate(node.nodes):
        if node.join in ("all", "any") and len(node.nodes) > 1:
            yield replace(node, nodes=node.nodes[:i] + node.nodes[i + 1 :])
        for changed in _node_mutants(inner):
            yield replace(node, nodes=(*node.nodes[:i], changed, *node.nodes[i + 1 :]))


def _book_mutants(book: RuleBook) -> Iterator[RuleBook]:
    for node in _node_mutants(book.criteria):
        yield replace(book, criteria=node)
    for name in ("contraindications", "advisories"):
        nodes: tuple[Node, ...] = getattr(book, name)
        for i, node in enumerate(nodes):
            yield replace(book, **{name: nodes[:i] + nodes[i + 1 :]})
            for changed in _node_mutants(node):
                yield replace(book, **{name: (*nodes[:i], changed, *nodes[i + 1 :])})


@pytest.mark.parametrize("book", BOOKS.values(), ids=lambda b: b.id)
def test_rows_kill_every_mutant(book: RuleBook, make_facts: Any, record_property: Any) -> None:
    """Each operator flipped, limit moved, criterion dropped or group rejoined must show."""
    rows = [(row, table_of(derive(make_facts(row.facts)))) for row in ROWS if row.book == book.id]
    assert not any(_differs(book, row, table) for row, table in rows)
    mutants = list(_book_mutants(book))
    alive = [m for m in mutants if not any(_differs(m, row, table) for row, table in rows)]
    record_property("mutants", len(mutants))
    assert [_changed(book, m) for m in alive] == []


def _differs(book: RuleBook, row: Row, table: Table) -> bool:
    """Whether the row's expectations show that the book has changed."""
    seen: dict[int, Any] = {}
    root = book.root
    answer = int(evaluate(root, table, seen)[0])
    for node in book.advisories:
        evaluate(node, table, seen)
    said = {path: int(seen[id(node)][0]) for _, path, node in book.rows()}
    return answer != SIGN[row.answer] or said.get(row.row) != SIGN[row.criterion]


def _changed(book: RuleBook, mutant: RuleBook) -> str:
    before = {path: repr(node) for _, path, node in book.rows()}
    after = {path: repr(node) for _, path, node in mutant.rows()}
    return str([path for path in before if after.get(path) != before[path]])


def test_citations_name_a_paper_and_a_place() -> None:
    for book in BOOKS.values():
        for _, path, node in book.rows():
            if isinstance(node, Criterion):
                assert node.cite, (book.id, path)
                assert all(c.source in references() and c.where for c in node.cite), (book.id, path)
                assert all(c.source != "local" for c in node.cite), (book.id, path)


def test_titles_tell_ours_from_the_rule_for_hepatocellular_carcinoma() -> None:
    milan = BOOKS["nelm.transplant.milan"]
    assert "neuroendocrine" in milan.title
    assert "not the HCC" in milan.title
    assert all(book_id.startswith("nelm.") for book_id in BOOKS)


def test_groups_are_named_unless_they_are_the_top(make_facts: Any) -> None:
    for book in BOOKS.values():
        named = [node for _, _, node in book.rows() if isinstance(node, Group) and node.join != "not"]
        assert all(node.text for node in named), book.id


# Rows of the inventory of published systems that are no rule book: A1 to A5 are derived or
# measured facts, I is a table of outcomes (`configs/evidence.csv`); `configs/inventory.yaml`.
NOT_BOOKS = {"A1", "A2", "A3", "A4", "A5", "I"}
INVENTORY = {
    f"{letter}{n}"
    for letter, last in (
        ("A", 5),
        ("B", 10),
        ("C", 5),
        ("D", 6),
        ("E", 11),
        ("F", 7),
        ("G", 6),
        ("H", 3),
    )
    for n in range(1, last + 1)
} | {"I"}


def test_every_row_of_the_inventory_is_claimed() -> None:
    claimed = {row for book in BOOKS.values() for row in book.inventory}
    assert claimed <= INVENTORY
    assert INVENTORY - claimed == NOT_BOOKS == set(elsewhere())


def test_what_is_no_book_is_there_all_the_same() -> None:
    for row, one in elsewhere().items():
        assert all(vocabulary().find(fact) for fact in one["facts"]), row
        assert all(cite["source"] in references() for cite in one["cite"]), row
    limits = {
        leaf.limit
        for book in BOOKS.values()
        for _, _, leaf in book.rows()
        if isinstance(leaf, Criterion) and leaf.fact == "tumor.burden"
    }
    assert set(map(float, elsewhere()["A3"]["limits"])) <= limits
