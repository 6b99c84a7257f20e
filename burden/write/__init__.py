"""Writers: a Case becomes files. ``write_case`` makes a folder whole, or leaves nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from burden.case import Case
from burden.errors import UsageError
from burden.findings import Finding
from burden.write.deidentify import (
    check_still_hidden,
    deidentified,
    pseudonym_key,
    without_great_age,
    without_identifiers,
    without_pictures,
)
from burden.write.dicom_pdf import write_dicom_pdf
from burden.write.dicom_sc import write_dicom_sc
from burden.write.dicom_seg import write_dicom_seg
from burden.write.dicom_sr import write_dicom_sr
from burden.write.fhir import write_fhir
from burden.write.folder import check_out, whole_or_nothing
from burden.write.mask import write_masks
from burden.write.page import write_page
from burden.write.pdf import write_pdf
from burden.write.record import write_record
from burden.write.reread import read_case
from burden.write.table import write_table

__all__ = [
    "WRITERS",
    "check_out",
    "deidentified",
    "pseudonym_key",
    "read_case",
    "without_great_age",
    "write_case",
]

# A writer may hand back findings: what it could not make, and why. Later writers report them.
Writer = Callable[[Case, Path], tuple[Finding, ...] | None]

WRITERS: dict[str, Writer] = {
    "table": write_table,
    "mask": write_masks,
    "dicom_seg": write_dicom_seg,
    "dicom_sr": write_dicom_sr,  # refers to the segments of dicom_seg
    "dicom_sc": write_dicom_sc,
    "pdf": write_pdf,
    "dicom_pdf": write_dicom_pdf,  # wraps the pages of pdf
    "page": write_page,
    "fhir": write_fhir,
    "record": write_record,  # last: it lists the files of the others
}

SHOWING = ("pdf", "page")  # these show pixels of the source


def write_case(
    case: Case, out: Path, *, force: bool = False, writers: Sequence[str] | None = None
) -> tuple[Finding, ...]:
    """Write a case into the new folder ``out``.

    Everything but ``dicom/`` is free of patient identifiers; that goes back to the archive and
    carries those of its source, unless the case comes from :func:`deidentified`.

    Parameters
    ----------
    force
        Replace an ``out`` that an earlier run wrote; anything else is never replaced.
    writers
        Names of :data:`WRITERS`; all of them by default. ``record`` is always written.

    Returns
    -------
    tuple of Finding
        What could not be made of this source, and why; in ``case.json`` and the report too.

    Raises
    ------
    OutputError
        If ``out`` may not be replaced or cannot be written; nothing is left behind then.
    """
    wanted = set(WRITERS if writers is None else writers) | {"record"}
    unknown = sorted(wanted - set(WRITERS))
    if unknown:
        raise UsageError(f"no such writer: {unknown[0]}.", hint=f"There are: {', '.join(WRITERS)}.")
    check_still_hidden(case)
    public = without_identifiers(case)
    found: tuple[Finding, ...] = ()
    with whole_or_nothing(out, force=force) as folder:
        for name, write in WRITERS.items():
            if name in wanted:
                given = replace(public, findings=(*public.findings, *found))
                told = write(without_pictures(given) if name in SHOWING else given, folder) or ()
                found += tuple(one for one in told if one not in found)
    return found
