"""Scanner looks of a patch: phase and fat on CT, random contrast for MR, blur, slices, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from burden.segment.network import CLASS_NAMES
from burden.train.recipe import PHASES

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from burden.train.draw import Draw
    from burden.train.recipe import Recipe

LIVER, IVC, PORTAL, GALLBLADDER, SPLEEN, AORTA, KIDNEYS = (
    CLASS_NAMES.index(name)
    for name in (
        "liver",
        "inferior_vena_cava",
        "portal_vein",
        "gallbladder",
        "spleen",
        "aorta",
        "kidneys",
    )
)


FAT_HU = -100.0


def ct_look(hu: torch.Tensor, classes: torch.Tensor, recipe: Recipe, draw: Draw) -> torch.Tensor:
    """Change contrast phase and liver fat of a CT crop, HU (i, j, k)."""
    liver = classes == LIVER
    if not bool(liver.any()):
        return hu
    level = float(hu[liver].median())
    phase = draw.rng.choice(PHASES, p=recipe.phases)
    if phase == "none":
        hu = _washed_out(hu, classes, level, draw)
        level = float(hu[liver].median())
    elif phase == "arterial":
        hu = hu + _soft(_per_class(classes, _arterial_shifts(draw)))
    elif phase == "random":
        spread = {value: draw.between(-25, 25) for value in (LIVER, IVC, PORTAL, SPLEEN, KIDNEYS)}
        hu = hu + _soft(_per_class(classes, spread | {AORTA: draw.between(-40, 60)}))
    if draw.chance(recipe.fat):
        hu = _fatty(hu, liver, draw)
    shading = draw.between(0, 9) * draw.field(
        (hu.shape[0], hu.shape[1], hu.shape[2]), draw.between(12, 30)
    )
    return hu + _soft(shading * liver) if draw.chance(0.4) else hu


def _washed_out(hu: torch.Tensor, classes: torch.Tensor, level: float, draw: Draw) -> torch.Tensor:
    """Non-contrast: organs and vessels at their native density, hepatic veins fade into the liver."""
    import torch

    native = {
        LIVER: draw.between(48, 66),
        IVC: draw.between(35, 48),
        PORTAL: draw.between(35, 48),
        SPLEEN: draw.between(42, 54),
        AORTA: draw.between(35, 48),
        KIDNEYS: draw.between(28, 38),
    }
    near = _nearest_organ(classes)
    out = hu.clone()
    for value, density in native.items():
        where = classes == value
        if not bool(where.any()):
            continue
        middle = level if value == LIVER else float(hu[where].median())
        gain = draw.between(0.15, 0.4)
        # Blood without contrast is no denser than the liver, so its vessels turn dark or vanish.
        bright = draw.between(-0.4, 0.3) if value == LIVER else gain
        # A voxel at the organ's edge is partly fat: it goes down in proportion, or a bright ring stays.
        edge = FAT_HU + (hu - FAT_HU) * (density - FAT_HU) / max(middle - FAT_HU, 1.0)
        inside = density + (hu - middle) * torch.where(hu > middle, bright, gain)
        changed = torch.where(hu < middle - 40, torch.minimum(inside, edge), inside)
        out = torch.where(where, changed, out)
        beside = (near == value) & (hu > FAT_HU) & (hu < middle + 40)
        out = torch.where(beside, torch.minimum(edge, changed), out)
    other = (classes == 0) & (near == 0) & (hu > 55)
    out[other] = 55 + (hu[other] - 55) * torch.where(hu[other] > 200, 1.0, 0.5)
    return out


def _nearest_organ(classes: torch.Tensor) -> torch.Tensor:
    """Class beside an unlabelled voxel (the highest where there are several), 0 elsewhere."""
    import torch

    beside = torch.nn.functional.max_pool3d(classes[None, None].float(), 3, 1, 1)[0, 0]
    return torch.where(classes == 0, beside, 0)


def _arterial_shifts(draw: Draw) -> dict[int, float]:
    """Early phase: bright aorta, kidneys and spleen, liver and veins not yet."""
    veins = draw.between(-70, -10)
    return {
        LIVER: draw.between(-40, -10),
        IVC: veins,
        PORTAL: draw.between(-60, 10),
        AORTA: draw.between(40, 150),
        SPLEEN: draw.between(-10, 40),
        KIDNEYS: draw.between(0, 60),
    }


def _fatty(hu: torch.Tensor, liver: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Darken parenchyma; vessels inside keep their density and so become bright against it."""
    import torch

    level = float(hu[liver].median())
    smooth = torch.nn.functional.avg_pool3d(hu[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    tissue = torch.sigmoid((level + draw.between(15, 30) - smooth) / 5)
    shift = -draw.between(20, 70)
    if draw.chance(0.4):  # geographic fat
        field = draw.field((hu.shape[0], hu.shape[1], hu.shape[2]), draw.between(14, 30))
        return hu + _soft(shift * liver * tissue * torch.sigmoid(field * 1.5 + 0.7))
    return hu + _soft(shift * liver * tissue)


def _per_class(classes: torch.Tensor, values: dict[int, float]) -> torch.Tensor:
    """Look up one value for each class."""
    import torch

    table = torch.zeros(len(CLASS_NAMES))
    for value, shift in values.items():
        table[value] = shift
    return table[classes.long()]


def _soft(field: torch.Tensor) -> torch.Tensor:
    """3-voxel mean, so that a shift does not draw the outline of its label."""
    import torch

    return torch.nn.functional.avg_pool3d(field[None, None], 3, 1, 1, count_include_pad=False)[0, 0]


def mr_look(hu: torch.Tensor, classes: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Give a CT crop an MR contrast: T2-like, T1-like or random (the SynthSeg idea).

    Air stays near 0, tissue lies between 2 and about 450. On T2 the liver is often a tenth of the
    brightest fluid; a network that never saw that loses it.
    """
    import torch

    kind = draw.rng.choice(("T2", "T1", "random"), p=(0.4, 0.3, 0.3))
    liver = {
        "T2": draw.log_between(18, 110),
        "T1": draw.between(110, 260),
        "random": draw.log_between(30, 240),
    }[kind]
    knots = np.array([-125, -100, -60, -10, 20, 60, 110, 170, 275], np.float32)
    out = torch.from_numpy(np.interp(hu.numpy(), knots, _mr_curve(kind, liver, draw)).astype(np.float32))
    # Tissues of one density differ on MR: bowel, muscle and fat vary from place to place.
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    out *= torch.exp(draw.between(0, 0.5) * draw.field(shape, draw.between(6, 20)))
    vein_gain = draw.between(-1.2, 1.2) * liver / 120
    for value, level in _mr_levels(kind, liver, draw).items():
        where = classes == value
        if bool(where.any()):
            middle = float(hu[where].median())
            gain = vein_gain if value == LIVER else draw.between(-1, 1) * min(1.0, level / 100)
            out[where] = (level + (hu[where] - middle) * gain).clamp(min=2)
    return torch.where(hu < -115, out * 0.1, _soft(out) if draw.chance(0.5) else out)


def _mr_curve(kind: str, liver: float, draw: Draw) -> NDArray[np.float32]:
    """Grey values of what has no label, at nine densities from air to bone."""
    fat = draw.between(10, 60) if draw.chance(0.5) else draw.between(150, 380)
    if kind == "T2":
        fluid, muscle = draw.between(150, 420), liver * draw.log_between(0.5, 1.3)
        rest = [fluid, fluid * draw.between(0.5, 1), muscle, liver * draw.log_between(0.6, 2.5)]
    elif kind == "T1":
        fluid, muscle = draw.between(10, 70), liver * draw.between(0.35, 0.9)
        rest = [fluid, 0.5 * (fluid + muscle), muscle, liver * draw.log_between(0.6, 1.4)]
    else:
        values = draw.rng.uniform(20, 300, 4)
        rest = list(np.sort(values) if draw.chance(0.5) else values)
    vessel, bone = draw.between(10, 350), draw.between(5, 80)
    return np.array([0.0, fat, fat, *rest, vessel, bone], np.float32)


def _mr_levels(kind: str, liver: float, draw: Draw) -> dict[int, float]:
    """Grey value of each labelled organ."""
    ranges = {
        "T2": {GALLBLADDER: (200, 480), SPLEEN: (1.4, 4.0), KIDNEYS: (1.6, 5.0)},
        "T1": {GALLBLADDER: (10, 350), SPLEEN: (0.4, 1.2), KIDNEYS: (0.5, 1.6)},
        "random": {GALLBLADDER: (20, 450), SPLEEN: (0.6, 2.5), KIDNEYS: (0.7, 2.8)},
    }[kind]
    vessels = draw.between(5, 60) if kind == "T2" and draw.chance(0.6) else draw.between(10, 350)
    levels = {value: vessels * draw.log_between(0.7, 1.4) for value in (IVC, PORTAL, AORTA)}
    levels[GALLBLADDER] = draw.between(*ranges[GALLBLADDER])
    for organ in (SPLEEN, KIDNEYS):
        levels[organ] = liver * draw.log_between(*ranges[organ])
    return {LIVER: liver} | levels


def scan(image: torch.Tensor, recipe: Recipe, draw: Draw, *, is_mr: bool) -> torch.Tensor:
    """Blur, motion, thick slices, bias field or gain, and noise."""
    shape = (image.shape[0], image.shape[1], image.shape[2])
    if draw.chance(0.3):
        image = image + draw.between(0, 0.8) * (_soft(image) - image)
    if draw.chance(0.12):
        image = _motion(image, draw, recipe.spacing_mm, is_mr=is_mr)
    if draw.chance(0.5 if is_mr else recipe.thick):
        image = _thick_slices(image, draw, recipe.spacing_mm, is_mr)
    if is_mr:
        image = image * _coil(shape, draw)
        noise = draw.log_between(0.7, 12)
        coarse = draw.field(shape, draw.between(1.2, 2.2)) if draw.chance(0.5) else draw.noise(shape)
        return (image + noise * coarse).abs()
    if draw.chance(0.7):
        noise = draw.log_between(*recipe.noise_hu)
        coarse = draw.field(shape, draw.between(1.2, 2.0)) if draw.chance(0.5) else draw.noise(shape)
        image = image + noise * coarse * (image > -110)
    return (image - 50) * draw.between(0.9, 1.1) + 50 + draw.between(-6, 6)


def _motion(image: torch.Tensor, draw: Draw, spacing_mm: float, *, is_mr: bool) -> torch.Tensor:
    """Breathing: on CT a double contour, on MR a faint ghost along one axis of the slice."""
    import torch

    axis = draw.whole(0, 1)
    size = image.shape[axis]
    if is_mr:
        shift, share = draw.whole(size // 4, size // 2), draw.between(0.03, 0.2)
    else:
        shift, share = max(1, round(draw.between(2, 6) / spacing_mm)), draw.between(0.2, 0.5)
    return (1 - share) * image + share * torch.roll(image, shift, axis)


def _coil(shape: tuple[int, int, int], draw: Draw) -> torch.Tensor:
    """Sensitivity of the receive coils: smooth, and often several times higher near the surface."""
    import torch

    strength = draw.between(0, 0.3) if draw.chance(0.5) else draw.between(0.3, 0.7)
    log_gain = strength * draw.field(shape, draw.between(25, 60))
    for axis, size in enumerate(shape):
        along = torch.linspace(-1, 1, size).reshape([-1 if one == axis else 1 for one in range(3)])
        log_gain = log_gain + draw.between(-0.5, 0.5) * along
    return torch.exp(log_gain)


def _thick_slices(image: torch.Tensor, draw: Draw, spacing_mm: float, is_mr: bool) -> torch.Tensor:
    """Average along the slice axis to 4-6 mm (MR up to 9 mm) and interpolate back."""
    import torch

    thickness = draw.between(4, 9) if is_mr else draw.between(3.5, 6.5)
    axis = draw.whole(0, 2) if draw.chance(0.15) else 2
    if thickness <= spacing_mm * 1.1:
        return image
    size = list(image.shape)
    size[axis] = max(2, round(size[axis] * spacing_mm / thickness))
    thick = torch.nn.functional.interpolate(image[None, None], size=size, mode="area")
    return torch.nn.functional.interpolate(
        thick, size=image.shape, mode="trilinear", align_corners=False
    )[0, 0]
