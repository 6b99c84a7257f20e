"""What the papers' tables of studies report for a kind of treatment: ``configs/evidence.csv``."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache

from burden.resources import shipped

# The words of the books for what the tables hold under another name.
_ALSO = {"debulking": ("debulking", "resection")}


def evidence_for(modality: str) -> tuple[Mapping[str, str], ...]:
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


@cache
def evidence() -> tuple[Mapping[str, str], ...]:
    """All rows: tables of S1, S2 and S3."""
    with shipped("configs", "evidence.csv").open(encoding="utf-8", newline="") as file:
        return tuple(csv.DictReader(file))
