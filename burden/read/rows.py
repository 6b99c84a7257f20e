"""Clinical facts from one row of a CSV file: one column a fact, one row a case.

A heading is a fact id, with another unit than the vocabulary's in brackets where needed
(``lab.bilirubin [umol/L]``); the column ``case`` names the rows. A cell holds a number
(``61``, ``<5``, ``2..5``, ``17.1 umol/L``) or one or more options (``G1|G2``); an empty cell,
like ``unknown``, says that nothing is known.
"""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from burden.errors import InputError, RuleError
from burden.facts import Fact, Facts
from burden.findings import Finding
from burden.read.clinical import fact_of
from burden.vocabulary import vocabulary

MAX_BYTES = 2**24
CASE = "case"
_NOT_KNOWN = {"", "null", "unknown", "na", "n/a", "?"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_RANGE = re.compile(rf"({_NUMBER})\s*(?:\.\.|to)\s*({_NUMBER})\s*(\S.*)?")
_BOUND = re.compile(rf"(<=?|>=?)?\s*({_NUMBER})\s*(\S.*)?")


def read_row(path: Path, wanted: str) -> tuple[Facts, tuple[Finding, ...]]:
    """Facts of the row whose ``case`` is ``wanted``, or of the only row where that is "".

    Raises
    ------
    InputError
        If there is no such row, or it is not clear which.
    RuleError
        If a heading or a cell does not fit the vocabulary; rows are named by line, since the
        name of a case may be that of a patient.
    """
    heads, rows = _table(path)
    line, cells = _row(path, heads, rows, wanted)
    facts: list[Fact] = []
    ignored = []
    for head, cell in zip(heads, cells, strict=True):
        name, unit = _heading(head)
        if name == CASE:
            continue
        if vocabulary().find(name) is None and "." not in name:
            ignored.append(name)
            continue
        facts.append(fact_of(name, _value(name, cell.strip(), unit), f"{path}:{line}", path.name))
    if not ignored:
        return Facts(facts), ()
    text = f"{path.name}: {len(ignored)} column(s) are no facts, not read: {', '.join(ignored[:5])}."
    return Facts(facts), (Finding("columns-ignored", "info", text),)


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Headings, and the rows with the line they end on."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RuleError("too large for a table of facts.", where=path)
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
        heads = [head.strip() for head in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if any(c.strip() for c in cells)]
    except OSError as error:
        raise InputError("cannot be read.", where=path, hint=error.strerror) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RuleError("not a CSV table in UTF-8.", where=path) from error
    names = [_heading(head)[0] for head in heads]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RuleError(f"the column {twice!r} is there twice.", where=f"{path}:1")
    return heads, rows


def _row(
    path: Path, heads: list[str], rows: list[tuple[int, list[str]]], wanted: str
) -> tuple[int, list[str]]:
    if wanted:
        if CASE not in heads:
            raise InputError(f"no column {CASE!r} to look the row up in.", where=path)
        at = heads.index(CASE)
        rows = [row for row in rows if at < len(row[1]) and row[1][at].strip() == wanted]
    if len(rows) != 1:
        what = "the named row is not there." if not rows else f"{len(rows)} rows, and one is needed."
        hint = f"Give FILE.csv@CASE with a value of the column {CASE!r} that is there once."
        raise InputError(what if wanted or rows else "no row below the headings.", where=path, hint=hint)
    line, cells = rows[0]
    if len(cells) != len(heads):
        raise RuleError(f"{len(cells)} cells for {len(heads)} headings.", where=f"{path}:{line}")
    return line, cells


def _heading(head: str) -> tuple[str, str]:
    """``lab.bilirubin [umol/L]`` as name and unit."""
    found = re.fullmatch(r"\s*([^\[\]]*?)\s*(?:\[([^\[\]]*)\])?\s*", head)
    return (found[1], (found[2] or "").strip()) if found else (head.strip(), "")


def _value(name: str, cell: str, unit: str) -> Any:
    """A cell in the forms that a YAML facts file has."""
    if cell.lower() in _NOT_KNOWN:
        return None
    entry = vocabulary().find(name)
    if entry is None or entry.options:
        return [part.strip() for part in cell.split("|")]
    both, one = _RANGE.fullmatch(cell), _BOUND.fullmatch(cell)
    if both:
        value: dict[str, Any] = {"low": float(both[1]), "high": float(both[2])}
    elif one:
        key = {"<": "high", ">": "low"}.get((one[1] or "")[:1], "value")
        value = {key: float(one[2])}
    else:
        return cell
    written = (both or one or [""] * 4)[3] or unit
    return {**value, "unit": written} if written else value
