"""Touching lesions: necks split, bumps do not."""

from __future__ import annotations

import numpy as np
import pytest

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
