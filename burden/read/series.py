"""Which series of a study to measure in, and why the others not.

Slices are grouped into what could be one volume, each group is scored with reasons, and the
best one that forms a volume is chosen. Score points are additive and few, so that a person
can follow them; what cannot be measured at all is refused whatever it scores.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from burden.errors import GeometryError, InputError
from burden.findings import Finding
from burden.read import words
from burden.read.dynamic import timed
from burden.read.headers import Slice
from burden.read.pixels import same_pixels
from burden.read.score import extent, never, plane_of, scored
from burden.read.stack import MIN_SLICES, Stack, named_place, place, stack

_MANY_PARTS = 10_000  # a larger number is no count
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # all its multi-frame kinds begin so too


@dataclass(frozen=True, eq=False)
class Group:
    """Slices that could be one volume: one series, orientation, spacing, matrix, frame.

    Parameters
    ----------
    uid
        SeriesInstanceUID, with ``#2`` and so on where one series holds several volumes.
    stack
        The volume they form, or None and the reason in ``refused``.
    """

    uid: str
    slices: tuple[Slice, ...]
    stack: Stack | None
    refused: InputError | None
    score: float
    reasons: tuple[str, ...]
    phase: str
    plane: str
    findings: tuple[Finding, ...] = ()

    @property
    def spacing(self) -> tuple[float, ...]:
        """Of the volume, or what the headers tell of it: in the plane, then between slices."""
        if self.stack is not None:
            return self.stack.spacing
        between = extent(self.slices)
        return (*(self.slices[0].spacing or ()), *((between[1],) if between else ()))

    @property
    def modality(self) -> str:
        """DICOM modality."""
        return self.slices[0].file.modality


def groups_of(slices: Iterable[Slice]) -> list[Group]:
    """All groups, the best first; ties broken by UID so that the order never changes."""
    series: dict[tuple[str, str], list[Slice]] = defaultdict(list)
    for one in slices:
        series[(one.file.study_uid, one.file.series_uid)].append(one)
    groups = []
    for (_, uid), members in sorted(series.items()):
        number = 0
        for plane in _by_plane(members):
            parts = _by_stack(plane)
            for part in parts:
                number += 1
                name = (uid or "no-series-uid") + (f"#{number}" if number > 1 else "")
                groups.append(_judged(name, part, members, len(parts)))
    return sorted(timed(groups), key=lambda g: (g.refused is not None, -g.score, g.uid))


def _by_plane(slices: Sequence[Slice]) -> list[list[Slice]]:
    """Split by what can never change inside one volume; the largest part first."""
    parts: list[tuple[Slice, list[Slice]]] = []
    for one in slices:
        home = next((part for like, part in parts if _alike(like, one)), None)
        if home is None:
            parts.append((one, [one]))
        else:
            home.append(one)
    return sorted((part for _, part in parts), key=len, reverse=True)


def _alike(a: Slice, b: Slice) -> bool:
    if (a.position is None) != (b.position is None) or a.file.frame_uid != b.file.frame_uid:
        return False
    if (a.file.rows, a.file.columns) != (b.file.rows, b.file.columns):
        return False
    if (a.axes is None) != (b.axes is None) or (a.spacing is None) != (b.spacing is None):
        return False
    # Nearly always equal to the last digit, and hundreds of slices are compared.
    turned = a.axes is not None and b.axes is not None and a.axes != b.axes
    if turned and np.abs(np.subtract(a.axes or 0, b.axes or 0)).max() > 2e-3:
        return False
    if a.spacing is not None and b.spacing is not None:
        return a.spacing == b.spacing or bool(np.allclose(a.spacing, b.spacing, rtol=1e-3))
    return ("LOCALIZER" in a.image_type) == ("LOCALIZER" in b.image_type)


def _by_stack(slices: list[Slice]) -> list[list[Slice]]:
    """Split time points, echoes and b-values that lie at the same positions.

    Only a tag that splits them into parts that all hold the same positions is used. Copies of
    one object go where the original goes; :func:`stack` deals with them.
    """
    first: dict[tuple[str, int], Slice] = {}
    copies = []
    for one in slices:
        key = (one.file.sop_uid or str(id(one)), one.frame)
        if key in first:
            copies.append(one)
        first.setdefault(key, one)
    originals = list(first.values())
    if len(_places(originals)) == len(originals):
        return [slices]
    for tag in sorted({k for s in originals for k, _ in s.stack}, key=_stack_order):
        parts: dict[str, list[Slice]] = defaultdict(list)
        for one in originals:
            parts[dict(one.stack).get(tag, "")].append(one)
        places = [_places(part) for part in parts.values()]
        alone = all(len(p) == len(part) for p, part in zip(places, parts.values(), strict=True))
        enough = len(parts) > 1 and len(places[0]) >= MIN_SLICES
        if enough and alone and all(p == places[0] for p in places):
            for one in copies:
                parts[dict(one.stack).get(tag, "")].append(one)
            return [parts[value] for value in sorted(parts, key=_by_number)]
    return [slices]


def _stack_order(key: str) -> tuple[int, str]:
    order = ("DiffusionBValue", "EffectiveEchoTime", "EchoTime", "EchoNumbers", "ImageType")
    return (order.index(key) if key in order else len(order)), key


def _by_number(value: str) -> tuple[float, str]:
    try:
        return float(value), value
    except ValueError:
        return float("inf"), value


def _places(slices: Sequence[Slice]) -> set[tuple[float, ...]]:
    return {tuple(round(x, 2) for x in s.position) for s in slices if s.position is not None}


def _judged(uid: str, slices: Sequence[Slice], series: Sequence[Slice], volumes: int) -> Group:
    built: Stack | None = None
    findings: tuple[Finding, ...] = ()
    refused = never(slices)
    if refused is None:
        try:
            _whole_concatenation(slices)
            _rescaled_alike(slices)
            built = stack(slices, same_pixels)
            findings = _left_over(slices, series)
        except InputError as error:
            refused = error
    first = slices[0]
    phase, source = words.phase_of(first.file.description, first.file.contrast, first.file.delay_s)
    if volumes > 1:  # one description for several time points says nothing about this one
        phase = ""
        text = (
            f"The series holds {volumes} volumes at one place (time points, echoes or b-values), and "
            "nothing says which is best: `burden series` lists them, --series chooses."
        )
        findings += (Finding("several-volumes", "warning", text),)
    score, reasons = scored(slices, phase)
    if volumes > 1:
        reasons.append(f"one of {volumes} volumes in the series")
    if phase:
        reasons.append(f"phase {phase} by {source}")
    bad = words.drawbacks(first.file.description, first.image_type)
    if bad:
        text = f"The series looks like {' and '.join(bad)}: choose another one if there is one."
        findings += (Finding("doubtful-series", "warning", text),)
    if any(s.file.burned_in for s in slices):
        text = "The header says that text is burned into the pixels: it may name the patient."
        findings += (Finding("burned-in-annotation", "warning", text),)
        reasons.append("text burned in")
    elif first.file.sop_class.startswith(_SECONDARY_CAPTURE):
        text = "A secondary capture: text may be burned into its pixels and name the patient."
        findings += (Finding("burned-in-annotation", "warning", text),)
        reasons.append("a secondary capture")
    if words.region_of(first.file.description, first.file.body_part) == "elsewhere":
        text = (
            "The header names a part of the body without a liver. Such labels are often wrong; "
            "where this one is right no output is valid."
        )
        findings += (Finding("other-body-part", "warning", text),)
    plane = plane_of(first)
    return Group(
        uid, tuple(slices), built, refused, round(score, 1), tuple(reasons), phase, plane, findings
    )


def _whole_concatenation(slices: Sequence[Slice]) -> None:
    """Refuse a multi-frame image sent in parts of which some are missing."""
    parts: dict[str, set[int]] = defaultdict(set)
    totals: dict[str, int] = defaultdict(int)
    for one in slices:
        uid, number, total = one.file.part
        if uid:
            parts[uid].add(number)
            totals[uid] = max(totals[uid], total, number)
    for uid, numbers in parts.items():
        missing = sorted(set(range(1, totals[uid] + 1)) - numbers)
        if missing and totals[uid] < _MANY_PARTS:
            which = ", ".join(map(str, missing))
            raise GeometryError(
                f"part(s) {which} of {totals[uid]} of a multi-frame image are missing.",
                hint="Export the series again; the image was sent in several files.",
            )


def _rescaled_alike(slices: Sequence[Slice]) -> None:
    """Refuse a volume of which only some slices say how to rescale them."""
    silent = [one for one in slices if not one.rescaled]
    if silent and len(silent) < len(slices):
        raise GeometryError(
            f"{len(silent)} of {len(slices)} slices have no usable RescaleSlope and RescaleIntercept, "
            f"unlike the others; the first of them at {named_place(silent[0])}.",
            hint="Export the series again, from the archive and not from a program that rewrote it.",
        )


def _left_over(slices: Sequence[Slice], series: Sequence[Slice]) -> tuple[Finding, ...]:
    """Slices of another orientation, spacing or matrix in the same series.

    Parallel and among the others they mean that the series changes on the way: refused.
    Elsewhere they are something else, and only mentioned.
    """
    first = slices[0]
    ends = sorted(place(s) for s in slices)
    normal = np.cross(*(first.axes or ((1, 0, 0), (0, 1, 0))))
    outside = []
    for other in series:
        if other.axes is None or other.position is None or _alike(first, other):
            continue
        if "LOCALIZER" in other.image_type:
            continue
        parallel = abs(np.cross(*other.axes) @ normal) > np.cos(np.deg2rad(15))
        if parallel and ends[0] < place(other) < ends[-1]:
            raise GeometryError(
                f"orientation, pixel spacing or matrix changes at {named_place(other)} "
                f"({len(slices)} slices from {ends[0]:.1f} to {ends[-1]:.1f} mm are alike).",
                hint="Export the reconstructions as separate series.",
            )
        outside.append(other)
    if not outside:
        return ()
    text = (
        f"{len(outside)} more slice(s) of the series differ in orientation, spacing, matrix or frame of "
        f"reference (at {named_place(outside[0])}) and were left out."
    )
    return (Finding("slices-left-out", "warning", text),)
