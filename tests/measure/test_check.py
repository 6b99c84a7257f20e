"""Findings: what is cut, missing, thick, or no liver; nothing is silently zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from burden.errors import GeometryError, NotALiverError
from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import _withdraw, measure
from burden.measure.check import metal_ml
from burden.segment.trust import HIDDEN


def codes(result: Any) -> set[str]:
    return {finding.code for finding in result.findings}


def as_model(found: Segmentation) -> Segmentation:
    return replace(
        found, liver_boundary_sd_mm=0.5, lesion_boundary_sd_mm=1.0, lesion_existence=(5.0, 0.0, 0.0)
    )


@pytest.mark.parametrize("draws", [0, 32])
@pytest.mark.parametrize("segments", [True, False])
def test_a_liver_cut_by_the_image_is_a_lower_bound(
    toy: Callable[..., Any], three: Any, draws: int, segments: bool
) -> None:
    result = measure(*toy(three, cut_top=True, segments=segments).make(), Facts(), draws=draws)
    assert "liver-cut-by-field-of-view" in codes(result)
    facts = result.facts
    seen = np.count_nonzero(result.liver.data) * result.liver.grid.voxel_ml
    for name, low in (
        ("liver.volume", seen),
        ("tumor.volume", sum(r.volume_ml for r in result.lesions)),
    ):
        value = facts[name].value
        assert isinstance(value, Interval)
        assert 0.5 * low < value.low <= low
        assert value.high == math.inf
        assert facts[name].best is None
    assert facts["tumor.burden"].value.is_unknown  # type: ignore[union-attr]
    assert not facts["tumor.burden"].valid
    assert facts["flr.right_hepatectomy.percent"].value.is_unknown  # type: ignore[union-attr]
    assert facts["frilling.type"].value == Choice.of("none", "I", "II", "III")
    assert facts["lesion.count"].value.high == math.inf  # type: ignore[union-attr]
    assert not any(f.draws is not None for f in facts.values() if not f.valid)


def test_a_liver_cut_through_its_lesion_is_cut(toy: Callable[..., Any]) -> None:
    """A mask of the parenchyma alone hardly meets the face that the lesion fills."""
    large = (((0.0, 0.0, 0.0), (77.0, 50.0, 20.0)),)
    volume, found = toy(large, spacing=(3.0, 3.0, 3.0), cut_top=True).make()
    bare = found.liver.data * (found.lesions.data == 0)
    apart = replace(found, liver=Labels(bare.astype(np.uint8), volume.grid, {1: "liver"}))
    for segments in (found.segments, None):
        result = measure(volume, replace(apart, segments=segments), Facts(), draws=0)
        assert "liver-cut-by-field-of-view" in codes(result)
        assert not result.facts["tumor.burden"].valid
        assert not result.facts["flr.right_hepatectomy.percent"].valid
    unlabelled = measure(volume, replace(apart, segments=None), Facts(), draws=0)
    assert not unlabelled.segments.data.any(), "nor is its shape one to predict segments from"


def test_viable_burden_goes_where_burden_goes(toy: Callable[..., Any]) -> None:
    small = (((-45.0, 5.0, -25.0), (14.0, 14.0, 10.0)),)
    cut = measure(*toy(small, spacing=(3.0, 3.0, 3.0), cut_top=True).make(), Facts(), draws=8)
    assert not cut.facts["tumor.viable_burden"].valid
    volume, found = toy(small, spacing=(3.0, 3.0, 3.0)).make()
    assert measure(volume, found, Facts(), draws=8).facts["tumor.viable_burden"].valid
    missed = Finding("lesions-overlooked", "warning", "It overlooks lesions: many.", HIDDEN)
    model = replace(as_model(found), findings=(missed,))
    fact = measure(volume, model, Facts(), draws=8).facts["tumor.viable_burden"]
    assert fact.value.is_unknown  # type: ignore[union-attr]
    assert (fact.valid, fact.best, fact.draws) == (False, None, None)
    assert fact.note == "It overlooks lesions"


def test_viable_burden_of_a_blind_image_is_a_lower_bound() -> None:
    """Its uptake may come from another phase; the lesions that were missed still miss in it."""
    seen = Fact("tumor.viable_burden", Interval(1, 3), "%", "measured", estimate=2.0)
    said = (Finding("non-contrast-ct", "warning", "CT without contrast medium hides many."),)
    (left,) = _withdraw([seen], said)
    assert left.value == Interval(1, 100)
    assert left.best is None


def test_a_whole_liver_is_not_called_cut(toy: Callable[..., Any], three: Any) -> None:
    assert "liver-cut-by-field-of-view" not in codes(measure(*toy(three).make(), Facts(), draws=0))


def test_an_empty_liver_is_refused(toy: Callable[..., Any]) -> None:
    volume, found = toy(()).make()
    empty = replace(found, liver=Labels(np.zeros(volume.grid.shape, np.uint8), volume.grid))
    with pytest.raises(NotALiverError, match="no liver"):
        measure(volume, empty, Facts())


def test_a_models_scattered_or_tiny_liver_is_refused(toy: Callable[..., Any]) -> None:
    volume, found = toy((), spacing=(1.5, 1.5, 3.0)).make()
    x = volume.grid.world(np.stack(np.indices(volume.grid.shape), -1))[..., 0]
    sliced = found.liver.data * (np.abs(x) > 6).astype(np.uint8)
    with pytest.raises(NotALiverError, match="scattered"):
        measure(volume, as_model(replace(found, liver=Labels(sliced, volume.grid))), Facts())
    tiny = found.liver.data * (x < -45).astype(np.uint8)
    with pytest.raises(NotALiverError, match="too little"):
        measure(volume, as_model(replace(found, liver=Labels(tiny, volume.grid))), Facts())
    assert measure(volume, replace(found, liver=Labels(tiny, volume.grid)), Facts(), draws=0).facts


def test_masks_on_another_grid_are_refused(toy: Callable[..., Any]) -> None:
    volume, found = toy(()).make()
    moved = volume.grid.affine.copy()
    moved[0, 3] += 5.0
    other = Volume(volume.data, Grid(volume.grid.shape, moved), "CT", volume.origin)
    with pytest.raises(GeometryError):
        measure(other, found, Facts())


def test_no_lesion_is_said_not_assumed(toy: Callable[..., Any]) -> None:
    volume, found = toy((), spacing=(1.0, 1.0, 4.0)).make()
    result = measure(volume, as_model(found), Facts(), draws=8)
    text = next(f.text for f in result.findings if f.code == "no-lesion-found")
    assert "6 mm" in text, "one and a half slices"
    assert result.facts["lesion.count"].best == 0
    assert result.facts["tumor.burden"].best == 0
    assert result.facts["frilling.type"].best == "none"


def test_thick_slices_and_odd_volumes_are_said(toy: Callable[..., Any], three: Any) -> None:
    result = measure(*toy(three, spacing=(1.0, 1.0, 7.5)).make(), Facts(), draws=0)
    assert "15 mm" in next(f.text for f in result.findings if f.code == "thick-slices")
    small = toy((), liver=((0.0, 0.0, 0.0), (60.0, 45.0, 35.0)))
    assert "liver-volume-unusual" in codes(measure(*small.make(), Facts(), draws=0))


def test_without_contrast_a_models_lesions_are_a_lower_bound(
    toy: Callable[..., Any], three: Any
) -> None:
    volume, found = toy(three).make()
    plain = Volume(volume.data, volume.grid, "CT", volume.origin, "non-contrast")
    facts = measure(plain, as_model(found), Facts(), draws=16).facts
    assert facts["tumor.burden"].value.high == 100.0  # type: ignore[union-attr]
    assert facts["lesion.count"].value == Interval(3.0, math.inf)
    assert facts["liver.volume"].best is not None
    assert facts["tumor.burden"].value.low > 0  # type: ignore[union-attr]
    given = measure(plain, found, Facts(), draws=0)
    assert given.facts["tumor.burden"].best is not None, "masks drawn by people stand"


def test_lesions_outside_the_liver_are_named_and_those_at_its_edge_join_it(
    toy: Callable[..., Any],
) -> None:
    balls = (((73.0, 0.0, 0.0), (6.0, 6.0, 6.0)), ((-40.0, 0.0, 0.0), (10.0, 10.0, 10.0)))
    volume, found = toy(balls).make()
    marks = found.lesions.data.copy()
    marks[1:5, 1:5, 1:5] = 9
    result = measure(volume, replace(found, lesions=Labels(marks, volume.grid)), Facts(), draws=0)
    assert len(result.lesions) == 2
    assert "lesion-outside-liver" in codes(result)
    joined = (found.liver.data > 0) | (found.lesions.data > 0)
    np.testing.assert_array_equal(result.liver.data > 0, joined)
    assert joined.sum() > (found.liver.data > 0).sum()


def test_a_models_specks_are_left_out_and_named(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three, separate=False).make()
    marks = found.lesions.data.copy()
    centre = tuple(n // 2 for n in marks.shape)
    marks[centre] = 1
    speckled = replace(found, lesions=Labels(marks, volume.grid))
    result = measure(volume, as_model(speckled), Facts(), draws=0)
    assert len(result.lesions) == 3
    assert "specks-left-out" in codes(result)
    assert len(measure(volume, speckled, Facts(), draws=0).lesions) == 4, "people's specks are kept"


def test_a_given_lesion_in_two_pieces_stays_one(toy: Callable[..., Any]) -> None:
    balls = (((-50.0, 0.0, 0.0), (8.0, 8.0, 8.0)), ((-20.0, 0.0, 0.0), (8.0, 8.0, 8.0)))
    volume, found = toy(balls).make()
    one = replace(found, lesions=Labels((found.lesions.data > 0).astype(np.uint16), volume.grid))
    assert len(measure(volume, one, Facts(), draws=0).lesions) == 1
    assert len(measure(volume, replace(one, separate=False), Facts(), draws=0).lesions) == 2


def test_distances_to_the_capsule_and_the_hilum(toy: Callable[..., Any]) -> None:
    """Liver and lesion share their centre: the gap is 40 - 10 mm; the vein passes 20 mm away."""
    volume, found = toy((((0.0, 0.0, 0.0), (10.0, 10.0, 10.0)),)).make()
    x, y, z = np.moveaxis(volume.grid.world(np.stack(np.indices(volume.grid.shape), -1)), -1, 0)
    vein = ((x - 20) ** 2 + y**2 <= 9) & (np.abs(z) < 8)
    structures = Labels(vein.astype(np.uint8), volume.grid, {1: "portal_vein"})
    facts = measure(volume, replace(found, structures=structures), Facts(), draws=0).facts
    assert facts["lesion.min_distance_capsule"].best == pytest.approx(30.0, abs=1.0)
    assert facts["lesion.min_distance_hilum"].best == pytest.approx(10.0, abs=1.5)
    without = measure(volume, found, Facts(), draws=0).facts["lesion.min_distance_hilum"]
    assert without.best is None
    assert "portal" in without.note


def test_a_lesion_at_the_surface_is_at_no_distance_whatever_the_slices() -> None:
    """Its top slice is the liver's; the smallest spacing taken off 8 mm would leave 6."""
    grid = Grid.from_axes((60, 60, 16), (2.0, 2.0, 8.0), (-60, -60, -60))
    liver, lesions = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    liver[5:55, 5:55, 2:14] = 1
    lesions[25:33, 25:33, 12:14] = 1
    lesions[25:33, 25:33, 6:8] = 2
    found = Segmentation(Labels(liver, grid), Labels(lesions, grid), "drawn")
    volume = Volume(np.full(grid.shape, 60, np.int16), grid, "CT", Origin("phantom", "box"), "portal")
    touching, deep = measure(volume, found, Facts(), draws=0).lesions
    if touching.centroid_mm[2] < deep.centroid_mm[2]:
        touching, deep = deep, touching
    assert touching.distance_capsule_mm == 0.0
    assert deep.distance_capsule_mm == pytest.approx(32.0, abs=float(np.linalg.norm(grid.spacing)))


def test_the_edge_of_the_image_is_no_capsule() -> None:
    grid = Grid.from_axes((40, 40, 10), (2.0, 2.0, 8.0), (-40, -40, -40))
    liver, lesions = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, np.uint8)
    liver[2:38, 2:38, 1:] = 1
    lesions[18:22, 18:22, 8:] = 1
    found = Segmentation(Labels(liver, grid), Labels(lesions, grid), "drawn")
    volume = Volume(np.full(grid.shape, 60, np.int16), grid, "CT", Origin("phantom", "box"), "portal")
    (row,) = measure(volume, found, Facts(), draws=0).lesions
    assert row.distance_capsule_mm == pytest.approx(32.0, abs=2.0), "to the side, not up"


def test_metal_in_the_liver_takes_enhancement_back(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    clean = replace(volume, modality="CT", phase="portal")
    data = volume.data.astype(np.float32).copy()
    at = np.argwhere(found.liver.data > 0).mean(axis=0).astype(int)
    data[tuple(slice(a, a + 4) for a in at)] = 3071.0
    result = measure(replace(clean, data=data), found, Facts(), draws=0)
    assert "metal" in codes(result)
    assert not result.facts["tumor.viable_volume"].valid
    assert result.facts["tumor.volume"].valid
    without = measure(clean, found, Facts(), draws=0)
    assert "metal" not in codes(without)
    assert without.facts["tumor.viable_volume"].valid


def test_metal_far_from_the_liver_does_not_matter() -> None:
    grid = Grid((100, 8, 8), np.diag([2.0, 2.0, 2.0, 1.0]))
    data, liver = np.zeros(grid.shape, np.int16), np.zeros(grid.shape, bool)
    data[-10:], liver[:20] = 3071, True
    origin = Origin("nifti", "x")
    assert metal_ml(Volume(data, grid, "CT", origin), liver) == 0.0
    liver[:85] = True
    assert metal_ml(Volume(data, grid, "CT", origin), liver) == pytest.approx(10 * 8 * 8 * 0.008 / 2)
    assert metal_ml(Volume(data, grid, "MR", origin), liver) == 0.0


def test_what_an_overlooking_model_found_is_a_lower_bound() -> None:
    """A burden called far too low must not look certain: no upper end, no draws, no probability."""
    draws = np.linspace(1.0, 3.0, 11)
    seen = Fact("tumor.burden", Interval(1, 3), "%", "measured", draws=draws, estimate=2.0)
    said = (Finding("lesions-overlooked", "warning", "overlooks", ("frilling.*",)),)
    (left,) = _withdraw([seen], said)
    assert left.value == Interval(1, 100)
    assert (left.draws, left.best) == (None, None)


def test_a_models_liver_is_no_less_doubtful_for_given_lesions(toy: Callable[..., Any]) -> None:
    """Lesions drawn by people do not vouch for the liver that a model found around them."""
    balls = (((0.0, 0.0, 0.0), (8.0, 8.0, 8.0)),)
    volume, found = toy(balls, liver=((0.0, 0.0, 0.0), (30.0, 30.0, 30.0))).make()
    assert measure(volume, found, Facts(), draws=0).lesions
    with pytest.raises(NotALiverError, match="too little"):
        measure(volume, replace(found, liver_boundary_sd_mm=1.0), Facts(), draws=0)
