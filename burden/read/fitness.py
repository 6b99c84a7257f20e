"""What an image is fit for: findings on thickness, coverage and contrast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from burden.findings import Finding
from burden.image import Volume

_THICK_MM = 5.0  # RECIST 1.1 (S: Eisenhauer 2009): measurable from 10 mm at 5 mm slices, else 2 x slice
_LIVER_MM = 120.0  # a slab lower than this cannot hold an adult liver
_COARSE_MM = 2.0
_BLUNT_MM = 5.0  # a lesion of 10 mm would be two pixels
_NO_AIR_HU = -200
_DIAMETERS = ("lesion.largest_diameter",)


def fitness(volume: Volume, thickness: Sequence[float] = ()) -> list[Finding]:
    """Findings that follow from geometry, values and tags alone.

    Parameters
    ----------
    thickness
        Nominal thickness of every slice, mm; 0 where not known.
    """
    grid = volume.grid
    axis = grid.slice_axis
    findings = _slices(grid.spacing[axis], thickness)
    height = _height(volume)
    if height < _LIVER_MM:
        text = (
            f"The image covers only {height:.0f} mm from head to foot, too little for a whole liver: "
            "volumes are lower bounds."
        )
        findings.append(Finding("slab-too-short", "warning", text))
    in_plane = max(s for a, s in enumerate(grid.spacing) if a != axis)
    if in_plane > _COARSE_MM:
        text = f"Pixels are {in_plane:.3g} mm wide: diameters are uncertain by as much."
        lost = _DIAMETERS if in_plane > _BLUNT_MM else ()
        if lost:
            text = f"Pixels are {in_plane:.3g} mm wide: too coarse for diameters by RECIST 1.1."
        findings.append(Finding("coarse-matrix", "warning", text, lost))
    # Slice by slice: nearly always the first one has air, and the others need no look.
    if volume.modality == "CT" and not any(
        int(volume.data[:, :, k].min()) <= _NO_AIR_HU for k in range(grid.shape[2])
    ):
        text = f"No value below {_NO_AIR_HU} HU: the image is clipped, or its values are not HU."
        findings.append(Finding("no-air", "warning", text))
    if volume.phase == "non-contrast":
        text = (
            "Non-contrast series: lesions are often not visible. Lesion count, tumor volume and burden "
            "are lower bounds, and zero proves nothing; viable tumor is not known."
        )
        findings.append(Finding("non-contrast", "warning", text))
    return findings


def _slices(spacing: float, thickness: Sequence[float]) -> list[Finding]:
    """Thick, mixed, overlapping or spaced-out slices."""
    findings = []
    thin, nominal = min(thickness, default=0.0), max(thickness, default=0.0)
    effective = max(nominal, spacing)
    if effective > _THICK_MM:
        text = (
            f"Slices are {effective:.3g} mm thick: by RECIST 1.1 only the diameters of lesions of "
            f"{2 * effective:.3g} mm or more are valid, and smaller ones may be missed in the count."
        )
        findings.append(Finding("thick-slices", "warning", text))
    if nominal > thin + 0.01:
        text = f"Slice thickness changes inside the series, from {thin:.3g} to {nominal:.3g} mm."
        findings.append(Finding("mixed-thickness", "warning", text))
    elif thin and spacing > 1.05 * thin:
        text = f"Only {thin:.3g} of every {spacing:.3g} mm were imaged: there are gaps between slices."
        findings.append(Finding("gaps-between-slices", "info", text))
    elif thin and spacing < 0.95 * thin:
        text = f"Slices overlap: {thin:.3g} mm thick, every {spacing:.3g} mm."
        findings.append(Finding("overlapping-slices", "info", text))
    return findings


def _height(volume: Volume) -> float:
    """Head-foot extent of the grid, mm."""
    shape = np.array(volume.grid.shape)
    return float(np.abs(volume.grid.affine[2, :3]) @ shape)
