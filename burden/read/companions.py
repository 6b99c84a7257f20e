"""Other phases of the study, used beside the one measured in: arterial for viable tumor.

Only a series on the same frame of reference lies where the masks of another one lie. The best
arterial series is taken by itself; the user may name another one, or turn this off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError, UsageError
from burden.findings import Finding
from burden.image import Volume
from burden.read import words
from burden.read.dicom import Found, built, named, refusal
from burden.read.series import Group
from burden.read.sources import Source

PHASES = ("non-contrast", "arterial", "portal", "delayed", "hepatobiliary")
AUTOMATIC = "arterial"
"""The phase that is looked for unasked: the only one of which a measurement makes use."""
NONE = ("none",)
MIN_SHARED = 0.5
"""Share of the chosen image's box that a companion has to cover."""


@dataclass(frozen=True, eq=False)
class Companion:
    """A group, and the phase as which it is used."""

    group: Group
    phase: str


def pick(
    source: Source, found: Found, chosen: Group, wanted: Sequence[str]
) -> tuple[list[Companion], list[Finding]]:
    """Groups to be used beside the chosen one, and what to know about them.

    Parameters
    ----------
    wanted
        ``PHASE=SERIES`` for each, ``none`` alone for none; empty for the automatic choice.

    Raises
    ------
    UsageError
        If a text is none of these, or names no series.
    InputError
        If a named series cannot be read exactly.
    """
    if tuple(wanted) == NONE:
        return [], []
    usable: list[Companion] = []
    findings: list[Finding] = []
    for one in _asked(source, found, chosen, wanted) if wanted else _automatic(found, chosen):
        against = _against(one, chosen)
        what = f"The {one.phase} phase (series {one.group.uid})"
        if against:
            text = f"{what} is not used: {against}."
            findings.append(Finding("companion-not-used", "warning" if wanted else "info", text))
            continue
        usable.append(one)
        text = (
            f"{what} is used beside the series measured in, on the same frame of reference; "
            "where breathing moved it, it is shifted as a whole."
        )
        said = Finding("companion-used", "info", text)
        if not wanted:  # the best one that can be used; those before it need no mention
            return usable, [said]
        findings.append(said)
    return usable, findings if wanted else findings[:1]


def read(source: Source, companion: Companion) -> tuple[Volume, list[Finding]]:
    """Volume of a companion on its own grid, with what was done to bring it there.

    Its findings never invalidate anything: they are about another image than the one measured in.
    """
    volume, findings = built(source, companion.group)
    said = [
        replace(f, text=f"Series of the {companion.phase} phase: {f.text}", invalidates=())
        for f in (*companion.group.findings, *findings)
    ]
    return replace(volume, phase=companion.phase), said


def _automatic(found: Found, chosen: Group) -> list[Companion]:
    """All series that could be the arterial one, the best first."""
    if chosen.phase == AUTOMATIC:
        return []
    study = chosen.slices[0].file.study_uid
    return [
        Companion(group, AUTOMATIC)
        for group in found.groups
        if group.phase == AUTOMATIC
        and group is not chosen
        and (group.refused is None or isinstance(group.refused, GeometryError))
        and group.modality == chosen.modality
        and group.slices[0].file.study_uid == study
        and not words.drawbacks(group.slices[0].file.description, group.slices[0].image_type)
    ]


def _asked(source: Source, found: Found, chosen: Group, wanted: Sequence[str]) -> list[Companion]:
    companions: dict[str, Companion] = {}
    for text in wanted:
        phase, equals, series = text.partition("=")
        if not equals or phase not in PHASES or phase in companions:
            raise UsageError(
                f"{text!r} is no choice of a phase.",
                hint=f"Give PHASE=SERIES once for each of {', '.join(PHASES)}; or none, alone.",
            )
        group = named(source, found, series)
        if group.refused is not None:
            raise refusal(source, found, group, by_name=True)
        if group is chosen:
            raise UsageError(f"series {series!r} is the one measured in.", where=source.path)
        companions[phase] = Companion(group, phase)
    return list(companions.values())


def _against(one: Companion, chosen: Group) -> str:
    """Why a companion cannot be used; "" if it can."""
    if one.group.refused is not None:
        return one.group.refused.what.rstrip(".")
    theirs, ours = (g.slices[0].file.frame_uid for g in (one.group, chosen))
    if not theirs or theirs != ours:
        return "it lies on another frame of reference, so the masks would not fit it"
    if one.group.modality != chosen.modality:
        return f"it is {one.group.modality}, not {chosen.modality}"
    shared = _shared(one.group, chosen)
    if shared < MIN_SHARED:
        return f"it covers only {shared:.0%} of the image measured in"
    return ""


def _shared(group: Group, chosen: Group) -> float:
    """Share of the box around the chosen image that the other one covers."""
    (low, high), (first, last) = _box(group), _box(chosen)
    common = np.minimum(high, last) - np.maximum(low, first)
    return float(np.prod(np.maximum(common, 0.0)) / np.prod(last - first))


def _box(group: Group) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and largest coordinates of a group's slices, LPS mm, half a slice added at each end."""
    stack = group.stack
    assert stack is not None  # noqa: S101 - refused groups never come here
    file, across = stack.slices[0].file, stack.axes[:, :2] * stack.spacing[:2]
    ends = [stack.origin + n * stack.step for n in (-0.5, len(stack.slices) - 0.5)]
    sizes = ((0, 0), (file.columns, 0), (0, file.rows), (file.columns, file.rows))
    sides = [across @ np.array(size) for size in sizes]
    corners = np.array([end + side for end in ends for side in sides])
    return corners.min(axis=0), corners.max(axis=0)
