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
    """Square root of the 1st to 99.5th percentile of the body (above a twentieth of the bright end).

    The root spreads the dark end, where fluid-bright sequences put the liver.

    Parameters
    ----------
    image : float (i, j, k)
        Air near zero, any scale.

    Returns
    -------
    float (i, j, k)
        -1 to 1.
    """
    import torch

    flat = image.reshape(-1)
    some = flat[:: max(1, flat.numel() // 200_000)]
    body = some[some > 0.05 * torch.quantile(some, 0.99)]
    if body.numel() < 100:
        return torch.full_like(image, PAD)
    low, high = (float(torch.quantile(body, share)) for share in (0.01, 0.995))
    low = min(low, 0.02 * high)
    share = ((image - low) / max(high - low, 1e-6)).clamp(0, 1)
    return 2 * share.sqrt() - 1


RELATIVE_HU = 60.0
"""This far from the liver's own density is the end of the scale of `relative_to_liver` on CT."""
RELATIVE_MR = 0.6
"""The same on MR, as a part of the liver's intensity."""


def relative_to_liver(image: torch.Tensor, level: float, *, is_mr: bool) -> torch.Tensor:
    """How much darker or brighter than the liver, to [-1, 1].

    Fat, contrast phase and MR sequence move the liver's own intensity by more than a lesion differs
    from it; taken from that intensity, a lesion looks the same in all of them.

    Parameters
    ----------
    image : float (..., i, j, k)
        HU or MR intensities.
    level : float
        Intensity of the parenchyma (`liver_level`), in the same unit.
    """
    scale = RELATIVE_MR * max(level, 1e-6) if is_mr else RELATIVE_HU
    return ((image - level) / scale).clamp(-1, 1)


SECOND = 0.25
"""A second peak counts from this height against the highest."""
VALLEY = 0.97
"""Two peaks are two tissues where the valley between them is lower than this part of the lower one."""


def liver_level(values: torch.Tensor) -> float:
    """Most frequent intensity: that of the parenchyma while no one kind of lesion outnumbers it.

    Parameters
    ----------
    values : float (n,)
        Intensities inside the liver, lesions included; n > 0.
    """
    return liver_levels(values)[0]


def liver_levels(values: torch.Tensor) -> tuple[float, ...]:
    """What the intensity of the parenchyma may be: the most frequent one, then a brighter one.

    Where disease has replaced half of a liver, the most frequent intensity is that of the lesions.
    Metastases are darker than the liver on most CTs, so only brighter tissue can have been
    outnumbered; there is none in most livers.

    Parameters
    ----------
    values : float (n,)
        Intensities inside the liver, lesions included; n > 0.
    """
    import torch

    some = values[:: max(1, values.numel() // 100_000)]
    low, high = (float(torch.quantile(some, share)) for share in (0.01, 0.99))
    if high <= low:
        return (low,)
    counts = torch.histc(some, 128, low, high)
    bell = torch.exp(-0.5 * (torch.arange(-15, 16) / 5.0) ** 2)
    smooth = torch.nn.functional.conv1d(counts[None, None], bell[None, None], padding=15)[0, 0]
    peaks = [int(smooth.argmax())]
    peaks += _brighter(smooth.tolist(), peaks[0])
    return tuple(low + (peak + 0.5) * (high - low) / 128 for peak in peaks)


def _brighter(counts: list[float], highest: int) -> list[int]:
    """The tallest peak above the highest one that stands apart from it, if any."""
    found = [
        here
        for here in range(highest + 1, len(counts) - 1)
        if counts[here - 1] <= counts[here] > counts[here + 1]
        and counts[here] >= SECOND * counts[highest]
        and min(counts[highest:here]) < VALLEY * counts[here]
    ]
    return [max(found, key=lambda here: counts[here])] if found else []
