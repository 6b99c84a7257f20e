"""A rule book that is wrong is refused, with the file and the line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from burden.assess import check_books, describe_book, load_book, load_books
from burden.assess.rulebook import Criterion, Group
from burden.errors import RuleError, UsageError

Write = Callable[[str], Path]

GOOD = """\
book: nelm.test.book
version: 1.0.0
title: A test
modality: test
criteria:
  all:
    - id: age
      text: Younger than 55
      fact: patient.age
      op: "<"
      limit: 55
      unit: year
      cite: [{source: S1, where: Table 2}]
"""


def test_a_good_book_is_read(write_book: Write) -> None:
    book = load_book(write_book(GOOD))
    assert (book.id, book.version, book.title) == ("nelm.test.book", "1.0.0", "A test")
    assert isinstance(book.criteria, Group)
    (leaf,) = book.criteria.nodes
    assert isinstance(leaf, Criterion)
    assert (leaf.fact, leaf.op, leaf.limit, leaf.unit, leaf.line) == (
        "patient.age",
        "<",
        55.0,
        "year",
        7,
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("version: 1.0.0", "version: 1.0.0\nversion: 2", 3, "given twice"),
        ("modality: test", "modality: test\ncolour: red", 5, "unknown key `colour`"),
        ("      limit: 55", "      limit: 55\n      limits: 5", 12, "unknown key `limits`"),
        ("fact: patient.age", "fact: patient.aeg", 9, "not in configs/facts.yaml"),
        ("unit: year", "unit: month", 12, "unit is `month`"),
        ("      unit: year\n", "", 7, "unit is `None`"),
        ("      cite: [{source: S1, where: Table 2}]\n", "", 7, "needs `cite`"),
        ("source: S1", "source: S9", 13, "not in configs/references.yaml"),
        ("limit: 55", "limit: young", 11, "is a number"),
        ("limit: 55", "limit: yes", 11, "is a number"),
        ('op: "<"', 'op: "=<"', 10, "`op` is one of"),
        ("book: nelm.test.book", "book: Milan", 1, "an id is like"),
        ("  all:\n", "  all: []\n  any:\n", 6, "exactly one of"),
        ("    - id: age", "    - id: AGE", 7, "an id has a-z"),
        ("title: A test\n", "", 1, "`title` is missing"),
        ("title: A test", "title: [A test", 4, "not valid YAML"),
    ],
)
def test_mistakes_name_file_and_line(
    write_book: Write, old: str, new: str, line: int, message: str
) -> None:
    assert old in GOOD
    path = write_book(GOOD.replace(old, new, 1))
    with pytest.raises(RuleError, match=re.escape(message)) as caught:
        load_book(path)
    assert str(caught.value).startswith(f"{path}:{line}:"), caught.value
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)


GROUPS = """\
book: nelm.test.book
version: 1.0.0
title: A test
modality: test
criteria:
  id: top
  text: Top
  cite: [{source: S1, where: Table 2}]
"""
LEAF = "{id: a, text: T, fact: tumor.grade, op: in, limit: [G1]}"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("  all: []\n", "an empty group"),
        (f"  at_least: {{count: 3, of: [{LEAF}]}}\n", "count must be 1 to 1"),
        (f"  at_least: [{LEAF}]\n", "at_least takes"),
        (f"  readings: [{LEAF}]\n", "exactly one has `decides: true`"),
        (f"  any: [{LEAF}, {LEAF}]\n", "used twice"),
        (f"  all: {LEAF}\n", "must be a list"),
        ("  any: [3]\n", "expected a criterion"),
        (f"  any: [{LEAF.replace('[G1]', '[G9]')}]\n", "not among"),
        (f"  any: [{LEAF.replace('[G1]', 'G1')}]\n", "is a choice"),
        (f"  any: [{LEAF.replace('in', '<')}]\n", "is a choice"),
    ],
)
def test_bad_groups_are_refused(write_book: Write, body: str, message: str) -> None:
    with pytest.raises(RuleError, match=re.escape(message)) as caught:
        load_book(write_book(GROUPS + body))
    assert re.search(r"book\.yaml:\d+: ", str(caught.value))


@pytest.mark.parametrize(
    "text", ["", "- a\n- b\n", "a: &x [*x]\n", "\x00", "!!python/object:os.system {}\n"]
)
def test_what_is_no_rule_book_is_refused(write_book: Write, text: str) -> None:
    with pytest.raises(RuleError):
        load_book(write_book(text))


def test_a_bare_yes_means_the_option_yes(write_book: Write) -> None:
    leaf = '{id: a, text: T, fact: primary.resected, op: "==", limit: yes}'
    book = load_book(write_book(GROUPS + f"  any: [{leaf}]\n"))
    (node,) = book.criteria.nodes  # type: ignore[union-attr]
    assert node.limit == frozenset({"yes"})  # type: ignore[union-attr]


def test_books_are_found_by_id_end_or_inventory_row() -> None:
    for name in ("nelm.transplant.milan", "milan", "C1"):
        assert [b.id for b in load_books([name])] == ["nelm.transplant.milan"]
    with pytest.raises(UsageError, match=r"nelm\.transplant\.milan"):
        load_books(["berlin"])


def test_two_books_of_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD)
    with pytest.raises(RuleError, match="is also in"):
        load_books(folder=tmp_path)
    assert any("is also in" in p for p in check_books(tmp_path))


def test_the_linter_lists_every_problem(tmp_path: Path) -> None:
    extra = """\
    - id: {id}
      text: Text
      fact: patient.age
      op: "{op}"
      limit: {limit}
      unit: year
      cite: [{{source: S1, where: Table 2}}]
"""
    (tmp_path / "a.yaml").write_text(GOOD + extra.format(id="old", op=">", limit=60))
    (tmp_path / "b.yaml").write_text(GOOD.replace("patient.age", "patient.aeg"))
    (tmp_path / "c.yaml").write_text(
        GOOD.replace("test.book", "test.other").replace("limit: 55", "limit: 550")
    )
    problems = check_books(tmp_path)
    assert sum("contradict" in p for p in problems) == 1
    assert sum("patient.aeg" in p for p in problems) == 1
    assert sum("never 550" in p for p in problems) == 1
    assert all(re.search(r"\.yaml:\d+: ", p) for p in problems)


def test_the_shipped_books_are_sound() -> None:
    from burden.resources import shipped

    assert check_books(shipped("configs", "rulebooks")) == []


def test_an_empty_folder_is_a_problem(tmp_path: Path) -> None:
    assert check_books(tmp_path) == [f"{tmp_path}: no rule books here."]


def test_a_description_is_plain_data() -> None:
    import json

    import yaml

    for book in load_books():
        described = describe_book(book)
        assert json.loads(json.dumps(described)) == described
        assert yaml.safe_load(yaml.safe_dump(described)) == described
        assert len(described["criteria"]) == len(list(book.rows()))
    (milan,) = load_books(["milan"])
    described = describe_book(milan)
    assert described["sources"]["S1"]["doi"] == "10.20524/aog.2021.0574"
    burden = next(c for c in described["criteria"] if c["id"] == "burden")
    assert burden["test"] == "tumor.burden < 50 %"
    assert burden["cite"] == ["S1, Table 2, Milan"]


def test_no_rule_is_run_as_code() -> None:
    """Criteria are data: the engine holds no eval, exec, compile or getattr by rule text."""
    import ast

    import burden.assess as room

    for path in Path(room.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec", "compile", "__import__"}, path
