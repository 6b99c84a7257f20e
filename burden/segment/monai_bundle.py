"""Back end: the two networks of a MONAI bundle, from a volume to masks on its own grid.

A coarse network at 4 mm finds the liver's box anywhere in the scan; a fine one at 2 mm names every
voxel inside the box. Class probabilities, not labels, are brought back to the native grid, and the
decision falls there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels, Segmentation
from burden.segment.bundle import Bundle, Network, load_network, read_bundle
from burden.segment.intensity import PAD, normalise_ct, normalise_mr
from burden.segment.network import CLASS_NAMES, STRIDE
from burden.segment.sampling import from_upright, to_upright

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from burden.image import Volume

Progress = Callable[[str, float], None]
Box = tuple[slice, slice, slice]

LIVER, LESION, SPLEEN = (CLASS_NAMES.index(name) for name in ("liver", "lesion", "spleen"))
MARGIN_MM = 24.0
"""Added on every side of the box the coarse network finds."""
TOUCH_MM2 = 100.0
"""A liver that meets a side of the box over more than this goes on beyond it."""
LEAST_ML = 30.0
"""Less than this is taken as no liver."""


LEAST_CHANCE = 0.3
"""Components less likely to be lesions are left out; on held-out cases this took away the false
lesions of healthy livers and raised the lesion Dice."""
GOOD_RECALL = 0.85
"""A model that finds a smaller share of the lesions gives lower bounds only."""
HIDDEN = (
    "frilling.*",
    "debulk.*",
    "tumor.burden_*",
    "tumor.viable_volume",
    "lesion.count_*",
    "lesion.min_distance_*",
)
UNSOUND_ON_MR = Finding(
    "mr-model-unsound",
    "error",
    "The model never saw a real MR and failed on two of three test MRs. Give liver and lesion masks.",
    ("*",),
)


def misses(recall: float) -> tuple[Finding, ...]:
    """What to say of a model that overlooks lesions: what it finds is a lower bound.

    The draws move the surfaces of what was found; they know nothing of what was not, so a burden
    called far too low would look certain.
    """
    if recall >= GOOD_RECALL:
        return ()
    text = (
        f"This model overlooks lesions: on held-out CTs it found {recall:.0%} of them. Tumor volume, "
        "burden, count and sizes are lower bounds; a better mask can take its place (--lesions)."
    )
    return (Finding("lesions-overlooked", "warning", text, HIDDEN),)


def from_bundle(folder: Path) -> BundleSegmenter:
    """Segmenter of a bundle folder; reads and checks it now, loads the networks when called.

    Raises
    ------
    ModelError
        If the bundle is missing, damaged or not the one its hashes name.
    """
    return BundleSegmenter(read_bundle(folder))


@dataclass(frozen=True)
class BundleSegmenter:
    """The networks of a checked bundle as a `Segmenter`."""

    bundle: Bundle

    @property
    def source(self) -> str:
        """One line for people: bundle and version."""
        return f"{self.bundle.name} {self.bundle.version}"

    @property
    def manifest(self) -> dict[str, str]:
        """Name, version and the hash of each weights file."""
        return {"name": self.bundle.name, "version": self.bundle.version} | self.bundle.sha256

    def __call__(self, volume: Volume, *, device: str, progress: Progress) -> Segmentation:
        """Segment a CT (HU) or MR volume.

        Parameters
        ----------
        volume
            Any orientation and voxel size.
        device
            "auto", "cpu" or a torch device.
        progress
            Called with a step's name and the fraction of it that is done.

        Returns
        -------
        Segmentation
            On the grid of `volume`; lesions are not told apart. With no liver, empty masks and a
            finding.
        """
        import torch

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        progress("resample", 0.0)
        values, grid = to_upright(volume, self.bundle.fine.spacing_mm)
        normalise = normalise_ct if volume.modality == "CT" else normalise_mr
        image = normalise(torch.from_numpy(values))
        box = self._locate(image, device, progress)
        if box is None:
            return self._nothing(volume)
        logits, box = self._classify(image, box, device, progress)
        corner, stop = [cut.start for cut in box], [cut.stop for cut in box]
        return self._decide(self._probabilities(logits), grid.crop(corner, stop), volume, progress)

    def _locate(self, image: torch.Tensor, device: str, progress: Progress) -> Box | None:
        """Box of the liver and the spleen in the fine image, or None where there is no liver."""
        import torch

        plan = self.bundle.coarse
        factor = round(plan.spacing_mm / self.bundle.fine.spacing_mm)
        padding = [side for size in reversed(image.shape) for side in (0, -size % factor)]
        small = torch.nn.functional.pad(image, padding, value=PAD)
        small = torch.nn.functional.avg_pool3d(small[None, None], factor)[0, 0]
        coarse = load_network(self.bundle, plan, device)
        logits = slide(coarse, small, plan, device, lambda done: progress("locate", done))
        best = logits.argmax(0).numpy()
        voxel_ml = plan.spacing_mm**3 / 1000
        liver = largest_component((best == LIVER) | (best == LESION))
        if liver.sum() * voxel_ml < LEAST_ML:
            return None
        spleen = largest_component(best == SPLEEN)
        both = liver | spleen if spleen.sum() * voxel_ml > LEAST_ML else liver
        margin = MARGIN_MM / plan.spacing_mm
        spans = [(axis.min() - margin, axis.max() + 1 + margin) for axis in np.nonzero(both)]
        cuts = [
            slice(max(0, int(low * factor)), min(size, int(high * factor)))
            for (low, high), size in zip(spans, image.shape, strict=True)
        ]
        return cuts[0], cuts[1], cuts[2]

    def _classify(
        self, image: torch.Tensor, box: Box, device: str, progress: Progress
    ) -> tuple[torch.Tensor, Box]:
        """Logits of the fine network in the box, which grows while the liver reaches its sides."""
        plan = self.bundle.fine
        fine = load_network(self.bundle, plan, device)
        grown = 0
        while True:
            logits = slide(fine, image[box], plan, device, lambda done: progress("segment", done))
            wider = _wider(box, logits.argmax(0).numpy(), tuple(image.shape), plan.spacing_mm)
            if wider == box or grown == 2:
                return logits, box
            box, grown = wider, grown + 1

    def _probabilities(self, logits: torch.Tensor) -> NDArray[np.float32]:
        """Calibrated class probabilities, (classes, i, j, k)."""
        import torch

        scaled = logits / self.bundle.calibration.temperature
        shares: NDArray[np.float32] = torch.softmax(scaled, 0).numpy()
        return shares

    def _decide(
        self, shares: NDArray[np.float32], grid: Grid, volume: Volume, progress: Progress
    ) -> Segmentation:
        """Bring probabilities to the native grid and choose the class of each voxel there."""
        native_box = _box_on(volume.grid, grid)
        local = volume.grid.crop([cut.start for cut in native_box], [cut.stop for cut in native_box])
        lesion = from_upright(shares[LESION], grid, local)
        best = from_upright(shares[LIVER] + shares[LESION], grid, local)
        whole, winner = best.copy(), np.ones(local.shape, np.uint8)
        for value in range(len(CLASS_NAMES)):
            progress("decide", value / len(CLASS_NAMES))
            if value in (LIVER, LESION):
                continue
            share = from_upright(shares[value], grid, local)
            wins = share > best
            winner[wins] = value
            best[wins] = share[wins]
        liver = filled(largest_component(winner == LIVER))
        probability = np.zeros(volume.grid.shape, np.float16)
        probability[native_box] = np.where(liver, lesion, 0)
        lesions = liver & (lesion > 0.5 * whole) & (winner == LIVER)
        lesions, left_out = likely(
            lesions, lesion, self.bundle.calibration.lesion_existence, volume.grid.voxel_ml
        )
        findings = (UNSOUND_ON_MR,) if volume.modality == "MR" else misses(self.bundle.lesion_recall)
        winner[liver] = LIVER
        progress("decide", 1.0)
        if liver.sum() * volume.grid.voxel_ml < LEAST_ML:
            return self._nothing(volume)
        names = {CLASS_NAMES.index(name): name for name in self.bundle.structures}
        winner[~np.isin(winner, list(names))] = 0
        return Segmentation(
            liver=_placed(liver, native_box, volume.grid, {1: "liver"}),
            lesions=_placed(lesions, native_box, volume.grid, {1: "lesion"}),
            structures=_placed(winner, native_box, volume.grid, names) if names else None,
            lesion_probability=probability,
            liver_boundary_sd_mm=self.bundle.calibration.liver_boundary_sd_mm,
            lesion_boundary_sd_mm=self.bundle.calibration.lesion_boundary_sd_mm,
            lesion_existence=self.bundle.calibration.lesion_existence,
            source=self.source,
            findings=findings + left_out,
        )

    def _nothing(self, volume: Volume) -> Segmentation:
        """Empty masks, and the reason."""
        empty = np.zeros(volume.grid.shape, np.uint8)
        text = f"The model ({self.source}) found no liver in this image."
        return Segmentation(
            liver=Labels(empty, volume.grid, {1: "liver"}),
            lesions=Labels(empty, volume.grid, {1: "lesion"}),
            source=self.source,
            findings=(Finding("no-liver-found", "error", text, ("*",)),),
        )


def _wider(box: Box, best: NDArray[np.integer], shape: tuple[int, ...], spacing_mm: float) -> Box:
    """The box, grown on every side that the liver reaches although the image goes on beyond it."""
    liver = largest_component((best == LIVER) | (best == LESION))
    more = int(2 * MARGIN_MM / spacing_mm)
    cuts = []
    for axis, cut in enumerate(box):
        first, last = (np.take(liver, side, axis).sum() * spacing_mm**2 > TOUCH_MM2 for side in (0, -1))
        start = max(0, cut.start - more) if first else cut.start
        cuts.append(slice(start, min(shape[axis], cut.stop + more) if last else cut.stop))
    return cuts[0], cuts[1], cuts[2]


def largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest 6-connected component; an empty mask stays empty."""
    import cc3d

    component: NDArray[np.bool_] = np.asarray(cc3d.largest_k(mask, k=1, connectivity=6)) > 0
    return component


def likely(
    lesions: NDArray[np.bool_],
    share: NDArray[np.float32],
    existence: tuple[float, float, float],
    voxel_ml: float,
) -> tuple[NDArray[np.bool_], tuple[Finding, ...]]:
    """Keep the components that are lesions with a chance of at least `LEAST_CHANCE`.

    Parameters
    ----------
    lesions : bool (i, j, k)
    share : float (i, j, k)
        Lesion probability.
    existence
        Intercept, weight of the mean probability and of log10 mL of the logistic.
    voxel_ml
        Volume of a voxel.

    Returns
    -------
    lesions, findings
        What stays, and a note of what was left out.
    """
    import cc3d

    labels = cc3d.connected_components(lesions, connectivity=26)
    counts = np.maximum(1, np.bincount(labels.ravel()))
    mean = np.bincount(labels.ravel(), weights=share.ravel()) / counts
    intercept, probability, volume = existence
    score = intercept + probability * mean + volume * np.log10(counts * voxel_ml)
    keep = 1 / (1 + np.exp(-score)) >= LEAST_CHANCE
    keep[0] = False
    kept: NDArray[np.bool_] = keep[labels]
    number, lost = len(keep) - 1 - int(keep.sum()), float((lesions & ~kept).sum()) * voxel_ml
    if number == 0:
        return kept, ()
    text = (
        f"{number} spots ({lost:.1f} mL together) with a chance below {LEAST_CHANCE:.0%} of being "
        "lesions were left out."
    )
    return kept, (Finding("unlikely-lesions-left-out", "info", text),)


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask with its enclosed holes filled."""
    from scipy.ndimage import binary_fill_holes

    whole: NDArray[np.bool_] = binary_fill_holes(mask)
    return whole


def slide(
    net: torch.nn.Module,
    image: torch.Tensor,
    plan: Network,
    device: str,
    progress: Callable[[float], None],
) -> torch.Tensor:
    """Logits (classes, i, j, k) of an image (i, j, k) in overlapping windows, padded with air."""
    import torch
    from monai.inferers.utils import sliding_window_inference

    window = [min(plan.window, STRIDE * max(2, -(-size // STRIDE))) for size in image.shape]
    strides = [max(1, int(edge * (1 - plan.overlap))) for edge in window]
    counts = [
        1 + max(0, -(-(size - edge) // step))
        for size, edge, step in zip(image.shape, window, strides, strict=True)
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
            image[None, None],
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


def _box_on(grid: Grid, other: Grid) -> Box:
    """Index box of `grid` that covers `other`."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    places = grid.index(other.world(corners * np.array(other.shape) - 0.5))
    low = np.clip(np.floor(places.min(axis=0)).astype(int), 0, np.array(grid.shape) - 1)
    high = np.clip(np.ceil(places.max(axis=0)).astype(int) + 1, low + 1, grid.shape)
    return slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2])


def _placed(part: NDArray[np.generic], box: Box, grid: Grid, names: dict[int, str]) -> Labels:
    """Put a box of labels into an otherwise empty volume."""
    data = np.zeros(grid.shape, np.uint8)
    data[box] = part
    return Labels(data, grid, names)
