"""Training settings read from ``train.yaml``: one block for each of the two networks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from burden.errors import UsageError
from burden.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a run with its own patches and step sizes.

    Attributes
    ----------
    until : float
        Part of the whole run at which this phase ends; 1 for the last.
    learning_rate : float
        AdamW step size before the polynomial decay over the whole run.
    beta2, clip, ema : float
        AdamW's memory of squared gradients, largest gradient norm, decay of the averaged weights.
    class_weights : tuple of float
        Cross-entropy weights.
    """

    until: float
    learning_rate: float
    beta2: float
    clip: float
    ema: float
    class_weights: tuple[float, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Stage:
    """How one network is trained.

    Attributes
    ----------
    name : str
        "coarse" (locator), "fine" (CT) or "fine_mr".
    features : tuple of 6 int
        Network widths.
    factor : int
        How many times coarser than the pack.
    merge_lesions : bool
        Train liver with lesions as one class.
    classes : int
        How many of `burden.segment.network.CLASS_NAMES` it tells apart; the rest is background.
    channels : int
        1: intensity; 2: also intensity relative to the liver.
    detail : int
        Channels of the full-resolution head; 0 for none.
    share : float
        Part of the total time.
    steps : int
        Length of the run when neither minutes nor steps are given.
    weight_decay, decay_power : float
        Of AdamW; exponent of the polynomial decay of the learning rate.
    """

    name: str
    features: tuple[int, ...]
    factor: int
    merge_lesions: bool
    classes: int
    channels: int
    share: float
    steps: int
    weight_decay: float
    decay_power: float
    phases: tuple[Phase, ...]
    detail: int = 0

    def phase(self, progress: float) -> Phase:
        """The phase at this part of the run."""
        return next((one for one in self.phases if progress < one.until), self.phases[-1])


@dataclass(frozen=True, slots=True)
class Settings:
    """All training settings: the cases kept out of training, and the stages in order."""

    held_out: tuple[str, ...]
    stages: tuple[Stage, ...]


def read_settings(path: Path) -> Settings:
    """Read ``train.yaml``.

    Raises
    ------
    UsageError
        If the file is not as it should be.
    """
    try:
        raw: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        stages = tuple(_stage(name, dict(block)) for name, block in raw["stages"].items())
        return Settings(tuple(raw["held_out"]), stages)
    except (OSError, KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
        raise UsageError(f"the training settings cannot be used ({error}).", where=path) from error


def _stage(name: str, block: dict[str, Any]) -> Stage:
    """One block of the file; a phase states only what differs from the one before it."""
    phases: list[Phase] = []
    before: dict[str, Any] = {}
    for part in block.pop("phases"):
        recipe = {**before.get("recipe", {}), **part.get("recipe", {})}
        before = {**before, **part, "recipe": recipe}
        fixed: dict[str, Any] = {key: _tuple(value) for key, value in recipe.items()}
        whole = {**before, "class_weights": _tuple(before["class_weights"]), "recipe": Recipe(**fixed)}
        phases.append(Phase(**whole))
    return Stage(name=name, features=tuple(block.pop("features")), phases=tuple(phases), **block)


def _tuple(value: Any) -> Any:
    """YAML lists as tuples, so that settings cannot be changed by mistake."""
    return tuple(value) if isinstance(value, list) else value
