"""How good a group of slices is to measure in: points, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burden.errors import GeometryError, InputError
from burden.read import words
from burden.read.headers import Slice
from burden.read.sequences import mr_kind

_COVERAGE_MM = 250.0  # more than a liver's height brings no more points
_DRAWBACK_POINTS = 40.0
PHASE_POINTS = {"portal": 15.0, "hepatobiliary": 15.0, "arterial": 8.0, "delayed": 8.0}


def never(slices: Sequence[Slice]) -> InputError | None:
    """Why a group can never be measured in, by its header alone."""
    first = slices[0]
    if first.file.modality not in ("CT", "MR"):
        kind = first.file.modality or "unnamed modality"
        hints = {"SEG": "Give segmentations with --liver, --lesions or --segments."}
        return InputError(f"{kind}, not CT or MR.", hint=hints.get(kind))
    if "LOCALIZER" in first.image_type:
        return InputError("a localizer (scout view), not a volume.")
    if first.file.samples != 1:
        return InputError("colour pictures without measurable values.")
    if first.position is None or first.axes is None or first.spacing is None:
        return GeometryError("no position, orientation or pixel spacing in the header.")
    return None


def plane_of(one: Slice) -> str:
    """``axial``, ``coronal``, ``sagittal`` or ``oblique`` (more than 30 degrees off), or ""."""
    if one.axes is None:
        return ""
    normal = np.abs(np.cross(*one.axes))
    if normal.max() < np.cos(np.deg2rad(30)):
        return "oblique"
    return ("sagittal", "coronal", "axial")[int(normal.argmax())]


def scored(slices: Sequence[Slice], phase: str) -> tuple[float, list[str]]:
    """Points of a group, and what they were given or taken for."""
    file = slices[0].file
    score = 30.0 if file.modality == "CT" else 25.0 if file.modality == "MR" else 0.0
    reasons = [f"{file.modality}", f"{len(slices)} slices"]
    plane = plane_of(slices[0])
    if plane:
        score += 20.0 if plane == "axial" else 0.0
        reasons.append(plane)
    found = extent(slices)
    if found is not None:
        coverage, spacing = found
        score += 40.0 * min(coverage, _COVERAGE_MM) / _COVERAGE_MM
        reasons.append(f"covers {coverage:.0f} mm")
        score += 10.0 - 2.0 * max(0.0, max(spacing, slices[0].thickness) - 1.0)
        reasons.append(f"every {spacing:.3g} mm")
    for reason in words.drawbacks(file.description, slices[0].image_type):
        score -= _DRAWBACK_POINTS
        reasons.append(reason)
    if slices[0].image_type[:1] == ("DERIVED",):
        score -= 5.0
        reasons.append("derived image")
    if file.modality == "MR":
        first = slices[0]
        kind, points = mr_kind(file.sequence, dict(first.stack), first.image_type, file.codes)
        score += points
        reasons.append(kind)
    score += PHASE_POINTS.get(phase, 0.0)
    if file.contrast:
        score += 5.0
        reasons.append("contrast given")
    if words.sharp(file.kernel):
        score -= 10.0
        reasons.append("sharp kernel")
    region = words.region_of(file.description, file.body_part)
    if region:
        score += 5.0 if region == "abdomen" else -15.0
        reasons.append(f"named as {region}")
    return score, reasons


def extent(slices: Sequence[Slice]) -> tuple[float, float] | None:
    """Coverage along the normal and usual spacing, mm, whether or not they form a volume."""
    axes = slices[0].axes
    if axes is None or any(s.position is None for s in slices):
        return None
    along = np.unique(np.round(np.array([s.position for s in slices]) @ np.cross(*axes), 2))
    if len(along) < 2:
        return None
    spacing = float(np.median(np.diff(along)))
    return float(along[-1] - along[0]) + spacing, spacing
