"""Touching lesions: necks split, bumps do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from burden.facts import Facts
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import Measured, measure
from burden.measure.components import separate
from burden.measure.touching import bodies, split_touching

SPACINGS = [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5)]


def points(spacing: tuple[float, float, float], size: float = 80.0) -> np.ndarray:
    shape = tuple(int(size / s) for s in spacing)
    index = np.moveaxis(np.indices(shape), 0, -1) * np.array(spacing)
    return index - size / 2


def ball(at: np.ndarray, centre: tuple[float, float, float], radius: float) -> np.ndarray:
    return np.linalg.norm(at - np.array(centre), axis=-1) <= radius


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("radii", [(12.0, 12.0), (14.0, 8.0)])
def test_two_touching_spheres_are_two(spacing: tuple, radii: tuple) -> None:
    at = points(spacing)
    gap = sum(radii) - 2.0  # they overlap a little
    one, two = ball(at, (-gap / 2, 0, 0), radii[0]), ball(at, (gap / 2, 3, 0), radii[1])
    found = bodies(one | two, spacing)
    assert found.max() == 2
    for mask in (one, two):
        label = np.bincount(found[mask]).argmax()
        assert np.count_nonzero((found == label) & mask) / np.count_nonzero(mask) > 0.93


@pytest.mark.parametrize("spacing", SPACINGS)
def test_a_bumpy_ellipsoid_is_one(spacing: tuple) -> None:
    at = points(spacing)
    radius = np.linalg.norm(at / np.array((28.0, 15.0, 13.0)), axis=-1)
    bump = 1.0 + 0.08 * np.sin(at[..., 0] / 3.0) * np.cos(at[..., 1] / 4.0)
    assert bodies(radius <= bump, spacing).max() == 1


def test_a_chain_of_three_and_the_way_back() -> None:
    spacing = (1.0, 1.0, 1.0)
    at = points(spacing)
    chain = ball(at, (-20, 0, 0), 10) | ball(at, (0, 0, 0), 11) | ball(at, (20, 0, 0), 10)
    alone = ball(at, (0, 30, 30), 5)
    liver = np.ones(chain.shape, bool)
    common = {"given": False, "keep_all": True, "voxel_ml": 0.001, "world": np.eye(4)}
    plain = separate(chain | alone, liver, **common)
    split = separate(chain | alone, liver, **common, split=True)
    assert plain.labels.max() == 2
    assert split.labels.max() == 4
    assert ((split.labels > 0) == (plain.labels > 0)).all()
    again = separate(split.labels > 0, liver, **common)
    assert (again.labels == plain.labels).all(), "the split is undone by components again"


def test_labels_given_by_people_are_never_split() -> None:
    at = points((1.0, 1.0, 1.0))
    labels = (ball(at, (-11, 0, 0), 12) | ball(at, (11, 0, 0), 12)).astype(np.uint8)
    liver = np.ones(labels.shape, bool)
    given = separate(
        labels, liver, given=True, keep_all=True, voxel_ml=0.001, world=np.eye(4), split=True
    )
    assert given.labels.max() == 1


def test_a_spot_of_one_voxel_stays() -> None:
    labels = np.zeros((5, 5, 5), np.int32)
    labels[2, 2, 2] = 1
    assert split_touching(labels, (1.0, 1.0, 1.0)).sum() == 1


SIZES = [(1.0, 1.0, 1.0), (0.8, 0.8, 2.5), (0.7, 0.7, 5.0)]


@pytest.mark.parametrize("spacing", SIZES)
def test_pairs_by_the_width_of_their_neck(spacing: tuple) -> None:
    """Random pairs of balls in any direction: narrow necks split, wide ones do not, none in three."""
    rng = np.random.default_rng(int(10 * spacing[2]))
    found: dict[str, list[int]] = {"narrow": [], "wide": []}
    for k in range(12):
        one = float(rng.uniform(9, 18))
        two = one * float(rng.uniform(0.6, 1.0))
        kind = "narrow" if k % 2 else "wide"
        half = two * float(rng.uniform(0.1, 0.5) if k % 2 else rng.uniform(0.85, 0.98))
        gap = float(np.sqrt(one**2 - half**2) + np.sqrt(two**2 - half**2))
        way = rng.normal(size=3)
        way *= 1.0 / np.linalg.norm(way)
        at = points(spacing, one + gap + two + 8.0)
        first = -way * (gap + two - one) / 2
        both = ball(at, tuple(first), one) | ball(at, tuple(first + gap * way), two)
        found[kind].append(int(bodies(both, spacing).max()))
    assert found["wide"].count(1) >= 5
    assert found["narrow"].count(2) >= 5
    assert max(found["narrow"]) == 2


@pytest.mark.parametrize("spacing", SIZES)
@pytest.mark.parametrize("bump", [0.1, 0.25])
def test_single_lesions_of_the_phantom_stay_one(spacing: tuple, bump: float) -> None:
    from burden.phantom.blobs import Blob
    from burden.phantom.shapes import Points
    from burden.phantom.spec import LesionSpec

    rng = np.random.default_rng(3)
    for seed in range(6):
        axes = tuple(float(d) for d in 40 * rng.uniform(0.5, 1.0, 3))
        angles = tuple(float(a) for a in rng.uniform(0, 180, 3))
        spec = LesionSpec(centre=(0.0, 0.0, 0.0), diameters=axes, angles=angles, bump=bump)
        at = points(spacing, 56.0)
        mask = (
            Blob.of(spec, seed).distance(Points.scattered(at.reshape(-1, 3))).reshape(at.shape[:3]) < 0
        )
        assert bodies(mask, spacing).max() == 1


def chain_case(*, model: bool) -> tuple[Volume, Segmentation]:
    """A liver with a chain of two touching lesions and one alone, in one value."""
    at = points((1.0, 1.0, 1.0), 90.0)
    liver = ball(at, (0, 0, 0), 43)
    lesions = ball(at, (-14, 0, 0), 9) | ball(at, (0, 0, 0), 7) | ball(at, (0, 22, 10), 8)
    grid = Grid(liver.shape, np.eye(4))
    found = Segmentation(
        Labels(liver.astype(np.uint8), grid), Labels(lesions.astype(np.uint8), grid), "test"
    )
    if model:
        found = replace(
            found,
            lesion_existence=(-1.0, 0.0, 2.0),
            lesion_boundary_sd_mm=0.5,
            lesion_probability=np.full(liver.shape, 0.9, np.float32),
        )
    data = np.where(liver, 100, 0).astype(np.int16)
    return Volume(data, grid, "CT", Origin("phantom", "x"), "portal"), found


def codes(result: Measured) -> set[str]:
    return {f.code for f in result.findings}


def test_measured_apart_by_default_and_together_on_request() -> None:
    volume, found = chain_case(model=False)
    apart = measure(volume, found, Facts(), draws=0)
    assert [r.component for r in apart.lesions] == [1, 2, 1]
    said = next(f.text for f in apart.findings if f.code == "touching-lesions-split")
    assert "3 lesions in 2 connected bodies" in said
    together = measure(volume, found, Facts(), draws=0, split=False)
    assert [r.component for r in together.lesions] == [1, 2]
    assert "touching-lesions-split" not in codes(together)
    assert apart.facts["tumor.volume"].best == together.facts["tumor.volume"].best
    joined = np.array([0, *(r.component for r in apart.lesions)])[apart.lesion_labels.data]
    assert ((joined == 1) == (together.lesion_labels.data == 1)).all(), "`component` undoes the split"


def test_lesions_told_apart_exist_together_with_the_probability_of_their_body() -> None:
    volume, found = chain_case(model=True)
    apart = measure(volume, found, Facts(), draws=400)
    together = measure(volume, found, Facts(), draws=400, split=False)
    assert apart.lesions[0].p_lesion == apart.lesions[2].p_lesion
    assert apart.lesions[0].p_lesion == pytest.approx(together.lesions[0].p_lesion, rel=1e-6)
    counts: Any = apart.facts["lesion.count"].draws
    assert set(counts.tolist()) == {0.0, 1.0, 2.0, 3.0}
    p = [apart.lesions[0].p_lesion, apart.lesions[1].p_lesion]
    assert np.mean(counts == 1) == pytest.approx((1 - p[0]) * p[1], abs=0.08)
