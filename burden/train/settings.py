"""Training settings read from ``train.yaml``: one block for each of the two networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from burden.train.augment import Recipe


@dataclass(frozen=True, slots=True)
class Stage:
    """How one network is trained.

    Attributes
    ----------
    name : str
        "coarse" (locator) or "fine".
    features : tuple of 6 int
        Network widths.
    factor : int
        How many times coarser than the pack.
    merge_lesions : bool
        Train liver with lesions as one class.
    share : float
        Part of the total time.
    steps : int
        Length of the run that made the shipped weights, used when neither minutes nor steps are given.
    learning_rate, weight_decay, decay_power, ema : float
        AdamW settings, exponent of the polynomial decay, and decay of the averaged weights per step.
    class_weights : tuple of float
        Cross-entropy weights.
    """

    name: str
    features: tuple[int, ...]
    factor: int
    merge_lesions: bool
    share: float
    steps: int
    learning_rate: float
    weight_decay: float
    decay_power: float
    ema: float
    class_weights: tuple[float, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Settings:
    """All training settings: the cases kept out of training, and the stages in order."""

    held_out: tuple[str, ...]
    stages: tuple[Stage, ...]


def read_settings(path: Path) -> Settings:
    """Read ``train.yaml``; unknown or missing keys raise TypeError or KeyError."""
    raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    stages = tuple(_stage(name, dict(block)) for name, block in raw["stages"].items())
    return Settings(tuple(raw["held_out"]), stages)


def _stage(name: str, block: dict[str, Any]) -> Stage:
    """One block of the file."""
    recipe = Recipe(**block.pop("recipe"))
    features = tuple(block.pop("features"))
    weights = tuple(block.pop("class_weights"))
    return Stage(name=name, features=features, class_weights=weights, recipe=recipe, **block)
