"""Large lesions reach into what is connected to them and may be lesion; small ones do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from burden.segment.bundle import Calibration
from burden.segment.outline import LARGE_ML, outline, with_outskirts

VOXEL_ML = 0.064  # 4 mm


def ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    i, j, k = np.indices(shape)
    return (i - centre[0]) ** 2 + (j - centre[1]) ** 2 + (k - centre[2]) ** 2 <= radius**2


@pytest.fixture
def scene() -> dict[str, np.ndarray]:
    shape = (60, 40, 40)
    core, shell = ball(shape, (16, 20, 20), 6), ball(shape, (16, 20, 20), 10)
    small, rim = ball(shape, (45, 20, 20), 3), ball(shape, (45, 20, 20), 6)
    apart = ball(shape, (30, 34, 34), 3)
    chance = np.full(shape, 0.02, np.float32)
    chance[shell | rim | apart] = 0.3
    chance[core | small] = 0.9
    return {
        "core": core,
        "shell": shell & ~core,
        "small": small,
        "possible": (shell | rim | apart) & ~core & ~small,
        "chance": chance,
    }


def test_only_the_large_lesion_grows_and_only_into_what_touches_it(scene: dict[str, np.ndarray]) -> None:
    lesions = scene["core"] | scene["small"]
    assert scene["core"].sum() * VOXEL_ML > LARGE_ML > scene["small"].sum() * VOXEL_ML
    grown, chance = with_outskirts(lesions, scene["possible"], scene["chance"], VOXEL_ML)
    assert np.array_equal(grown, lesions | scene["shell"])
    # The new part is lesion if the old one is: the mean over the whole stays what it was.
    assert chance[scene["core"] | scene["shell"]].mean() == pytest.approx(0.9, abs=1e-4)
    untouched = ~scene["shell"]
    assert np.array_equal(chance[untouched], scene["chance"][untouched])


def test_a_corner_is_no_connection() -> None:
    lesions = np.zeros((30, 30, 30), np.bool_)
    lesions[2:12, 2:12, 2:12] = True
    corner = np.zeros_like(lesions)
    corner[12:16, 12:16, 12:16] = True
    chance = np.where(lesions, 0.9, 0.3).astype(np.float32)
    assert np.array_equal(with_outskirts(lesions, corner, chance, VOXEL_ML)[0], lesions)
    face = np.zeros_like(lesions)
    face[12:16, 5:9, 5:9] = True
    assert np.array_equal(with_outskirts(lesions, face, chance, VOXEL_ML)[0], lesions | face)


def test_without_a_large_lesion_nothing_changes(scene: dict[str, np.ndarray]) -> None:
    same, chance = with_outskirts(scene["small"], scene["possible"], scene["chance"], VOXEL_ML)
    assert np.array_equal(same, scene["small"])
    assert np.array_equal(chance, scene["chance"])


def test_outline_takes_limits_and_chances_from_the_calibration(scene: dict[str, np.ndarray]) -> None:
    lesion, whole = scene["chance"] * 0.8, np.full_like(scene["chance"], 0.8)
    allowed = np.ones(lesion.shape, np.bool_)
    fitted = Calibration(1.0, 0.0, 0.0, (-5.0, 10.0, 0.0), lesion_share=0.5, outer_share=0.5)
    sure = scene["core"] | scene["small"]
    assert np.array_equal(outline(allowed, lesion, whole, fitted, VOXEL_ML)[0], sure)
    wider = replace(fitted, outer_share=0.25)
    assert np.array_equal(outline(allowed, lesion, whole, wider, VOXEL_ML)[0], sure | scene["shell"])
    allowed[:, :20] = False
    assert not outline(allowed, lesion, whole, wider, VOXEL_ML)[0][:, :20].any()
    # What is left out as unlikely has no outskirts either.
    doubted = replace(wider, least_chance=0.999)
    lesions, _, findings = outline(np.ones_like(allowed), lesion, whole, doubted, VOXEL_ML)
    assert not lesions.any()
    assert [one.code for one in findings] == ["unlikely-lesions-left-out"]
