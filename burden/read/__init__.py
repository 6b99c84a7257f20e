"""Read: a study on disk -> Volume, masks -> Labels, clinical facts -> Facts.

The path may be a DICOM folder tree, one DICOM file, a zip, or NIfTI; what it is shows in
its bytes. Whatever cannot be read exactly is refused with the reason and the position.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from burden.facts import Facts
from burden.findings import Finding

if TYPE_CHECKING:
    from burden.grid import Grid
    from burden.image import Labels, Volume
    from burden.read.companions import Companion
    from burden.read.series import Group
    from burden.read.sources import Source

__all__ = [
    "Candidate",
    "Study",
    "agreed_facts",
    "checked_facts",
    "checked_mask",
    "list_series",
    "read_facts",
    "read_mask",
    "read_study",
]


@dataclass(frozen=True)
class Candidate:
    """One series that could be measured in, or why it cannot.

    Parameters
    ----------
    uid
        SeriesInstanceUID (``#2`` appended for further volumes of one series), or a file name.
    spacing
        mm between columns, rows and slices (the usual distance, where the series is refused); as
        many of them as the header tells, none for reports and pictures.
    score
        Points; the highest one that is not refused is chosen.
    refused
        Why it cannot be used; "" if it can.
    companion
        The phase as which it is used beside the chosen one; "" if it is not.
    """

    uid: str
    description: str
    modality: str
    slices: int
    spacing: tuple[float, ...]
    plane: str
    phase: str
    score: float
    chosen: bool
    reasons: tuple[str, ...]
    refused: str = ""
    companion: str = ""


@dataclass(frozen=True, eq=False)
class Study:
    """What was read: the chosen volume, what to know about it, and what else there was.

    Parameters
    ----------
    companions
        Other phases on the same frame of reference, each on its own native grid.
    """

    volume: Volume
    findings: tuple[Finding, ...]
    candidates: tuple[Candidate, ...]
    patient: Facts
    companions: tuple[Volume, ...] = ()


def read_study(
    path: Path,
    *,
    series: str | None = None,
    modality: Literal["CT", "MR"] | None = None,
    with_phase: Sequence[str] = (),
) -> Study:
    """Read the best series under ``path``, or the one named.

    Parameters
    ----------
    series
        UID of a candidate, or its row number in ``burden series``.
    modality
        Overrides the guess for NIfTI, which does not say; DICOM does.
    with_phase
        ``PHASE=SERIES`` for each phase to be used beside it, or ``none`` alone; left out, the
        arterial one is, where there is one on the same frame of reference.

    Raises
    ------
    InputError
        If there is nothing that can be read exactly.
    UsageError
        If ``series`` or ``with_phase`` names none.
    """
    from burden.errors import UsageError
    from burden.read import nifti, sources

    path = Path(path)
    with sources.opened(path) as source:
        if source.dicom:
            return _dicom_study(source, series, with_phase)
        if series is not None or tuple(with_phase) not in ((), ("none",)):
            raise UsageError("a NIfTI image has no series to choose.", where=path)
        entry = _only_nifti(source)
        volume, findings = nifti.read_nifti(entry, str(path), modality)
        return Study(volume, findings, (_nifti_candidate(volume),), Facts())


def _dicom_study(source: Source, series: str | None, with_phase: Sequence[str]) -> Study:
    from burden.read import companions, dicom

    found = dicom.look(source)
    group = dicom.choose(source, found, series)
    beside, about_them = companions.pick(source, found, group, with_phase)
    volume, findings, patient = dicom.build(source, found, group)
    others = []
    for one in beside:
        other, said = companions.read(source, one)
        others.append(other)
        about_them += said
    candidates = _candidates(found.groups, group, beside)
    return Study(volume, (*findings, *about_them), candidates, patient, tuple(others))


def list_series(path: Path) -> tuple[Candidate, ...]:
    """Every series under ``path``, the best first."""
    from burden.read import companions, dicom, nifti, sources

    path = Path(path)
    with sources.opened(path) as source:
        if source.dicom:
            found = dicom.look(source)
            best = found.groups[0]
            if best.refused:
                return _candidates(found.groups, None)
            return _candidates(found.groups, best, companions.pick(source, found, best, ())[0])
        return (_nifti_candidate(nifti.read_nifti(_only_nifti(source), str(path))[0]),)


def read_mask(path: Path, grid: Grid) -> Labels:
    """Labels of a NIfTI file or DICOM SEG on ``grid`` (nearest neighbour where grids differ)."""
    return checked_mask(path, grid)[0]


def checked_mask(path: Path, grid: Grid) -> tuple[Labels, tuple[Finding, ...]]:
    """Like :func:`read_mask`, with findings that say what moving it to ``grid`` changed."""
    from burden.read import masks

    return masks.checked_mask(Path(path), grid)


def read_facts(path: Path) -> Facts:
    """Clinical facts of a YAML file, a CSV row or a FHIR Bundle, through the vocabulary."""
    return checked_facts(path)[0]


def checked_facts(path: Path) -> tuple[Facts, tuple[Finding, ...]]:
    """Like :func:`read_facts`, with findings on what was left out or contradicts itself.

    ``path`` may be ``TABLE.csv@CASE`` for the row of one case.
    """
    from burden.errors import InputError
    from burden.read import clinical, fhir, rows

    path, wanted = Path(path), ""
    row = re.fullmatch(r"(.+\.csv)@(.+)", str(path), re.IGNORECASE)
    if row and not path.exists():
        path, wanted = Path(row[1]), row[2]
    kind = path.suffix.lower()
    if kind not in (".csv", ".json"):
        return clinical.read_yaml(path), ()
    if not path.is_file():
        raise InputError("no such facts file.", where=path, hint="Check the path.")
    return rows.read_row(path, wanted) if kind == ".csv" else fhir.read_bundle(path)


def agreed_facts(sources: Sequence[Facts]) -> tuple[Facts, tuple[Finding, ...]]:
    """Facts of several sources, later ones holding, and a finding for each contradiction."""
    from burden.read.merge import agreed

    return agreed(sources)


def _only_nifti(source: Source) -> Path:
    from burden.errors import InputError
    from burden.read.sources import nothing_to_read

    if not source.nifti:
        raise nothing_to_read(source)
    if len(source.nifti) > 1:
        raise InputError(
            f"{len(source.nifti)} NIfTI files.", where=source.path, hint="Give the one to measure in."
        )
    return source.nifti[0].path


def _nifti_candidate(volume: Volume) -> Candidate:
    grid = volume.grid
    axis = grid.slice_axis
    return Candidate(
        uid=volume.origin.description,
        description=volume.origin.description,
        modality=volume.modality,
        slices=grid.shape[axis],
        spacing=grid.spacing,
        plane=("sagittal", "coronal", "axial")[grid.world_axes[axis]],
        phase=volume.phase,
        score=0.0,
        chosen=True,
        reasons=("the only image",),
    )


def _candidates(
    groups: tuple[Group, ...], chosen: Group | None, beside: Sequence[Companion] = ()
) -> tuple[Candidate, ...]:
    phases = {id(one.group): one.phase for one in beside}
    return tuple(_candidate(group, group is chosen, phases.get(id(group), "")) for group in groups)


def _candidate(group: Group, chosen: bool, companion: str) -> Candidate:
    return Candidate(
        uid=group.uid,
        description=group.slices[0].file.description,
        modality=group.modality,
        slices=len(group.slices),
        spacing=group.spacing,
        plane=group.plane,
        phase=group.phase,
        score=group.score,
        chosen=chosen,
        reasons=group.reasons,
        refused="" if group.refused is None else group.refused.what,
        companion=companion,
    )
