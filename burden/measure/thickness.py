"""Diameters against the thickness of the slices they were measured in (RECIST 1.1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from burden.findings import Finding
from burden.image import Volume
from burden.lesions import Lesion

THICK_MM = 5.0
FACTOR = 2.0
"""In slices thicker than 5 mm a lesion is measurable from twice their thickness on
(Eisenhauer et al., Eur J Cancer 2009; 45: 228-247)."""
CODE = "largest-lesion-not-measurable"


def not_measurable(volume: Volume, rows: Sequence[Lesion]) -> Iterator[Finding]:
    """Takes back the largest diameter where even that lesion is too small for the slices."""
    thick = volume.grid.spacing[volume.grid.slice_axis]
    longest = max((row.recist_long_mm for row in rows), default=0.0)
    if thick <= THICK_MM or not 0.0 < longest < FACTOR * thick:
        return
    text = (
        f"The largest lesion is {longest:.0f} mm long in slices of {thick:.3g} mm: its diameter is not "
        f"valid, as RECIST 1.1 measures none under {FACTOR * thick:.3g} mm there."
    )
    yield Finding(CODE, "warning", text, ("lesion.largest_diameter",))
