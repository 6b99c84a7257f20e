"""Cross-entropy on all classes plus soft Dice on the whole liver and on lesions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from burden.train.lesions import LESION, LIVER

if TYPE_CHECKING:
    import torch


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
            overlap = (predicted * wanted).sum()
            loss = loss + 1 - (2 * overlap + 1) / (predicted.sum() + wanted.sum() + 1)
    return loss
