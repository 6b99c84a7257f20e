"""The threshold lab: what a limit on a measured number means in a cohort of one's own.

``data`` reads the table, ``study`` decides what is computed, and ``binary``, ``survival``,
``agreement`` and ``eligibility`` compute it; ``write`` and ``page`` tell of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from burden.cohort.data import read_tables
from burden.cohort.study import Asked, make_study
from burden.cohort.write import study_record, write_study

__all__ = ["Asked", "run_cohort"]


def run_cohort(asked: Asked, out: Path | None = None) -> dict[str, Any]:
    """Make a threshold study, and write it to the new folder ``out``.

    Returns
    -------
    What cohort.json holds.

    Raises
    ------
    UsageError, InputError
        If the table does not hold what was asked for.
    OutputError
        If ``out`` exists or cannot be written; it appears whole or not at all.
    """
    from burden.write.folder import check_out, whole_or_nothing

    if out is not None:
        check_out(out)
    study = make_study(asked, read_tables(asked.tables))
    record = study_record(study)
    if out is not None:
        with whole_or_nothing(out) as folder:
            write_study(study, record, folder)
    return record
