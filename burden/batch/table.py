"""One row a case, as CSV and Parquet: what was measured, what was decided, what went wrong."""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from burden.batch.cases import Task
from burden.batch.disk import read_json, write_atomically
from burden.batch.work import Record, typed_file
from burden.errors import OutputError, UsageError
from burden.vocabulary import vocabulary

Cell = float | int | str | None
Row = dict[str, Cell]
HEAD = (
    "case",
    "folder",
    "state",
    "reason",
    "exit_code",
    "seconds",
    "attempts",
    "case_id",
    "result_sha256",
)
_STABLE_FILES = ("masks/", "lesions.csv")  # the others print their date


def arrow(needed_for: str) -> None:
    """Refuse with the name of the extra where pyarrow is not installed.

    Raises
    ------
    UsageError
        If it is not.
    """
    if not has_arrow():
        hint = "Install it: pip install 'liver-burden[batch]'."
        raise UsageError(f"{needed_for} pyarrow is not installed.", hint=hint)


def has_arrow() -> bool:
    """Whether Parquet can be read and written here."""
    return importlib.util.find_spec("pyarrow") is not None


def row_of(task: Task, record: Record) -> Row:
    """The row of a case. A number that is not known is empty, and its bounds say what is known."""
    row: Row = dict.fromkeys(HEAD)
    row |= {
        "case": task.case,
        "folder": f"cases/{task.folder}" if record.state == "done" else None,
        "state": record.state,
        "reason": _without_paths(task, record.reason) or None,
        "exit_code": record.code,
        "seconds": record.seconds,
        "attempts": record.attempts,
    }
    case = read_json(task.job.out / "case.json") if record.state == "done" else {}
    if case:
        row["case_id"], row["result_sha256"] = case["case_id"], result_hash(case)
        row |= _said(case)
    for name, cell in task.carried.items():
        row[name if name not in row else f"manifest.{name}"] = _typed(cell)
    return row


def result_hash(case: Mapping[str, Any]) -> str:
    """SHA-256 of a case.json less the times: equal where the results are.

    Left out are when it was made, how long the steps took, and the hashes of the files that
    print their date.
    """
    manifest = {k: v for k, v in case["manifest"].items() if k not in ("created", "seconds")}
    files = manifest.get("files", {})
    manifest["files"] = {k: v for k, v in files.items() if k.startswith(_STABLE_FILES)}
    text = json.dumps({**case, "manifest": manifest}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def write_tables(rows: Sequence[Row], out: Path) -> tuple[Path, ...]:
    """Write ``cases.csv``, and ``cases.parquet`` where pyarrow is installed; both atomically."""
    columns = _columns(rows)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    write_atomically(out / "cases.csv", text.getvalue())
    if not has_arrow():
        return (out / "cases.csv",)
    write_atomically(out / "cases.parquet", _parquet(rows, columns))
    return (out / "cases.csv", out / "cases.parquet")


def _without_paths(task: Task, reason: str) -> str:
    """The table is handed on, and a path may name the patient."""
    job = task.job
    paths = {"INPUT": job.input, "LIVER": job.liver, "LESIONS": job.lesions, "SEGMENTS": job.segments}
    named = {str(path): name for name, path in paths.items() if path is not None}
    named |= {str(path): "FACTS" for path in job.facts}
    named[f"{typed_file(task)}:2"] = "MANIFEST"
    for path in sorted(named, key=len, reverse=True):
        reason = reason.replace(path, named[path])
    return reason


def _said(case: Mapping[str, Any]) -> Row:
    """Facts, verdicts and findings of a case.json as cells."""
    row: Row = {}
    for key, fact in case["facts"].items():
        row[key] = fact["value"]
        if "options" in fact:
            row[f"{key}.options"] = "|".join(fact["options"])
        else:
            row[f"{key}.low"], row[f"{key}.high"] = float(fact["low"]), float(fact["high"])
    for one in case["assessments"]:
        row[f"verdict.{one['book']}"] = one["answer"]
        row[f"p_met.{one['book']}"] = one["p_met"]
    found = case["findings"]
    row["findings"] = ";".join(dict.fromkeys(f["code"] for f in found)) or None
    row["findings.errors"] = sum(f["severity"] == "error" for f in found)
    row["findings.text"] = " ".join(dict.fromkeys(f["text"] for f in found)) or None
    return row


def _columns(rows: Iterable[Row]) -> list[str]:
    """The head, then facts in the order of the vocabulary, verdicts, findings and the rest."""
    names = dict.fromkeys(name for row in rows for name in row)
    known = list(vocabulary().entries)

    def rank(name: str) -> tuple[int, int]:
        if name in HEAD:
            return 0, HEAD.index(name)
        stem = name
        for ending in (".low", ".high", ".options"):
            stem = stem.removesuffix(ending)
        entry = vocabulary().find(stem)
        if entry is not None:
            return 1, known.index(entry.id)
        return (2 if name.startswith(("verdict.", "p_met.")) else 3), 0

    return sorted(names, key=rank)


def _typed(cell: str) -> Cell:
    """A cell of the manifest as a number where it is one."""
    try:
        number = float(cell)
    except ValueError:
        return cell or None
    return None if number != number else number


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    text = " ".join(str(value).split())
    # a spreadsheet would run a cell that starts like a formula
    return f"'{text}" if isinstance(value, str) and text[:1] in ("=", "+", "-", "@") else text


def _parquet(rows: Sequence[Row], columns: Sequence[str]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name in columns:
        cells = [row.get(name) for row in rows]
        words = any(isinstance(cell, str) for cell in cells)
        kind = pa.string() if words else pa.float64()
        arrays[name] = pa.array([_as(cell, words) for cell in cells], type=kind)
    sink = pa.BufferOutputStream()
    try:
        pq.write_table(pa.table(arrays), sink)
    except pa.ArrowException as error:
        raise OutputError("no Parquet table could be made.", where="cases.parquet") from error
    data: bytes = sink.getvalue().to_pybytes()
    return data


def _as(cell: Cell, words: bool) -> Cell:
    if cell is None:
        return None
    return _cell(cell) if words and not isinstance(cell, str) else (cell if words else float(cell))
