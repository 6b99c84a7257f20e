"""Hilum, vena cava and vessels: phantoms whose vessels are known by formula."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from burden.facts import Facts
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import measure
from burden.measure.hilum import hilum_point
from burden.phantom import random_spec
from burden.phantom.liver import HILUM
from burden.phantom.make import masks
from burden.phantom.scatter import settle


@pytest.mark.parametrize("seed", range(4))
def test_the_hilum_is_where_the_portal_vein_divides(seed: int) -> None:
    """Branches far into the liver must not draw the hilum after them (they end 40 mm off)."""
    spec = settle(random_spec(seed, frilling="none", oblique=seed % 2 == 0, any_order=seed > 1))
    found = masks(spec, ())
    assert found.structures is not None
    at = hilum_point(found.structures.named("portal_vein"), found.liver.data > 0, spec.grid)
    assert at is not None
    truth = np.array(HILUM) * spec.anatomy.scale
    assert np.linalg.norm(np.array(at) - truth) <= float(np.linalg.norm(spec.grid.spacing))


def tubes(volume: Volume) -> dict[str, np.ndarray]:
    """A portal trunk that divides at (20, 0, -10); a cava along z behind."""
    x, y, z = np.moveaxis(volume.grid.world(np.stack(np.indices(volume.grid.shape), -1)), -1, 0)
    trunk = (np.hypot(x - 20 - (z + 10) * 0.3, y) <= 6) & (z <= -10)
    right = (np.hypot(y, z + 10 - 0.5 * (20 - x)) <= 4.5) & (x <= 20) & (x > -30)
    left = (np.hypot(y, z + 10 - 0.5 * (x - 20)) <= 4) & (x >= 20) & (x < 50)
    cava = np.hypot(x - 10, y - 40) <= 8
    return {"portal_vein": trunk | right | left, "inferior_vena_cava": cava}


def labels(parts: dict[str, np.ndarray], volume: Volume) -> Labels:
    data, names = np.zeros(volume.grid.shape, np.uint8), {}
    for n, (name, mask) in enumerate(parts.items(), 1):
        data[mask], names[n] = n, name
    return Labels(data, volume.grid, names)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.9, 0.9, 3.0)])
def test_distances_to_known_tubes(
    toy: Callable[..., Any], oblique: Any, spacing: tuple[float, ...]
) -> None:
    ball = ((-20.3, 0.4, 20.2), (8.0, 8.0, 8.0))
    volume, found = toy((ball,), spacing=spacing, axes=oblique).make()
    parts = tubes(volume)
    result = measure(volume, replace(found, structures=labels(parts, volume)), Facts(), draws=0)
    (row,) = result.lesions
    voxel = float(np.linalg.norm(spacing))
    centre = np.array(ball[0])
    assert row.distance_ivc_mm == pytest.approx(np.hypot(centre[0] - 10, centre[1] - 40) - 16, abs=voxel)
    away = float(np.linalg.norm(centre - [20.0, 0.0, -10.0])) - 8.0
    assert row.distance_hilum_mm == pytest.approx(away, abs=5.0)
    tube = volume.grid.world(np.argwhere(parts["portal_vein"] | parts["inferior_vena_cava"]))
    brute = float(np.linalg.norm(tube - centre, axis=1).min()) - 8.0
    assert row.distance_vessel_mm == pytest.approx(max(brute, 0.0), abs=voxel)
    assert result.facts["lesion.min_distance_ivc"].best == row.distance_ivc_mm
    assert "portal vein" in result.facts["lesion.min_distance_vessel"].note


def test_a_lesion_around_a_vessel_is_at_no_distance(toy: Callable[..., Any]) -> None:
    volume, found = toy((((10.0, 35.0, 0.0), (25.0, 20.0, 20.0)),)).make()
    structures = labels({"inferior_vena_cava": tubes(volume)["inferior_vena_cava"]}, volume)
    (row,) = measure(volume, replace(found, structures=structures), Facts(), draws=0).lesions
    assert row.distance_ivc_mm == 0.0
    assert row.distance_hilum_mm is None


@pytest.mark.parametrize("where", [(slice(28, 30), slice(28, 30), slice(5, 9)),
                                   (slice(28, 30), slice(28, 30), slice(10, 12))])  # fmt: skip
def test_a_vessel_within_or_against_a_lesion_is_at_no_distance(where: tuple[slice, ...]) -> None:
    """A stub wholly inside meets none of the lesion's surface; one on top shares a face with it."""
    grid = Grid.from_axes((60, 60, 16), (2.0, 2.0, 8.0), (-60, -60, -60))
    liver, lesions, veins = (np.zeros(grid.shape, np.uint8) for _ in range(3))
    liver[5:55, 5:55, 2:14] = 1
    lesions[20:40, 20:40, 4:10] = 1
    veins[where] = 1
    found = Segmentation(
        Labels(liver, grid), Labels(lesions, grid), "drawn",
        structures=Labels(veins, grid, {1: "hepatic_veins"}),
    )  # fmt: skip
    volume = Volume(np.full(grid.shape, 60, np.int16), grid, "CT", Origin("phantom", "box"), "portal")
    (row,) = measure(volume, found, Facts(), draws=0).lesions
    assert row.distance_vessel_mm == 0.0
    assert row.distance_ivc_mm is None


def test_what_was_not_segmented_is_not_zero(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    result = measure(volume, found, Facts(), draws=0)
    for row in result.lesions:
        assert (row.distance_ivc_mm, row.distance_vessel_mm, row.distance_hilum_mm) == (None,) * 3
    text = next(f.text for f in result.findings if f.code == "vessels-not-segmented")
    assert "vena cava" in text
    assert result.facts["lesion.min_distance_ivc"].value.is_unknown  # type: ignore[union-attr]
    assert "not segmented" in result.facts["lesion.min_distance_ivc"].note
    cava = labels({"inferior_vena_cava": tubes(volume)["inferior_vena_cava"]}, volume)
    some = measure(volume, replace(found, structures=cava), Facts(), draws=0)
    text = next(f.text for f in some.findings if f.code == "vessels-not-segmented")
    assert "hepatic veins" in text
    assert "hilum" in text
    assert "cava" not in text


def test_a_vein_that_ends_before_it_divides_ends_at_the_hilum() -> None:
    spec = settle(random_spec(3, frilling="none"))
    found = masks(spec, ())
    assert found.structures is not None
    portal = found.structures.named("portal_vein")
    assert portal is not None
    inside = found.liver.data > 0
    at = hilum_point(portal & ~inside, inside, spec.grid)
    assert at is not None
    assert np.linalg.norm(np.array(at) - np.array(HILUM) * spec.anatomy.scale) < 20.0
    assert hilum_point(None, inside, spec.grid) is None
    assert hilum_point(np.zeros_like(inside), inside, spec.grid) is None
