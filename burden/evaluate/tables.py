"""Evaluation for people and for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burden.evaluate.resample import Figure
from burden.evaluate.score import Score, flat_record

if TYPE_CHECKING:
    from rich.console import Group

    from burden.evaluate import Evaluation

FEW = 12
"""More cases than this are not listed on the terminal."""


def evaluation_page(one: Evaluation, out: Path | None) -> Group:
    """The summary, and each case where they are few."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    figures = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("", "value", "95 % interval", "cases", ""):
        figures.add_column(column, justify="right" if column in ("value", "cases") else "left")
    for f in one.figures:
        low_high = "" if f.low is None or f.high is None else f"{_text(f.low)} to {_text(f.high)}"
        unit = f" {f.unit}" if f.unit else ""
        value = "not defined" if f.value is None else _text(f.value) + unit
        figures.add_row(f.name, value, low_high, str(f.cases), Text(f.note, style="dim"))
    parts: list[Any] = [Text(f"{f.severity}: {f.text}", style="yellow") for f in one.findings]
    parts += [Text(f"{s.case}: {f.text}", style="dim") for s in one.scores for f in s.findings]
    if len(one.scores) <= FEW:
        parts += [_case_table(one.scores), ""]
    parts.append(figures)
    if any(f.low is None and f.value is not None and not f.note for f in one.figures):
        text = "No interval where fewer than two cases tell, or all samples of them give the same."
        parts.append(Text(text, style="dim"))
    if out is not None:
        parts.append(f"Written: {out / 'cases.csv'}, lesions.csv, evaluation.json, evaluation.png")
    return Group(*parts)


def _case_table(scores: Sequence[Score]) -> Any:
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("case")
    heads = ("liver Dice", "HD95 mm", "lesion Dice", "HD95 mm", "burden %", "reference %", "error")
    for head in heads:
        table.add_column(head, justify="right")
    for s in scores:
        cells = []
        for part in (s.liver, s.lesions):
            if part is None:
                cells += ["-", "-"]
            elif part.state == "both":
                cells += [_text(part.dice), _text(part.hd95_mm)]
            else:
                cells += [part.state, "0" if part.state == "both empty" else "inf"]
        cells += ["-" if b is None else _text(b) for b in (*s.burden, s.burden_error)]
        table.add_row(s.case, *cells)
    return table


def write_cases(scores: Sequence[Score], overlaps: tuple[float, ...], path: Path) -> None:
    """One row a case."""
    rows = [flat_record(s, overlaps) for s in scores]
    _write(path, list(rows[0]), rows)


def write_lesions(scores: Sequence[Score], path: Path) -> None:
    """One row a lesion of either mask, with the overlap that counts for it."""
    columns = ["case", "side", "volume_ml", "diameter_mm", "overlap"]
    rows = [
        {
            "case": s.case,
            "side": c.side,
            "volume_ml": round(c.volume_ml, 4),
            "diameter_mm": round(c.diameter_mm, 2),
            "overlap": round(c.overlap, 4),
        }
        for s in scores
        for c in s.components
    ]
    _write(path, columns, rows)


def _write(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)


def _text(value: float) -> str:
    return "inf" if value == float("inf") else f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"


def figure_named(figures: Sequence[Figure], name: str) -> Figure:
    """Find a figure by its name."""
    return next(f for f in figures if f.name == name)
