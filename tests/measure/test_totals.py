"""Totals of a model: off as they were on images it had never seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from burden.facts import Facts, Interval
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import measure
from burden.measure.fact import number

ERRORS = ((-0.5, -1.0, -0.4), (0.0, 0.0, 0.0), (1.0, 0.5, 0.2), (2.0, 2.0, 1.0))


def scene(errors: tuple[tuple[float, float, float], ...]) -> tuple[Volume, Segmentation]:
    """A ball of a liver with two balls in it; oblique, voxels not cubic."""
    grid = Grid.from_axes(
        (60, 56, 40), (2.5, 2.5, 4.0), (-30, 12, 5), np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    )
    i, j, k = np.indices(grid.shape) * np.array([2.5, 2.5, 4.0])[:, None, None, None]
    liver = (i - 75) ** 2 + (j - 70) ** 2 + (k - 80) ** 2 < 62**2
    lesions = (i - 75) ** 2 + (j - 70) ** 2 + (k - 80) ** 2 < 14**2
    lesions |= (i - 45) ** 2 + (j - 70) ** 2 + (k - 80) ** 2 < 9**2
    volume = Volume(
        np.where(lesions, 60, 110).astype(np.int16), grid, "CT", Origin("test", "x"), "portal"
    )
    found = Segmentation(
        Labels(liver.astype(np.uint8), grid),
        Labels(lesions.astype(np.uint8), grid),
        source="a model",
        lesion_existence=(20.0, 0.0, 0.0),
        lesion_boundary_sd_mm=1.0,
        liver_boundary_sd_mm=1.0,
        total_errors=errors,
    )
    return volume, found


def test_draws_follow_the_stated_errors_jointly() -> None:
    facts = measure(*scene(ERRORS), Facts(), draws=4000, seed=1).facts
    burden, count = facts["tumor.burden"], facts["lesion.count"]
    assert burden.draws is not None
    assert count.draws is not None
    root = np.sqrt(burden.draws.astype(float)) - np.sqrt(float(str(burden.estimate)))
    # four images: a fifth of the draws beyond the worst to either side, two fifths at 0 or less
    for limit, share in ((-0.5, 0.2), (0.0, 0.4), (1.0, 0.6), (2.0, 0.8)):
        assert np.mean(root <= limit) == pytest.approx(share, abs=0.03)
    assert burden.draws.astype(float).min() < 0.1
    assert burden.draws.astype(float).max() > 95
    assert spearmanr(burden.draws.astype(float), count.draws.astype(float)).statistic > 0.8
    roots = [max(np.sqrt(2) + off, 0) ** 2 for _, off, _ in ERRORS]
    assert {count.draws.astype(float).min(), count.draws.astype(float).max()} == {
        round(min(roots)),
        round(max(roots)),
    }


def test_exact_totals_stay_exact_and_none_without_errors() -> None:
    plain = measure(*scene(()), Facts(), draws=200, seed=1).facts["lesion.count"]
    assert plain.draws is not None
    assert set(plain.draws.astype(float)) == {2.0}
    exact = measure(*scene(((0.0, 0.0, 0.0),) * 3), Facts(), draws=200, seed=1).facts
    draws = exact["lesion.largest_diameter"].draws
    assert draws is not None
    assert draws.astype(float) == pytest.approx(float(str(exact["lesion.largest_diameter"].estimate)))


def test_nothing_found_is_not_said_to_be_nothing_there() -> None:
    """Errors of totals are known of images with a find; without one there is no range of 0 to 0."""
    volume, found = scene(ERRORS)
    said = (Finding("lesions-overlooked", "warning", "It overlooks lesions: many.", ("frilling.*",)),)
    none = Labels(np.zeros_like(found.lesions.data), volume.grid)
    facts = measure(volume, replace(found, lesions=none, findings=said), Facts(), draws=64).facts
    for name in ("tumor.volume", "tumor.burden", "lesion.count", "lesion.largest_diameter"):
        fact = facts[name]
        assert (fact.draws, fact.estimate) == (None, None), name
        assert isinstance(fact.value, Interval)
        assert fact.value.low == 0
        assert fact.value.high >= 100


def test_the_interval_of_a_count_is_whole() -> None:
    count = number("lesion.count", "1", 5.0, np.array([3.0, 4.0, 5.0, 44.0]), "test").value
    assert count == Interval(3.0, 44.0)
    length = number("lesion.largest_diameter", "mm", 5.0, np.array([3.5, 4.0, 5.0, 44.0]), "test").value
    assert isinstance(length, Interval)
    assert 3.5 < length.low < 4.0


def test_a_model_that_overlooks_leaves_the_answer_open_but_not_the_probability() -> None:
    volume, found = scene(ERRORS)
    said = (Finding("lesions-overlooked", "warning", "It overlooks lesions: many.", ("frilling.*",)),)
    facts = measure(volume, replace(found, findings=said), Facts(), draws=500).facts
    burden = facts["tumor.burden"]
    assert burden.value.high == 100.0  # type: ignore[union-attr]
    assert burden.draws is not None
    blind = (*said, Finding("non-contrast-ct", "warning", "No contrast.", ()))
    assert (
        measure(volume, replace(found, findings=blind), Facts(), draws=500).facts["tumor.burden"].draws
        is None
    )
