"""What foreign labels mean here, and a Segmentation made of them with all that must be said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from burden.errors import ModelError
from burden.findings import Finding
from burden.image import Labels, Segmentation, Volume

LESION_SD_MM, LIVER_SD_MM = 2.0, 1.0
"""Assumed where nobody measured how far the surfaces of a foreign model are off."""
LEAST_ML = 30.0
"""Less than this is taken as no liver."""
LEFT_OUT_ML = 1.0
NOT_SEGMENTED = "lesions-not-segmented"
OUTSIDE = "lesion-outside-liver"
TUMOR_FACTS = (
    "tumor.*",
    "lesion.*",
    "frilling.*",
    "debulk.*",
    "flr.*",
    "segments.involved",
    "treated.involved",
    *(f"segment.{n}.tumor_volume" for n in range(1, 9)),
)
_LIVER = "liver|whole_liver|liver_parenchyma|hepatic_parenchyma"
_LESION = "(liver_|hepatic_)?(lesions?|tumou?rs?|cancer|metastas[ie]s)|hcc"
_STRUCTURES = {
    "inferior_vena_cava": "ivc|postcava|inferior_vena_cava",
    "portal_vein": "portal_veins?|portal_veins?_and_splenic_veins?|portal_and_splenic_veins?",
    "gallbladder": "gall_?bladder",
    "spleen": "spleen",
    "aorta": "aorta|abdominal_aorta",
    "kidneys": "kidneys?|(left|right)_(kidney|kideny)|kidney_(left|right)",
}
_SEGMENT = re.compile(r"(?:liver_|couinaud_)?segment_?([1-8]|viii|vii|vi|iv|v|iii|ii|i)")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")


@dataclass(frozen=True)
class Naming:
    """Which foreign label values are what.

    Parameters
    ----------
    liver, lesion
        Values that are liver (lesions may or may not be among them) and lesion; an empty lesion says
        that the model knows none.
    structures
        Names of `Segmentation.structures` to values.
    segments
        Couinaud number to values.
    """

    liver: tuple[int, ...]
    lesion: tuple[int, ...] = ()
    structures: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    segments: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def known(self) -> tuple[int, ...]:
        """Every value that means something here, ascending."""
        groups = (self.liver, self.lesion, *self.structures.values(), *self.segments.values())
        return tuple(sorted({value for group in groups for value in group}))


@dataclass(frozen=True)
class Terms:
    """What a model states of itself.

    Parameters
    ----------
    source
        One line for people.
    modalities
        What it was trained on.
    liver_sd_mm, lesion_sd_mm
        Error of its surfaces; None where nobody measured it.
    """

    source: str
    modalities: tuple[str, ...] = ("CT", "MR")
    liver_sd_mm: float | None = None
    lesion_sd_mm: float | None = None


def naming_of(names: Mapping[str, int | tuple[int, ...]], where: object) -> Naming:
    """Recognise names of labels; other organs are left out.

    Raises
    ------
    ModelError
        If none is the liver.
    """
    liver: list[int] = []
    lesion: list[int] = []
    structures: dict[str, tuple[int, ...]] = {}
    segments: dict[int, tuple[int, ...]] = {}
    for name, found in names.items():
        values = (found,) if isinstance(found, int) else tuple(found)
        plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").removesuffix("_mask")
        structure = next((s for s, text in _STRUCTURES.items() if re.fullmatch(text, plain)), None)
        part = _SEGMENT.fullmatch(plain)
        if re.fullmatch(_LIVER, plain):
            liver += values
        elif re.fullmatch(_LESION, plain):
            lesion += values
        elif structure is not None:
            structures[structure] = structures.get(structure, ()) + values
        elif part is not None:
            number = int(part[1]) if part[1].isdigit() else _ROMAN.index(part[1]) + 1
            segments[number] = values
    if not liver:
        liver = [value for values in segments.values() for value in values]
    if not liver:
        raise ModelError(
            f"none of its labels is the liver: {', '.join(list(names)[:8])}.",
            where=where,
            hint="Say it in burden.yaml beside the model: labels: {liver: [1], lesion: [2]}.",
        )
    return Naming(tuple(sorted(set(liver))), tuple(sorted(set(lesion))), structures, segments)


def assemble(
    labels: NDArray[np.integer],
    naming: Naming,
    volume: Volume,
    terms: Terms,
    *,
    lesions: NDArray[np.bool_] | None = None,
) -> Segmentation:
    """Segmentation of a label map on the grid of the volume.

    Parameters
    ----------
    labels : int (i, j, k)
    lesions
        Lesions where they have a mask of their own, beside the labels.
    """
    import cc3d

    marked = np.isin(labels, naming.lesion) if lesions is None else lesions
    knows_lesions = bool(naming.lesion) or lesions is not None
    whole = np.isin(labels, naming.liver) | marked
    liver = np.asarray(cc3d.largest_k(whole, k=1, connectivity=26)) > 0
    spots = marked & liver
    voxel = volume.grid.voxel_ml
    if np.count_nonzero(liver) * voxel < LEAST_ML:
        return _nothing(volume, terms)
    structures = np.zeros(volume.grid.shape, np.uint8)
    names = {}
    for number, (name, values) in enumerate(sorted(naming.structures.items()), start=1):
        structures[np.isin(labels, values) & ~liver] = number
        names[number] = name
    segments = np.zeros(volume.grid.shape, np.uint8)
    for number, values in naming.segments.items():
        segments[np.isin(labels, values) & liver] = number
    findings = tuple(_said(volume, terms, knows_lesions=knows_lesions))
    lost = float(np.count_nonzero(whole & ~liver)) * voxel
    if lost >= LEFT_OUT_ML:
        text = f"{lost:.0f} mL away from the largest piece of liver were left out."
        findings += (Finding("pieces-left-out", "info", text),)
    outside = float(np.count_nonzero(marked & ~liver)) * voxel
    if outside > 0:
        text = f"{outside:.1f} mL marked as lesion touch the liver nowhere and are not counted."
        findings += (Finding(OUTSIDE, "warning", text),)
    return Segmentation(
        liver=Labels(liver.astype(np.uint8), volume.grid, {1: "liver"}),
        lesions=Labels(spots.astype(np.uint8), volume.grid, {1: "lesion"}),
        structures=Labels(structures, volume.grid, names) if names else None,
        segments=Labels(segments, volume.grid) if segments.any() else None,
        liver_boundary_sd_mm=LIVER_SD_MM if terms.liver_sd_mm is None else terms.liver_sd_mm,
        lesion_boundary_sd_mm=LESION_SD_MM if terms.lesion_sd_mm is None else terms.lesion_sd_mm,
        source=terms.source,
        findings=findings,
    )


def _nothing(volume: Volume, terms: Terms) -> Segmentation:
    """Empty masks, and the reason."""
    empty = np.zeros(volume.grid.shape, np.uint8)
    text = f"The model ({terms.source}) found no liver in this image."
    return Segmentation(
        liver=Labels(empty, volume.grid, {1: "liver"}),
        lesions=Labels(empty, volume.grid, {1: "lesion"}),
        lesion_boundary_sd_mm=LESION_SD_MM,
        source=terms.source,
        findings=(Finding("no-liver-found", "error", text, ("*",)),),
    )


def _said(volume: Volume, terms: Terms, *, knows_lesions: bool) -> list[Finding]:
    """What the reader must know of a model that is not ours."""
    findings = []
    if volume.modality not in terms.modalities:
        text = f"The model ({terms.source}) was made for {' and '.join(terms.modalities)}, not for "
        text += f"{volume.modality}: do not trust it here."
        findings.append(Finding("model-of-another-modality", "error", text, ("*",)))
    if not knows_lesions:
        text = f"The model ({terms.source}) knows no lesions: tumor is not known, and it is not zero. "
        text += "Give a lesion mask (--lesions)."
        findings.append(Finding(NOT_SEGMENTED, "error", text, TUMOR_FACTS))
    elif terms.lesion_sd_mm is None or terms.liver_sd_mm is None:
        text = (
            f"Nobody measured the errors of this model ({terms.source}) here: probabilities assume "
            f"surfaces off by {LESION_SD_MM:g} mm (lesions) and {LIVER_SD_MM:g} mm (liver), that every "
            "lesion found is one, and that none was overlooked."
        )
        findings.append(Finding("model-not-calibrated", "warning", text))
    return findings
