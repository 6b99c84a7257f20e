"""The linter and the schema: what they find in books that can be read, and that ours are clean."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from burden.assess import check_books, load_book
from burden.assess import load as loader
from burden.errors import RuleError
from burden.resources import shipped

BOOKS = shipped("configs", "rulebooks")
ROWS = Path(__file__).resolve().parents[1] / "rulebooks"
HEAD = "book: nelm.test.book\nversion: 1.0.0\ntitle: T\nmodality: test\n"


def _leaf(name: str, op: str, limit: str, fact: str = "patient.age", unit: str | None = "year") -> str:
    shown = f", unit: '{unit}'" if unit else ""
    return (
        f"{{id: {name}, text: T, fact: {fact}, op: '{op}', limit: {limit}{shown}, "
        "cite: [{source: S1, where: X}]}"
    )


def _group(name: str, join: str, *nodes: str) -> str:
    return f"{{id: {name}, text: T, {join}: [{', '.join(nodes)}]}}"


OLD, YOUNG = _leaf("old", ">=", "60"), _leaf("young", "<", "55")
WELL = _leaf("well", "==", "well", "tumor.differentiation", None)


def _problems(folder: Path, *nodes: str, more: str = "") -> list[str]:
    lines = "".join(f"    - {node}\n" for node in nodes)
    (folder / "book.yaml").write_text(f"{HEAD}criteria:\n  all:\n{lines}{more}")
    return check_books(folder)


@pytest.mark.parametrize(
    ("nodes", "line", "message"),
    [
        ([WELL, OLD, YOUNG], 8, "contradict"),
        ([WELL, _group("g", "any", WELL, _group("h", "all", OLD, YOUNG))], 8, "contradict"),
        ([WELL, OLD, _leaf("older", ">", "59")], 9, "`older` cannot matter beside `old`"),
        ([_group("g", "any", OLD, _leaf("older", ">", "70"))], 7, "`older` cannot matter beside `old`"),
        ([_group("g", "any", YOUNG, _leaf("b", ">=", "55"))], 7, "always met"),
        ([WELL, _leaf("grade", "==", "poor", "tumor.differentiation", None)], 7, "contradict"),
        ([_leaf("age", "<", "130")], 7, "never 130"),
    ],
)
def test_what_cannot_be_meant_is_found(
    nodes: list[str], line: int, message: str, tmp_path: Path
) -> None:
    (problem,) = [p for p in _problems(tmp_path, *nodes) if message in p]
    assert problem.startswith(f"{tmp_path / 'book.yaml'}:{line}: ")


def test_a_contradiction_is_told_once_at_its_smallest_group(tmp_path: Path) -> None:
    nested = _group("g", "all", WELL, _group("h", "all", OLD, YOUNG))
    assert len(_problems(tmp_path, WELL, nested)) == 1


def test_a_veto_may_contradict_too(tmp_path: Path) -> None:
    problems = _problems(tmp_path, OLD, more=f"contraindications: [{_leaf('veto', '>', '50')}]\n")
    assert sum("contradict" in p for p in problems) == 1


@pytest.mark.parametrize(
    "nodes",
    [
        [OLD, _leaf("most", "<", "80")],
        [_group("g", "any", YOUNG, OLD)],
        [_group("g", "any", _group("h", "all", OLD, WELL), YOUNG)],
        [WELL, _group("g", "any", WELL, OLD)],
    ],
)
def test_sound_books_are_left_alone(nodes: list[str], tmp_path: Path) -> None:
    assert _problems(tmp_path, *nodes) == []


def test_shipped_books_are_sound_and_have_all_their_rows() -> None:
    assert check_books(BOOKS, ROWS) == []


def test_missing_rows_name_book_line_and_cases(tmp_path: Path) -> None:
    _problems(tmp_path, OLD, WELL)
    rows = tmp_path / "rows"
    rows.mkdir()
    (rows / "a.yaml").write_text(
        "book: nelm.test.book\nbase: {}\nrows:\n"
        + "".join(f"  - {{row: old, case: {c}}}\n" for c in ("inside", "missing"))
    )
    (rows / "b.yaml").write_text("- not a table")
    (tmp_path / "books").mkdir()
    (tmp_path / "book.yaml").rename(tmp_path / "books" / "book.yaml")
    unreadable, old, well = check_books(tmp_path / "books", rows)
    assert "b.yaml" in unreadable
    assert re.search(r"book\.yaml:7: no test row of `old` .* for: on, outside\.", old)
    assert re.search(r"book\.yaml:8: no test row of `well` .* for: inside, on, outside, missing\.", well)


SCHEMA = json.loads(shipped("configs", "rulebook.schema.json").read_text(encoding="utf-8"))


def _errors(book: Any) -> list[str]:
    return [e.message for e in jsonschema.Draft202012Validator(SCHEMA).iter_errors(book)]


def test_schema_is_one_and_takes_every_shipped_book() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for path in sorted(BOOKS.rglob("*.yaml")):
        assert _errors(yaml.safe_load(path.read_text(encoding="utf-8"))) == [], path.name


def test_schema_has_the_keys_of_the_loader() -> None:
    assert set(SCHEMA["properties"]) == loader._BOOK_KEYS
    assert set(SCHEMA["$defs"]["criterion"]["properties"]) == loader._LEAF_KEYS
    assert set(SCHEMA["$defs"]["group"]["properties"]) == loader._NODE_KEYS
    assert set(SCHEMA["$defs"]["joins"]["properties"]) == set(loader._JOINS)


def _damaged() -> Iterator[tuple[str, str]]:
    text = (BOOKS / "nelm" / "d1-ablation.yaml").read_text(encoding="utf-8")
    milan = (BOOKS / "nelm" / "c1-milan.yaml").read_text(encoding="utf-8")
    yield "no version", milan.replace("version: 1.0.0\n", "")
    yield "unknown key", milan + "colour: red\n"
    yield "short id", milan.replace("book: nelm.transplant.milan", "book: milan")
    yield "purpose", milan + "purpose: advice\n"
    yield "no op", re.sub(r"\n +op: \"<\"", "", milan, count=1)
    yield "odd op", milan.replace('op: "<"', 'op: "=<"', 1)
    yield "no unit", re.sub(r"\n +unit: year", "", milan, count=1)
    yield "no decision", text.replace("          decides: true\n", "", 1)
    yield (
        "two decisions",
        text.replace("        - id: s4\n", "        - id: s4\n          decides: true\n"),
    )
    yield "empty group", re.sub(r"any:\n(            .*\n)+", "any: []\n", text, count=1)


@pytest.mark.parametrize(("name", "text"), tuple(_damaged()), ids=[name for name, _ in _damaged()])
def test_schema_refuses_what_the_loader_refuses(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "book.yaml"
    path.write_text(text)
    with pytest.raises(RuleError):
        load_book(path)
    assert _errors(yaml.safe_load(text)) != [], name
