"""Draws: they start from the measured value, and cover boundaries that were really moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burden.errors import InputError
from burden.facts import Facts, Interval
from burden.image import Labels
from burden.measure import measure
from burden.measure.anatomy import Anatomy, border_areas
from burden.measure.readers import Errors, errors_of, load_readers, usual_readers
from burden.measure.tissue import Tissue
from burden.measure.uncertainty import draw, growth
from burden.resources import shipped


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.7, 0.7, 5.0)])
def test_growth_is_that_of_a_ball(toy: Callable[..., Any], spacing: tuple[float, ...]) -> None:
    """A ball of 15 mm whose surface moves by s has the radius 15 + s."""
    case = toy((((-40.2, 1.3, 0.4), (15.0, 15.0, 15.0)),), spacing=spacing)
    _, found = case.make()
    tissue = tissue_of(found)
    curve, _ = growth(tissue, 1, np.zeros(tissue.liver.shape, np.uint8), 5.0)
    slack = 0.11 if spacing[2] > 2 else 0.03  # thick slices are boxes, not a ball
    for shift in (-3.0, -1.0, 0.0, 1.0, 3.0):
        expected = 4 / 3 * np.pi * (15 + shift) ** 3 / 1000
        assert curve.at(np.array([shift])).sum() == pytest.approx(expected, rel=slack)


def tissue_of(found: Any) -> Tissue:
    from scipy.ndimage import find_objects

    labels = found.lesions.data.astype(np.int32)
    return Tissue(found.liver.grid, found.liver.data > 0, labels, tuple(find_objects(labels)))


def test_growth_stays_in_the_liver_and_off_other_lesions(toy: Callable[..., Any]) -> None:
    pair = (((-30.0, 0.0, 0.0), (10.0, 10.0, 10.0)), ((-8.0, 0.0, 0.0), (10.0, 10.0, 10.0)))
    _, found = toy(pair, liver=((-19.0, 0.0, 0.0), (23.0, 12.0, 12.0))).make()
    tissue = tissue_of(found)
    none = np.zeros(tissue.liver.shape, np.uint8)
    grown = sum(growth(tissue, n, none, 40.0)[0].at(np.array([40.0])).sum() for n in (1, 2))
    whole = np.count_nonzero(tissue.liver | (tissue.lesions > 0)) * tissue.grid.voxel_ml
    assert grown == pytest.approx(whole, rel=0.04)  # voxels midway between two count for both


def test_intervals_cover_boundaries_that_were_moved(toy: Callable[..., Any], three: Any) -> None:
    """Masks drawn by 40 readers with known errors: the 90 % interval around each holds the truth."""
    rng, sd = np.random.default_rng(5), 1.0
    held = {"tumor.volume": 0, "tumor.burden": 0, "lesion.largest_diameter": 0}
    truth = {
        f: v.best
        for f, v in measure(*toy(three, spacing=(2.0, 2.0, 2.0)).make(), Facts(), draws=0).facts.items()
    }
    for n in range(40):
        shared = rng.standard_normal()
        moves = [sd * (np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.standard_normal()) for _ in three]
        drawn = tuple(
            (c, tuple(r + m for r in radii)) for (c, radii), m in zip(three, moves, strict=True)
        )
        volume, found = toy(drawn, spacing=(2.0, 2.0, 2.0)).make()
        found = replace(found, lesion_boundary_sd_mm=sd, liver_boundary_sd_mm=0.2)
        facts = measure(volume, found, Facts(), draws=128, seed=n).facts
        for name in held:
            low, _, high = facts[name].quantiles() or (0.0, 0.0, 0.0)
            held[name] += low <= truth[name] <= high
    assert all(0.80 <= count / 40 <= 1.0 for count in held.values()), held


def test_draws_are_joint_and_repeatable(toy: Callable[..., Any], three: Any) -> None:
    case = toy(three, spacing=(1.5, 1.5, 3.0)).make()
    facts = measure(*case, Facts(), draws=64).facts
    again = measure(*case, Facts(), draws=64).facts
    other = measure(*case, Facts(), draws=64, seed=1).facts
    for fact in facts.values():
        if fact.draws is not None:
            assert len(fact.draws) == 64
            np.testing.assert_array_equal(fact.draws, again[fact.id].draws)
    burden = 100 * facts["tumor.volume"].draws / facts["liver.volume"].draws
    np.testing.assert_allclose(facts["tumor.burden"].draws, burden)
    sums = sum(facts[f"segment.{n}.volume"].draws for n in range(1, 9))
    np.testing.assert_allclose(sums, facts["liver.volume"].draws)
    assert not np.array_equal(facts["tumor.volume"].draws, other["tumor.volume"].draws)


def test_draws_spread_around_the_measured_value(toy: Callable[..., Any], three: Any) -> None:
    for fact in measure(*toy(three).make(), Facts(), draws=256).facts.values():
        if (
            fact.draws is not None
            and isinstance(fact.value, Interval)
            and fact.value.high > fact.value.low
        ):
            low, high = np.quantile(fact.draws, (0.2, 0.8))
            assert low <= fact.best <= high, fact.id  # type: ignore[operator]


def test_without_draws_the_masks_are_taken_at_their_word(toy: Callable[..., Any], three: Any) -> None:
    for fact in measure(*toy(three).make(), Facts(), draws=0).facts.values():
        assert fact.draws is None
        known = not (isinstance(fact.value, Interval) and fact.value.is_unknown)
        assert not known or fact.value.is_exact


def test_a_doubtful_lesion_exists_in_its_share_of_draws(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    found = replace(found, lesion_existence=(0.0, 0.0, 0.0), lesion_boundary_sd_mm=1.0)
    result = measure(volume, found, Facts(), draws=2000)
    assert [lesion.p_lesion for lesion in result.lesions] == [0.5] * 3
    assert result.facts["lesion.count"].draws.mean() == pytest.approx(1.5, abs=0.1)
    assert result.facts["lesion.count"].value == Interval(0.0, 3.0)
    assert (result.facts["lesion.count"].draws == 0).mean() == pytest.approx(1 / 8, abs=0.03)
    gone = result.facts["lesion.count"].draws == 0
    assert (result.facts["tumor.volume"].draws[gone] == 0).all()
    assert (result.facts["frilling.type"].draws[gone] == "none").all()


def test_existence_follows_the_logistic(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    probability = np.where(found.lesions.data == 1, 0.9, 0.4).astype(np.float32)
    found = replace(
        found,
        lesion_existence=(-2.0, 5.0, 0.7),
        lesion_probability=probability,
        lesion_boundary_sd_mm=1.0,
    )
    for lesion in measure(volume, found, Facts(), draws=2).lesions:
        mean = 0.9 if lesion.id == 1 else 0.4
        score = -2 + 5 * mean + 0.7 * np.log10(lesion.volume_ml)
        assert lesion.p_lesion == pytest.approx(1 / (1 + np.exp(-score)), rel=1e-4)


def test_border_area_of_a_tilted_plane(oblique: Any) -> None:
    """The faces of a plane cut at an angle add up to its own area."""
    points = np.stack(np.indices((61, 61, 61)), -1) - 30.0
    normal = oblique @ np.array([0.6, 0.0, 0.8])
    inside = (points**2).sum(-1) <= 25**2
    segments = np.where(points @ normal > 0, 8, 4).astype(np.uint8)
    area = border_areas(segments, inside, (1.0, 1.0, 1.0))[4, 8]
    assert area == pytest.approx(np.pi * 25**2, rel=0.03)


def test_an_uncertain_border_moves_lobes_but_not_the_whole(toy: Callable[..., Any], three: Any) -> None:
    _, found = toy(three).make()
    tissue = tissue_of(found)
    anatomy = Anatomy(found.segments.data, "test", {"cantlie": 6.0})
    rows = measure(*toy(three).make(), Facts(), draws=0).lesions
    spread = draw(tissue, rows, anatomy, Errors(0.0, 0.0, 0.0, 0.0, 0.0, 0.0), draws=500, seed=0)
    right = spread.segment_ml[:, 5:].sum(1)
    area = np.pi * 48 * 40  # the middle section of the toy liver
    assert right.std() == pytest.approx(6.0 * area / 1000, rel=0.1)
    assert spread.liver_ml.std() == pytest.approx(0.0, abs=1e-6)
    assert spread.right_share[:, 1].std() == 0.0, "a lesion far from the border keeps its side"


def test_readers_differ_less_on_small_lesions(toy: Callable[..., Any]) -> None:
    balls = (((-45.0, 5.0, 0.0), (20.0, 20.0, 20.0)), ((45.0, 5.0, 0.0), (3.0, 3.0, 3.0)))
    volume, found = toy(balls).make()
    tissue, rows = tissue_of(found), measure(volume, found, Facts(), draws=0).lesions
    given = usual_readers()
    anatomy = Anatomy(np.zeros(tissue.liver.shape, np.uint8), "", known=False)
    spread = draw(tissue, rows, anatomy, given, draws=800, seed=0)
    assert spread.long_mm[:, 0].std() == pytest.approx(np.hypot(2 * 0.017 * 40, 2.5), rel=0.1)
    small = np.hypot(2 * 0.017, 0.102) * rows[1].recist_long_mm
    assert spread.long_mm[:, 1].std() == pytest.approx(np.hypot(small, 0.3), rel=0.15)
    assert spread.lesion_ml[:, 0].std() / rows[0].volume_ml == pytest.approx(0.102, rel=0.12)


def test_readers_come_from_a_file_that_is_checked(tmp_path: Path) -> None:
    text = shipped("configs", "readers.yaml").read_text()
    assert load_readers(shipped("configs", "readers.yaml")) == usual_readers()
    for wrong, said in (
        (text.replace("liver_surface_mm: 0.4", "liver_surface_mm: -1"), "liver_surface_mm"),
        (text.replace("liver_surface_mm: 0.4", ""), "liver_surface_mm"),
        (text + "\nother: 3", "other"),
        ("[1, 2]", "missing"),
        ("a: [", "read"),
    ):
        (tmp_path / "r.yaml").write_text(wrong)
        with pytest.raises(InputError, match=said):
            load_readers(tmp_path / "r.yaml")


def test_given_readers_take_the_place_of_the_usual_ones(toy: Callable[..., Any], three: Any) -> None:
    case = toy(three).make()
    usual, sharp = (
        measure(*case, Facts(), draws=200, readers=readers)
        for readers in (None, Errors(0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    )
    for name in (
        "liver.volume",
        "tumor.volume",
        "lesion.largest_diameter",
        "flr.right_hepatectomy.percent",
    ):
        spreads = [np.std(r.facts[name].draws.astype(float)) for r in (usual, sharp)]
        assert spreads[1] < 0.3 * spreads[0], name
    assert np.std(sharp.facts["tumor.volume"].draws.astype(float)) > 0, "voxels still count"


def test_each_part_has_the_error_of_whoever_drew_it(toy: Callable[..., Any], three: Any) -> None:
    """Lesions drawn by people in a model's liver, the other way about, and segments in either."""
    volume, found = toy(three).make()
    people = usual_readers()
    of_model = replace(found, liver_boundary_sd_mm=2.0, lesion_boundary_sd_mm=1.1)
    in_its_liver, of_its_lesions = (
        errors_of(replace(of_model, **{part: 0.0}), people)
        for part in ("lesion_boundary_sd_mm", "liver_boundary_sd_mm")
    )
    assert in_its_liver == replace(people, liver_surface_mm=2.0)
    assert of_its_lesions.liver_surface_mm == people.liver_surface_mm
    assert (of_its_lesions.lesion_surface_mm, of_its_lesions.diameter_mm) == (1.1, 0.0)
    assert errors_of(of_model, people).segment_border_mm == people.segment_border_mm > 0
    liver = [
        measure(volume, one, Facts(), draws=200).facts["liver.volume"].value
        for one in (replace(of_model, lesion_boundary_sd_mm=0.0), of_model)
    ]
    assert liver[0] == liver[1]


def test_every_measured_number_has_an_interval(toy: Callable[..., Any], three: Any) -> None:
    facts = measure(*toy(three).make(), Facts(), draws=64).facts
    counted = {"lesion.count", "lesion.count_right", "lesion.count_left", "segments.involved"}
    for fact in facts.values():
        if not isinstance(fact.value, Interval) or fact.value.is_unknown or fact.id in counted:
            continue
        none = fact.best in (0.0, 100.0)
        assert none or fact.value.low < fact.value.high, fact.id


def test_labels_may_have_gaps(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    lesions = Labels(np.where(found.lesions.data == 2, 0, found.lesions.data), volume.grid)
    result = measure(volume, replace(found, lesions=lesions), Facts(), draws=8)
    assert [lesion.id for lesion in result.lesions] == [1, 2]


@pytest.mark.parametrize("count", [4, 40])
def test_the_largest_of_many_alike_lies_in_its_own_range(toy: Callable[..., Any], count: int) -> None:
    """Taken back twice for being the longest of many, it fell below what every reader would measure."""
    places = [(x, y, z) for z in (-24, 0, 24) for y in (-24, 0, 24) for x in (-48, -24, 0, 24, 48)]
    balls = tuple((place, (6.0, 6.0, 6.0)) for place in places[:count])
    volume, found = toy(balls, spacing=(1.0, 1.0, 5.0)).make()
    largest = measure(volume, found, Facts(), draws=256).facts["lesion.largest_diameter"]
    low, middle, high = largest.quantiles()
    assert low < middle < high
    assert middle <= largest.best <= high
