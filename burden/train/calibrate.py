"""Fit a bundle's calibration on held-out cases with synthetic lesions.

What comes out and is used later: a temperature that turns logits into probabilities, from which of
them on a voxel is lesion, a logistic for "is this found lesion one", and the spread of the drawn
liver and lesion surfaces. Lesions are synthetic, so real performance is worse: the model card gives
both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.segment.bundle import Calibration, read_bundle
from burden.segment.monai_bundle import BundleSegmenter, filled
from burden.segment.network import CLASS_NAMES
from burden.segment.survey import largest_component
from burden.segment.trust import likely
from burden.train.lesions import LESION, LIVER
from burden.train.settings import read_settings
from burden.train.trials import SPACING_MM, Trial, trials

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOUND_OVERLAP = 0.1
"""A lesion counts as found, and a found one as true, when this part of it overlaps."""
GOOD_PRECISION = 0.8
"""Share of true ones among what is called lesion that a model should reach."""
VOXEL_ML = SPACING_MM**3 / 1000
LEAST_VOXELS = 4
"""Smaller components are not counted as lesions (0.03 mL at 2 mm)."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the networks made of one held-out image.

    Attributes
    ----------
    logits : float16 (3, i, j, k)
        Of background, liver and lesion.
    truth : uint8 (i, j, k)
        Class indices.
    organs : list of float
        Dice of each class beside liver and lesion in the part of the image looked at; NaN where
        there is none.
    """

    logits: NDArray[np.float16]
    truth: NDArray[np.uint8]
    organs: list[float]


def calibrate(pack: Path, bundle_folder: Path, *, repeats: int = 6, seed: int = 1) -> dict[str, Any]:
    """Run the networks on held-out CTs with synthetic lesions and fit the calibration.

    Parameters
    ----------
    pack : Path
        File made by `burden.train.pack.pack_folder`.
    bundle_folder : Path
        Bundle with weights; its ``configs/train.yaml`` names the held-out cases.
    repeats : int
        Diseased CTs for each case; besides, a third as many healthy ones.

    Returns
    -------
    dict
        "calibration" and "structures_dice_on_ct" for metadata.json.
    """
    bundle = read_bundle(bundle_folder)
    settings = read_settings(bundle.folder / "configs" / "train.yaml")
    plain = replace(bundle, calibration=replace(bundle.calibration, temperature=1.0))
    segmenter = BundleSegmenter(plain)
    images = trials(pack, settings, repeats=repeats, seed=seed)
    seen = [look(segmenter, trial) for trial in images if trial.volume.modality == "CT"]
    temperature = fit_temperature(seen)
    share = fit_share(seen, temperature)
    components = [_components(_name(one, temperature), share) for one in seen]
    rows = np.concatenate(components)
    existence = np.round(fit_logistic(rows[:, :2], rows[:, 2]), 3)
    fitted = Calibration(
        temperature=round(temperature, 3),
        liver_boundary_sd_mm=0.0,
        lesion_boundary_sd_mm=0.0,
        lesion_existence=(existence[0], existence[1], existence[2]),
        lesion_share=share,
        least_chance=fit_least_chance(components, existence),
    )
    offsets = [_offsets(_name(one, temperature), fitted) for one in seen]
    sound = [pair for pair in offsets if pair is not None]
    return {
        "calibration": {
            "temperature": fitted.temperature,
            "lesion_share": fitted.lesion_share,
            "liver_boundary_sd_mm": _spread([liver for liver, _ in sound]),
            "lesion_boundary_sd_mm": _spread([lesion for _, lesion in sound]),
            "lesion_existence": existence.tolist(),
            "least_chance": fitted.least_chance,
        },
        "structures_dice_on_ct": _structures(seen),
    }


def look(segmenter: BundleSegmenter, trial: Trial) -> Seen:
    """Run the networks over one image; where they did not look, it is background for sure."""
    import torch

    volume = trial.volume
    raw = torch.from_numpy(np.array(volume.data, np.float32))
    found = segmenter.look(raw, volume.grid, volume.modality, "cpu", lambda _step, _done: None)
    logits = np.full((3, *volume.grid.shape), -15, np.float16)
    logits[0] = 0
    if found is None:
        return Seen(logits, trial.classes, [0.0] * len(CLASS_NAMES[3:]))
    others = np.delete(found.shares, [LIVER, LESION], axis=0).max(axis=0)
    some = np.stack([others, found.shares[LIVER], found.shares[LESION]])
    logits[(slice(None), *found.box)] = np.log(np.maximum(some, 3e-7))
    best, inside = found.shares.argmax(0), trial.classes[found.box]
    organs = [
        _dice(best == value, there) if (there := inside == value).any() else np.nan
        for value in range(3, len(CLASS_NAMES))
    ]
    return Seen(logits, trial.classes, organs)


def fit_temperature(seen: list[Seen]) -> float:
    """Temperature that makes the voxels' probabilities most likely, in and near the liver."""
    import torch
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng(0)
    some, wanted = [], []
    for one in seen:
        liver = (one.truth == LIVER) | (one.truth == LESION)
        near = np.flatnonzero(liver | (one.logits[LESION] > one.logits[0]))
        if near.size:
            chosen = rng.choice(near, min(4000, near.size), replace=False)
            some.append(one.logits.reshape(len(one.logits), -1)[:, chosen].T)
            wanted.append(one.truth.reshape(-1)[chosen])
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


def fit_least_chance(images: list[NDArray[np.float64]], existence: NDArray[np.float64]) -> float:
    """Chance below which a found lesion is left out: the least that leaves four of five true.

    In images without lesions it leaves less than half a false one each, too.

    Parameters
    ----------
    images : list of float (n, 3)
        Mean probability, log10 mL and truth (1 or 0) of the components of each image.
    existence : float (3,)
        The logistic of their chances.
    """
    chances = [1 / (1 + np.exp(-existence[0] - rows[:, :2] @ existence[1:])) for rows in images]
    for least in np.arange(0.2, 0.8, 0.05):
        kept = [rows[chance >= least, 2] for rows, chance in zip(images, chances, strict=True)]
        free = [len(left) for rows, left in zip(images, kept, strict=True) if not rows[:, 2].any()]
        together = np.concatenate(kept)
        if together.size and together.mean() >= GOOD_PRECISION and (not free or np.mean(free) < 0.5):
            return round(float(least), 2)
    return 0.8


def fit_share(seen: list[Seen], temperature: float) -> float:
    """Share of the probability from which a voxel is lesion: the one with the best mean lesion Dice."""
    diseased = [one for one in seen if (one.truth == LESION).any()]
    shares = (0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
    scores = [np.mean([_lesion_dice(one, temperature, share) for one in diseased]) for share in shares]
    return shares[int(np.argmax(scores))]


def _lesion_dice(seen: Seen, temperature: float, share: float) -> float:
    lesion, liver = (seen.logits[value].astype(np.float32) / temperature for value in (LESION, LIVER))
    # lesion / (liver + lesion) > share, and more likely than background
    chosen = lesion - liver > np.log(share / (1 - share))
    chosen &= np.logaddexp(lesion, liver) > seen.logits[0].astype(np.float32) / temperature
    return _dice(chosen, seen.truth == LESION)


@dataclass(frozen=True, eq=False)
class _Named:
    """Probabilities of one image, decided as the back end decides.

    Attributes
    ----------
    liver, allowed, true_liver, true_lesions : bool (i, j, k)
        `allowed` is where the liver may be lesion.
    lesion, whole : float (i, j, k)
        Probability of lesion; of lesion or liver.
    """

    liver: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    lesion: NDArray[np.float32]
    whole: NDArray[np.float32]
    true_liver: NDArray[np.bool_]
    true_lesions: NDArray[np.bool_]


def _name(seen: Seen, temperature: float) -> _Named:
    import torch

    shares = torch.softmax(torch.from_numpy(seen.logits).float() / temperature, 0).numpy()
    whole = shares[LIVER] + shares[LESION]
    named = whole > shares[0]
    liver = filled(largest_component(named))
    true_lesions = seen.truth == LESION
    return _Named(
        liver=liver,
        allowed=liver & named,
        lesion=shares[LESION],
        whole=whole,
        true_liver=true_lesions | (seen.truth == LIVER),
        true_lesions=true_lesions,
    )


def _drawn(one: _Named, fitted: Calibration) -> NDArray[np.bool_]:
    """The lesions as the back end draws them."""
    found = one.allowed & (one.lesion > fitted.lesion_share * one.whole)
    return likely(found, one.lesion, fitted, VOXEL_ML)[0]


def _offsets(one: _Named, fitted: Calibration) -> tuple[float, float] | None:
    """How far the surfaces of liver and lesions are off, mm; None where the liver was not found."""
    if _dice(one.liver, one.true_liver) <= 0.5:
        return None
    found, true = _both(_drawn(one, fitted), one.true_lesions)
    return offset_mm(one.liver, one.true_liver, SPACING_MM), offset_mm(found, true, SPACING_MM)


def _components(one: _Named, share: float) -> NDArray[np.float64]:
    """For each found component its mean probability, log10 mL, and 1 if it is true: float (n, 3)."""
    import cc3d

    labels = cc3d.connected_components(one.allowed & (one.lesion > share * one.whole), connectivity=26)
    counts = np.maximum(1, np.bincount(labels.ravel()))
    true = np.bincount(labels.ravel(), weights=one.true_lesions.ravel()) >= FOUND_OVERLAP * counts
    chance = np.bincount(labels.ravel(), weights=one.lesion.ravel()) / counts
    rows = np.column_stack([chance, np.log10(counts * VOXEL_ML), true])[1:]
    return np.asarray(rows[counts[1:] >= LEAST_VOXELS], float)


def _both(
    found: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Found components that are true and true lesions that were found: their surfaces compare."""
    import cc3d

    pair = []
    for one, other in ((found, truth), (truth, found)):
        labels = cc3d.connected_components(one, connectivity=26)
        counts = np.bincount(labels.ravel())
        hit = np.bincount(labels.ravel(), weights=other.ravel()) >= FOUND_OVERLAP * counts
        hit[0] = False
        pair.append(hit[labels])
    return pair[0], pair[1]


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
    """Size of an offset that two of three stay below, mm: the standard deviation where they are normal.

    One lesion drawn as part of a huge one would make the root mean square meaningless. 2 (one voxel)
    where there is none.
    """
    known = np.abs([offset for offset in offsets if np.isfinite(offset)])
    return round(float(np.quantile(known, 0.683)), 2) if known.size else 2.0


def _dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(2 * (one & other).sum() / max(1, one.sum() + other.sum()))


def _structures(seen: list[Seen]) -> dict[str, float]:
    """Mean Dice of each class beside liver and lesion that some image holds."""
    known = {
        name: [dice for dice in column if np.isfinite(dice)]
        for name, column in zip(
            CLASS_NAMES[3:], zip(*(one.organs for one in seen), strict=True), strict=True
        )
    }
    return {name: round(float(np.mean(dice)), 3) for name, dice in known.items() if dice}
