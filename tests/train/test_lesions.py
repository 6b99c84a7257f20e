"""Lesions drawn into a healthy liver: inside it, growing with radius, absent when not asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from burden.segment.network import CLASS_NAMES
from burden.train import augment, lesions
from burden.train.draw import Draw
from burden.train.recipe import Recipe

LIVER, LESION, PORTAL = (CLASS_NAMES.index(name) for name in ("liver", "lesion", "portal_vein"))
RECIPE = Recipe(patch=48, spacing_mm=2.0)


def healthy(edge: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """A ball of liver at 110 HU with a vessel through it, in fat at -90 HU."""
    i, j, k = np.indices((edge,) * 3) - edge / 2
    classes = np.where(i**2 + j**2 + k**2 < (0.45 * edge) ** 2, LIVER, 0).astype(np.uint8)
    classes[(np.abs(i) < 2) & (np.abs(j) < 2) & (classes == LIVER)] = PORTAL
    hu = np.select([classes == LIVER, classes == PORTAL], [110.0, 180.0], -90.0)
    noise = np.random.default_rng(0).normal(0, 5, hu.shape)
    return torch.from_numpy((hu + noise).astype(np.float32)), torch.from_numpy(classes)


def ball(radius_mm: float, look: lesions.Look) -> lesions.Lesion:
    return lesions.Lesion((30.3, 24.1, 23.7), (radius_mm,) * 3, np.eye(3), look)


SMOOTH = lesions.Look(-40, 0, 0, 0, 0, edge_mm=0.5, roughness=0)


@pytest.mark.parametrize("radius", [6.0, 9.0, 12.0])
def test_volume_is_that_of_the_ball(radius: float) -> None:
    hu, classes = healthy()
    classes[classes == PORTAL] = LIVER
    _, labels = lesions.paint(hu, classes, [ball(radius, SMOOTH)], Draw(0, 0), 2.0)
    volume = float((labels == LESION).sum()) * 8
    assert volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.1)


@pytest.mark.parametrize(
    ("radius", "outwards", "is_drawn"),
    [(8.0, -4.0, True), (8.0, 0.0, False), (20.0, 0.0, True)],
    ids=["whole", "cut in half", "large and cut"],
)
def test_a_small_lesion_cut_off_by_the_surface_is_not_drawn(
    radius: float, outwards: float, is_drawn: bool
) -> None:
    hu, classes = healthy()
    classes[classes == PORTAL] = LIVER
    surface = 24 + 0.45 * 48  # of the ball of liver, voxels
    lesion = replace(ball(radius, SMOOTH), centre=(surface + outwards, 24.0, 24.0))
    image, labels = lesions.paint(hu, classes, [lesion], Draw(0, 0), 2.0)
    assert bool((labels == LESION).any()) == is_drawn
    assert torch.equal(image, hu) != is_drawn


def test_contrast_reaches_the_image_only_inside() -> None:
    hu, classes = healthy()
    image, labels = lesions.paint(hu, classes, [ball(10.0, SMOOTH)], Draw(0, 0), 2.0)
    inside = labels == LESION
    assert float((image - hu)[inside].mean()) == pytest.approx(-40, abs=6)
    far = torch.from_numpy(np.linalg.norm(np.indices(hu.shape).T - [30, 24, 24], axis=-1).T > 11)
    assert torch.equal(image[far], hu[far])


def test_a_graded_lesion_is_faint_outside_and_dark_inside() -> None:
    hu, classes = healthy()
    classes[classes == PORTAL] = LIVER
    hu[classes == LIVER] = 110.0
    look = replace(SMOOTH, contrast=-60.0, outer=0.25, depth=0.3, ramp=0.2)
    lesion = replace(ball(14.0, look), centre=(24.0, 24.0, 24.0))
    image, _ = lesions.paint(hu, classes, [lesion], Draw(0, 0), 2.0)
    away = torch.from_numpy(np.linalg.norm(np.indices(hu.shape).T - 24, axis=-1).T * 2.0)
    outer, core = (away > 10.5) & (away < 13), away < 6
    assert float(image[outer].mean()) == pytest.approx(110 - 15, abs=2)
    assert float(image[core].mean()) == pytest.approx(110 - 60, abs=2)


def test_no_part_of_a_lesion_is_fainter_than_a_reader_sees() -> None:
    looks = [lesions.draw_look(Draw(0, n), RECIPE) for n in range(400)]
    graded = [look for look in looks if look.outer < 1]
    assert 0.15 < len(graded) / len(looks) < 0.4
    assert min(abs(look.contrast * look.outer) for look in graded) >= 12
    assert max(abs(look.contrast) for look in graded if look.contrast < 0) > 70


@pytest.mark.parametrize("seed", range(8))
def test_lesions_replace_liver_and_nothing_else(seed: int) -> None:
    hu, classes = healthy()
    draw = Draw(seed, 0)
    look = lesions.draw_look(draw, RECIPE)
    drawn = lesions.draw_lesions((classes == LIVER).numpy(), draw, look, 2.0)
    image, labels = lesions.paint(hu, classes, drawn, draw, 2.0)
    assert drawn
    assert bool((classes[labels == LESION] == LIVER).all())
    assert torch.equal(labels[labels != LESION], classes[labels != LESION])
    assert torch.equal(image[classes == PORTAL], hu[classes == PORTAL])


def test_no_liver_no_lesions() -> None:
    assert lesions.draw_lesions(np.zeros((4, 4, 4), bool), Draw(0, 0), SMOOTH, 2.0) == []


@pytest.mark.parametrize("mr", [0.0, 1.0])
def test_healthy_patches_have_no_lesion_label(mr: float) -> None:
    hu, classes = healthy()
    for step in range(6):
        _, labels = augment.synthesize(hu, classes, replace(RECIPE, healthy=1.0, mr=mr), Draw(3, step))
        assert not bool((labels == LESION).any())


def test_patterns_share_out_all_patches_and_reach_heavy_disease() -> None:
    assert sum(share for share, _, _ in lesions.PATTERNS.values()) == pytest.approx(1)
    hu, classes = healthy()
    burdens = []
    for step in range(60):
        _, labels = augment.synthesize(hu, classes, replace(RECIPE, healthy=0.0, mr=0.0), Draw(1, step))
        burdens.append(float((labels == LESION).sum() / (classes == LIVER).sum()))
    assert max(burdens) > 0.5
    assert np.mean(np.array(burdens) < 0.1) > 0.1
