"""The network: a MONAI BasicUNet behind a 2x2x2 space-to-depth stem, and a thin full-resolution head.

Eight neighbouring voxels become eight channels, the U-Net works on the eight times smaller grid,
and its output is unfolded again. On two CPU cores that is about five times faster per voxel than
the same net at full resolution. The head looks once more at each voxel and its neighbours, beside
what the U-Net knows there, and corrects the U-Net's answer: outlines and small lesions are its work.
torch and monai are imported inside the functions, so that ``import burden`` stays fast.
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
    features: Sequence[int], classes: int = len(CLASS_NAMES), channels: int = 1, detail: int = 0
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
    detail : int
        Channels of the full-resolution head; 0 for none. A new head changes nothing until it is
        trained, so it can be added to trained weights.

    Returns
    -------
    torch.nn.Module
        Maps (batch, channels, i, j, k) to logits (batch, classes, i, j, k); i, j, k are multiples of
        `STRIDE`.
    """
    import torch
    from monai.networks.nets.basic_unet import BasicUNet

    class FoldedUNet(torch.nn.Module):
        """Space-to-depth, BasicUNet, depth-to-space; plus what the head adds."""

        def __init__(self) -> None:
            super().__init__()
            self.unet = BasicUNet(
                spatial_dims=3,
                in_channels=8 * channels,
                out_channels=8 * classes,
                features=tuple(int(width) for width in features),
                norm=("instance", {"affine": True}),
            )
            if detail:
                self.near = convolution(channels)
                self.wide = torch.nn.Conv3d(int(features[-1]), 8 * detail, 1)
                self.both = convolution(2 * detail)
                self.correction = torch.nn.Conv3d(detail, classes, 1)
                for parameter in self.correction.parameters():
                    torch.nn.init.zeros_(parameter)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            known = self.decoded(_fold(image))
            logits = _unfold(self.unet.final_conv(known))
            if not detail:
                return logits
            seen = torch.cat([self.near(image), _unfold(self.wide(known))], 1)
            correction: torch.Tensor = self.correction(self.both(seen))
            return logits + correction

        def decoded(self, cells: torch.Tensor) -> torch.Tensor:
            """The U-Net up to its last convolution: (b, 8c, i, j, k) to (b, features[5], i, j, k)."""
            net, levels = self.unet, [self.unet.conv_0(cells)]
            for down in (net.down_1, net.down_2, net.down_3, net.down_4):
                levels.append(down(levels[-1]))
            known: torch.Tensor = levels.pop()
            for up in (net.upcat_4, net.upcat_3, net.upcat_2, net.upcat_1):
                known = up(known, levels.pop())
            return known

    def convolution(width: int) -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Conv3d(width, detail, 3, padding=1),
            torch.nn.InstanceNorm3d(detail, affine=True),
            torch.nn.LeakyReLU(0.1),
        )

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
    if name != "FoldedUNet" or set(args) - {"detail"} != {"features", "classes", "channels"}:
        raise ValueError(f"unknown network {name!r} with arguments {sorted(args)}")
    features, classes, channels = args["features"], args["classes"], args["channels"]
    detail = args.get("detail", 0)
    sane = (
        isinstance(features, list)
        and len(features) == 6
        and all(isinstance(width, int) and 0 < width <= 1024 for width in features)
        and isinstance(classes, int)
        and 0 < classes <= 256
        and channels in (1, 2)
        and isinstance(detail, int)
        and 0 <= detail <= 256
    )
    if not sane:
        raise ValueError(
            f"network {name!r}: six widths up to 1024, classes and detail up to 256 and 1 or 2 channels "
            "are allowed"
        )
    return folded_unet(features, classes, channels, detail)
