"""Volumes, diameters and lobes of analytic lesions, on every kind of grid."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from burden.facts import Facts
from burden.grid import reorder
from burden.image import Labels, Segmentation, Volume
from burden.measure import measure
from burden.measure.diameters import axial, feret_3d

ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((False, True), repeat=3))


def turned(
    volume: Volume, found: Segmentation, order: tuple[int, int, int], flip: tuple[bool, bool, bool]
) -> tuple[Volume, Segmentation]:
    """The same case with its arrays in another order."""
    grid = volume.grid.reorder(order, flip)

    def labels(given: Labels | None) -> Labels | None:
        return None if given is None else Labels(reorder(given.data, order, flip), grid, given.names)

    liver, lesions = labels(found.liver), labels(found.lesions)
    assert liver is not None
    assert lesions is not None
    data = reorder(volume.data, order, flip)
    return (
        Volume(data, grid, volume.modality, volume.origin, volume.phase),
        Segmentation(liver, lesions, found.source, found.separate, labels(found.segments)),
    )


def said(result: Any) -> dict[str, float | str | None]:
    return {fact.id: fact.best for fact in result.facts.values()}


def test_all_48_axis_orders_say_the_same(toy: Callable[..., Any], three: Any, oblique: Any) -> None:
    case = toy(three, spacing=(1.5, 2.0, 4.0), axes=oblique).make()
    first = measure(*case, Facts(), draws=8)
    for order, flip in itertools.product(ORDERS, FLIPS):
        again = measure(*turned(*case, order, flip), Facts(), draws=8)
        assert said(again).keys() == said(first).keys()
        for fact_id, value in said(first).items():
            expected = pytest.approx(value, rel=1e-9, abs=1e-6) if isinstance(value, float) else value
            assert said(again)[fact_id] == expected, fact_id
        for fact in first.facts.values():
            if fact.draws is not None and fact.draws.dtype.kind == "f":
                np.testing.assert_allclose(again.facts[fact.id].draws, fact.draws, rtol=1e-4, atol=1e-4)
        for a, b in zip(first.lesions, again.lesions, strict=True):
            assert (a.lobe, a.segments) == (b.lobe, pytest.approx(b.segments))
            assert (a.recist_long_mm, a.recist_short_mm) == pytest.approx(
                (b.recist_long_mm, b.recist_short_mm)
            )
            assert a.feret_3d_mm == pytest.approx(b.feret_3d_mm)
            assert a.centroid_mm == pytest.approx(b.centroid_mm)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 1.25)])
@pytest.mark.parametrize("tilted", [False, True])
def test_volumes_of_ellipsoids(
    toy: Callable[..., Any], three: Any, oblique: Any, spacing: tuple[float, ...], tilted: bool
) -> None:
    case = toy(three, spacing=spacing, axes=oblique if tilted else np.eye(3))
    result = measure(*case.make(), Facts(), draws=0)
    truth = sorted((4 / 3 * np.pi * np.prod(r) / 1000 for _, r in three), reverse=True)
    assert [lesion.volume_ml for lesion in result.lesions] == pytest.approx(truth, rel=0.01)
    liver = 4 / 3 * np.pi * np.prod(case.liver[1]) / 1000
    assert result.facts["liver.volume"].best == pytest.approx(liver, rel=0.003)
    assert result.facts["tumor.burden"].best == pytest.approx(100 * sum(truth) / liver, rel=0.01)
    assert [lesion.lobe for lesion in result.lesions] == ["right", "left", "right"]
    assert result.facts["lesion.count_right"].best == 2
    assert result.facts["frilling.type"].best == "II"


@settings(max_examples=25, deadline=None)
@given(
    radii=st.tuples(*[st.floats(4.0, 25.0)] * 3),
    shift=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    pixel=st.tuples(st.floats(0.6, 1.2), st.floats(0.6, 1.2), st.floats(1.0, 3.0)),
)
def test_recist_of_ellipsoids(
    radii: tuple[float, ...], shift: tuple[float, ...], pixel: tuple[float, float, float]
) -> None:
    """Axis-aligned ellipsoids: the largest section is through the middle, diameters are 2a, 2b.

    Not needles: the tip of one is thinner than a voxel and is lost before it is measured.
    """
    assume(max(radii[:2]) <= 2.5 * min(radii[:2]))
    size = [int(r / s) + 3 for r, s in zip(radii, pixel, strict=True)]
    places = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in size), indexing="ij"), -1) - np.array(
        shift
    )
    mask = ((places * np.array(pixel) / np.array(radii)) ** 2).sum(-1) <= 1.0
    found = axial(mask, pixel, 2)
    diagonal = float(np.hypot(pixel[0], pixel[1]))
    long, short = 2 * max(radii[:2]), 2 * min(radii[:2])
    assert abs(found.long_mm - long) <= diagonal
    if long > 1.4 * short:  # for near circles the long axis may point anywhere
        assert abs(found.short_mm - short) <= 1.5 * diagonal


def brute_force(mask: NDArray[np.bool_], spacing: tuple[float, float, float], axis: int) -> float:
    """Longest distance between quarter points of any two voxels of one slice, pair by pair."""
    best = 0.0
    reach = [np.eye(3)[a] * s for a in range(3) if a != axis for s in (-0.25, 0.25)]
    for k in range(mask.shape[axis]):
        at = np.argwhere(mask & (np.indices(mask.shape)[axis] == k))
        points = np.concatenate([at + r for r in reach]) * np.array(spacing)
        if len(points):
            apart = points[:, None] - points[None]
            best = max(best, float(np.sqrt((apart**2).sum(-1)).max()))
    return best


@settings(max_examples=40, deadline=None)
@given(data=st.data(), axis=st.integers(0, 2))
def test_recist_equals_brute_force(data: st.DataObject, axis: int) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 6)] * 3))
    bits = data.draw(st.lists(st.booleans(), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    mask = np.array(bits).reshape(shape)
    mask.flat[0] = True
    spacing = (0.7, 1.1, 2.3)
    found = axial(mask, spacing, axis)
    assert found.long_mm == pytest.approx(brute_force(mask, spacing, axis))
    start, stop, up, down = found.ends * np.array(spacing)
    assert np.linalg.norm(stop - start) == pytest.approx(found.long_mm)
    assert np.linalg.norm(up - down) == pytest.approx(found.short_mm)
    assert (stop - start) @ (up - down) == pytest.approx(0.0, abs=1e-6)
    assert found.short_mm <= found.long_mm + 1e-9
    assert found.ends[:, axis] == pytest.approx(found.slice_index)


def test_short_axis_of_a_rectangle_is_the_chord_through_a_corner() -> None:
    """8 x 6 box: the chord across the diagonal, through a corner, is 6 x 10 / 8 = 7.5."""
    mask = np.ones((17, 13, 1), bool)
    found = axial(mask, (0.5, 0.5, 1.0), 2)
    assert found.long_mm == pytest.approx(10.0, abs=0.3)
    assert found.short_mm == pytest.approx(7.5, abs=0.3)


def test_volume_and_feret_agree_with_simpleitk(toy: Callable[..., Any], three: Any) -> None:
    import SimpleITK as sitk

    volume, found = toy(three, spacing=(0.9, 1.1, 2.0)).make()
    result = measure(volume, found, Facts(), draws=0)
    image = sitk.GetImageFromArray(result.lesion_labels.data.T.astype(np.uint16))
    image.SetSpacing(volume.grid.spacing)
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.ComputeFeretDiameterOn()
    shape.Execute(image)
    for lesion in result.lesions:
        assert lesion.volume_ml * 1000 == pytest.approx(shape.GetPhysicalSize(lesion.id))
        assert lesion.feret_3d_mm == pytest.approx(shape.GetFeretDiameter(lesion.id), abs=1.3)
        assert lesion.feret_3d_mm >= shape.GetFeretDiameter(lesion.id)


def test_feret_equals_brute_force() -> None:
    rng = np.random.default_rng(3)
    mask = rng.random((5, 6, 4)) < 0.3
    spacing = (0.7, 1.0, 2.0)
    steps = np.concatenate([np.eye(3), -np.eye(3)]) * 0.25
    points = ((np.argwhere(mask)[:, None] + steps).reshape(-1, 3)) * np.array(spacing)
    apart = np.sqrt(((points[:, None] - points[None]) ** 2).sum(-1))
    assert feret_3d(mask, spacing) == pytest.approx(float(apart.max()))


def test_recist_follows_the_acquisition_plane() -> None:
    """A rod along y: long in axial slices, short in coronal ones."""
    mask = np.ones((5, 30, 5), bool)
    assert axial(mask, (1.0, 1.0, 1.0), 2).long_mm == pytest.approx(np.hypot(30, 5), abs=1)
    assert axial(mask, (1.0, 1.0, 1.0), 1).long_mm == pytest.approx(np.hypot(5, 5), abs=1.1)


def test_relabelling_changes_nothing(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    swap = np.array([0, 7, 3, 200], np.uint16)
    lesions = Labels(swap[found.lesions.data], volume.grid)
    again = Segmentation(found.liver, lesions, "toy", True, found.segments)
    first, second = (measure(volume, f, Facts(), draws=16) for f in (found, again))
    assert said(first) == said(second)
    assert first.lesions == second.lesions
    np.testing.assert_array_equal(first.facts["tumor.burden"].draws, second.facts["tumor.burden"].draws)


def test_the_slice_index_and_ends_are_those_of_the_whole_image(
    toy: Callable[..., Any], three: Any
) -> None:
    volume, found = toy(three, spacing=(1.0, 1.0, 2.5)).make()
    result = measure(volume, found, Facts(), draws=0)
    for lesion in result.lesions:
        ends = volume.grid.index(np.array(lesion.recist_ends_mm))
        assert ends[:, volume.grid.slice_axis] == pytest.approx(lesion.recist_slice_index)
        nearest = tuple(np.round(ends[:2].mean(0)).astype(int))
        assert result.lesion_labels.data[nearest] == lesion.id
