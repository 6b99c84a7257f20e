"""Contrast uptake from an arterial image: known fractions, known shifts, never a silent zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from burden.facts import Facts, Interval
from burden.grid import Grid
from burden.image import Origin, Segmentation, Volume
from burden.measure import Measured, measure
from burden.measure.phases import shift_mm
from burden.measure.run import longest_run

LIVER, VIABLE, DEAD, BRIGHT = 75.0, 55.0, 12.0, 130.0
BALLS = (((-40.0, 0.0, 0.0), (20.0, 20.0, 20.0)), ((40.0, 0.0, 0.0), (10.0, 10.0, 10.0)))


def arterial_hu(points: np.ndarray, look: str) -> np.ndarray:
    """Liver, a textured background, and two lesions: the small one plain, the large one as told."""
    texture = 25 * np.sin(points[..., 0] / 9) * np.cos(points[..., 1] / 7) * np.sin(points[..., 2] / 11)
    inside = ((points / np.array((75.0, 48.0, 40.0))) ** 2).sum(-1) <= 1
    data = np.where(inside, LIVER, -60.0 + texture)
    for (centre, radii), one in zip(BALLS, (look, "hypo"), strict=True):
        away = np.linalg.norm(points - np.array(centre), axis=-1)
        value = {
            "hypo": np.full(away.shape, VIABLE),
            "hyper": np.full(away.shape, BRIGHT),
            "dead": np.full(away.shape, DEAD),
            "half": np.where(points[..., 0] < centre[0], VIABLE, DEAD),
            "rim": np.where(away <= radii[0] - 5.0, DEAD, BRIGHT),
        }[one]
        data = np.where(away <= radii[0], value, data)
    return data


def case(toy: Callable[..., Any]) -> tuple[Volume, Segmentation]:
    volume, found = toy(BALLS, spacing=(1.5, 1.5, 2.0)).make()
    return volume, found


def companion(
    volume: Volume, look: str, *, moved: tuple[float, float, float] = (0, 0, 0), phase: str = "arterial"
) -> Volume:
    """The arterial image of the same patient on a grid of its own, the patient moved by ``moved``."""
    size = np.array(volume.grid.shape) * volume.grid.spacing
    spacing = np.array([1.9, 1.9, 2.5])
    shape = tuple(int(n) for n in np.ceil((size + 30) / spacing))
    grid = Grid.from_axes(shape, tuple(spacing), volume.grid.origin - 15.0, np.eye(3))
    points = grid.world(np.stack(np.indices(grid.shape), -1)) - np.array(moved)
    data = gaussian_filter(arterial_hu(points, look), 0.4).round().astype(np.int16)
    return Volume(data, grid, "CT", Origin("phantom", "arterial"), phase)


def value(result: Measured, fact_id: str) -> float:
    best = result.facts[fact_id].best
    assert isinstance(best, float)
    return best


@pytest.mark.parametrize(
    ("look", "viable", "kinds", "words"),
    [
        ("hypo", 1.0, {"hypo": 1.0}, {"hypo"}),
        ("hyper", 1.0, {"hyper": 1.0}, {"hyper"}),
        ("dead", 0.0, {"necrotic": 1.0}, {"necrotic"}),
        ("half", 0.5, {"hypo": 0.5, "necrotic": 0.5}, {"hypo", "necrotic", "mixed"}),
        ("rim", 1 - 0.75**3, {"hyper": 1 - 0.75**3, "necrotic": 0.75**3}, {"rim"}),
    ],
)
def test_fractions_from_a_companion_on_another_grid(
    toy: Callable[..., Any], look: str, viable: float, kinds: dict[str, float], words: set[str]
) -> None:
    volume, found = case(toy)
    result = measure(volume, found, Facts(), draws=0, companions=(companion(volume, look),))
    large, small = result.lesions
    assert large.viable_ml == pytest.approx(viable * large.volume_ml, abs=0.13 * large.volume_ml)
    for kind in ("hyper", "hypo", "necrotic"):
        assert large.uptake[kind] == pytest.approx(kinds.get(kind, 0.0), abs=0.15), kind
    assert small.uptake["hypo"] > 0.7
    assert large.enhancement in words
    assert (large.uptake["rim"] > 0.3) == (look == "rim")
    total = sum(r.viable_ml or 0.0 for r in result.lesions)
    assert value(result, "tumor.viable_volume") == pytest.approx(total)
    burden = 100 * total / value(result, "liver.volume")
    assert value(result, "tumor.viable_burden") == pytest.approx(burden)
    share = 100 * sum(r.uptake["necrotic"] * r.volume_ml for r in result.lesions)
    assert value(result, "tumor.necrotic_fraction") == pytest.approx(
        share / value(result, "tumor.volume")
    )
    assert "arterial-phase-used" in {f.code for f in result.findings}


def test_viable_diameters_follow_mrecist(toy: Callable[..., Any]) -> None:
    volume, found = case(toy)
    seen = {
        look: measure(volume, found, Facts(), draws=0, companions=(companion(volume, look),)).lesions[0]
        for look in ("hyper", "half", "rim", "dead")
    }
    assert seen["hyper"].viable_long_mm == pytest.approx(seen["hyper"].recist_long_mm, abs=2.5)
    assert seen["half"].viable_long_mm == pytest.approx(40.0, abs=3.0), "the flat side is 40 mm long"
    chord = 2 * np.sqrt(20.0**2 - 15.0**2)
    assert seen["rim"].viable_long_mm == pytest.approx(chord, abs=5.0), "not across the dead core"
    assert (seen["dead"].viable_long_mm or 0.0) < 12.0


@pytest.mark.parametrize("moved", [(0.0, 0.0, 9.0), (4.0, -3.0, -12.0)])
def test_breathing_between_phases_is_taken_back(
    toy: Callable[..., Any], moved: tuple[float, float, float]
) -> None:
    volume, found = case(toy)
    points = volume.grid.world(np.stack(np.indices(volume.grid.shape), -1))
    volume = replace(volume, data=(arterial_hu(points, "hypo") * 1.3 + 10).astype(np.int16))
    away = companion(volume, "rim", moved=moved)
    assert shift_mm(volume, away, volume.grid) == pytest.approx(np.array(moved), abs=1.5)
    here, there = (
        measure(volume, found, Facts(), draws=0, companions=(c,)).lesions[0]
        for c in (companion(volume, "rim"), away)
    )
    assert there.uptake["necrotic"] == pytest.approx(here.uptake["necrotic"], abs=0.08)


def test_without_an_arterial_phase_nothing_is_zero(toy: Callable[..., Any]) -> None:
    volume, found = case(toy)
    for companions in ((), (companion(volume, "rim", phase="delayed"),)):
        result = measure(volume, found, Facts(), draws=8, companions=companions)
        for name in ("hyper_fraction", "hypo_fraction", "necrotic_fraction", "rim_fraction"):
            assert result.facts[f"tumor.{name}"].value.is_unknown  # type: ignore[union-attr]
            assert "no arterial phase" in result.facts[f"tumor.{name}"].note
        assert result.facts["lesion.largest_viable_diameter"].value.is_unknown  # type: ignore[union-attr]
        assert "portal phase" in result.facts["tumor.viable_volume"].note
        assert {r.viable_long_mm for r in result.lesions} == {None}
    result = measure(replace(volume, phase=""), found, Facts(), draws=8)
    assert result.facts["tumor.viable_volume"].value.is_unknown  # type: ignore[union-attr]
    assert result.facts["tumor.viable_burden"].value.is_unknown  # type: ignore[union-attr]
    assert {r.viable_ml for r in result.lesions} == {None}
    mr = replace(volume, modality="MR", phase="arterial")
    assert "MR" in measure(mr, found, Facts(), draws=8).facts["tumor.viable_volume"].note


def test_a_companion_that_misses_a_lesion_leaves_it_open(toy: Callable[..., Any]) -> None:
    volume, found = case(toy)
    whole = companion(volume, "hypo")
    half = (whole.grid.shape[0] // 2, *whole.grid.shape[1:])
    cut = Volume(whole.data[: half[0]], whole.grid.crop((0, 0, 0), half), "CT", whole.origin, "arterial")
    result = measure(volume, found, Facts(), draws=0, companions=(cut,))
    assert result.lesions[1].viable_ml is None
    assert result.lesions[0].viable_ml is not None
    assert "does not show" in result.facts["tumor.viable_volume"].note


def test_draws_of_viable_tissue_move_with_the_lesion(toy: Callable[..., Any]) -> None:
    volume, found = case(toy)
    result = measure(volume, found, Facts(), draws=200, companions=(companion(volume, "half"),))
    viable, total = result.facts["tumor.viable_volume"], result.facts["tumor.volume"]
    assert isinstance(viable.value, Interval)
    assert viable.draws is not None
    assert total.draws is not None
    assert (viable.draws <= total.draws + 1e-6).all()
    assert np.corrcoef(viable.draws.astype(float), total.draws.astype(float))[0, 1] > 0.8
    assert viable.value.low < value(result, "tumor.viable_volume") < viable.value.high


def test_longest_run_of_known_shapes() -> None:
    at = np.moveaxis(np.indices((121, 121, 3)), 0, -1) * np.array([0.5, 0.5, 3.0]) - [30, 30, 3]
    away = np.linalg.norm(at[..., :2], axis=-1)
    spacing = (0.5, 0.5, 3.0)
    assert longest_run(away <= 20, spacing, 2) == pytest.approx(40.0, abs=0.7)
    ring = (away <= 20) & (away >= 12)
    assert longest_run(ring, spacing, 2) == pytest.approx(32.0, abs=1.0)
    apart = (np.abs(at[..., 0]) > 4) & (away <= 20)
    assert longest_run(apart, spacing, 2) < 40.0
    noisy = (away <= 20) & (np.random.default_rng(0).random(away.shape) < 0.8)
    assert longest_run(noisy, spacing, 2) == pytest.approx(40.0, abs=1.5), "holes of a pixel are noise"
    assert longest_run(np.zeros((3, 3, 3), bool), spacing, 2) == 0.0
