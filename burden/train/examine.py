"""How good a bundle is on held-out images that it was not calibrated on: the figures of its card.

Each image goes through the back end and the measurements as a user's would, and is held against
its truth measured in the same way. Lesions are synthetic; real ones are harder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.errors import NotALiverError
from burden.facts import Fact, Facts
from burden.train.calibrate import FOUND_OVERLAP, LEAST_VOXELS
from burden.train.settings import read_settings
from burden.train.trials import SPACING_MM, Trial, trials

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from burden.image import Segmentation
    from burden.segment import Segmenter

COVERED = ("liver.volume", "tumor.volume", "tumor.burden", "lesion.count", "lesion.largest_diameter")
"""Facts whose 90 % intervals are held against the truth."""
BANDS_MM = (0.0, 10.0, 20.0, 50.0, np.inf)
"""Limits of the size bands of lesion recall: diameter of the sphere of the lesion's volume."""
BANDS_CONTRAST = (0.0, 1.0, 2.0, np.inf)
"""Limits of the bands of contrast-to-noise ratio, of lesions of 10 mm and more."""


@dataclass(frozen=True, eq=False)
class View:
    """The axial slice with the most wrong tumor, or the most wrong liver where there is no tumor.

    Attributes
    ----------
    image : float (i, j)
        HU or MR intensities.
    true, found : uint8 (i, j)
        0 outside, 1 liver, 2 lesion.
    """

    image: NDArray[np.floating]
    true: NDArray[np.uint8]
    found: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class TrueLesion:
    """A lesion that is there, and whether it was found.

    Attributes
    ----------
    diameter_mm : float
        Of the sphere of its volume.
    contrast_to_noise : float
        How far its mean lies from the median of the liver, in standard deviations of the liver.
    """

    diameter_mm: float
    contrast_to_noise: float
    found: bool


@dataclass(frozen=True)
class Examined:
    """One image: what was found, what is true.

    Attributes
    ----------
    values : dict
        Fact id -> (true, found, 5th percentile, 95th percentile); NaN where not measured.
    lesions : tuple of TrueLesion
    spots : tuple of (probability, true)
        Each found lesion, its stated chance of being one, and whether it is.
    view : View, optional
        Where most was wrong.
    """

    case: str
    kind: str
    liver_dice: float
    lesion_dice: float
    values: dict[str, tuple[float, float, float, float]]
    lesions: tuple[TrueLesion, ...]
    spots: tuple[tuple[float, bool], ...]
    view: View | None = None


def examine(
    pack: Path,
    bundle_folder: Path,
    *,
    repeats: int = 6,
    seed: int = 2,
    draws: int = 64,
    modality: str = "CT",
) -> list[Examined]:
    """Segment and measure held-out images.

    Parameters
    ----------
    pack, repeats, seed
        As for `burden.train.trials.trials`; the seed differs from the one calibrated with.
    draws : int
        Joint draws behind the intervals.
    modality : str
        "CT" or "MR".
    """
    from burden.segment.monai_bundle import from_bundle

    settings = read_settings(bundle_folder / "configs" / "train.yaml")
    segmenter = from_bundle(bundle_folder)
    return [
        examine_one(segmenter, trial, draws=draws)
        for trial in trials(pack, settings, repeats=repeats, seed=seed)
        if trial.volume.modality == modality
    ]


def examine_one(segmenter: Segmenter, trial: Trial, *, draws: int) -> Examined:
    """Segment and measure one image and hold it against its truth."""
    found = segmenter(trial.volume, device="cpu", progress=lambda _step, _done: None)
    truth = trial.truth
    found_lesions, true_lesions = found.lesions.data > 0, truth.lesions.data > 0
    parenchyma = (truth.liver.data > 0) & ~true_lesions
    contrast = _contrast_to_noise(np.asarray(trial.volume.data), parenchyma)
    lesions, spots = _match(found_lesions, true_lesions, found, contrast)
    # The findings would withdraw what is to be examined here.
    values = _values(trial, replace(found, findings=()), truth, draws)
    return Examined(
        case=trial.case,
        kind=trial.kind,
        liver_dice=_dice(found.liver.data > 0, truth.liver.data > 0),
        lesion_dice=_dice(found_lesions, true_lesions) if true_lesions.any() else np.nan,
        values=values,
        lesions=lesions,
        spots=spots,
        view=_view(trial.volume.data, truth, found),
    )


def _view(image: NDArray[np.generic], truth: Segmentation, found: Segmentation) -> View:
    """The slice where most is wrong."""
    true, said = (
        (one.liver.data > 0).astype(np.uint8) + (one.lesions.data > 0) for one in (truth, found)
    )
    wrong = ((true == 2) != (said == 2)) if (true == 2).any() else true != said
    worst = int(wrong.sum(axis=(0, 1)).argmax())
    plane = np.array(image[:, :, worst], dtype=float)
    return View(plane, true[:, :, worst].copy(), said[:, :, worst].copy())


def _values(
    trial: Trial, found: Segmentation, truth: Segmentation, draws: int
) -> dict[str, tuple[float, float, float, float]]:
    """True value, found value and 90 % interval of each fact of `COVERED`."""
    from burden.measure import measure

    true = measure(trial.volume, truth, Facts(), draws=0).facts
    try:
        said = measure(trial.volume, found, Facts(), draws=draws).facts
    except NotALiverError:
        return {}
    values, found_any = {}, bool((found.lesions.data > 0).any())
    for fact in COVERED:
        spread = said[fact].draws
        low, high = np.nan, np.nan
        # Where no lesion was found the totals are given as open upwards, without an interval.
        if spread is not None and (found_any or fact == "liver.volume"):
            low, high = (float(v) for v in np.quantile(spread.astype(float), (0.05, 0.95)))
        values[fact] = (_number(true[fact]), _number(said[fact]), low, high)
    return values


def _number(fact: Fact) -> float:
    return np.nan if fact.estimate is None else float(fact.estimate)


def _contrast_to_noise(image: NDArray[np.generic], parenchyma: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far each voxel lies from the median of the liver, in its (robust) standard deviations."""
    values = image[parenchyma].astype(float)
    if not values.size:
        return np.full(image.shape, np.nan)
    middle = np.median(values)
    noise = 1.4826 * np.median(np.abs(values - middle))
    return np.asarray((image.astype(float) - middle) / max(float(noise), 1e-6))


def _match(
    found: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    segmentation: Segmentation,
    contrast: NDArray[np.float64],
) -> tuple[tuple[TrueLesion, ...], tuple[tuple[float, bool], ...]]:
    """Hold found lesions against true ones, 26-connected, at `FOUND_OVERLAP`."""
    import cc3d

    real = cc3d.connected_components(truth, connectivity=26)
    sizes = np.bincount(real.ravel())
    covered = np.bincount(real.ravel(), weights=found.ravel()) >= FOUND_OVERLAP * sizes
    diameters = (6 / np.pi * sizes * SPACING_MM**3) ** (1 / 3)
    away = np.abs(np.bincount(real.ravel(), weights=contrast.ravel()) / np.maximum(1, sizes))
    lesions = [
        TrueLesion(float(diameters[one]), float(away[one]), bool(covered[one]))
        for one in range(1, len(sizes))
        if sizes[one] >= LEAST_VOXELS
    ]
    labels = cc3d.connected_components(found, connectivity=26)
    counts = np.maximum(1, np.bincount(labels.ravel()))
    right = np.bincount(labels.ravel(), weights=truth.ravel()) >= FOUND_OVERLAP * counts
    chance = _chances(labels, counts, segmentation)
    spots = [
        (float(chance[one]), bool(right[one]))
        for one in range(1, len(counts))
        if counts[one] >= LEAST_VOXELS
    ]
    return tuple(lesions), tuple(spots)


def _chances(
    labels: NDArray[np.integer], counts: NDArray[np.integer], found: Segmentation
) -> NDArray[np.float64]:
    """Stated chance of each component to be a lesion."""
    if found.lesion_existence is None or found.lesion_probability is None:
        return np.ones(len(counts))
    share = found.lesion_probability.astype(np.float64)
    mean = np.bincount(labels.ravel(), weights=share.ravel()) / counts
    intercept, probability, volume = found.lesion_existence
    score = intercept + probability * mean + volume * np.log10(counts * SPACING_MM**3 / 1000)
    return np.asarray(1 / (1 + np.exp(-score)))


def total_errors(images: Sequence[Examined]) -> list[list[float]]:
    """How far off the totals of diseased CTs are, for `burden.image.Segmentation.total_errors`."""
    facts = ("tumor.burden", "lesion.count", "lesion.largest_diameter")
    told = [i.values for i in images if i.kind == "CT" and i.values and i.values["lesion.count"][1] > 0]
    rows = [[np.sqrt(one[fact][0]) - np.sqrt(one[fact][1]) for fact in facts] for one in told]
    return [[round(float(value), 3) for value in row] for row in rows]


def widening(images: Sequence[Examined], fact: str) -> float:
    """By how much the 90 % intervals of a fact must grow to hold the truth in 90 % of the images.

    At least 1: intervals that are wide enough by luck stay as they are. Of n images the one at rank
    0.9 (n + 1) decides, which makes it hold for the next image too (split conformal prediction).
    """
    rows = [image.values[fact] for image in images if fact in image.values]
    misses = [abs(true - found) / ((high - low) / 2) for true, found, low, high in rows if high > low]
    if not misses:
        return 1.0
    rank = min(len(misses), int(np.ceil(0.9 * (len(misses) + 1))))
    return max(1.0, float(np.sort(misses)[rank - 1]))


def summarise(images: Sequence[Examined]) -> dict[str, Any]:
    """Figures of images of one kind, for metadata.json and the model card."""
    lesions = [one for image in images for one in image.lesions]
    spots = [one for image in images for one in image.spots]
    errors = np.array(
        [i.values["tumor.burden"][1] - i.values["tumor.burden"][0] for i in images if i.values]
    )
    large = [one for one in lesions if one.diameter_mm >= 10]
    figures = {
        "images": len(images),
        "liver_dice": _mean([i.liver_dice for i in images]),
        "worst_liver_dice": min(i.liver_dice for i in images),
        "lesion_dice": _mean([i.lesion_dice for i in images]),
        "lesion_recall": _mean([one.found for one in lesions]),
        "lesion_recall_10mm": _mean([one.found for one in large]),
        "lesion_precision": _mean([true for _, true in spots]),
        "false_lesions_per_image": sum(not true for _, true in spots) / len(images),
        "burden_bias_points": _mean(errors),
        "burden_mean_absolute_error_points": _mean(np.abs(errors)),
        "burden_rmse_points": float(np.sqrt(np.mean(errors**2))) if errors.size else np.nan,
    }
    rounded: dict[str, Any] = {k: round(float(v), 3) for k, v in figures.items() if np.isfinite(v)}
    return rounded | {
        "images": len(images),
        "recall_by_size": _recall([(one.diameter_mm, one.found) for one in lesions], BANDS_MM, " mm"),
        "recall_10mm_by_contrast_to_noise": _recall(
            [(one.contrast_to_noise, one.found) for one in large], BANDS_CONTRAST
        ),
        "coverage_90": coverage(images),
    }


def _recall(
    lesions: Sequence[tuple[float, bool]], limits: Sequence[float], unit: str = ""
) -> dict[str, list[float]]:
    """Number of lesions in each band, and share of them found; bands with none are left out."""
    return {
        f"{low:g}-{high:g}{unit}": [len(hits), round(float(np.mean(hits)), 3)]
        for low, high in pairwise(limits)
        if (hits := [found for value, found in lesions if low <= value < high])
    }


def coverage(images: Sequence[Examined]) -> dict[str, float]:
    """Share of the images in which the 90 % interval holds the true value, for each fact."""
    shares = {}
    for fact in COVERED:
        rows = [image.values[fact] for image in images if fact in image.values]
        held = [low <= true <= high for true, _, low, high in rows if np.isfinite(low)]
        if held:
            shares[fact] = round(float(np.mean(held)), 3)
    return shares


def _mean(values: Sequence[float] | NDArray[np.floating]) -> float:
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if finite.size else float("nan")


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))
