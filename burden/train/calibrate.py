"""Fit a bundle's calibration on held-out cases with synthetic lesions, and measure it there.

Three things come out that later steps use: a temperature that turns logits into
probabilities, and the spread of the drawn liver and lesion surfaces; and a logistic for "is this
found lesion one". Lesions are synthetic, so real performance is worse: the model card gives both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.grid import Grid
from burden.segment.bundle import Bundle, read_bundle
from burden.segment.monai_bundle import BundleSegmenter, filled
from burden.segment.network import CLASS_NAMES
from burden.segment.survey import largest_component
from burden.train import augment
from burden.train.draw import Draw
from burden.train.lesions import LESION, LIVER
from burden.train.pack import load_pack
from burden.train.settings import read_settings

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

FOUND_OVERLAP = 0.1
"""A lesion counts as found, and a found one as true, when this part of it overlaps."""
LEAST_VOXELS = 4
"""Smaller components are not counted as lesions (0.03 mL at 2 mm)."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One held-out image and what the fine network made of it.

    Attributes
    ----------
    logits : float16 (3, i, j, k)
        Of background, liver and lesion.
    truth : uint8 (i, j, k)
    kind : str
        "CT" or "MR", with "healthy" before it when there are no lesions.
    organs : list of float
        Dice of each class beside liver and lesion in the part of the image looked at; NaN where
        there is none.
    """

    case: str
    kind: str
    logits: NDArray[np.float16]
    truth: NDArray[np.uint8]
    organs: list[float]


def calibrate(pack: Path, bundle_folder: Path, *, repeats: int = 6, seed: int = 1) -> dict[str, Any]:
    """Run the networks on held-out cases with synthetic lesions and fit the calibration.

    Parameters
    ----------
    pack : Path
        File made by `burden.train.pack.pack_folder`.
    bundle_folder : Path
        Bundle with weights; its ``configs/train.yaml`` names the held-out cases.
    repeats : int
        Diseased CTs for each case; besides, a third as many healthy CTs and diseased MRs.

    Returns
    -------
    dict
        "calibration" for metadata.json and "held_out", the figures for the model card.
    """
    bundle = read_bundle(bundle_folder)
    trials = list(_trials(pack, bundle, repeats, seed))
    temperature = fit_temperature(trials)
    found = [_compare(trial, temperature) for trial in trials]
    rows = np.concatenate([one["components"] for one in found])
    sound = [one for one in found if one["liver_dice"] > 0.5]
    return {
        "calibration": {
            "temperature": round(temperature, 3),
            "liver_boundary_sd_mm": _spread([one["liver_offset_mm"] for one in sound]),
            "lesion_boundary_sd_mm": _spread([one["lesion_offset_mm"] for one in sound]),
            "lesion_existence": np.round(fit_logistic(rows[:, :2], rows[:, 2]), 3).tolist(),
        },
        "held_out": {
            kind: _summary([one for one in found if one["kind"] == kind])
            for kind in sorted({one["kind"] for one in found})
        },
        "structures_dice_on_ct": _structures([one for one in found if one["kind"] != "MR"]),
    }


def _trials(pack: Path, bundle: Bundle, repeats: int, seed: int) -> Iterator[Trial]:
    """Draw whole images of the held-out cases and segment them as a user's image would be."""
    settings = read_settings(bundle.folder / "configs" / "train.yaml")
    recipe = next(stage.phases[-1].recipe for stage in settings.stages if stage.name == "fine")
    raw_logits = replace(bundle, calibration=replace(bundle.calibration, temperature=1.0))
    segmenter = BundleSegmenter(raw_logits)
    few = max(1, repeats // 3)
    kinds = {"CT": (0.0, 0.0, repeats), "healthy CT": (1.0, 0.0, few), "MR": (0.0, 1.0, few)}
    cases = load_pack(pack)
    for number, case in enumerate(settings.held_out):
        one = augment.prepare(*cases[case], 1)
        hu, classes = one.hu[0, 0] + augment.AIR_HU, one.classes[0, 0].byte()
        for kind, (healthy, mr, times) in kinds.items():
            for turn in range(times):
                draw = Draw(seed, 1000 * number + 100 * len(kind) + turn)
                variant = replace(recipe, healthy=healthy, mr=mr)
                image, truth, _ = augment.scene(hu, classes, variant, draw)
                yield _trial(segmenter, case, kind, image, truth)


def _trial(
    segmenter: BundleSegmenter, case: str, kind: str, image: torch.Tensor, truth: torch.Tensor
) -> Trial:
    """Segment one image; where the networks did not look, it is background for sure."""
    grid = Grid.from_axes(tuple(image.shape), [segmenter.bundle.fine.spacing_mm] * 3, np.zeros(3))
    modality = "MR" if kind == "MR" else "CT"
    seen = segmenter.look(image, grid, modality, "cpu", lambda _step, _done: None)
    logits = np.full((3, *image.shape), -15, np.float16)
    logits[0] = 0
    if seen is None:
        return Trial(case, kind, logits, truth.numpy(), [0.0] * len(CLASS_NAMES[3:]))
    others = np.delete(seen.shares, [LIVER, LESION], axis=0).max(axis=0)
    some = np.stack([others, seen.shares[LIVER], seen.shares[LESION]])
    logits[(slice(None), *seen.box)] = np.log(np.maximum(some, 3e-7))
    best, inside = seen.shares.argmax(0), truth.numpy()[seen.box]
    organs = [
        _dice(best == value, there) if (there := inside == value).any() else np.nan
        for value in range(3, len(CLASS_NAMES))
    ]
    return Trial(case, kind, logits, truth.numpy(), organs)


def fit_temperature(trials: list[Trial]) -> float:
    """Temperature that makes the voxels' probabilities most likely, in and near the liver."""
    import torch
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng(0)
    some, wanted = [], []
    for trial in trials:
        liver = (trial.truth == LIVER) | (trial.truth == LESION)
        near = np.flatnonzero(liver | (trial.logits[LESION] > 0))
        if near.size:
            chosen = rng.choice(near, min(4000, near.size), replace=False)
            some.append(trial.logits.reshape(len(trial.logits), -1)[:, chosen].T)
            wanted.append(trial.truth.reshape(-1)[chosen])
    logits = torch.from_numpy(np.concatenate(some)).float()
    target = torch.from_numpy(np.concatenate(wanted)).long()
    target[target > LESION] = 0

    def surprise(temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / temperature, target))

    return float(minimize_scalar(surprise, bounds=(0.2, 5.0), method="bounded").x)


def fit_logistic(features: NDArray[np.float64], is_true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logistic regression by Newton's method with a weak pull to zero.

    Parameters
    ----------
    features : float (n, m)
    is_true : float (n,)
        1 or 0.

    Returns
    -------
    float (m + 1,)
        Intercept and weights.
    """
    design = np.column_stack([np.ones(len(features)), features])
    weights = np.zeros(design.shape[1])
    pull = np.diag([1e-3] + [0.05] * features.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-design @ weights))
        slope = design.T @ (is_true - chance) - pull @ weights
        curve = (design * (chance * (1 - chance))[:, None]).T @ design + pull
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def _compare(trial: Trial, temperature: float) -> dict[str, Any]:
    """Metrics of one trial, decided as the back end decides."""
    import torch

    shares = torch.softmax(torch.from_numpy(trial.logits).float() / temperature, 0).numpy()
    whole = shares[LIVER] + shares[LESION]
    others = np.delete(shares, [LIVER, LESION], axis=0).max(axis=0)
    named = whole > others
    liver = filled(largest_component(named))
    lesion = liver & named & (shares[LESION] > 0.5 * whole)
    true_lesion = trial.truth == LESION
    true_liver = true_lesion | (trial.truth == LIVER)
    error = lesion.sum() / max(1, liver.sum()) - true_lesion.sum() / max(1, true_liver.sum())
    components, hits, lesions, pair = _match(lesion, true_lesion, shares[LESION])
    return {
        "kind": trial.kind,
        "components": components,
        "hits": hits,
        "lesions": lesions,
        "false": int((components[:, 2] == 0).sum()),
        "liver_dice": _dice(liver, true_liver),
        "lesion_dice": _dice(lesion, true_lesion) if true_lesion.any() else np.nan,
        "burden_error": 100 * error,
        "liver_offset_mm": offset_mm(liver, true_liver, 2.0),
        "lesion_offset_mm": offset_mm(*pair, 2.0),
        "structures": trial.organs,
    }


def _match(
    found: NDArray[np.bool_], truth: NDArray[np.bool_], share: NDArray[np.float32]
) -> tuple[NDArray[np.float64], int, int, tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Hold found components against true ones.

    Returns
    -------
    components : float (n, 3)
        For each one found: mean probability, log10 mL, 1 if it is true.
    hits, lesions : int
        True lesions that were found, and all true lesions.
    pair : two bool (i, j, k)
        Found components that are true and true lesions that were found: their surfaces compare.
    """
    import cc3d

    labels = cc3d.connected_components(found, connectivity=26)
    counts = np.maximum(1, np.bincount(labels.ravel()))
    on_truth = np.bincount(labels.ravel(), weights=truth.ravel()) >= FOUND_OVERLAP * counts
    chance = np.bincount(labels.ravel(), weights=share.ravel()) / counts
    on_truth[0] = False
    rows = [
        (chance[one], np.log10(counts[one] * 0.008), float(on_truth[one]))
        for one in range(1, len(counts))
        if counts[one] >= LEAST_VOXELS
    ]
    real = cc3d.connected_components(truth, connectivity=26)
    sizes = np.bincount(real.ravel())
    hit = np.bincount(real.ravel(), weights=found.ravel()) >= FOUND_OVERLAP * sizes
    hit[0] = False
    counted = sizes >= LEAST_VOXELS
    pair = (on_truth[labels], hit[real])
    return np.array(rows, float).reshape(-1, 3), int((hit & counted).sum()), int(counted[1:].sum()), pair


def offset_mm(found: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: float) -> float:
    """Mean offset of the found surface from the true one, outwards positive, mm; NaN without both.

    The volume between the surfaces over the area of the true one: what a shift of the whole surface
    would explain.
    """
    from scipy.ndimage import gaussian_gradient_magnitude

    if not found.any() or not truth.any():
        return float("nan")
    area = gaussian_gradient_magnitude(truth.astype(np.float32), 1.0).sum()  # in voxel faces
    return float((found.sum(dtype=float) - truth.sum()) / area * spacing_mm)


def _spread(offsets: list[float]) -> float:
    """Root mean square of the offsets, mm; 2 (one voxel) where there is none."""
    known = np.array([offset for offset in offsets if np.isfinite(offset)])
    return round(float(np.sqrt(np.mean(known**2))), 2) if known.size else 2.0


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """Means over the trials of one kind; what has no value (lesion Dice without lesions) is left out."""

    def mean(key: str) -> float:
        values = np.array([one[key] for one in found], float)
        return round(float(np.nanmean(values)), 3) if np.isfinite(values).any() else float("nan")

    lesions = sum(one["lesions"] for one in found)
    hits = sum(one["hits"] for one in found)
    errors = [abs(one["burden_error"]) for one in found]
    rows = {
        "images": len(found),
        "liver_dice": mean("liver_dice"),
        "worst_liver_dice": round(min(one["liver_dice"] for one in found), 3),
        "lesion_dice": mean("lesion_dice"),
        "lesion_recall": round(hits / lesions, 3) if lesions else float("nan"),
        "false_lesions_per_image": mean("false"),
        "burden_bias_points": mean("burden_error"),
        "burden_mean_absolute_error_points": round(float(np.mean(errors)), 2),
    }
    return {name: value for name, value in rows.items() if np.isfinite(value)}


def _structures(found: list[dict[str, Any]]) -> dict[str, float]:
    """Mean Dice of each class beside liver and lesion."""
    means = np.nanmean([one["structures"] for one in found], axis=0)
    return {name: round(float(mean), 3) for name, mean in zip(CLASS_NAMES[3:], means, strict=True)}
