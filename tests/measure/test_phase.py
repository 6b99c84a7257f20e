"""The contrast phase by pixels: on digital livers in every phase, and where it must stay silent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from burden.grid import Grid, reorder
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure.phase import PHASES, USUAL_HU, companion_disagrees, phase_of, with_phase
from burden.read import read_mask, read_study

NAMES = ("portal_vein", "spleen", "aorta", "kidneys")


def case(hu, *, phase="", modality="CT", noise=12.0, seed=0):
    """Blocks of tissue; ``hu`` by name, ``liver`` among them. Absent organs are not in the image."""
    grid = Grid((60, 12, 12), np.diag([2.0, 2.0, 2.0, 1.0]))
    rng = np.random.default_rng(seed)
    data = rng.normal(40, noise, grid.shape)
    structures = np.zeros(grid.shape, np.uint8)
    liver = np.zeros(grid.shape, np.uint8)
    for number, (name, value) in enumerate(hu.items()):
        box = (slice(12 * number + 1, 12 * number + 11), slice(1, 11), slice(1, 11))
        data[box] = rng.normal(value, noise, data[box].shape)
        if name == "liver":
            liver[box] = 1
        else:
            structures[box] = 1 + NAMES.index(name)
    found = Segmentation(
        Labels(liver, grid, {1: "liver"}),
        Labels(np.zeros(grid.shape, np.uint8), grid),
        "test",
        structures=Labels(structures, grid, {k + 1: n for k, n in enumerate(NAMES)}),
    )
    return Volume(data.astype(np.float32), grid, modality, Origin("nifti", "x"), phase), found


def usual(phase):
    return {name: USUAL_HU[name][PHASES.index(phase)][0] for name in ("liver", *NAMES)}


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("names", [NAMES, ("aorta", "portal_vein"), ("aorta", "spleen")])
def test_usual_values_are_named_with_confidence(phase, names):
    guess = phase_of(*case({k: v for k, v in usual(phase).items() if k in ("liver", *names)}))
    assert guess.phase == phase
    assert guess.confidence > 0.8


@pytest.mark.parametrize("phase", PHASES)
def test_digital_livers_in_every_phase(phase):
    """Their tissue values were set for another purpose, by another table."""
    from burden.phantom import make, random_spec

    made = make(replace(random_spec(5), phase=phase, modality="CT"))
    blank = replace(made.volume, phase="")
    guess = phase_of(blank, made.truth)
    assert guess.phase == phase
    volume, findings = with_phase(blank, made.truth)
    assert volume.phase == phase
    assert [(f.code, f.severity) for f in findings] == [("phase-from-pixels", "info")]
    assert np.shares_memory(volume.data, blank.data)
    assert with_phase(made.volume, made.truth) == (made.volume, ())


# What such studies show in print, none of them a row of the table: doses and voltages differ.
REAL = [
    ("non-contrast", {"liver": 63, "aorta": 36, "portal_vein": 38, "spleen": 50, "kidneys": 30}),
    (
        "non-contrast",
        {"liver": 18, "aorta": 38, "portal_vein": 37, "spleen": 47, "kidneys": 31},
    ),  # fatty
    ("arterial", {"liver": 58, "aorta": 390, "portal_vein": 45, "spleen": 105, "kidneys": 110}),  # early
    ("arterial", {"liver": 75, "aorta": 240, "portal_vein": 130, "spleen": 130, "kidneys": 160}),  # late
    (
        "portal",
        {"liver": 125, "aorta": 185, "portal_vein": 200, "spleen": 145, "kidneys": 200},
    ),  # 100 kV
    ("delayed", {"liver": 85, "aorta": 105, "portal_vein": 105, "spleen": 88, "kidneys": 160}),
]


@pytest.mark.parametrize(("phase", "hu"), REAL)
def test_studies_unlike_the_table(phase, hu):
    assert phase_of(*case(hu)).phase == phase


def test_a_faint_portal_phase_may_be_left_open_but_is_called_nothing_else():
    faint = {"liver": 95, "aorta": 130, "portal_vein": 145, "spleen": 108, "kidneys": 150}
    guess = phase_of(*case(faint))
    assert guess.phase in ("", "portal")
    assert guess.confidence < 0.9


def test_brightness_never_jumps_between_far_phases():
    """From plain to portal by mixing, the answer goes through no wrong phase with confidence."""
    plain, portal = usual("non-contrast"), usual("portal")
    seen = []
    for share in np.linspace(0, 1, 21):
        guess = phase_of(*case({n: plain[n] + share * (portal[n] - plain[n]) for n in plain}))
        seen.append(guess.phase)
    assert seen[0] == "non-contrast"
    assert seen[-1] == "portal"
    assert "arterial" not in seen


def test_tags_that_contradict_the_pixels_stay_and_are_said():
    volume, found = case(usual("non-contrast"), phase="portal")
    same, (finding,) = with_phase(volume, found)
    assert same is volume
    assert finding.code == "phase-disagrees"
    assert finding.invalidates == ("tumor.viable_volume",)
    assert "tags say portal" in finding.text
    assert "non-contrast" in finding.text


def on_another_grid(volume, phase):
    """Every second slice, head to foot and mirrored, a little cut: no voxel keeps its index."""
    order, flip = (2, 0, 1), (True, False, True)
    grid = volume.grid.reorder(order, flip)
    part = reorder(volume.data, order, flip)[1:, 2:]
    return Volume(
        np.ascontiguousarray(part), grid.crop([1, 2, 0], grid.shape), "CT", volume.origin, phase
    )


@pytest.mark.parametrize("named", PHASES)
@pytest.mark.parametrize("really", PHASES)
def test_a_companion_is_held_to_its_name_by_its_own_pixels(named, really):
    _, found = case(usual("portal"))
    companion = on_another_grid(case(usual(really))[0], named)
    said = companion_disagrees(companion, found)
    assert bool(said) == (named != really)
    if said:
        assert said[0].invalidates == ("tumor.viable_volume",)
        assert f"used as {named} phase is, by its pixels, {really}" in said[0].text


def test_a_companion_elsewhere_or_of_another_kind_says_nothing():
    volume, found = case(usual("arterial"))
    away = volume.grid.affine.copy()
    away[:3, 3] += 1000
    far = replace(volume, grid=Grid(volume.grid.shape, away), phase="portal")
    assert companion_disagrees(far, found) == ()
    assert companion_disagrees(replace(volume, modality="MR", phase="portal"), found) == ()


@pytest.mark.parametrize(
    "silent",
    [
        case({"liver": 108}),  # no vessel
        case({"liver": 108, "spleen": 122}),
        case(usual("portal"), modality="MR"),
        case({"liver": -600, "aorta": -700, "portal_vein": 900}),  # no phase of any patient
    ],
)
def test_silence_where_nothing_is_known(silent):
    assert phase_of(*silent).phase == ""
    assert with_phase(*silent) == (silent[0], ())


def test_without_structures_nothing_is_said():
    volume, found = case(usual("portal"))
    assert phase_of(volume, replace(found, structures=None)).phase == ""


@pytest.mark.real_data
def test_a_real_portal_venous_ct(real_data):
    """3D-IRCADb 17: portal venous, its tags do not say so; only the portal vein is drawn."""
    volume = read_study(real_data / "check_ct/ircad17_dicom").volume
    assert volume.phase == ""
    drawn = read_mask(real_data / "check_ct/ircad17_liver1_tumor2.nii.gz", volume.grid)
    vessels = read_mask(real_data / "check_ct/ircad17_pv1_hv2_art3.nii.gz", volume.grid)
    found = Segmentation(
        Labels((drawn.data > 0).astype(np.uint8), volume.grid),
        Labels((drawn.data == 2).astype(np.uint8), volume.grid),
        "drawn",
        structures=Labels((vessels.data == 1).astype(np.uint8), volume.grid, {1: "portal_vein"}),
    )
    guess = phase_of(volume, found)
    assert guess.phase == "portal"
