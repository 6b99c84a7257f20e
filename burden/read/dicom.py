"""A DICOM study -> the chosen volume, its findings, and the list of candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from burden.errors import GeometryError, InputError, NotAnImageError, UsageError
from burden.facts import Facts
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Modality, Origin, Volume
from burden.read.fill import fill
from burden.read.fitness import fitness
from burden.read.headers import Slice, read_headers
from burden.read.patient import patient_facts
from burden.read.series import Group, groups_of
from burden.read.sources import Source
from burden.read.stack import Stack
from burden.read.tilt import straightened

_SHOWN = 4  # file names in one sentence


@dataclass(frozen=True, eq=False)
class Found:
    """All groups of a study, the best first, and what was noticed while looking."""

    groups: tuple[Group, ...]
    findings: tuple[Finding, ...]


def look(source: Source) -> Found:
    """Headers of all DICOM files, grouped and ranked.

    Raises
    ------
    InputError
        If no file has a readable header.
    """
    slices: list[Slice] = []
    broken: dict[str, int] = {}
    for entry in source.dicom:
        try:
            slices.extend(read_headers(entry))
        except ValueError as error:
            broken[str(error)] = broken.get(str(error), 0) + 1
    if not slices:
        raise InputError(
            f"{next(iter(broken), 'no image')}.",
            where=source.path,
            hint="Export the series again, with all its images.",
        )
    findings = []
    if broken:
        text = f"{sum(broken.values())} DICOM file(s) have a damaged header and were left out."
        findings.append(Finding("damaged-files", "warning", text))
    if source.missing:
        # Two parts of each path are enough to find it; the first ones may name a patient.
        ends = ["/".join(name.split("/")[-2:]) for name in source.missing[:_SHOWN]]
        names = ", ".join(ends) + (", ..." if len(source.missing) > _SHOWN else "")
        count = f"{len(source.missing)} of {source.listed}"
        text = f"{count} images that the DICOMDIR lists are missing: {names}."
        findings.append(Finding("listed-files-missing", "warning", text))
    return Found(tuple(groups_of(slices)), tuple(findings))


def choose(source: Source, found: Found, wanted: str | None) -> Group:
    """The group to read: the wanted one, else the best that forms a volume.

    Raises
    ------
    UsageError
        If no series has the wanted UID.
    InputError
        If the wanted one, or every one, is refused.
    """
    if wanted is not None:
        chosen = named(source, found, wanted)
    else:
        chosen = found.groups[0]
        if chosen.refused is not None:
            # The best of the refused ones is the one whose refusal the user needs to hear.
            chosen = max(found.groups, key=lambda g: (isinstance(g.refused, GeometryError), g.score))
    if chosen.refused is not None:
        raise refusal(source, found, chosen, by_name=wanted is not None)
    return chosen


def named(source: Source, found: Found, wanted: str) -> Group:
    """The group of a UID, or of a row of ``burden series``.

    Raises
    ------
    UsageError
        If there is none.
    """
    exact = [g for g in found.groups if g.uid == wanted]
    if exact:
        return exact[0]
    if wanted.isdecimal() and 1 <= int(wanted) <= len(found.groups):
        return found.groups[int(wanted) - 1]
    raise UsageError(
        f"no series {wanted!r} among the {len(found.groups)} found.",
        where=source.path,
        hint="`burden series INPUT` lists them.",
    )


def refusal(source: Source, found: Found, group: Group, *, by_name: bool) -> InputError:
    """The error for a refused group, saying so where it is only the best of several."""
    error = group.refused
    assert error is not None  # noqa: S101 - called for refused groups only
    kind = type(error) if isinstance(error, GeometryError) else NotAnImageError
    what = error.what
    if not by_name and len(found.groups) > 1:
        what = f"none of {len(found.groups)} series can be used; the best one: {what}"
    return kind(what, where=source.path, hint=error.hint or "Give the original axial CT or MR series.")


def build(source: Source, found: Found, group: Group) -> tuple[Volume, tuple[Finding, ...], Facts]:
    """Volume of a group, what the reader should know about it, and the patient's facts."""
    volume, about_pixels = built(source, group)
    patient, about = patient_facts([one.file.patient for one in group.slices])
    findings = [*found.findings, *_preferred(found, group), *group.findings, *about_pixels]
    findings += [*fitness(volume, [s.thickness for s in group.slices]), *about]
    return volume, tuple(findings), patient


def built(source: Source, group: Group) -> tuple[Volume, list[Finding]]:
    """Volume of a group, and what was done to make it one."""
    stack = group.stack
    assert stack is not None  # noqa: S101 - refused groups never come here
    modality: Modality = "CT" if group.modality == "CT" else "MR"
    data, digest = fill(stack.slices, modality, source.path)
    findings = list(stack.findings)
    if stack.tilted:
        data, grid, finding = straightened(data, stack, modality)
        findings.append(finding)
    else:
        grid = _grid(stack)
    file = stack.slices[0].file
    several = any(s.file.frames > 1 for s in stack.slices)
    frames = tuple(s.frame + 1 for s in stack.slices) if several else ()
    origin = Origin(
        kind="dicom",
        path=str(source.path),
        sha256=digest,
        study_uid=file.study_uid,
        series_uid=file.series_uid,
        frame_uid=file.frame_uid,
        description=file.description,
        files=tuple(s.file.entry.name for s in stack.slices),
        frames=frames,
    )
    return Volume(data, grid, modality, origin, phase=group.phase), findings


def _grid(stack: Stack) -> Grid:
    affine = np.eye(4)
    affine[:3, :2] = stack.axes[:, :2] * stack.spacing[:2]
    affine[:3, 2] = stack.step
    affine[:3, 3] = stack.origin
    file = stack.slices[0].file
    return Grid((file.columns, file.rows, len(stack.slices)), affine)


def _preferred(found: Found, group: Group) -> list[Finding]:
    """Say when a better series had to be passed over, or the folder holds several studies."""
    findings = []
    for other in found.groups:
        if isinstance(other.refused, GeometryError) and other.score > group.score:
            text = f"Series {other.uid} would be preferred but cannot be used: {other.refused.what}"
            findings.append(Finding("better-series-refused", "warning", text))
            break
    studies = {g.slices[0].file.study_uid for g in found.groups if g.modality in ("CT", "MR")}
    if len(studies) > 1:
        text = f"The input holds images of {len(studies)} studies; only one was used."
        findings.append(Finding("several-studies", "warning", text))
    return findings
