"""What the papers' tables of studies report for a kind of treatment: ``configs/evidence.csv``."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from burden.options import Published, StudyArm
from burden.resources import shipped

Rows = tuple[Mapping[str, str], ...]

# The words of the books for what the tables hold under another name.
_ALSO = {"debulking": ("debulking", "resection")}
# Books of one modality with outcomes of their own: words of the column `treatment`.
_ARMS = {
    "nelm.embolization.tae_tace": ("TAE", "TACE", "Embolization", "IAT"),
    "nelm.embolization.tare": ("TARE",),
    "nelm.embolization.radiation_segmentectomy": (),
}
_MISSING = ("", "-", "NA", "NA/NA", "NR", "nr", "unk")
_HEADINGS = {
    "symptom_response_pct": "symptom response, %",
    "biochemical_response_pct": "biochemical response, %",
    "imaging_cr_pr_pct": "complete or partial response, %",
    "imaging_sd_pct": "stable disease, %",
    "imaging_pd_pct": "progression, %",
    "morbidity_pct": "morbidity, %",
    "mortality_pct": "mortality, %",
    "pfs_months": "PFS, months",
    "os_months": "survival, months",
    "os_1y_pct": "1-year survival, %",
    "os_3y_pct": "3-year survival, %",
    "os_5y_pct": "5-year survival, %",
    "dfs_1y_pct": "1-year disease-free, %",
    "dfs_3y_pct": "3-year disease-free, %",
    "dfs_5y_pct": "5-year disease-free, %",
}
# What the one-line summary gives, if any arm prints it.
_SUMMED = (
    ("symptom_response_pct", "symptom response", "%"),
    ("imaging_cr_pr_pct", "complete or partial response", "%"),
    ("pfs_months", "progression-free", "months"),
    ("os_months", "survival", "months"),
    ("os_5y_pct", "5-year survival", "%"),
)


def evidence_for(modality: str) -> Rows:
    """The published outcomes for the modality of a rule book, in the order of the papers.

    Returns
    -------
    One row a study arm. A cell is the text as printed, footnote marks included (``24 *``,
    ``≥23``, ``nr``); ``-`` and ``NA`` are printed for what is missing, and a cell is empty where
    the table has no such column or leaves it to the row above. The unit ends the name of the
    column. ``note`` explains the marks; a note that begins with ``doubt`` says which cells of the
    copy that was read look displaced.
    """
    wanted = _ALSO.get(modality, (modality,))
    return tuple(row for row in evidence() if row["modality"] in wanted)


def published_key(book: str, modality: str) -> str:
    """Under which key the outcomes of a book stand: its own id, or its modality; "" without any."""
    key = book if book in _ARMS else modality
    return key if _rows(key) else ""


@cache
def published(key: str) -> Published:
    """The outcomes under a key of `published_key`: a summary in words, and every study arm."""
    rows = _rows(key)
    return Published(tuple(_summary(rows)), tuple(_arm(row) for row in rows))


@cache
def evidence() -> Rows:
    """All rows: tables of S1, S2 and S3."""
    with shipped("configs", "evidence.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _rows(key: str) -> Rows:
    if key not in _ARMS:
        return evidence_for(key)
    wanted = set(_ARMS[key])
    of = evidence_for("embolization")
    return tuple(row for row in of if wanted & set(re.findall(r"\w+", _plain(row["treatment"]))))


def _plain(treatment: str) -> str:
    return treatment.replace("cTACE", "TACE")


def _summary(rows: Rows) -> Iterator[str]:
    """Ranges over the cells that are plain numbers; rows in doubt and footnoted cells are left out."""
    for column, words, unit in _SUMMED:
        numbers = [
            (float(row[column]), row)
            for row in rows
            if re.fullmatch(r"\d+(\.\d+)?", row[column]) and not row["note"].startswith("doubt")
            and "; doubt" not in row["note"]
        ]  # fmt: skip
        if not numbers:
            continue
        low, high = min(n for n, _ in numbers), max(n for n, _ in numbers)
        size = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        arms = f"{len(numbers)} study arm{'s' if len(numbers) > 1 else ''}"
        yield f"{words} {size} {unit} ({arms}, {_places([row for _, row in numbers])})"


def _places(rows: Sequence[Mapping[str, str]]) -> str:
    """The tables of each paper: ``S1 Table 1, S2 Tables 1, 2``."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        found.setdefault(row["paper"], {})[row["table"].removeprefix("Table ")] = None
    return ", ".join(f"{p} Table{'s' if len(t) > 1 else ''} {', '.join(t)}" for p, t in found.items())


def _arm(row: Mapping[str, str]) -> StudyArm:
    return StudyArm(
        source=row["paper"],
        where=row["table"],
        study=f"{row['author']} {row['year']}".strip(),
        n="" if row["n"] in _MISSING else row["n"],
        treatment="" if row["treatment"] in _MISSING else row["treatment"],
        outcomes={h: row[c] for c, h in _HEADINGS.items() if row[c] not in _MISSING},
        note=row["note"],
    )
