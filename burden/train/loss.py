"""Cross-entropy on all classes plus soft Dice on the whole liver, on lesions and on the organs.

A voxel of a small lesion weighs more than one of a large one. Without that a lesion of 8 mm beside
one of 60 mm is a four-hundredth of the loss, and to overlook it costs nothing. The liver right
around it weighs as much, or else the lesion would be drawn too large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from burden.train.lesions import LESION, LIVER

if TYPE_CHECKING:
    import torch

ORGANS = 0.5
"""Weight of the organs' Dice beside those of liver and lesions."""
LARGE_MM = 25.0
"""Diameter from which a voxel of a lesion weighs 1; below, as much more as the lesion is narrower."""
HEAVIEST = 4.0
"""What a voxel weighs at most."""
AROUND = 2
"""Voxels around a lesion that weigh as much as it does."""


def segmentation_loss(
    logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor, spacing_mm: float
) -> torch.Tensor:
    """Loss of a batch; a Dice term counts only where its structure is present.

    Parameters
    ----------
    logits : float (b, classes, i, j, k)
    target : int64 (b, i, j, k)
    class_weights : float (classes,)
    spacing_mm : float
        Isotropic voxel size.

    Returns
    -------
    torch.Tensor
        Scalar.
    """
    import torch

    logits = logits.float()
    surprise = torch.nn.functional.cross_entropy(logits, target, weight=class_weights, reduction="none")
    loss = (surprise * lesion_weights(target, spacing_mm)).sum() / class_weights[target].sum()
    share = torch.softmax(logits, dim=1)
    lesion = share[:, LESION]
    for predicted, wanted in (
        (lesion + share[:, LIVER], (target == LIVER) | (target == LESION)),
        (lesion, target == LESION),
    ):
        if bool(wanted.any()):
            loss = loss + _one_minus_dice(predicted, wanted)
    # Organs are few voxels: without a term of their own they are never learned.
    organs = [value for value in range(LESION + 1, share.shape[1]) if bool((target == value).any())]
    missed = [_one_minus_dice(share[:, value], target == value) for value in organs]
    return loss + ORGANS * sum(missed, torch.zeros((), device=loss.device)) / max(1, len(missed))


def lesion_weights(target: torch.Tensor, spacing_mm: float) -> torch.Tensor:
    """Weight of each voxel by the size of the lesion it is part of or beside; 1 elsewhere.

    Parameters
    ----------
    target : int64 (b, i, j, k)
    spacing_mm : float
        Isotropic voxel size.

    Returns
    -------
    torch.Tensor
        float (b, i, j, k), from 1 to `HEAVIEST`.
    """
    import cc3d
    import torch

    weights = np.ones(tuple(target.shape), np.float32)
    for one, classes in zip(weights, target.cpu().numpy(), strict=True):
        labels = cc3d.connected_components(classes == LESION, connectivity=26)
        sizes = np.bincount(labels.ravel())
        diameters_mm = (6 / np.pi * sizes) ** (1 / 3) * spacing_mm
        by_lesion = np.clip(LARGE_MM / np.maximum(diameters_mm, 1e-6), 1, HEAVIEST)
        by_lesion[0] = 1
        one[:] = by_lesion[labels]
    width = 2 * AROUND + 1
    spread = torch.nn.functional.max_pool3d(torch.from_numpy(weights)[:, None], width, 1, AROUND)
    return spread[:, 0].to(target.device)


def _one_minus_dice(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    overlap = (predicted * wanted).sum()
    return 1 - (2 * overlap + 1) / (predicted.sum() + wanted.sum() + 1)
