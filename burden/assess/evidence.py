"""What the papers' tables of studies report for a kind of treatment: ``configs/evidence.csv``."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from burden.options import Published, StudyArm
from burden.resources import shipped

Rows = tuple[Mapping[str, str], ...]

# Books of one modality with outcomes of their own: words of the column `treatment`.
_ARMS = {
    "nelm.embolization.tae_tace": ("TAE", "TACE", "Embolization", "IAT"),
    "nelm.embolization.tare": ("TARE",),
    "nelm.embolization.radiation_segmentectomy": (),
}
# Which arms a summary is drawn from, where the name of the treatment does not say it.
_SCOPE = {
    "debulking": "of debulking, and of resections of which some left tumor (R0 and R1 below 100 %)",
    "nelm.embolization.tae_tace": "arms with drug-eluting beads left out",
    "systemic": "of PRRT; PFS and OS where one cell holds PFS/TTP or OS/DSS",
}
_NUMBER = r"\d+(\.\d+)?"
_MISSING = (
    *("", "-", "NA", "NA/NA", "NR", "nr", "unk", "Not reached"),
    *("-/-", "-/nr", "nr/-"),
)
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
    column. ``note`` explains the marks; what follows ``doubt`` in it says which cells of the
    copy that was read look displaced or cannot be right.

    For debulking also the resections of which some left tumor: what complete resection reaches
    is no outcome of debulking.
    """
    return tuple(
        row
        for row in evidence()
        if row["modality"] == modality or (modality == "debulking" and _leaves_tumor(row))
    )


def published_key(book: str, modality: str) -> str:
    """Under which key the outcomes of a book stand: its own id, or its modality; "" without any."""
    key = book if book in _ARMS else modality
    return key if _rows(key) else ""


@cache
def published(key: str) -> Published:
    """The outcomes under a key of `published_key`: a summary in words, and every study arm."""
    rows = _rows(key)
    said = tuple(_summary(rows))
    scope = (_SCOPE[key],) if said and key in _SCOPE else ()
    return Published((*said, *scope), tuple(_arm(row) for row in rows))


@cache
def evidence() -> Rows:
    """All rows: tables of S1, S2 and S3, and one study that S1 has in its text alone."""
    with shipped("configs", "evidence.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))


def _rows(key: str) -> Rows:
    if key not in _ARMS:
        return evidence_for(key)
    wanted = set(_ARMS[key])
    of = evidence_for("embolization")
    return tuple(row for row in of if wanted & _words(row["treatment"]))


def _words(treatment: str) -> set[str]:
    """Treatments by name; none for drug-eluting beads, which no book means (S3 Section 3.2)."""
    if "DEB" in treatment or "drug-eluting" in treatment:
        return set()
    return set(re.findall(r"\w+", treatment.replace("cTACE", "TACE")))


def _leaves_tumor(row: Mapping[str, str]) -> bool:
    """Whether R0 and R1 together are printed as less than all resections of a study."""
    shares = row["r0_r1_pct"].split("/")
    if row["modality"] != "resection" or not all(re.fullmatch(_NUMBER, s) for s in shares):
        return False
    return sum(map(float, shares)) < 100


def _summary(rows: Rows) -> Iterator[str]:
    """Ranges over the cells that are plain numbers; rows in doubt and footnoted cells are left out."""
    sure = [row for row in rows if not re.search(r"(^|; )doubt", row["note"])]
    for column, words, unit in _SUMMED:
        cells = [(_number(row, column), row) for row in sure]
        numbers = [(number, row) for number, row in cells if number is not None]
        if not numbers:
            continue
        low, high = min(n for n, _ in numbers), max(n for n, _ in numbers)
        size = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        count = _count([row for _, row in numbers])
        arms = f"{count} study arm{'s' if count > 1 else ''}"
        yield f"{words} {size} {unit} ({arms}, {_places([row for _, row in numbers])})"


def _number(row: Mapping[str, str], column: str) -> float | None:
    """The plain number of a cell; of PFS/TTP and OS/DSS in one cell (``33/-``) the first."""
    cell = row[column]
    if (row["paper"], row["table"]) == ("S2", "Table 4") and column in ("pfs_months", "os_months"):
        cell = cell.split("/")[0]
    return float(cell) if re.fullmatch(_NUMBER, cell) else None


def _count(rows: Sequence[Mapping[str, str]]) -> int:
    """Study arms behind the rows, each once however many tables print it.

    Rows of one study in one table are arms of it. In another table they are the same patients,
    perhaps in one row where the first has them apart, so the table with most rows counts.
    """
    tables = Counter((r["author"], r["year"], r["paper"], r["table"]) for r in rows)
    most: dict[tuple[str, str], int] = {}
    for (author, year, _, _), arms in tables.items():
        most[author, year] = max(arms, most.get((author, year), 0))
    return sum(most.values())


def _places(rows: Sequence[Mapping[str, str]]) -> str:
    """The tables of each paper: ``S1 Table 1, S2 Tables 1, 2``; what is in no table by its section."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        kind, _, number = row["table"].rpartition("Table ")
        where = (f"{kind}Table", number) if number != row["table"] else ("", row["table"])
        found.setdefault((row["paper"], where[0]), {})[where[1]] = None
    return ", ".join(
        " ".join(filter(None, (paper, f"{kind}s" if kind and len(told) > 1 else kind, ", ".join(told))))
        for (paper, kind), told in found.items()
    )


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
