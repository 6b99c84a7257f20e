"""Lesions found and false ones: hand-made scenes, and a slow matcher written from the definition."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from burden.evaluate.lesions import bands, match, rates

Mask = NDArray[np.bool_]
VOXEL = 0.125  # mL: 5 mm cubes


def scene(*boxes: tuple[slice, slice]) -> Mask:
    mask = np.zeros((30, 30, 5), bool)
    for rows, columns in boxes:
        mask[rows, columns, 1:4] = True
    return mask


A, B = (slice(2, 8), slice(2, 8)), (slice(2, 8), slice(10, 16))
FAR = (slice(20, 24), slice(20, 24))


def counts(predicted: Mask, reference: Mask, least: float) -> tuple[int, int, int, int]:
    r = rates(match(predicted, reference, VOXEL), least)
    return tuple(int(r[key] or 0) for key in ("reference", "found", "predicted", "false"))  # type: ignore[return-value]


def test_one_found_one_missed_one_false() -> None:
    found = rates(match(scene(A, FAR), scene(A, B), VOXEL), 0.5)
    assert (found["recall"], found["precision"], found["f1"]) == (0.5, 0.5, 0.5)


def test_parts_of_one_lesion_count_together() -> None:
    parts = scene((slice(2, 8), slice(2, 5)), (slice(2, 8), slice(6, 8)))
    # 18 + 12 of 36 columns: IoU 5/6 together, at most 1/2 alone
    assert counts(parts, scene(A), 0.8) == (1, 1, 2, 0)
    assert counts(parts, scene(A), 0.9) == (1, 0, 2, 2)


def test_one_part_over_two_lesions_finds_both() -> None:
    bridge = scene((slice(2, 8), slice(2, 16)))
    # 36 + 36 of 84 columns: IoU 6/7 with both, 3/7 with one
    assert counts(bridge, scene(A, B), 0.8) == (2, 2, 1, 0)
    assert counts(bridge, scene(A, B), 0.9) == (2, 0, 1, 1)


def test_any_overlap_is_one_voxel() -> None:
    touch = np.zeros((30, 30, 5), bool)
    touch[7:9, 7:9, 1] = True
    assert counts(touch, scene(A), 0.0) == (1, 1, 1, 0)
    beside = np.zeros((30, 30, 5), bool)
    beside[8:9, 8:9, 1] = True  # shares a corner, not a voxel
    assert counts(beside, scene(A), 0.0) == (1, 0, 1, 1)


def test_rates_are_undefined_where_there_is_nothing() -> None:
    empty = scene()
    none = rates(match(empty, empty, VOXEL), 0.5)
    assert (none["recall"], none["precision"], none["f1"]) == (None, None, None)
    missed = rates(match(empty, scene(A), VOXEL), 0.5)
    assert (missed["recall"], missed["precision"], missed["f1"]) == (0.0, None, 0.0)
    false = rates(match(scene(A), empty, VOXEL), 0.5)
    assert (false["recall"], false["precision"], false["f1"]) == (None, 0.0, 0.0)


def test_sizes_and_bands() -> None:
    (one,) = match(scene(), scene(A), VOXEL)
    assert one.volume_ml == pytest.approx(108 * VOXEL)
    assert one.diameter_mm == pytest.approx((6 * 13_500 / np.pi) ** (1 / 3))
    names = [name for name, _, _ in bands()]
    assert names == ["< 10 mm", "10-20 mm", "20-50 mm", ">= 50 mm"]
    limits = [(low, high) for _, low, high in bands()]
    assert all(a[1] == b[0] for a, b in pairwise(limits)), "no gap, no overlap"


def slow(predicted: Mask, reference: Mask, least: float) -> tuple[int, int]:
    """Found and true components by sets of voxels, straight from the definition."""

    def pieces(mask: Mask) -> list[set[int]]:
        labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
        flat = labels.ravel()
        return [set(np.flatnonzero(flat == n + 1).tolist()) for n in range(count)]

    theirs, ours = pieces(reference), pieces(predicted)

    def link(one: set[int], others: list[set[int]]) -> int | None:
        shared = [len(one & other) for other in others]
        return shared.index(max(shared)) if shared and max(shared) else None

    def group(one: int, these: list[set[int]], others: list[set[int]]) -> float:
        linked = [o for o in others if link(o, these) == one]
        union = set().union(*linked)
        return len(these[one] & union) / len(these[one] | union)

    def good(n: int, these: list[set[int]], others: list[set[int]]) -> bool:
        partner = link(these[n], others)
        if partner is None:
            return False
        best = max(group(n, these, others), group(partner, others, these))
        return best > 0 if least == 0 else best >= least

    found = sum(good(n, theirs, ours) for n in range(len(theirs)))
    return found, sum(good(n, ours, theirs) for n in range(len(ours)))


@given(seed=st.integers(0, 100_000), least=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.75]))
@settings(max_examples=60, deadline=None)
def test_agrees_with_the_definition_and_treats_both_sides_alike(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    noise = [ndimage.gaussian_filter(rng.normal(size=(12, 11, 9)), 1.1) for _ in range(3)]
    level = np.quantile(noise[0], 0.7)
    reference, predicted = noise[0] + 0.3 * noise[1] > level, noise[0] + 0.3 * noise[2] > level
    _, found, total, false = counts(predicted, reference, least)
    assert (found, total - false) == slow(predicted, reference, least)
    _, found_back, total_back, false_back = counts(reference, predicted, least)
    assert (found_back, total_back - false_back) == (total - false, found)
