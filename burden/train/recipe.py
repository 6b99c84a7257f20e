"""What the patches of a training phase look like: sizes, shares and ranges, all from ``train.yaml``."""

from __future__ import annotations

from dataclasses import dataclass

PHASES = ("as it is", "none", "arterial", "random")
"""Contrast phases a CT patch is given."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the patches of a training phase look like.

    Attributes
    ----------
    patch : int
        Edge in voxels, a multiple of 32, at least 64.
    spacing_mm : float
        Isotropic voxel size.
    turn_deg, stretch : float
        Largest rotation about each axis; largest natural log of the zoom.
    off_liver, field_cut, healthy, mr : float
        Shares of patches centred anywhere, cut by the field of view, without lesions, with an MR look.
    phases : tuple of 4 float
        Shares of `PHASES`; they add up to 1.
    fat : float
        Share of CT patches with a fatty liver.
    thick : float
        Share of CT patches with thick slices.
    noise_hu : (float, float)
        Range of the noise of CT patches.
    dark : float
        Share of CT patches with lesions darker than the liver.
    contrast_hu : (float, float)
        Range of how much darker they are.
    """

    patch: int
    spacing_mm: float
    turn_deg: float = 14.0
    stretch: float = 0.22
    off_liver: float = 0.2
    field_cut: float = 0.25
    healthy: float = 0.15
    mr: float = 0.25
    phases: tuple[float, float, float, float] = (0.4, 0.2, 0.15, 0.25)
    fat: float = 0.25
    thick: float = 0.35
    noise_hu: tuple[float, float] = (2.0, 22.0)
    dark: float = 0.75
    contrast_hu: tuple[float, float] = (13.0, 70.0)
