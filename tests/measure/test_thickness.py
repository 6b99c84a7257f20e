"""The largest diameter in thick slices: valid from twice their thickness on."""

from __future__ import annotations

import numpy as np
import pytest

from burden.facts import Facts
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import measure


def measured(thick, long_mm, findings=()):
    """A box of liver with a bar of a lesion, ``long_mm`` from end to end of its pixels' centres."""
    grid = Grid.from_axes((40, 40, 12), (4.0, 4.0, thick), (0, 0, 0))
    liver = np.zeros(grid.shape, np.uint8)
    liver[2:38, 2:38, 2:10] = 1
    lesions = np.zeros(grid.shape, np.uint8)
    lesions[15 : 15 + round(long_mm / 4), 20:22, 5:7] = 1
    found = Segmentation(Labels(liver, grid), Labels(lesions, grid), "drawn", findings=findings)
    volume = Volume(np.full(grid.shape, 60, np.int16), grid, "CT", Origin("phantom", "box"), "portal")
    return measure(volume, found, Facts(), draws=0)


@pytest.mark.parametrize(
    ("thick", "long_mm", "valid"), [(7.0, 8, False), (7.0, 40, True), (5.0, 8, True)]
)
def test_diameter_needs_twice_the_thickness(thick, long_mm, valid):
    result = measured(thick, long_mm)
    said = [f for f in result.findings if f.code == "largest-lesion-not-measurable"]
    assert result.facts["lesion.largest_diameter"].valid == valid
    assert bool(said) != valid
    assert result.facts["tumor.volume"].valid
    if said:
        assert said[0].invalidates == ("lesion.largest_diameter",)
        assert "14 mm" in said[0].text


def test_thick_slices_are_said_once():
    read = Finding("thick-slices", "warning", "Slices are 7 mm thick, reading says.")
    assert [f.code for f in measured(7.0, 40, (read,)).findings].count("thick-slices") == 1
    assert [f.code for f in measured(7.0, 40).findings].count("thick-slices") == 1
