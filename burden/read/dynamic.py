"""Phases of a dynamic MR by the clock: the same T1 sequence again and again around the injection.

Scanners rarely note the injection time for MR. But among acquisitions with equal parameters
the first that names a contrast agent is the arterial one, what came before is unenhanced,
and the rest follow by their distance in time from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from burden.read.score import PHASE_POINTS
from burden.read.sequences import mr_kind
from burden.read.words import is_hepatobiliary

if TYPE_CHECKING:
    from burden.read.series import Group

_PORTAL_S = (20.0, 75.0)  # after the arterial acquisition
_DELAYED_S = (75.0, 600.0)
_HEPATOBILIARY_S = (700.0, 3600.0)
_DAY = 86400.0


def timed(groups: Sequence[Group]) -> list[Group]:
    """The groups, with phases where nothing else named one and the clock does."""
    runs: dict[tuple[object, ...], list[Group]] = defaultdict(list)
    for group in groups:
        key = _like(group)
        if key is not None:
            runs[key].append(group)
    found: dict[int, str] = {}
    for run in runs.values():
        found.update(_phases(run))
    return [_named(group, found[id(group)]) if id(group) in found else group for group in groups]


def _like(group: Group) -> tuple[object, ...] | None:
    """What repeats of one T1 sequence share; None for everything else."""
    first = group.slices[0]
    times = first.file.sequence
    if group.modality != "MR" or group.refused is not None or _clock(group) is None:
        return None
    kind, _ = mr_kind(times, dict(first.stack), first.image_type, first.file.codes)
    if not kind.startswith("T1-weighted"):
        return None
    parameters = (round(times.get(k, 0.0), 1) for k in ("EchoTime", "RepetitionTime", "FlipAngle"))
    return first.file.study_uid, group.plane, kind, *parameters


def _phases(run: Sequence[Group]) -> dict[int, str]:
    """Phase of each member that has none, by its ``id``."""
    ordered = sorted(run, key=lambda g: _clock(g) or 0.0)
    enhanced = [bool(g.slices[0].file.contrast) for g in ordered]
    if not any(enhanced) or enhanced[0]:
        return {}  # without an unenhanced one before, the first may be of any phase
    start = enhanced.index(True)
    arterial = _clock(ordered[start]) or 0.0
    found = {}
    for number, group in enumerate(ordered):
        after = (_clock(group) or 0.0) - arterial
        agent = group.slices[0].file.contrast
        if number < start:
            phase = "non-contrast"
        elif number == start:
            phase = "arterial" if not is_hepatobiliary(agent) or len(ordered) > start + 1 else ""
        elif _HEPATOBILIARY_S[0] <= after <= _HEPATOBILIARY_S[1] and is_hepatobiliary(agent):
            phase = "hepatobiliary"
        else:
            spans = {"portal": _PORTAL_S, "delayed": _DELAYED_S}
            phase = next((p for p, (a, b) in spans.items() if a <= after < b), "")
        if phase and not group.phase:
            found[id(group)] = phase
    return found


def _named(group: Group, phase: str) -> Group:
    return replace(
        group,
        phase=phase,
        score=round(group.score + PHASE_POINTS.get(phase, 0.0), 1),
        reasons=(*group.reasons, f"phase {phase} by order of acquisition"),
    )


def _clock(group: Group) -> float | None:
    """Seconds of the day at which the group was acquired, earliest slice."""
    texts = [dict(s.stack).get("AcquisitionTime", "") for s in group.slices]
    seconds = [
        int(t[:2]) * 3600 + int(t[2:4]) * 60 + float(t[4:6])
        for t in texts
        if len(t) >= 6 and t[:6].isdigit()
    ]
    return min(seconds) % _DAY if seconds else None
