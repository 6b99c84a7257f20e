"""Writers: a Case becomes files. ``write_case`` makes a folder whole, or leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from burden.case import Case
from burden.errors import UsageError
from burden.write.deidentify import without_identifiers
from burden.write.folder import check_out, whole_or_nothing
from burden.write.mask import write_masks
from burden.write.page import write_page
from burden.write.record import write_record
from burden.write.reread import read_case
from burden.write.table import write_table

__all__ = ["WRITERS", "check_out", "read_case", "write_case"]

WRITERS: dict[str, Callable[[Case, Path], None]] = {
    "table": write_table,
    "mask": write_masks,
    "page": write_page,
    "record": write_record,  # last: it lists the files of the others
}


def write_case(
    case: Case, out: Path, *, force: bool = False, writers: Sequence[str] | None = None
) -> None:
    """Write a case into the new folder ``out``.

    Parameters
    ----------
    force
        Replace an ``out`` that an earlier run wrote; anything else is never replaced.
    writers
        Names of :data:`WRITERS`; all of them by default. ``record`` is always written.

    Raises
    ------
    OutputError
        If ``out`` may not be replaced or cannot be written; nothing is left behind then.
    """
    wanted = set(WRITERS if writers is None else writers) | {"record"}
    unknown = sorted(wanted - set(WRITERS))
    if unknown:
        raise UsageError(f"no such writer: {unknown[0]}.", hint=f"There are: {', '.join(WRITERS)}.")
    public = without_identifiers(case)
    with whole_or_nothing(out, force=force) as folder:
        for name, write in WRITERS.items():
            if name in wanted:
                write(public, folder)
