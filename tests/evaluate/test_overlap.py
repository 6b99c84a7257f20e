"""Agreement of two masks: MONAI's own metrics and a brute-force implementation are the oracles."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import DiceMetric, HausdorffDistanceMetric, SurfaceDiceMetric
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from burden.evaluate.overlap import overlap, surface_distances
from burden.grid import Grid

Mask = NDArray[np.bool_]
SPACING = (0.8, 1.3, 3.7)


def blobs(seed: int, shape: tuple[int, int, int] = (22, 18, 12)) -> tuple[Mask, Mask]:
    """Two overlapping, partly cut, several-piece masks."""
    rng = np.random.default_rng(seed)
    index = np.stack(np.indices(shape), -1).astype(float)
    masks = []
    centres = rng.uniform(0, shape, (3, 3))
    for _ in range(2):
        mask = np.zeros(shape, bool)
        for centre in centres:
            radii = rng.uniform(2, 6, 3)
            mask |= ((((index - centre - rng.normal(0, 1, 3)) / radii) ** 2).sum(-1)) <= 1
        masks.append(mask)
    masks[0].flat[rng.integers(0, masks[0].size)] = True
    masks[1].flat[rng.integers(0, masks[1].size)] = True
    return masks[0], masks[1]


def monai(metric: object, one: Mask, other: Mask, spacing: tuple[float, float, float]) -> float:
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (one, other)]
    options = {} if isinstance(metric, DiceMetric) else {"spacing": spacing}
    return float(metric(pair[0], pair[1], **options).reshape(-1)[0])  # type: ignore[operator]


@pytest.mark.parametrize("seed", range(8))
def test_agrees_with_monai(seed: int) -> None:
    ours = overlap(*blobs(seed), SPACING, tolerance_mm=2.0)
    one, other = blobs(seed)
    assert ours.dice == pytest.approx(monai(DiceMetric(), one, other, SPACING), abs=1e-6)
    surface = SurfaceDiceMetric(class_thresholds=[2.0], include_background=True)
    assert ours.surface_dice == pytest.approx(monai(surface, one, other, SPACING), abs=1e-6)
    hd95 = HausdorffDistanceMetric(include_background=True, percentile=95)
    assert ours.hd95_mm == pytest.approx(monai(hd95, one, other, SPACING), rel=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_brute_force_in_patient_space(seed: int) -> None:
    """All pairs of surface voxels, placed in the world by an oblique affine."""
    one, other = blobs(seed, (14, 12, 9))
    axes = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    grid = Grid.from_axes(one.shape, SPACING, (10, -20, 5), axes)

    def surface(mask: Mask) -> NDArray[np.float64]:
        padded = np.pad(mask, 1)
        kept = [
            at
            for at in np.argwhere(mask)
            if not all(
                padded[tuple(at + 1 + step)]
                for step in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
            )
        ]
        return grid.world(np.array(kept))

    between = cdist(surface(one), surface(other))
    there, back = surface_distances(one, other, grid.spacing)
    np.testing.assert_allclose(np.sort(there), np.sort(between.min(axis=1)), atol=1e-9)
    np.testing.assert_allclose(np.sort(back), np.sort(between.min(axis=0)), atol=1e-9)
    found = overlap(one, other, grid.spacing, tolerance_mm=3.0)
    near = (between.min(1) <= 3).sum() + (between.min(0) <= 3).sum()
    assert found.surface_dice == near / (len(between) + between.shape[1])
    worst = max(np.percentile(between.min(1), 95), np.percentile(between.min(0), 95))
    assert found.hd95_mm == pytest.approx(worst)


@given(
    seed=st.integers(0, 10_000),
    order=st.permutations(range(3)),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@settings(max_examples=25, deadline=None)
def test_axis_order_does_not_matter_nor_which_side_is_which(
    seed: int, order: list[int], flips: tuple[bool, bool, bool]
) -> None:
    one, other = blobs(seed, (11, 9, 8))
    plain = overlap(one, other, SPACING)
    steps = tuple(slice(None, None, -1 if f else 1) for f in flips)
    a, b, c = (SPACING[n] for n in order)
    turned = overlap(one.transpose(order)[steps], other.transpose(order)[steps], (a, b, c))
    swapped = overlap(other, one, SPACING)
    for found in (turned, swapped):
        assert found.dice == plain.dice
        assert found.surface_dice == pytest.approx(plain.surface_dice)
        assert found.hd95_mm == pytest.approx(plain.hd95_mm)
    assert (swapped.predicted_ml, swapped.reference_ml) == (plain.reference_ml, plain.predicted_ml)


def test_empty_masks_are_defined() -> None:
    empty, some = np.zeros((6, 5, 4), bool), np.zeros((6, 5, 4), bool)
    some[2:4, 2:4, 1:3] = True
    both = overlap(empty, empty, SPACING)
    assert (both.state, both.dice, both.surface_dice, both.hd95_mm) == ("both empty", 1.0, 1.0, 0.0)
    missed, false = overlap(empty, some, SPACING), overlap(some, empty, SPACING)
    assert (missed.state, missed.dice, missed.surface_dice, missed.hd95_mm) == ("missed", 0, 0, math.inf)
    assert (false.state, false.dice, false.surface_dice, false.hd95_mm) == ("false", 0, 0, math.inf)
    assert missed.reference_ml == false.predicted_ml == pytest.approx(8 * np.prod(SPACING) / 1000)


def test_known_answers() -> None:
    """A slab shifted by one 3.7 mm slice; then by three."""
    one, other = np.zeros((20, 20, 20), bool), np.zeros((20, 20, 20), bool)
    one[5:15, 5:15, 5:15] = True
    other[5:15, 5:15, 6:16] = True
    near = overlap(one, other, SPACING, tolerance_mm=3.0)
    assert near.dice == pytest.approx(0.9)
    assert near.hd95_mm == pytest.approx(3.7)
    assert near.surface_dice < 1.0
    assert overlap(one, other, SPACING, tolerance_mm=3.7).surface_dice == 1.0
    assert overlap(one, one, SPACING).surface_dice == 1.0
    far = np.roll(one, 3, axis=2)
    assert overlap(one, far, SPACING).hd95_mm == pytest.approx(11.1)
