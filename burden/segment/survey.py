"""The whole image at low resolution: where the liver is, how bright it is, and the organs about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from burden.grid import Grid
from burden.image import Labels
from burden.segment.bundle import Network
from burden.segment.intensity import PAD, liver_levels
from burden.segment.network import CLASS_NAMES
from burden.segment.sampling import from_upright
from burden.segment.windows import slide

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

Box = tuple[slice, slice, slice]

LIVER, LESION, SPLEEN = (CLASS_NAMES.index(name) for name in ("liver", "lesion", "spleen"))
MARGIN_MM = 24.0
"""Added on every side of the box the coarse network finds."""
LEAST_ML = 30.0
"""Less than this is taken as no liver."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What the coarse network saw in the whole image.

    Parameters
    ----------
    shares : float (classes, i, j, k)
        Class probabilities.
    grid
        Where they are.
    liver, spleen : bool (i, j, k)
        Largest component of each.
    """

    shares: NDArray[np.float32]
    grid: Grid
    liver: NDArray[np.bool_]
    spleen: NDArray[np.bool_]


def look_round(
    net: torch.nn.Module,
    plan: Network,
    image: torch.Tensor,
    grid: Grid,
    device: str,
    progress: Callable[[float], None],
) -> Survey:
    """Run the coarse network over a whole image.

    Parameters
    ----------
    image : float (i, j, k)
        Normalised, finer than the network's own spacing by a whole factor.
    grid
        Where it is: an upright isotropic grid.
    """
    import torch

    spacing_mm = grid.spacing[0]
    factor = round(plan.spacing_mm / spacing_mm)
    padding = [side for size in reversed(image.shape) for side in (0, -size % factor)]
    small = torch.nn.functional.pad(image, padding, value=PAD)
    small = torch.nn.functional.avg_pool3d(small[None, None], factor)[0, 0]
    logits = slide(net, small[None], plan, device, progress)
    shift = (plan.spacing_mm - spacing_mm) / 2
    origin = grid.affine[:3, 3] + shift * np.ones(3)
    place = Grid.from_axes(tuple(small.shape), [plan.spacing_mm] * 3, origin)
    shares: NDArray[np.float32] = torch.softmax(logits, 0).numpy()
    best = shares.argmax(0)
    liver = largest_component((best == LIVER) | (best == LESION))
    spleen = largest_component(best == SPLEEN)
    return Survey(shares, place, liver, spleen)


def box_of(coarse: Survey, spacing_mm: float, shape: Sequence[int]) -> Box | None:
    """Box of the liver and the spleen in the fine image, or None where there is no liver."""
    step_mm = coarse.grid.spacing[0]
    if coarse.liver.sum() * coarse.grid.voxel_ml < LEAST_ML:
        return None
    margin, factor = MARGIN_MM / step_mm, step_mm / spacing_mm
    beside = _beside(coarse.spleen, coarse.liver, margin)
    has_spleen = beside and coarse.spleen.sum() * coarse.grid.voxel_ml > LEAST_ML
    both = coarse.liver | coarse.spleen if has_spleen else coarse.liver
    spans = [(axis.min() - margin, axis.max() + 1 + margin) for axis in np.nonzero(both)]
    cuts = [
        slice(max(0, int(low * factor)), min(size, int(high * factor)))
        for (low, high), size in zip(spans, shape, strict=True)
    ]
    return cuts[0], cuts[1], cuts[2]


def _beside(spleen: NDArray[np.bool_], liver: NDArray[np.bool_], margin: float) -> bool:
    """Whether a spleen lies at the height of the liver; in a pelvis it is none."""
    spans = [np.flatnonzero(one.any(axis=(0, 1))) for one in (spleen, liver)]
    return bool(
        spans[0].size and spans[0][0] <= spans[1][-1] + margin and spans[0][-1] >= spans[1][0] - margin
    )


def away_mm(coarse: Survey) -> NDArray[np.float32]:
    """Distance from the coarse liver on its own grid, 0 inside it."""
    import edt

    mask = np.ascontiguousarray(~coarse.liver)
    distance: NDArray[np.float32] = edt.edt(mask, anisotropy=coarse.grid.spacing)
    return distance


def finer(coarse: Survey, shape: Sequence[int]) -> NDArray[np.bool_]:
    """The coarse liver on the fine image, bool (i, j, k)."""
    mask = coarse.liver
    for axis in range(3):
        mask = np.repeat(mask, -(-shape[axis] // coarse.liver.shape[axis]), axis)
    return np.asarray(mask[: shape[0], : shape[1], : shape[2]])


def levels_of(raw: torch.Tensor, coarse: Survey) -> tuple[float, ...]:
    """What the intensity of the parenchyma may be, from the inside of the coarse liver."""
    import torch
    from scipy.ndimage import binary_erosion

    inner = binary_erosion(coarse.liver)
    inner = inner if inner.any() else coarse.liver
    mask = finer(replace(coarse, liver=inner), raw.shape)
    return liver_levels(raw[torch.from_numpy(mask)])


def structures_of(
    shares: NDArray[np.float32], grid: Grid, names: tuple[str, ...], liver: Labels
) -> Labels | None:
    """Organs and vessels on the grid of the liver and outside it; None where none is named.

    Parameters
    ----------
    shares : float (classes, i, j, k)
        Class probabilities on `grid`.
    """
    if not names:
        return None
    out = np.zeros(liver.grid.shape, np.uint8)
    for name in names:
        value = CLASS_NAMES.index(name)
        share = shares[value]
        sure = share > 0.5
        if not sure.any():
            continue
        corner = [max(0, int(axis.min()) - 1) for axis in np.nonzero(sure)]
        stop = [
            min(size, int(axis.max()) + 2)
            for size, axis in zip(sure.shape, np.nonzero(sure), strict=True)
        ]
        cut = tuple(slice(low, high) for low, high in zip(corner, stop, strict=True))
        place = grid.crop(corner, stop)
        box = box_on(liver.grid, place)
        local = liver.grid.crop([one.start for one in box], [one.stop for one in box])
        inside = from_upright(np.ascontiguousarray(share[cut]), place, local) > 0.5
        out[box][main_components(inside)] = value
    out[liver.data > 0] = 0
    return Labels(out, liver.grid, {CLASS_NAMES.index(name): name for name in names})


def main_components(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Components of at least a fifth of the largest one: two kidneys stay, specks go."""
    import cc3d

    labels = cc3d.connected_components(mask, connectivity=26)
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    keep = counts >= max(1, counts.max() / 5)
    kept: NDArray[np.bool_] = keep[labels]
    return kept


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 6-connected component; an empty mask stays empty."""
    import cc3d

    component: NDArray[np.bool_] = np.asarray(cc3d.largest_k(mask, k=1, connectivity=6)) > 0
    return component


def component_at(mask: NDArray[np.bool_], place: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The 6-connected component with most voxels in `place`; the largest where none has any.

    In a scan of the whole trunk a full bladder may look like a larger liver than the liver.
    """
    import cc3d

    labels = cc3d.connected_components(mask, connectivity=6)
    counts = np.bincount(labels[place & mask])
    if counts.size == 0:
        return largest_component(mask)
    return np.asarray(labels == counts.argmax())


def box_on(grid: Grid, other: Grid) -> Box:
    """Index box of `grid` that covers `other`."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    places = grid.index(other.world(corners * np.array(other.shape) - 0.5))
    low = np.clip(np.floor(places.min(axis=0)).astype(int), 0, np.array(grid.shape) - 1)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + 1, low + 1, grid.shape)
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])
