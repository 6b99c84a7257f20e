"""The network: a MONAI BasicUNet behind a 2x2x2 space-to-depth stem.

Eight neighbouring voxels become eight channels, the U-Net works on the eight times smaller grid,
and its output is unfolded again. On two CPU cores that is about five times faster per voxel than
the same net at full resolution. torch and monai are imported inside the functions, so that ``import
burden`` stays fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

CLASS_NAMES: tuple[str, ...] = (
    "background",
    "liver",
    "lesion",
    "inferior_vena_cava",
    "portal_vein",
    "gallbladder",
    "spleen",
    "aorta",
    "kidneys",
)
"""Output channels in order. Channel 1 is liver parenchyma, so the whole liver is channel 1 or 2."""

STRIDE = 32
"""Patch sizes must be a multiple of this: factor 2 in the stem, 2**4 in the U-Net.

At least twice this, for instance normalisation needs more than one cell at the deepest level.
"""


def folded_unet(
    features: Sequence[int], classes: int = len(CLASS_NAMES), channels: int = 1
) -> torch.nn.Module:
    """Build the network with random weights.

    Parameters
    ----------
    features : sequence of int, length 6
        Channels of the BasicUNet: five levels going down and the last one going up.
    classes : int
        Number of output channels, the first ones of `CLASS_NAMES`.
    channels : int
        Number of input channels.

    Returns
    -------
    torch.nn.Module
        Maps (batch, channels, i, j, k) to logits (batch, classes, i, j, k); i, j, k are multiples of
        `STRIDE`.
    """
    import torch
    from monai.networks.nets.basic_unet import BasicUNet

    class FoldedUNet(torch.nn.Module):
        """Space-to-depth, BasicUNet, depth-to-space."""

        def __init__(self) -> None:
            super().__init__()
            self.unet = BasicUNet(
                spatial_dims=3,
                in_channels=8 * channels,
                out_channels=8 * classes,
                features=tuple(int(width) for width in features),
                norm=("instance", {"affine": True}),
            )

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return _unfold(self.unet(_fold(image)))

    return FoldedUNet()


def _fold(image: torch.Tensor) -> torch.Tensor:
    """(b, c, 2i, 2j, 2k) -> (b, 8c, i, j, k)."""
    batch, channels, i, j, k = image.shape
    cells = image.reshape(batch, channels, i // 2, 2, j // 2, 2, k // 2, 2)
    return cells.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, 8 * channels, i // 2, j // 2, k // 2)


def _unfold(logits: torch.Tensor) -> torch.Tensor:
    """(b, 8c, i, j, k) -> (b, c, 2i, 2j, 2k)."""
    batch, channels, i, j, k = logits.shape
    cells = logits.reshape(batch, channels // 8, 2, 2, 2, i, j, k)
    return cells.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(batch, channels // 8, 2 * i, 2 * j, 2 * k)


def build(name: str, args: Mapping[str, Any]) -> torch.nn.Module:
    """Build a network from the white list by name; a bundle can name nothing else.

    Raises
    ------
    ValueError
        If the name is not on the list or an argument is not an int or a list of six ints.
    """
    if name != "FoldedUNet" or set(args) != {"features", "classes", "channels"}:
        raise ValueError(f"unknown network {name!r} with arguments {sorted(args)}")
    features, classes, channels = args["features"], args["classes"], args["channels"]
    sane = (
        isinstance(features, list)
        and len(features) == 6
        and all(isinstance(width, int) and 0 < width <= 1024 for width in features)
        and isinstance(classes, int)
        and 0 < classes <= 256
        and channels in (1, 2)
    )
    if not sane:
        raise ValueError(
            f"network {name!r}: six widths up to 1024, classes up to 256 and 1 or 2 channels are allowed"
        )
    return folded_unet(features, classes, channels)
