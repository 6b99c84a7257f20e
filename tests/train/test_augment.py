"""Patches: right shape and range, air outside, the same for the same seed, never mirrored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from burden.segment.intensity import (
    PAD,
    liver_level,
    liver_levels,
    normalise_ct,
    normalise_mr,
    relative_to_liver,
)
from burden.segment.network import CLASS_NAMES
from burden.train import augment, looks
from burden.train.draw import Draw
from burden.train.recipe import Recipe

LIVER, SPLEEN = CLASS_NAMES.index("liver"), CLASS_NAMES.index("spleen")
PLAIN = Recipe(patch=32, spacing_mm=2.0, turn_deg=0, stretch=0, off_liver=0, healthy=1.0, mr=0.0)


def case() -> augment.Healthy:
    """Liver on the right (low first index), spleen on the left, muscle between."""
    classes = np.zeros((60, 50, 40), np.uint8)
    classes[8:28, 10:40, 8:32] = LIVER
    classes[40:52, 20:40, 15:30] = SPLEEN
    hu = np.select([classes == LIVER, classes == SPLEEN], [100, 120], 50).astype(np.int16)
    return augment.prepare(hu, classes, 1)


@pytest.mark.parametrize("mr", [0.0, 1.0])
def test_patch_is_in_range_and_repeatable(mr: float) -> None:
    recipe = Recipe(patch=32, spacing_mm=2.0, mr=mr)
    for step in range(8):
        image, target = augment.make_patch([case()], recipe, Draw(0, step))
        again, same = augment.make_patch([case()], recipe, Draw(0, step))
        assert image.shape == (1, 2, 32, 32, 32)
        assert target.shape == (1, 32, 32, 32)
        assert bool(torch.isfinite(image).all())
        assert -1 <= float(image.min()) <= float(image.max()) <= 1
        assert torch.equal(image, again)
        assert torch.equal(target, same)


def test_steps_differ() -> None:
    one, _ = augment.make_patch([case()], PLAIN, Draw(0, 0))
    other, _ = augment.make_patch([case()], PLAIN, Draw(0, 1))
    assert not torch.equal(one, other)


def test_left_stays_left() -> None:
    recipe = replace(PLAIN, patch=64, turn_deg=14, stretch=0.2)
    for step in range(10):
        _, target = augment.make_patch([case()], recipe, Draw(2, step))
        liver, spleen = (np.argwhere(target[0].numpy() == value) for value in (LIVER, SPLEEN))
        if len(liver) > 50 and len(spleen) > 50:
            assert liver[:, 0].mean() < spleen[:, 0].mean()


def test_outside_the_case_is_air_and_background() -> None:
    empty = replace(PLAIN, patch=96)
    image, target = augment.make_patch([case()], empty, Draw(0, 0))
    assert float((image[0, 0] < -0.9).float().mean()) > 0.5  # the case fills an eighth of it
    assert int(target[0, 0, 0, 0]) == 0


def test_coarser_case_keeps_liver_volume() -> None:
    one = case()
    half = augment.prepare(
        (one.hu[0, 0].numpy() + augment.AIR_HU).astype(np.int16), one.classes[0, 0].byte().numpy(), 2
    )
    ratio = float((half.classes == LIVER).sum() * 8 / (one.classes == LIVER).sum())
    assert ratio == pytest.approx(1, abs=0.05)


def test_fatty_liver_is_darker_than_spleen_now_and_then() -> None:
    one = case()
    hu, classes = one.hu[0, 0] + augment.AIR_HU, one.classes[0, 0].byte()
    below = 0
    for step in range(80):
        image = looks.ct_look(hu, classes, PLAIN, Draw(4, step))
        below += float(image[classes == LIVER].median()) < float(image[classes == SPLEEN].median()) - 25
    assert 10 < below < 70


def test_without_contrast_no_organ_keeps_a_bright_outline() -> None:
    from scipy.ndimage import gaussian_filter

    i, j, k = np.indices((48, 48, 48)) - 23.5
    spleen, liver = i**2 + j**2 + k**2 < 9**2, i > 15
    sharp = np.where(spleen, 130.0, np.where(liver, 110.0, -100.0))
    hu = torch.from_numpy(gaussian_filter(sharp, 0.8).astype(np.float32))
    # Outlined a little too small, as people do: enhanced voxels lie outside the label, too.
    drawn = i**2 + j**2 + k**2 < 8.5**2
    classes = torch.from_numpy(np.where(drawn, looks.SPLEEN, np.where(liver, looks.LIVER, 0))).byte()
    for step in range(20):
        out = looks._washed_out(hu, classes, 110.0, Draw(0, step))
        near = torch.from_numpy(i**2 + j**2 + k**2 < 13**2)
        assert 40 < float(out[classes == looks.SPLEEN].median()) < 56
        assert float(out[near].max()) < 62
        assert float(out[near].min()) > -101


def test_mr_livers_are_as_dark_as_on_t2_now_and_then() -> None:
    """A tenth of the brightest tissue or less, and still apart from air in the network's input."""
    one = case()
    hu, classes = one.hu[0, 0] + augment.AIR_HU, one.classes[0, 0].byte()
    shares = []
    for step in range(60):
        image = looks.mr_look(hu, classes, Draw(4, step))
        assert bool(torch.isfinite(image).all())
        assert float(image.min()) >= 0
        shares.append(float(image[classes == LIVER].median() / image.max()))
    assert min(shares) < 0.12
    assert max(shares) > 0.6
    dark = torch.full((8, 8, 8), 400.0)
    dark[:4] = 30.0
    dark[0] = 0.0
    seen = normalise_mr(dark)
    assert float(seen[2, 0, 0]) > float(seen[0, 0, 0]) + 0.4


def test_window_and_percentiles() -> None:
    hu = torch.tensor([-1000.0, -125.0, 75.0, 275.0, 3000.0])
    assert normalise_ct(hu).tolist() == [-1, -1, 0, 1, 1]
    ramp = torch.linspace(0, 500, 64**3).reshape(64, 64, 64)
    mr = normalise_mr(ramp)
    assert torch.allclose(mr, normalise_mr(ramp * 7), atol=1e-4)  # any scale
    assert float(mr[0, 0, 0]) == -1
    assert float(mr[-1, -1, -1]) == 1
    assert bool((normalise_mr(torch.zeros(16, 16, 16)) == PAD).all())


@pytest.mark.parametrize("share", [0.0, 0.3, 0.55])
def test_level_is_that_of_the_parenchyma_although_lesions_take_half(share: float) -> None:
    rng = np.random.default_rng(2)
    number = 40_000
    lesions = rng.uniform(20, 95, round(share * number))  # lesions differ among each other
    liver = rng.normal(110, 9, number - len(lesions))
    values = torch.from_numpy(rng.permutation(np.concatenate([lesions, liver])).astype(np.float32))
    assert liver_level(values) == pytest.approx(110, abs=3)
    assert liver_level(values * 7) == pytest.approx(770, abs=21)
    assert liver_level(torch.full((5,), 40.0)) == 40


def test_a_liver_mostly_replaced_by_lesions_may_have_either_level() -> None:
    rng = np.random.default_rng(3)
    lesions, liver = rng.normal(75, 8, 25_000), rng.normal(105, 10, 12_000)
    values = torch.from_numpy(rng.permutation(np.concatenate([lesions, liver])).astype(np.float32))
    assert liver_levels(values) == pytest.approx((75, 105), abs=5)
    assert len(liver_levels(-values)) == 1, "only brighter tissue can have been outnumbered"
    one = torch.from_numpy(rng.normal(100, 15, 40_000).astype(np.float32))
    assert len(liver_levels(one)) == 1, "noise on one peak is no second tissue"
    assert len(liver_levels(torch.cat([one, torch.full((800,), 160.0)]))) == 1, "nor are vessels"


def test_relative_intensity_is_the_same_in_every_phase_and_sequence() -> None:
    offsets = torch.tensor([-100.0, -30.0, 0.0, 30.0])
    for level in (40.0, 110.0):
        relative = relative_to_liver(level + offsets, level, is_mr=False)
        assert relative.tolist() == [-1, -0.5, 0, 0.5]
    for level in (12.0, 900.0):
        relative = relative_to_liver(level * torch.tensor([0.0, 0.7, 1, 1.3]), level, is_mr=True)
        assert relative.tolist() == pytest.approx([-1, -0.5, 0, 0.5], abs=1e-5)


def test_patches_are_seen_relative_to_their_own_liver() -> None:
    middles = []
    for step in range(20):
        recipe = replace(PLAIN, patch=64, phases=(0, 0.4, 0.2, 0.4), fat=0.5)
        image, target = augment.make_patch([case()], recipe, Draw(6, step))
        where = target[0] == LIVER
        if int(where.sum()) > 500:
            middles.append((float(image[0, 0][where].median()), float(image[0, 1][where].median())))
    plain, relative = np.std(middles, axis=0)
    assert len(middles) > 8
    assert relative < plain / 2


def test_breathing_doubles_contours_on_ct_and_leaves_a_ghost_on_mr() -> None:
    image = torch.zeros(64, 64, 64)
    image[20:30, 20:30, 20:30] = 100.0
    ct = looks._motion(image, Draw(0, 1), 2.0, is_mr=False)
    assert float(ct.sum()) == pytest.approx(float(image.sum()), rel=1e-5)
    away = (ct > 0) & (image == 0)
    assert away.any()
    assert torch.equal(ct[:, :, 30:], image[:, :, 30:]), "within the slices"
    mr = looks._motion(image, Draw(0, 1), 2.0, is_mr=True)
    ghost = mr[(mr > 0) & (image == 0)]
    assert float(ghost.max()) <= 20.0
    assert float(mr[25, 25, 25]) >= 80.0


def test_coils_make_one_tissue_several_times_brighter_in_places() -> None:
    gains = [looks._coil((48, 48, 48), Draw(0, n)) for n in range(30)]
    spans = np.array([float(gain.max() / gain.min()) for gain in gains])
    assert np.median(spans) > 2
    assert spans.max() > 6
    assert all(bool((gain > 0).all()) for gain in gains)
