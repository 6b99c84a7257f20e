"""Image intensities to network input: about -1 for air, 1 for the bright end.

Training and inference share these functions; a difference between the two would go unseen and cost
accuracy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

WINDOW_HU = (-125.0, 275.0)
"""CT window mapped to [-1, 1]."""

PAD = -1.0
"""Value beyond the image: air. (Zero is soft tissue, with which the network finds no liver.)"""


def normalise_ct(hu: torch.Tensor) -> torch.Tensor:
    """HU to [-1, 1] over `WINDOW_HU`."""
    low, high = WINDOW_HU
    return ((hu - low) * (2 / (high - low)) - 1).clamp(-1, 1)


def normalise_mr(image: torch.Tensor) -> torch.Tensor:
    """The 1st to 99.5th percentile of the body (above a tenth of the bright end) to [-1, 1].

    Parameters
    ----------
    image : float (i, j, k)
        Air near zero, any scale.
    """
    import torch

    flat = image.reshape(-1)
    some = flat[:: max(1, flat.numel() // 200_000)]
    body = some[some > 0.1 * torch.quantile(some, 0.99)]
    if body.numel() < 100:
        return torch.full_like(image, PAD)
    low, high = (float(torch.quantile(body, share)) for share in (0.01, 0.995))
    low = min(low, 0.15 * high)
    return ((image - low) * (2 / max(high - low, 1e-6)) - 1).clamp(-1, 1)
