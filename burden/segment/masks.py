"""Masks that exist already take the place of the model, whole or in part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from burden.errors import InputError
from burden.findings import Finding
from burden.image import Labels, Segmentation
from burden.segment.naming import NOT_SEGMENTED, OUTSIDE, TUMOR_FACTS

ABOUT_LESIONS = (
    "lesions-overlooked",
    NOT_SEGMENTED,
    OUTSIDE,
    "lesions-of-vessel-task",
    "unlikely-lesions-left-out",
)
"""Findings about a model's lesions; they end where better lesions are given."""


def from_masks(liver: Labels, lesions: Labels | None, segments: Labels | None) -> Segmentation:
    """Segmentation of given masks.

    Parameters
    ----------
    liver
        Any non-zero label is liver. Lesions may or may not be part of it.
    lesions
        One label for all lesions, or one a lesion. None says that there are none.
    segments
        Couinaud labels 1..8.

    Raises
    ------
    InputError
        If the liver mask is empty or the segment labels are not 1..8.
    """
    inside = liver.data > 0
    if not inside.any():
        raise InputError("the liver mask is empty.", hint="Give the mask of a liver, lesions included.")
    if lesions is None:
        lesions = Labels(np.zeros(liver.grid.shape, np.uint8), liver.grid)
    found = Segmentation(
        liver=Labels(inside.astype(np.uint8), liver.grid, {1: "liver"}),
        lesions=lesions,
        separate=_tells_apart(lesions),
        source="given masks",
    )
    return replace(found, segments=_couinaud(segments))


def with_masks(
    found: Segmentation, liver: Labels | None, lesions: Labels | None, segments: Labels | None
) -> Segmentation:
    """Replace parts of a model's segmentation by masks that the user gave.

    A given liver bounds the model's lesions, and what a model that is not believed would take back of
    the liver stands. A given lesion mask is taken as truth: its lesions
    all exist, and its surface has no error of the model.
    """
    given = [
        n for n, m in (("liver", liver), ("lesions", lesions), ("segments", segments)) if m is not None
    ]
    if not given:
        return found
    source = f"{found.source}, with given masks of {' and '.join(given)}"
    found = replace(found, source=source)
    if liver is not None:
        inside = liver.data > 0
        if not inside.any():
            raise InputError(
                "the liver mask is empty.", hint="Give the mask of a liver, lesions included."
            )
        found = replace(
            found,
            liver=Labels(inside.astype(np.uint8), liver.grid, {1: "liver"}),
            liver_boundary_sd_mm=0.0,
            lesions=Labels(found.lesions.data * inside.astype(found.lesions.data.dtype), liver.grid),
            findings=tuple(map(_beside_a_given_liver, found.findings)),
        )
    if lesions is not None:
        found = replace(
            found,
            lesions=lesions,
            separate=_tells_apart(lesions),
            lesion_probability=None,
            lesion_existence=None,
            total_errors=(),
            lesion_boundary_sd_mm=0.0,
            findings=tuple(f for f in found.findings if f.code not in ABOUT_LESIONS),
        )
    return found if segments is None else replace(found, segments=_couinaud(segments))


def _beside_a_given_liver(finding: Finding) -> Finding:
    """A model that is not believed takes back what is its own: lesions and organs, not this liver."""
    if finding.code == "no-liver-found":
        text = f"{finding.text} So it looked for no lesions: tumor is not known, and it is not zero. "
        text += "Give a lesion mask (--lesions)."
        return Finding(NOT_SEGMENTED, "error", text, TUMOR_FACTS)
    if "*" in finding.invalidates:
        return replace(finding, invalidates=(*TUMOR_FACTS, "spleen.*"))
    return finding


def _tells_apart(lesions: Labels) -> bool:
    """Whether the labels are one a lesion: more than one value besides 0."""
    return int(np.unique(lesions.data).size) - int((lesions.data == 0).any()) > 1


def _couinaud(segments: Labels | None) -> Labels | None:
    """Check the labels of a segment mask."""
    if segments is not None and int(segments.data.max(initial=0)) > 8:
        raise InputError(
            f"the segment mask has labels up to {int(segments.data.max())}.",
            hint="Couinaud segments are labelled 1 to 8.",
        )
    return segments
