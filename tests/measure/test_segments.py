"""Segments predicted from the liver's shape and from landmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from burden.facts import Facts
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import Measured, measure
from burden.measure.anatomy import BORDERS, LEFT, RIGHT, border
from burden.measure.couinaud import shape_model
from burden.phantom import random_spec
from burden.phantom.make import masks
from burden.phantom.scatter import settle
from burden.resources import shipped


@cache
def healthy(seed: int) -> tuple[Volume, Segmentation]:
    spec = settle(random_spec(seed, frilling="none", oblique=True))
    found = masks(spec, ())
    return Volume(np.zeros(spec.grid.shape, np.int16), spec.grid, "CT", Origin("phantom", "x")), found


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


def sides(found: NDArray[np.generic], truth: NDArray[np.generic]) -> list[float]:
    return [dice(np.isin(found, side), np.isin(truth, side)) for side in (RIGHT, LEFT)]


def remnant(result: Measured) -> tuple[float, float, float]:
    fact = result.facts["flr.right_hepatectomy.percent"]
    assert fact.draws is not None
    low, high = np.quantile(fact.draws.astype(float), (0.01, 0.99))
    return float(low), float(fact.best or 0), float(high)


@pytest.mark.parametrize("seed", [0, 1])
def test_shape_alone_finds_the_sides(seed: int) -> None:
    """The phantom is no liver the model was fitted to."""
    volume, found = healthy(seed)
    given = measure(volume, found, Facts(), draws=64)
    alone = measure(volume, replace(found, segments=None, structures=None), Facts(), draws=256)
    assert found.segments is not None
    assert min(sides(alone.segments.data, found.segments.data)) >= 0.92
    low, _, high = remnant(alone)
    assert low <= remnant(given)[1] <= high
    assert high - low > 1.8 * (remnant(given)[2] - remnant(given)[0]), "the border's error is carried"
    said = next(f.text for f in alone.findings if f.code == "segments-source")
    assert "shape" in said
    assert "mm" in said
    assert "shape" in alone.facts["segment.4.volume"].note


def test_heavy_burden_changes_no_border() -> None:
    """Half of the liver is tumor: its outline still tells the segments, and the remnant loses tumor."""
    volume, found = healthy(1)
    liver = found.liver.data > 0
    places = volume.grid.world(np.argwhere(np.ones(liver.shape, bool))).reshape(*liver.shape, 3)
    lesions = liver & (np.sin(places / 9.0).sum(-1) > 0.0)
    bare = replace(found, segments=None, structures=None)
    full = replace(bare, lesions=Labels(lesions.astype(np.uint8), volume.grid, {1: "lesion"}))
    without, with_tumor = (measure(volume, one, Facts(), draws=0) for one in (bare, full))
    burden = with_tumor.facts["tumor.burden"].best
    assert isinstance(burden, float)
    assert burden > 40
    assert np.array_equal(without.segments.data, with_tumor.segments.data)
    left = np.isin(with_tumor.segments.data, LEFT) & liver & ~lesions
    remnant_ml = with_tumor.facts["flr.right_hepatectomy.volume"].best
    caudate = (with_tumor.segments.data == 1) & liver & ~lesions
    assert remnant_ml == pytest.approx((left | caudate).sum() * volume.grid.voxel_ml, rel=0.02)


def test_landmarks_decide_the_border_where_they_are_known() -> None:
    volume, found = healthy(2)
    result = measure(volume, replace(found, segments=None), Facts(), draws=8)
    assert "gallbladder" in next(f.text for f in result.findings if f.code == "segments-source")
    assert found.segments is not None
    assert min(sides(result.segments.data, found.segments.data)) >= 0.92


def test_landmarks_in_an_impossible_place_are_not_believed() -> None:
    volume, found = healthy(2)
    assert found.structures is not None
    data = found.structures.data.copy()
    gallbladder = next(k for k, name in found.structures.names.items() if name == "gallbladder")
    where = volume.grid.world(np.stack(np.indices(data.shape), -1))
    data[data == gallbladder] = 0
    ends = where[found.liver.data > 0]
    leftmost = ends[ends[:, 0].argmax()]
    data[((where - leftmost) ** 2).sum(-1) < 100] = gallbladder
    moved = Labels(data, volume.grid, found.structures.names)
    result = measure(volume, replace(found, segments=None, structures=moved), Facts(), draws=8)
    assert "gallbladder" not in next(f.text for f in result.findings if f.code == "segments-source")


def test_every_liver_voxel_gets_a_segment() -> None:
    volume, found = healthy(0)
    segments = measure(volume, replace(found, segments=None), Facts(), draws=0).segments.data
    np.testing.assert_array_equal(segments > 0, found.liver.data > 0)


def test_gaps_of_a_given_mask_join_the_nearest_segment(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    holes = found.segments.data.copy()
    y = volume.grid.world(np.stack(np.indices(volume.grid.shape), -1))[..., 1]
    holes[np.abs(y - 20) < 9] = 0
    result = measure(volume, replace(found, segments=Labels(holes, volume.grid)), Facts(), draws=0)
    assert "segments-incomplete" in {f.code for f in result.findings}
    np.testing.assert_array_equal(result.segments.data > 0, result.liver.data > 0)
    assert (result.segments.data == found.segments.data).mean() > 0.99


@pytest.mark.parametrize(
    ("kept", "said"),
    [((2, 3, 4), "right hemiliver"), ((5, 6, 7, 8), "left hemiliver"), ((1,), "right or the left")],
)
def test_a_mask_without_a_hemiliver_is_no_couinaud_mask(
    kept: tuple[int, ...], said: str, toy: Callable[..., Any], three: Any
) -> None:
    """Lobes as labels 1 and 2, say: removing the segments it does not know would leave all the liver."""
    volume, found = toy(three).make()
    liver = found.liver.data > 0
    part = np.where(liver, kept[0], 0).astype(np.uint8)
    for n in kept:
        part[found.segments.data == n] = n
    result = measure(volume, replace(found, segments=Labels(part, volume.grid)), Facts())
    finding = next(f for f in result.findings if f.code == "segments-unknown")
    assert said in finding.text
    for name in ("flr.right_hepatectomy.percent", "tumor.burden_left", "segment.6.volume"):
        assert result.facts[name].best is None, name
    assert "none" not in result.facts["frilling.type"].value.options
    assert result.facts["frilling.type"].best is None


def test_a_mask_of_a_part_of_the_liver_gives_no_segments(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    part = found.segments.data * (np.isin(found.segments.data, (4, 5)))
    result = measure(volume, replace(found, segments=Labels(part, volume.grid)), Facts(), draws=8)
    assert "segments-unknown" in {f.code for f in result.findings}
    assert result.facts["flr.right_hepatectomy.percent"].best is None


def test_what_is_left_is_never_more_than_all(toy: Callable[..., Any], three: Any) -> None:
    """Segments 2 and 3 were removed before: left lateral sectionectomy leaves 100 %, and it is said."""
    volume, found = toy(three).make()
    rest = np.where(np.isin(found.segments.data, (2, 3)), 4, found.segments.data).astype(np.uint8)
    result = measure(volume, replace(found, segments=Labels(rest, volume.grid)), Facts())
    left = result.facts["flr.left_lateral.percent"]
    assert left.value.low <= left.estimate <= left.value.high <= 100.0
    assert "2, 3" in next(f.text for f in result.findings if f.code == "segments-absent")


def test_borders_have_names_and_errors() -> None:
    named = {border(a, b) for a in range(1, 9) for b in range(1, 9) if a != b}
    assert named == set(BORDERS)
    assert border(4, 5) == border(8, 4) == "cantlie"
    assert border(3, 4) == "umbilical"
    assert border(5, 6) == border(8, 7) == "right_portal"
    assert border(2, 3) == border(5, 8) == "level"
    assert set(shape_model().border_sd_mm) == set(BORDERS)
    assert all(1.0 < sd < 15.0 for sd in shape_model().border_sd_mm.values())
    assert shipped("configs", "segments.npz").stat().st_size < 4_000_000


def test_a_crumb_or_a_ball_has_no_segments(toy: Callable[..., Any]) -> None:
    """Too small to have a shape; and a shape that no liver has."""
    for radius, why in ((21.0, "too small"), (60.0, "unlike")):
        volume, found = toy((), liver=((0.0, 0.0, 0.0), (radius,) * 3), segments=False).make()
        result = measure(volume, found, Facts(), draws=0)
        assert result.facts["segment.4.volume"].best is None
        said = [result.facts["segment.4.volume"].note, *(f.text for f in result.findings)]
        assert any(why in text for text in said), said
