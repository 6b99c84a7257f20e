"""Synthetic lesions drawn into a healthy liver.

A lesion is a rotated ellipsoid whose signed distance is perturbed by smooth noise, with a soft edge
and an optional necrotic core, bright rim and very dense inclusion. Lesions stay inside liver
parenchyma: vessels, gallbladder and the outside are never painted. A real metastasis at the capsule
makes it bulge; one cut off there would look like a dent in the liver to anybody, so none is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from burden.segment.network import CLASS_NAMES

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from burden.train.draw import Draw
    from burden.train.recipe import Recipe

LIVER = CLASS_NAMES.index("liver")
LESION = CLASS_NAMES.index("lesion")

PATTERNS: dict[str, tuple[float, tuple[int, int], tuple[float, float]]] = {
    # name: share of patches, how many lesions, radius in mm
    "few": (0.22, (1, 4), (2.0, 22.0)),
    "many": (0.19, (5, 20), (2.5, 25.0)),
    "miliary": (0.07, (25, 70), (1.5, 6.0)),
    "cluster": (0.12, (5, 14), (5.0, 20.0)),
    "diffuse": (0.11, (30, 90), (5.0, 16.0)),
    "replaced": (0.07, (80, 220), (6.0, 20.0)),
    "bulky": (0.05, (6, 16), (20.0, 45.0)),
    "large": (0.17, (1, 3), (20.0, 60.0)),
}
"""Disease patterns; the shares add up to 1."""
INSIDE = 0.7
"""Part of a lesion that must lie in the liver for it to be drawn,"""
DENT_MM = 15.0
"""unless its radius is larger: then what lies in the liver shows what it is."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a patient's lesions look like; intensities are offsets from the liver, HU or MR units.

    A graded lesion differs little from the liver in its outer part, as necrotic metastases do: there
    it has `outer` of its contrast, down to `depth` (part of the radius) and rising over `ramp` more.
    """

    contrast: float
    core: float
    rim: float
    dense: float
    texture: float
    edge_mm: float
    roughness: float
    outer: float = 1.0
    depth: float = 0.0
    ramp: float = 1.0


@dataclass(frozen=True, slots=True)
class Lesion:
    """One ellipsoid: centre (voxels), radii (mm), rotation (3, 3) and look."""

    centre: tuple[float, float, float]
    radii_mm: tuple[float, float, float]
    rotation: NDArray[np.float64]
    look: Look

    @property
    def radius_mm(self) -> float:
        """Radius of the sphere of the same volume, mm."""
        return float(np.prod(self.radii_mm) ** (1 / 3))


def draw_look(draw: Draw, recipe: Recipe, unit: float = 1.0, *, is_mr: bool = False) -> Look:
    """Draw a patient's lesion look.

    Parameters
    ----------
    unit : float
        1 for CT in HU; on MR what a contrast of 1 is in grey values.
    is_mr : bool
        On MR lesions are as often bright as dark; on CT the recipe says how often.
    """
    dark = draw.chance(0.5 if is_mr else recipe.dark)
    cystic = dark and draw.chance(0.12)
    graded = not cystic and draw.chance(0.3)
    strength = draw.between(55, 80) if cystic else draw.log_between(*recipe.contrast_hu)
    strength = draw.between(35, 85) if graded and dark else strength
    contrast = -strength if dark else draw.between(15, 70)
    kinds = {"core": draw.chance(0.35), "rim": draw.chance(0.3), "dense": draw.chance(0.1)}
    return Look(
        contrast=contrast * unit,
        # Never less than a reader sees: taught to draw what is not there, a network adds it everywhere.
        outer=min(1.0, draw.between(12, 28) / abs(contrast)) if graded else 1.0,
        # ... nor where it is so faint nearly throughout that nobody would draw its outline.
        depth=draw.between(0, 0.25),
        ramp=draw.between(0.1, 0.4),
        core=unit * draw.between(-50, -10) if kinds["core"] and not (cystic or graded) else 0.0,
        rim=unit * draw.between(10, 60) if kinds["rim"] and not cystic else 0.0,
        dense=unit * draw.between(60, 250) if kinds["dense"] and not cystic else 0.0,
        texture=0.0 if cystic or draw.chance(0.4) else unit * draw.between(3, 15),
        edge_mm=draw.between(0.4, 1.0) if cystic else draw.log_between(0.5, 3.0),
        roughness=0.05 if cystic else draw.between(0.05, 0.4),
    )


def draw_lesions(liver: NDArray[np.bool_], draw: Draw, look: Look, spacing_mm: float) -> list[Lesion]:
    """Draw the lesions of one patch: a disease pattern, then places inside the liver.

    Parameters
    ----------
    liver : bool (i, j, k)
        Where lesions may be centred.
    spacing_mm : float
        Isotropic voxel size.
    """
    flat = np.flatnonzero(liver)
    if flat.size == 0:
        return []
    names = list(PATTERNS)
    pattern = names[int(draw.rng.choice(len(names), p=[PATTERNS[name][0] for name in names]))]
    _, counts, radii = PATTERNS[pattern]
    number = round(draw.log_between(counts[0], counts[1] + 0.49))
    centres = np.stack(np.unravel_index(draw.rng.choice(flat, number), liver.shape), axis=1).astype(
        float
    )
    if pattern == "cluster":
        spread = draw.between(10, 28) / spacing_mm
        centres = centres[:1] + draw.rng.normal(0, spread, centres.shape)
    return [_one(centre, draw.log_between(*radii), draw, look) for centre in centres]


def _one(centre: NDArray[np.float64], radius: float, draw: Draw, patient: Look) -> Lesion:
    """One lesion near the patient's look; necrosis and dense parts only where there is room."""
    axes = np.exp(draw.rng.normal(0, 0.22, 3))
    radii = radius * axes / np.prod(axes) ** (1 / 3)
    rotation, _ = np.linalg.qr(draw.rng.normal(size=(3, 3)))
    large = radius > 6
    look = replace(
        patient,
        contrast=patient.contrast * draw.between(0.75, 1.25),
        outer=patient.outer if large else 1.0,
        core=patient.core if large else 0.0,
        rim=patient.rim if radius > 4 else 0.0,
        dense=patient.dense if large and draw.chance(0.6) else 0.0,
        edge_mm=min(patient.edge_mm, radius / 3),
        roughness=patient.roughness if large else patient.roughness / 2,
    )
    return Lesion((centre[0], centre[1], centre[2]), (radii[0], radii[1], radii[2]), rotation, look)


def paint(
    image: torch.Tensor, labels: torch.Tensor, lesions: list[Lesion], draw: Draw, spacing_mm: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw lesions into an image.

    Parameters
    ----------
    image : float (i, j, k)
        Intensities; not changed.
    labels : uint8 (i, j, k)
        `CLASS_NAMES` indices without lesions; not changed.
    spacing_mm : float
        Isotropic voxel size.

    Returns
    -------
    image, labels
        Copies with the lesions painted and labelled.
    """
    import torch

    liver = labels == LIVER
    if not lesions or not bool(liver.any()):
        return image, labels
    base = float(image[liver].median())
    grain = (
        image - torch.nn.functional.avg_pool3d(image[None, None], 3, 1, 1, count_include_pad=False)[0, 0]
    )
    out, shape = image.clone(), (image.shape[0], image.shape[1], image.shape[2])
    inside = torch.zeros(shape, dtype=torch.bool)
    rough = {cell: draw.field(shape, cell) for cell in (3.0, 8.0)}
    texture = draw.field(shape, 4.0)
    for lesion in lesions:
        box, depth = _depth(lesion, rough, spacing_mm)
        if depth.numel() == 0 or _is_dent(lesion, depth > 0, liver[box]):
            continue
        alpha = torch.sigmoid(depth / lesion.look.edge_mm) * liver[box]
        wanted = (
            base + _profile(lesion, depth, texture[box], rough[8.0][box]) + grain[box].clamp(-25, 25)
        )
        out[box] += alpha * (wanted - out[box])
        inside[box] |= (depth > 0) & liver[box]
    return out, torch.where(inside, torch.tensor(LESION, dtype=labels.dtype), labels)


def _is_dent(lesion: Lesion, body: torch.Tensor, liver: torch.Tensor) -> bool:
    """Whether the liver's surface (or a vessel) would cut off too much of a lesion."""
    return lesion.radius_mm < DENT_MM and int((body & liver).sum()) < INSIDE * int(body.sum())


def _depth(
    lesion: Lesion, rough: dict[float, torch.Tensor], spacing_mm: float
) -> tuple[tuple[slice, slice, slice], torch.Tensor]:
    """Depth below the lesion's surface (mm, negative outside) in the box around it."""
    import torch

    shape = rough[8.0].shape
    reach = (
        max(lesion.radii_mm) * (1 + 1.5 * lesion.look.roughness) + 4 * lesion.look.edge_mm
    ) / spacing_mm + 1
    limits = [
        (max(0, int(centre - reach)), min(size, int(centre + reach) + 2))
        for centre, size in zip(lesion.centre, shape, strict=True)
    ]
    box = (slice(*limits[0]), slice(*limits[1]), slice(*limits[2]))
    if any(low >= high for low, high in limits):
        return box, torch.zeros(0)
    offsets = [
        (torch.arange(low, high, dtype=torch.float32) - centre) * spacing_mm
        for (low, high), centre in zip(limits, lesion.centre, strict=True)
    ]
    turned = torch.from_numpy(
        (lesion.rotation.T / np.array(lesion.radii_mm)[:, None]).astype(np.float32)
    )
    i, j, k = offsets[0][:, None, None], offsets[1][None, :, None], offsets[2][None, None, :]
    ratio = sum(((row[0] * i + row[1] * j + row[2] * k) ** 2 for row in turned), torch.zeros(1)).sqrt()
    cell = 8.0 if lesion.radius_mm > 10 else 3.0
    return box, lesion.radius_mm * (
        1 - ratio + lesion.look.roughness * 0.5 * rough[cell][box].clamp(-2, 2)
    )


def _profile(
    lesion: Lesion, depth: torch.Tensor, texture: torch.Tensor, blobs: torch.Tensor
) -> torch.Tensor:
    """Intensity offset from the liver at each depth."""
    import torch

    look, radius = lesion.look, lesion.radius_mm
    deep = ((depth / radius - look.depth) / look.ramp).clamp(0, 1)
    offset = look.contrast * (look.outer + (1 - look.outer) * deep) + look.texture * texture
    if look.core:
        offset = offset + look.core * torch.sigmoid((depth - 0.45 * radius) / (0.1 * radius))
    if look.rim:
        width = max(1.5, 0.12 * radius)
        offset = offset + look.rim * torch.exp(-(((depth - width) / width) ** 2))
    if look.dense:
        offset = offset + look.dense * torch.sigmoid((blobs - 1.0) / 0.15) * (depth > 0.2 * radius)
    return offset
