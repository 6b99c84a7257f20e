"""Volume, Labels, Segmentation: read-only arrays that know where they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError
from burden.findings import Finding
from burden.grid import Grid
from burden.pseudonym import Pseudonyms

Modality = Literal["CT", "MR"]


@dataclass(frozen=True)
class Origin:
    """Where an image came from; holds no patient identifier.

    Parameters
    ----------
    kind
        ``dicom``, ``nifti`` or ``phantom``.
    path
        What the user pointed at.
    sha256
        Over the pixel data as read, so that two runs on one image can be recognised.
    study_uid, series_uid, frame_uid
        DICOM UIDs, empty for other kinds.
    description
        Series description or file name, for display.
    files
        Image files in slice order along array axis 2 (DICOM only).
    frames
        Frame number, from 1, in the file of each slice; empty where files hold one image each.
    alias
        What stands for every identifier in all that is written; None to write them as they are.
    """

    kind: str
    path: str
    sha256: str = ""
    study_uid: str = ""
    series_uid: str = ""
    frame_uid: str = ""
    description: str = ""
    files: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    alias: Pseudonyms | None = None

    @property
    def shown_series_uid(self) -> str:
        """The series UID as it may be written."""
        return self.alias.uid(self.series_uid) if self.alias else self.series_uid


@dataclass(frozen=True, eq=False)
class Volume:
    """An image on its native grid.

    Parameters
    ----------
    data
        ``[i, j, k]``; HU for CT, arbitrary units for MR. Made read-only.
    grid
        Where the voxels are.
    modality
        ``CT`` or ``MR``.
    phase
        ``non-contrast``, ``arterial``, ``portal``, ``delayed``, ``hepatobiliary``, or "" if not
        known.
    """

    data: NDArray[np.generic]
    grid: Grid
    modality: Modality
    origin: Origin
    phase: str = ""

    def __post_init__(self) -> None:
        _freeze(self, self.data)


@dataclass(frozen=True, eq=False)
class Labels:
    """Integer labels on a grid; 0 is "none of these".

    Parameters
    ----------
    data
        ``[i, j, k]``, unsigned integers. Made read-only.
    names
        What each label means, e.g. ``{1: "liver"}``.
    """

    data: NDArray[np.unsignedinteger]
    grid: Grid
    names: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.data.dtype.kind != "u":
            raise TypeError(f"labels must be unsigned integers, not {self.data.dtype}")
        _freeze(self, self.data)

    def mask(self, label: int) -> NDArray[np.bool_]:
        """Boolean mask of one label."""
        return np.asarray(self.data == label)

    def named(self, name: str) -> NDArray[np.bool_] | None:
        """Boolean mask of a structure by name, or None where the source does not know it."""
        known = [value for value, text in self.names.items() if text == name]
        return self.mask(known[0]) if known else None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a back end found, all on the grid of the volume it was given.

    Parameters
    ----------
    liver
        1 where there is liver, lesions included.
    lesions
        Lesion voxels: 1..n where ``separate``, else any non-zero value.
    separate
        Whether the labels of ``lesions`` already tell lesions apart.
    segments
        Couinaud 1..8, where the source gives them.
    structures
        Other organs and vessels by name (``inferior_vena_cava``, ``portal_vein``,
        ``gallbladder``, ``spleen``, ``aorta``, ``kidneys``), where the source gives them.
    lesion_probability
        Calibrated probability in [0, 1] that a voxel is lesion, where the source has one.
    liver_boundary_sd_mm, lesion_boundary_sd_mm
        Standard deviation of the position of the drawn surface, one value a case; 0 where people drew
        it, whose errors :mod:`burden.measure.readers` knows.
    total_errors
        How far off the model's totals were on images it had never seen, one row an image:
        sqrt(true) - sqrt(found) of the burden in %, of the number of lesions and of the largest
        diameter in mm. Empty where masks are given or the model does not say.
    lesion_existence
        Coefficients (intercept, mean probability, log10 mL) of the logistic that gives the
        probability that a component is a lesion; None where every lesion is taken as given.
    source
        One line for people: which model, or whose masks.
    """

    liver: Labels
    lesions: Labels
    source: str
    separate: bool = False
    segments: Labels | None = None
    structures: Labels | None = None
    lesion_probability: NDArray[np.floating] | None = None
    liver_boundary_sd_mm: float = 0.0
    lesion_boundary_sd_mm: float = 0.0
    lesion_existence: tuple[float, float, float] | None = None
    total_errors: tuple[tuple[float, float, float], ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def liver_is_given(self) -> bool:
        """Whether people drew the liver, rather than a model that states how far its edge is off."""
        return self.liver_boundary_sd_mm == 0.0

    @property
    def lesions_are_given(self) -> bool:
        """Whether people drew the lesions, rather than a model that states its errors."""
        return self.lesion_existence is None and self.lesion_boundary_sd_mm == 0.0

    def __post_init__(self) -> None:
        for part in (self.lesions, self.segments, self.structures):
            if part is not None and not part.grid.same_as(self.liver.grid):
                raise GeometryError("the masks of one segmentation are not on one grid.")


def _freeze(owner: Volume | Labels, data: NDArray[np.generic]) -> None:
    """Check the shape against the grid and hold a read-only view."""
    if data.shape != owner.grid.shape:
        raise GeometryError(f"the array is {data.shape}, its grid {owner.grid.shape}.")
    view = data.view()
    view.setflags(write=False)
    object.__setattr__(owner, "data", view)
