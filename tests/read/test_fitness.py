"""What an image is not fit for, and which outputs that touches: a table of every clause."""

from __future__ import annotations

import numpy as np
import pytest

from burden.read import read_study

CASES = {
    "slices over 5 mm": ({"spacing": (0.8, 0.7, 8.0)}, "thick-slices", "diameters of lesions of 16 mm"),
    "non-contrast": ({"description": "abdomen nativ"}, "non-contrast", "count, tumor volume and burden"),
    "too low for a liver": ({}, "slab-too-short", "volumes are lower bounds"),
    "another body part": (
        {"description": "5.0", "tags": {"BodyPartExamined": "HEAD"}},
        "other-body-part",
        "no output is valid",
    ),
    "matrix coarse": ({"spacing": (3.0, 3.0, 2.5)}, "coarse-matrix", "diameters are uncertain"),
    "matrix too coarse": ({"spacing": (6.0, 6.0, 2.5)}, "coarse-matrix", "too coarse for diameters"),
    "values clipped": ({"intercept": 1000.0}, "no-air", "not HU"),
}


@pytest.mark.parametrize("name", CASES)
def test_clause(make, name):
    different, code, words = CASES[name]
    found = [f for f in read_study(make(**different)).findings if f.code == code]
    assert [words in f.text for f in found] == [True]


def test_a_sound_image_is_fit(make):
    different = {
        "shape": (9, 7, 60),
        "description": "liver portal venous",
        "tags": {"BodyPartExamined": "ABDOMEN"},
    }
    assert [f.code for f in read_study(make(**different)).findings] == []


@pytest.mark.parametrize("part", ["", "LIVER", "ABDOMEN", "CHEST_TO_PELVIS", "WHOLEBODY"])
def test_body_parts_that_may_hold_a_liver_are_not_doubted(make, part):
    codes = [f.code for f in read_study(make(tags={"BodyPartExamined": part})).findings]
    assert "other-body-part" not in codes


def test_air_is_looked_for_in_every_slice(make, phantom):
    values = np.abs(phantom((9, 7, 5)))
    values[3, 3, 4] = -900  # the last one, and only there
    assert "no-air" not in [f.code for f in read_study(make(values=values)).findings]
