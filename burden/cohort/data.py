"""The table of a cohort: a row a patient, cells that may be missing, facts with their bounds."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.errors import InputError, UsageError
from burden.vocabulary import YES_NO, vocabulary

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
CASE = "case"
_MISSING = {"", "-", "–", ".", "?", "na", "n/a", "n.a.", "#n/a", "nan", "<na>", "nat", "null",
            "missing", "unknown", "not known"}  # fmt: skip
_ROUNDING = 1e-6  # of measured percentages
_YES, _NO = {"1", "1.0", "yes", "true", "y"}, {"0", "0.0", "no", "false", "n"}


@dataclass(frozen=True, eq=False)
class Measured:
    """A number of every patient: the best value (NaN: none) and its bounds; shape (rows,)."""

    best: Array
    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Data:
    """Cells as text by column, "" where nothing is known; ``left_out`` says which rows are not here."""

    rows: int
    columns: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, int]

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of a column.

        Raises
        ------
        UsageError
            If there is none of that name.
        """
        if name not in self.columns:
            import difflib

            near = difflib.get_close_matches(name, list(self.columns), n=3)
            hint = f"Is it {' or '.join(near)}?" if near else "Check the headings of the table."
            raise UsageError(f"the table has no column {name!r}.", hint=hint)
        return self.columns[name]

    def numbers(self, name: str) -> Array:
        """A column of numbers, NaN where nothing is known.

        Raises
        ------
        UsageError
            If a cell is no number, or a fact lies outside its plausible range.
        """
        found = np.array([_number(cell, name) for cell in self.column(name)], dtype=np.float64)
        entry = vocabulary().find(name)
        low, high = (entry and entry.range) or (-np.inf, np.inf)
        odd = found[(found < low - _ROUNDING) | (found > high + _ROUNDING)]
        if entry is not None and odd.size:
            raise UsageError(
                f"the column {name!r} holds {odd[0]:g}, outside the plausible range {entry.plausible}.",
                hint="Check the value and its unit.",
            )
        return found

    def measured(self, name: str) -> Measured:
        """A number with its bounds; a column without bounds is taken at its word."""
        best = self.numbers(name)
        bounds = []
        for end, open_end in (("low", -np.inf), ("high", np.inf)):
            own = self.numbers(f"{name}.{end}") if f"{name}.{end}" in self.columns else best
            known = np.where(np.isnan(own), best, own)
            bounds.append(np.where(np.isnan(known), open_end, known))
        low, high = bounds
        if crossed := int((low > high).sum()):
            raise UsageError(f"{name}.low is above {name}.high in {crossed} rows.")
        return Measured(best, low, high)

    def yes_no(self, name: str, positive: str | None) -> Array:
        """1, 0 or NaN: whether a cell is ``positive``, or yes/1/true where that is None.

        ``positive`` may be several values with commas between.

        Raises
        ------
        UsageError
            If it is not clear which cells mean yes.
        """
        found = []
        for cell in self.column(name):
            low = cell.lower()
            if positive is not None and _among(cell, positive):
                found.append(1.0)
            elif low in _MISSING:
                found.append(np.nan)
            elif positive is not None:
                found.append(0.0)
            elif low in _YES | _NO:
                found.append(float(low in _YES))
            else:
                hint = f"Say which cells count as yes: {name}=VALUE."
                raise UsageError(f"the column {name!r} holds {cell!r}.", hint=hint)
        return np.array(found)

    def words(self, name: str, options: Sequence[str] = ()) -> tuple[str, ...]:
        """A column of classes, "" where nothing is known; of several options left none is known.

        Raises
        ------
        UsageError
            If ``options`` are given and a cell is none of them: it must not pass for missing.
        """
        return tuple(_word(cell, name, options) for cell in self.column(name))


def read_tables(paths: Sequence[Path]) -> Data:
    """A table, and further ones joined to it by their column ``case``.

    Rows of a batch that are not ``done`` are left out and counted.

    Raises
    ------
    UsageError, InputError
        If a table cannot be read or joined.
    """
    heads, rows = _read(paths[0])
    left_out: dict[str, int] = {}
    if "state" in heads:
        at = heads.index("state")
        done = [row for row in rows if row[at] == "done"]
        if len(done) < len(rows):
            left_out["cases that are not done"] = len(rows) - len(done)
        rows = done
    columns = {head: tuple(row[n] for row in rows) for n, head in enumerate(heads)}
    for path in paths[1:]:
        joined, without = _joined(columns, path)
        columns |= joined
        if without:
            left_out[f"no row in {path.name} (its columns are empty there)"] = without
    if not rows:
        raise UsageError("no patient is left.", where=paths[0])
    if CASE in columns:
        _by_case(columns[CASE], rows, paths[0])
    return Data(len(rows), columns, left_out)


def _joined(
    columns: Mapping[str, tuple[str, ...]], path: Path
) -> tuple[dict[str, tuple[str, ...]], int]:
    heads, rows = _read(path)
    for there, where in ((columns, "the first table"), (heads, path)):
        if CASE not in there:
            raise UsageError(f"no column {CASE!r} to join by.", where=where)
    at = heads.index(CASE)
    by_case = _by_case([row[at] for row in rows], rows, path)
    twice = sorted((set(heads) & set(columns)) - {CASE})
    if twice:
        raise UsageError(f"the column {twice[0]!r} is in both tables.", where=path)
    found = [by_case.get(case) for case in columns[CASE]]
    missing = sum(row is None for row in found)
    if missing == len(found):
        raise UsageError("no case of this table is in the first one.", where=path)
    new = {
        head: tuple("" if row is None else row[n] for row in found)
        for n, head in enumerate(heads)
        if head != CASE
    }
    return new, missing


def _by_case(names: Sequence[str], rows: Sequence[list[str]], path: Path) -> dict[str, list[str]]:
    """Rows by case; one without a name is nobody's. A patient counted twice narrows every interval."""
    found: dict[str, list[str]] = {}
    for name, row in zip(names, rows, strict=True):
        if name and found.setdefault(name, row) is not row:
            raise UsageError("a case is there twice.", where=path, hint="A row is a patient.")
    return found


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        hint = "Give cases.csv or cases.parquet of a batch, or a table of your own."
        raise InputError("no such table.", where=path, hint=hint)
    table = _parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _csv(path)
    if len(table) < 2:
        raise InputError("no row below the headings.", where=path)
    heads, *rows = table
    twice = next((h for h in heads if heads.count(h) > 1), None)
    if twice is not None:
        raise UsageError(f"the column {twice!r} is there twice.", where=path)
    wrong = next((n for n, row in enumerate(rows, 2) if len(row) != len(heads)), None)
    if wrong is not None:
        raise InputError("another number of cells than headings.", where=f"{path}, row {wrong}")
    return heads, rows


def _csv(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
        return [[cell.strip() for cell in row] for row in reader if any(row)]
    except OSError as error:
        raise InputError("cannot be read.", where=path, hint=error.strerror) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("not a CSV table in UTF-8.", where=path) from error


def _parquet(path: Path) -> list[list[str]]:
    if importlib.util.find_spec("pyarrow") is None:
        hint = "Install it: pip install 'liver-burden[batch]', or give cases.csv."
        raise UsageError("Parquet needs pyarrow, which is not installed.", where=path, hint=hint)
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table: Any = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError("not a readable Parquet file.", where=path) from error
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [
        [name.strip() for name in table.column_names],
        *(["" if cell is None else str(cell).strip() for cell in row] for row in rows),
    ]


def _number(cell: str, name: str) -> float:
    if cell.lower() in _MISSING | {"none"}:
        return np.nan
    try:
        number = float(cell)
    except ValueError:
        raise UsageError(f"the column {name!r} holds {cell!r}, which is no number.") from None
    if np.isinf(number) and not name.endswith((".low", ".high")):
        raise UsageError(f"the column {name!r} holds {cell!r}; only bounds may be endless.")
    return number


def _among(cell: str, wanted: str) -> bool:
    return any(_alike(cell, one.strip()) for one in (wanted, *wanted.split(",")))


def _alike(cell: str, wanted: str) -> bool:
    try:
        return float(cell) == float(wanted)
    except ValueError:
        return cell.lower() == wanted.lower()


def _word(cell: str, name: str, options: Sequence[str]) -> str:
    """A cell as one of the options, however it is spelt; as it is where there are none."""
    low = cell.lower()
    if options == YES_NO:
        low = "yes" if low in _YES else "no" if low in _NO else low
    found = next((option for option in options if option.lower() == low), None)
    if found is not None:
        return found
    if low in _MISSING or (options and "|" in cell):
        return ""
    if options:
        hint = f"It has {', '.join(options)}."
        raise UsageError(f"the column {name!r} holds {cell!r}, no option of it.", hint=hint)
    return cell


def unit_of(name: str) -> str:
    """Unit of a fact, "" for what is none (or a count)."""
    entry = vocabulary().find(name)
    return "" if entry is None or entry.unit == "1" else entry.unit
