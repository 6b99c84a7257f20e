"""Outlines go to sharp edges and to no others, on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from burden.segment.edges import at_their_edges

Spacing = tuple[float, float, float]
Field = NDArray[np.float64]

SPACINGS = [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (2.5, 0.8, 0.8), (2.0, 2.0, 2.0)]


def places(spacing: Spacing) -> Field:
    """Points of a 90 mm cube about 0, (i, j, k, 3)."""
    axes = [(np.arange(n := int(90 / step)) - n / 2) * step for step in spacing]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def away(at: Field, centre: Spacing = (0.0, 0.0, 0.0)) -> Field:
    return np.asarray(np.linalg.norm(at - np.array(centre), axis=-1))


def looks(inside: NDArray[np.floating], spacing: Spacing, noise: float) -> NDArray[np.float32]:
    """Liver of 110 HU where ``inside`` is 0, lesion of 60 HU where it is 1, as a scanner shows it."""
    sharp = 110.0 - 50.0 * inside
    blurred = gaussian_filter(sharp, [0.8 / step for step in spacing])
    return (blurred + np.random.default_rng(0).normal(0, noise, sharp.shape)).astype(np.float32)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("drawn_mm", [17.0, 13.0])
def test_a_sharp_lesion_gets_its_own_outline(spacing: Spacing, drawn_mm: float) -> None:
    """Drawn 2 mm too large or too small."""
    at = places(spacing)
    truth, liver = away(at) < 15.0, away(at) < 42.0
    image = looks(truth, spacing, noise=10.0)
    drawn = away(at) < drawn_mm
    found = at_their_edges(drawn, liver, image, spacing)
    assert dice(found, truth) > max(0.95, dice(drawn, truth))
    assert found.sum() == pytest.approx(truth.sum(), rel=0.06)


def test_a_bright_one_as_well() -> None:
    at = places((1.0, 1.0, 1.0))
    truth, liver = away(at) < 12.0, away(at) < 42.0
    image = 170.0 - looks(truth, (1.0, 1.0, 1.0), noise=6.0)
    assert dice(at_their_edges(away(at) < 14.5, liver, image, (1.0, 1.0, 1.0)), truth) > 0.96


def test_one_that_fades_stays_as_it_was_drawn() -> None:
    """Its middle level lies far within; the edge that a person draws does not."""
    at = places((1.0, 1.0, 1.0))
    fading = np.clip((18.0 - away(at)) / 10.0, 0.0, 1.0)
    drawn = away(at) < 17.0
    found = at_their_edges(drawn, away(at) < 42.0, looks(fading, (1.0,) * 3, 8.0), (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(found, drawn)


def test_what_no_contrast_shows_stays() -> None:
    at = places((1.0, 1.0, 1.0))
    drawn, liver = away(at) < 12.0, away(at) < 42.0
    faint = 110.0 - 0.1 * (110.0 - looks(away(at) < 10.0, (1.0,) * 3, 0.0))
    np.testing.assert_array_equal(at_their_edges(drawn, liver, faint, (1.0, 1.0, 1.0)), drawn)
    empty = np.zeros_like(drawn)
    np.testing.assert_array_equal(at_their_edges(empty, liver, faint, (1.0, 1.0, 1.0)), empty)


def test_lesions_that_ran_together_come_apart_and_keep_to_the_liver() -> None:
    spacing = (1.0, 1.0, 1.0)
    at = places(spacing)
    one, two = away(at, (-10.0, 0.0, 0.0)), away(at, (10.0, 0.0, 0.0))
    truth, liver = (one < 8.0) | (two < 8.0), at[..., 1] > -6.0
    image = looks(truth, spacing, noise=8.0)
    image[~liver] = -80.0
    drawn = ((one < 10.5) | (two < 10.5)) & liver
    found = at_their_edges(drawn, liver, image, spacing)
    assert not (found & ~liver).any()
    assert dice(found, truth & liver) > 0.93
    middle = np.abs(at[..., 0]) < 0.6
    assert drawn[middle].any()
    assert not found[middle].any()


def test_axes_do_not_matter() -> None:
    at = places((0.8, 0.8, 2.5))
    truth, liver = away(at) < 14.0, away(at) < 40.0
    image, drawn = looks(truth, (0.8, 0.8, 2.5), noise=9.0), away(at) < 16.5
    found = at_their_edges(drawn, liver, image, (0.8, 0.8, 2.5))
    turned = at_their_edges(
        *(np.ascontiguousarray(one.transpose(2, 0, 1)[::-1]) for one in (drawn, liver, image)),
        (2.5, 0.8, 0.8),
    )
    np.testing.assert_array_equal(turned, found.transpose(2, 0, 1)[::-1])
