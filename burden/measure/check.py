"""What the reader should know before trusting the numbers, and what is no liver at all."""

from __future__ import annotations

from collections.abc import Iterator

import cc3d
import numpy as np
from numpy.typing import NDArray

from burden.errors import NotALiverError
from burden.facts import Facts
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Segmentation, Volume
from burden.measure.components import MIN_ML
from burden.measure.diameters import sphere_diameter
from burden.measure.plausible import signs

CUT_MM2 = 100.0
"""A liver that meets the edge of the image over this area or more is cut by it."""
CONVINCING_ML = 150.0
CONVINCING_SHARE = 0.6
USUAL_ML = (500.0, 8000.0)
THICK_MM = 5.0
METAL_HU = 3000.0
"""Denser than any bone or contrast medium in a vessel; clips, stents, coils and ports reach it."""
METAL_ML = 0.05
NEAR_MM = 20.0
CUT_CODE = "liver-cut-by-field-of-view"
BLIND_CODE = "non-contrast-ct"
HIDING_CODES = (BLIND_CODE, "lesions-overlooked")
"""Findings by which lesions were missed, so that what was measured of them is open upwards."""
_LOST = (
    "tumor.burden*",
    "tumor.viable_burden",
    "tumor.*_fraction",
    "flr.*",
    "debulk.*",
    "frilling.*",
    "segment.*",
    "treated.*",
    "lesion.count_right",
    "lesion.count_left",
    "lesion.min_distance_*",
)
_SIDED = (
    "tumor.burden_right",
    "tumor.burden_left",
    "lesion.count_right",
    "lesion.count_left",
    "segment*",
    "treated.*",
    "flr.*",
    "debulk.*",
    "frilling.*",
)
_TRY = "Check that the series shows the liver, or give a liver mask."
Mask = NDArray[np.bool_]


def require_liver(liver: Mask, grid: Grid, *, given: bool, where: str) -> None:
    """Refuse what cannot be a liver.

    Raises
    ------
    NotALiverError
        For an empty mask; for a model's mask also where it is too small or in pieces.
    """
    ml = float(np.count_nonzero(liver)) * grid.voxel_ml
    if ml == 0.0:
        raise NotALiverError("no liver in this image.", where=where, hint=_TRY)
    if given:
        return
    if ml < CONVINCING_ML:
        raise NotALiverError(
            f"only {ml:.0f} mL look like liver, too little to be one.", where=where, hint=_TRY
        )
    pieces = cc3d.connected_components(liver, connectivity=26)
    largest = int(np.bincount(pieces.ravel())[1:].max())
    if largest * grid.voxel_ml < CONVINCING_SHARE * ml:
        raise NotALiverError(
            "what looks like liver is scattered over the image.", where=where, hint=_TRY
        )


def implausible(
    volume: Volume, liver: Mask, cut: bool, *, given: bool, patient: Facts | None = None
) -> Iterator[Finding]:
    """What does not look like a liver. Masks of people are questioned, those of a model refused.

    One weak sign of a model's mask is a warning; two take every number back.

    Raises
    ------
    NotALiverError
        At a strong sign in a model's mask.
    """
    found = signs(volume, liver, cut=cut, patient=patient)
    strong = [sign.text for sign in found if sign.strong]
    if strong and not given:
        raise NotALiverError(
            f"what looks like liver is none: {'; '.join(strong)}.", where=volume.origin.path, hint=_TRY
        )
    if not found:
        return
    text = f"Is this a liver? {'; '.join(sign.text for sign in found)}: check its outline.".replace(
        "? i", "? I", 1
    )
    if len(found) > 1 and not given:
        yield Finding("liver-implausible", "error", text, ("*",))
    else:
        sided = _SIDED if any(sign.side for sign in found) else ()
        yield Finding("liver-implausible", "warning", text, sided)


def cut_area_mm2(liver: Mask, grid: Grid) -> float:
    """Largest area over which the liver meets a face of the image, mm2."""
    voxel = float(np.prod(grid.spacing))
    faces = [
        np.count_nonzero(face) * voxel / grid.spacing[axis]
        for axis in range(3)
        for face in np.moveaxis(liver, axis, 0)[[0, -1]]
    ]
    return float(max(faces))


def metal_ml(volume: Volume, liver: Mask) -> float:
    """Volume as dense as metal within :data:`NEAR_MM` of the liver's bounding box, mL (CT)."""
    if volume.modality != "CT" or not liver.any():
        return 0.0
    window = []
    for axis in range(3):
        there = np.flatnonzero(liver.any(axis=tuple(a for a in range(3) if a != axis)))
        near = int(NEAR_MM / volume.grid.spacing[axis])
        window.append(slice(max(int(there[0]) - near, 0), int(there[-1]) + near + 1))
    dense = np.asarray(volume.data[window[0], window[1], window[2]]).astype(np.float32) >= METAL_HU
    return float(np.count_nonzero(dense)) * volume.grid.voxel_ml


def findings(
    volume: Volume,
    found: Segmentation,
    liver_ml: float,
    cut_mm2: float,
    lesions: int,
    *,
    patient: Facts | None = None,
) -> Iterator[Finding]:
    """Everything to be said about one case; ``lesions`` is their number.

    Raises
    ------
    NotALiverError
        Where a model's mask cannot be a liver: in a head, a limb or the chest, or of no liver's density.
    """
    yield from implausible(
        volume,
        found.liver.data > 0,
        cut_mm2 >= CUT_MM2,
        given=found.liver_is_given,
        patient=patient,
    )
    thick = volume.grid.spacing[volume.grid.slice_axis]
    if cut_mm2 >= CUT_MM2:
        yield Finding(
            CUT_CODE,
            "error",
            f"The liver is cut by the edge of the image over {cut_mm2 / 100:.0f} cm2: volumes are what "
            "was seen, at least; burden, remnant and distribution are not known.",
            _LOST,
        )
    elif not USUAL_ML[0] <= liver_ml <= USUAL_ML[1]:
        yield Finding(
            "liver-volume-unusual",
            "warning",
            f"A liver of {liver_ml:.0f} mL is outside the usual {USUAL_ML[0]:.0f} to "
            f"{USUAL_ML[1]:.0f} mL: check its outline.",
        )
    if thick > THICK_MM:
        yield Finding(
            "thick-slices",
            "warning",
            f"Slices are {thick:.1f} mm thick: RECIST 1.1 does not measure lesions under "
            f"{2 * thick:.0f} mm here.",
        )
    metal = metal_ml(volume, found.liver.data > 0)
    if metal >= METAL_ML:
        yield Finding(
            "metal",
            "warning",
            f"{metal:.1f} mL in or beside the liver are as dense as metal: streaks may hide or imitate "
            "lesions, and enhancement cannot be trusted.",
            ("tumor.viable_volume",),
        )
    of_model = not found.lesions_are_given
    if volume.phase == "non-contrast" and volume.modality == "CT" and of_model:
        yield Finding(
            BLIND_CODE,
            "warning",
            "CT without contrast medium hides many metastases: lesion numbers are lower bounds.",
        )
    believed = not any({"*", "lesion.*"} & set(f.invalidates) for f in found.findings)
    if lesions == 0 and of_model and believed:
        size = max(sphere_diameter(MIN_ML), 1.5 * thick)
        yield Finding(
            "no-lesion-found",
            "warning",
            f"No lesion was found; lesions under about {size:.0f} mm could not have been.",
        )
