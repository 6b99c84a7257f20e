"""One seeded source of chance for a patch: scalars from numpy, smooth fields from torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Draw:
    """Random numbers of one training step; the same seed and step give the same patch.

    Parameters
    ----------
    seed, step : int
        Together they fix every later draw, which makes an interrupted run resumable without saving
        generator states.
    """

    def __init__(self, seed: int, step: int) -> None:
        import torch

        self.rng = np.random.default_rng([seed, step])
        self.torch = torch.Generator().manual_seed(int(self.rng.integers(2**62)))

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))

    def log_between(self, low: float, high: float) -> float:
        """A log-uniform number; both limits positive."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def whole(self, low: int, high: int) -> int:
        """A whole number, both limits included."""
        return int(self.rng.integers(low, high + 1))

    def noise(self, shape: tuple[int, int, int]) -> torch.Tensor:
        """White noise of unit variance, (i, j, k)."""
        import torch

        return torch.randn(shape, generator=self.torch)

    def field(self, shape: tuple[int, int, int], cell: float) -> torch.Tensor:
        """Smooth noise of about unit variance, (i, j, k), with features of about `cell` voxels."""
        import torch

        coarse = [max(2, round(size / cell) + 1) for size in shape]
        seed = torch.randn((1, 1, *coarse), generator=self.torch)
        smooth = torch.nn.functional.interpolate(seed, size=shape, mode="trilinear", align_corners=True)
        return smooth[0, 0] * 1.6  # linear interpolation loses variance
