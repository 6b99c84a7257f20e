"""One training patch: a turned and stretched healthy crop, its look, lesions and scan defects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from burden.segment import intensity
from burden.train import lesions, looks

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from burden.train.draw import Draw
    from burden.train.recipe import Recipe

AIR_HU = intensity.WINDOW_HU[0]
LEVEL_OFF = (3.0, 0.15)
"""By how much the level given may be off (sd): HU on CT; on MR, where coils change it, a part of it."""


@dataclass(frozen=True, slots=True)
class Healthy:
    """A healthy case at the stage's spacing.

    Attributes
    ----------
    hu, classes : float (1, 1, i, j, k)
        HU above air (so that padding with zero pads with air), and class indices.
    liver : int (n, 3)
        Some liver voxels, to centre patches on.
    """

    hu: torch.Tensor
    classes: torch.Tensor
    liver: NDArray[np.int64]


def prepare(hu: NDArray[np.int16], classes: NDArray[np.uint8], factor: int) -> Healthy:
    """Make a case ready for sampling, `factor` times coarser than the pack."""
    import torch

    image = torch.from_numpy(hu.astype(np.float32))[None, None] - AIR_HU
    label = torch.from_numpy(classes.astype(np.float32))[None, None]
    if factor > 1:
        image = torch.nn.functional.avg_pool3d(image, factor)
        start = factor // 2
        label = label[..., start::factor, start::factor, start::factor]
        label = label[..., : image.shape[2], : image.shape[3], : image.shape[4]].contiguous()
    liver = np.argwhere(label[0, 0].numpy() == lesions.LIVER)
    return Healthy(image, label, liver[:: max(1, len(liver) // 5000)])


def make_patch(cases: list[Healthy], recipe: Recipe, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw one training pair.

    Returns
    -------
    image : float (1, 2, p, p, p)
        Network input, -1 to 1: intensity, and intensity relative to the liver.
    target : int64 (1, p, p, p)
        Class indices.
    """
    case = cases[draw.whole(0, len(cases) - 1)]
    hu, classes = _crop(case, recipe, draw)
    image, labels = synthesize(hu, classes, recipe, draw)
    return image[None], labels.long()[None]


def synthesize(
    hu: torch.Tensor, classes: torch.Tensor, recipe: Recipe, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Give a healthy crop a scanner look, lesions and scan defects.

    Parameters
    ----------
    hu : float (i, j, k)
        Hounsfield units.
    classes : uint8 (i, j, k)
        Healthy labels.

    Returns
    -------
    image : float (2, i, j, k)
        Network input, -1 to 1: intensity, and intensity relative to the liver.
    labels : uint8 (i, j, k)
        Labels with lesions.
    """
    import torch

    image, labels, is_mr = scene(hu, classes, recipe, draw)
    level = _level(image, labels, draw, is_mr=is_mr)
    plain = intensity.normalise_mr(image) if is_mr else intensity.normalise_ct(image)
    image = torch.stack([plain, intensity.relative_to_liver(image, level, is_mr=is_mr)])
    if draw.chance(recipe.field_cut):
        image, labels = _cut_field_of_view(image, labels, draw)
    return image, labels


def scene(
    hu: torch.Tensor, classes: torch.Tensor, recipe: Recipe, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Like `synthesize`, in HU or MR units as a scanner would give them; and whether it is MR."""
    is_mr = draw.chance(recipe.mr)
    image = looks.mr_look(hu, classes, draw) if is_mr else looks.ct_look(hu, classes, recipe, draw)
    labels = classes
    if not draw.chance(recipe.healthy):
        liver = classes == lesions.LIVER
        level = float(image[liver].median()) if is_mr and bool(liver.any()) else 100.0
        unit = draw.log_between(0.8, 3.0) * level / 100 if is_mr else 1.0
        look = lesions.draw_look(draw, recipe, unit, is_mr=is_mr)
        places = liver.numpy()
        drawn = lesions.draw_lesions(places, draw, look, recipe.spacing_mm)
        image, labels = lesions.paint(image, classes, drawn, draw, recipe.spacing_mm)
        image = image.clamp(min=2) if is_mr else image
    return looks.scan(image, recipe, draw, is_mr=is_mr), labels, is_mr


def _level(image: torch.Tensor, labels: torch.Tensor, draw: Draw, *, is_mr: bool) -> float:
    """Intensity of the parenchyma, about as well as it will be known when the model is used."""
    parenchyma = labels == lesions.LIVER
    if int(parenchyma.sum()) < 300:
        bright = float(image.max())
        return bright * draw.between(0.1, 0.8) if is_mr else draw.between(45, 130)
    if draw.chance(0.6):
        level = intensity.liver_level(image[parenchyma | (labels == lesions.LESION)])
    else:
        level = float(image[parenchyma].median())
    wobble = draw.rng.normal()
    return level * float(np.exp(LEVEL_OFF[1] * wobble)) if is_mr else level + LEVEL_OFF[0] * wobble


def _crop(case: Healthy, recipe: Recipe, draw: Draw) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample a randomly turned and stretched patch; beyond the case there is air."""
    import torch

    size = np.array(case.hu.shape[2:], float)
    if draw.chance(recipe.off_liver):
        centre = draw.rng.uniform(0, 1, 3) * size
    else:
        jitter = draw.rng.uniform(-0.2, 0.2, 3) * recipe.patch
        centre = case.liver[draw.whole(0, len(case.liver) - 1)] + jitter
    matrix = _random_matrix(recipe, draw) * (recipe.patch - 1) / 2
    # torch counts axes from the last and coordinates from -1 to 1 between the corner voxels
    theta = np.zeros((3, 4))
    theta[:, :3] = (matrix * (2 / (size - 1))[:, None])[::-1, ::-1]
    theta[:, 3] = (2 * centre / (size - 1) - 1)[::-1]
    patch = [1, 1, recipe.patch, recipe.patch, recipe.patch]
    grid = torch.nn.functional.affine_grid(
        torch.from_numpy(theta.astype(np.float32))[None], patch, align_corners=True
    )
    hu = torch.nn.functional.grid_sample(case.hu, grid, mode="bilinear", align_corners=True)
    classes = torch.nn.functional.grid_sample(case.classes, grid, mode="nearest", align_corners=True)
    return hu[0, 0] + AIR_HU, classes[0, 0].to(torch.uint8)


def _random_matrix(recipe: Recipe, draw: Draw) -> NDArray[np.float64]:
    """Rotation times zoom (never a mirror: left and right must stay true)."""
    zoom = np.exp(draw.between(-recipe.stretch, recipe.stretch) + draw.rng.uniform(-0.09, 0.09, 3))
    matrix = np.diag(zoom)
    for axis in range(3):
        angle = np.deg2rad(draw.between(-recipe.turn_deg, recipe.turn_deg))
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.eye(3)
        one, two = [other for other in range(3) if other != axis]
        turn[one, one], turn[one, two], turn[two, one], turn[two, two] = cos, -sin, sin, cos
        matrix = turn @ matrix
    return matrix


def _cut_field_of_view(
    image: torch.Tensor, labels: torch.Tensor, draw: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """End the scan inside the patch: beyond it there is padding and nothing to find."""
    image, labels = image.clone(), labels.clone()
    axis = 2 if draw.chance(0.75) else draw.whole(0, 1)
    depth = round(draw.between(0.05, 0.6) * labels.shape[axis])
    start = 0 if draw.chance(0.5) else labels.shape[axis] - depth
    image.narrow(axis + 1, start, depth).fill_(intensity.PAD)
    labels.narrow(axis, start, depth).zero_()
    return image, labels
