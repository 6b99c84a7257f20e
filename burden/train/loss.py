"""Cross-entropy on all classes plus soft Dice on the whole liver, on lesions and on the organs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burden.train.lesions import LESION, LIVER

if TYPE_CHECKING:
    import torch

ORGANS = 0.5
"""Weight of the organs' Dice beside those of liver and lesions."""


def segmentation_loss(
    logits: torch.Tensor, target: torch.Tensor, class_weights: torch.Tensor
) -> torch.Tensor:
    """Loss of a batch; a Dice term counts only where its structure is present.

    Parameters
    ----------
    logits : float (b, classes, i, j, k)
    target : int64 (b, i, j, k)
    class_weights : float (classes,)

    Returns
    -------
    torch.Tensor
        Scalar.
    """
    import torch

    logits = logits.float()
    loss = torch.nn.functional.cross_entropy(logits, target, weight=class_weights)
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


def _one_minus_dice(predicted: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    overlap = (predicted * wanted).sum()
    return 1 - (2 * overlap + 1) / (predicted.sum() + wanted.sum() + 1)
