"""Scanner looks of a patch: phase and fat on CT, random contrast for MR, blur, slices, noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from burden.segment.network import CLASS_NAMES
from burden.train.recipe import PHASES

if TYPE_CHECKING:
    import torch

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
    out = hu.clone()
    for value, density in native.items():
        where = classes == value
        if bool(where.any()):
            middle = level if value == LIVER else float(hu[where].median())
            out[where] = density + (hu[where] - middle) * draw.between(0.15, 0.4)
    other = (classes == 0) & (hu > 55)
    out[other] = 55 + (hu[other] - 55) * torch.where(hu[other] > 200, 1.0, 0.5)
    return torch.where(_eroding(classes), out, 0.5 * (out + hu))


def _eroding(classes: torch.Tensor) -> torch.Tensor:
    """True away from class borders, so that a change of density blends over one voxel."""
    import torch

    same = torch.nn.functional.max_pool3d(classes[None, None].float(), 3, 1, 1)[0, 0] == classes
    return same


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
    """Remap a CT crop to a random MR contrast (the SynthSeg idea); air stays near 0, tissue 30-400."""
    import torch

    knots = np.array([-125, -100, -60, -10, 20, 60, 110, 170, 275], np.float32)
    values = draw.rng.uniform(20, 300, knots.size).astype(np.float32)
    values[0] = 0.0
    values[1:3] = (
        draw.between(10, 60) if draw.chance(0.5) else draw.between(150, 380)
    )  # fat, suppressed or not
    values[3:] = np.sort(values[3:]) if draw.chance(0.5) else values[3:]
    values[-1] = draw.between(5, 80)  # bone
    out = torch.from_numpy(np.interp(hu.numpy(), knots, values).astype(np.float32))
    # Tissues of one density differ on MR: bowel, muscle and fat vary from place to place.
    shape = (hu.shape[0], hu.shape[1], hu.shape[2])
    out *= torch.exp(draw.between(0, 0.5) * draw.field(shape, draw.between(6, 20)))
    liver = draw.between(60, 220)
    levels = {
        LIVER: liver,
        IVC: draw.between(10, 350),
        PORTAL: draw.between(10, 350),
        GALLBLADDER: draw.between(20, 450),
        SPLEEN: liver * draw.log_between(0.6, 2.5),
        AORTA: draw.between(10, 350),
        KIDNEYS: liver * draw.log_between(0.7, 2.8),
    }
    vein_gain = draw.between(-1.2, 1.2)
    for value, level in levels.items():
        where = classes == value
        if bool(where.any()):
            middle = float(hu[where].median())
            gain = vein_gain if value == LIVER else draw.between(-1, 1)
            out[where] = (level + (hu[where] - middle) * gain).clamp(min=2)
    return torch.where(hu < -115, out * 0.1, _soft(out) if draw.chance(0.5) else out)


def scan(image: torch.Tensor, recipe: Recipe, draw: Draw, *, is_mr: bool) -> torch.Tensor:
    """Blur, thick slices, bias field or gain, and noise."""
    import torch

    shape = (image.shape[0], image.shape[1], image.shape[2])
    if draw.chance(0.3):
        image = image + draw.between(0, 0.8) * (_soft(image) - image)
    if draw.chance(0.5 if is_mr else recipe.thick):
        image = _thick_slices(image, draw, recipe.spacing_mm, is_mr)
    if is_mr:
        image = image * torch.exp(draw.between(0, 0.3) * draw.field(shape, draw.between(25, 60)))
        noise = draw.log_between(1, 18)
        coarse = draw.field(shape, draw.between(1.2, 2.2)) if draw.chance(0.5) else draw.noise(shape)
        return (image + noise * coarse).abs()
    if draw.chance(0.7):
        noise = draw.log_between(*recipe.noise_hu)
        coarse = draw.field(shape, draw.between(1.2, 2.0)) if draw.chance(0.5) else draw.noise(shape)
        image = image + noise * coarse * (image > -110)
    return (image - 50) * draw.between(0.9, 1.1) + 50 + draw.between(-6, 6)


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
