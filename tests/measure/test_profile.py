"""Volume from the course of areas: exact for ellipsoids, better than counting where slices are thick."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from burden.measure.profile import corrected_ml


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.45, 0.7])
def test_an_ellipsoid_is_exact_wherever_the_slices_lie(shift: float) -> None:
    """Areas pi a b (1 - z2 / c2), at c = 9 mm and slices of 5 mm."""
    z = np.arange(-30.0, 30.0, 5.0) + 5.0 * shift
    areas = np.pi * 8.0 * 7.0 * np.maximum(1 - (z / 9.0) ** 2, 0)
    areas = areas[areas > 0]
    truth = 4 / 3 * np.pi * 8 * 7 * 9 / 1000
    assert len(areas) in (3, 4)
    assert corrected_ml(areas, 5.0) == pytest.approx(truth, rel=0.001)


def test_what_cannot_be_corrected_is_counted() -> None:
    assert corrected_ml(np.array([100.0]), 5.0) == pytest.approx(0.5)
    assert corrected_ml(np.array([100.0, 50.0]), 5.0) == pytest.approx(0.75)
    assert corrected_ml(np.array([100.0, 0.0, 100.0, 50.0]), 4.0) == pytest.approx(1.0), "two pieces"


def test_a_cylinder_keeps_its_volume() -> None:
    """Six slices 3 mm apart meet cylinders of more than 15 and less than 21 mm, of 18 on average."""
    assert corrected_ml(np.full(6, 200.0), 3.0) == pytest.approx(200 * 6 * 3 / 1000, rel=1e-6)


@pytest.mark.parametrize("length", [15.0, 17.0, 20.0, 30.0, 41.0])
def test_a_cylinder_is_right_on_average_wherever_the_slices_lie(length: float) -> None:
    """Whether it ends just behind a slice or just before the next one cannot be seen."""
    ratios = []
    for shift in (np.arange(500) + 0.5) / 100.0:
        met = int(np.ceil((length - shift) / 5.0))
        ratios.append(corrected_ml(np.full(met, 100.0), 5.0) / (100.0 * length / 1000.0))
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.02)


def test_an_end_between_round_and_flat_lies_between_them() -> None:
    """The nearer the profile comes to closing by the next slice, the more of its cap is taken."""
    counted = [200.0, 200.0, 200.0]
    ends = [corrected_ml(np.array([*counted, 180.0, last]), 5.0) for last in (100.0, 140.0, 160.0)]
    assert np.all(np.diff(ends) > 0)
    flat = corrected_ml(np.array([*counted, *counted]), 5.0)
    assert flat == pytest.approx(6 * 200 * 5 / 1000)


def test_small_lesions_in_thick_slices_are_nearer_to_the_truth() -> None:
    rng = np.random.default_rng(2)
    off: dict[str, list[float]] = {"counted": [], "corrected": []}
    for _ in range(80):
        radii = rng.uniform(7.0, 10.0, 3)
        turn = Rotation.random(random_state=rng).as_matrix()
        n, spacing = (26, 26, 6), np.array([1.0, 1.0, 5.0])
        at = (
            np.moveaxis(np.indices(n), 0, -1) - (np.array(n) - 1) / 2 + rng.uniform(-0.5, 0.5, 3)
        ) * spacing
        mask = (((at @ turn) / radii) ** 2).sum(-1) <= 1
        areas = mask.sum((0, 1)).astype(float)
        areas = areas[areas > 0]
        truth = 4 / 3 * np.pi * np.prod(radii) / 1000
        off["counted"].append(abs(areas.sum() * 5 / 1000 / truth - 1))
        off["corrected"].append(abs(corrected_ml(areas, 5.0) / truth - 1))
    assert np.mean(off["corrected"]) < 0.6 * np.mean(off["counted"])
    assert np.mean(np.array(off["corrected"]) <= 0.02) >= 0.7
