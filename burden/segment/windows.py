"""A network over an image larger than its window."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from burden.segment.bundle import Network
from burden.segment.intensity import PAD
from burden.segment.network import STRIDE

if TYPE_CHECKING:
    import torch


def slide(
    net: torch.nn.Module,
    image: torch.Tensor,
    plan: Network,
    device: str,
    progress: Callable[[float], None],
) -> torch.Tensor:
    """Logits (classes, i, j, k) of an image (channels, i, j, k), in overlapping windows."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    window = [min(plan.window, STRIDE * max(2, -(-size // STRIDE))) for size in image.shape[1:]]
    strides = [max(1, int(edge * (1 - plan.overlap))) for edge in window]
    counts = [
        1 + max(0, -(-(size - edge) // step))
        for size, edge, step in zip(image.shape[1:], window, strides, strict=True)
    ]
    done = 0

    def predict(batch: torch.Tensor) -> torch.Tensor:
        nonlocal done
        logits: torch.Tensor = net(batch).float()
        done += len(batch)
        progress(min(1.0, done / float(np.prod(counts))))
        return logits

    with (
        torch.inference_mode(),
        torch.autocast("cuda", torch.bfloat16, enabled=device.startswith("cuda")),
    ):
        logits = sliding_window_inference(
            image[None],
            roi_size=window,
            sw_batch_size=1,
            predictor=predict,
            overlap=plan.overlap,
            mode="gaussian",
            padding_mode="constant",
            cval=PAD,
            sw_device=device,
            device="cpu",
        )
    assert isinstance(logits, torch.Tensor)  # noqa: S101  # one output, so no tuple or dict
    return logits[0].clone()
