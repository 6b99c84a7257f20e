"""How far a model's lesions can be trusted: those it doubts, overlooks, or never saw the like of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from burden.findings import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from burden.segment.bundle import Calibration

GOOD_RECALL = 0.85
"""A model that finds a smaller share of the lesions of 10 mm or more leaves its totals open upwards."""
HIDDEN = (
    "frilling.*",
    "debulk.*",
    "tumor.burden_*",
    "tumor.viable_volume",
    "tumor.viable_burden",
    "lesion.count_*",
    "lesion.min_distance_*",
)
UNSOUND_ON_MR = Finding(
    "mr-model-unsound",
    "error",
    "The model never saw a real MR; it missed part of the liver on some it was tried on, and nobody "
    "checked its lesions there. Give liver and lesion masks.",
    ("*",),
)


def misses(recall: tuple[float, float] | None) -> tuple[Finding, ...]:
    """What to say of a model that overlooks lesions: what it finds may not be all.

    The draws move the surfaces of what was found; they know nothing of what was not, so a burden
    called far too low would look certain. `recall` is of all lesions and of those of 10 mm and more,
    which decides; None where nobody measured it.
    """
    if recall is None:
        text = (
            "How many lesions this model overlooks was not measured: burden, count and largest size are "
            "at least what was found. A better mask can take its place (--lesions)."
        )
        return (Finding("lesions-overlooked", "warning", text, HIDDEN),)
    whole, of_large = recall
    if of_large >= GOOD_RECALL:
        return ()
    text = (
        f"This model overlooks lesions: on held-out CTs it found {whole:.0%} of them, {of_large:.0%} "
        "of those of 10 mm or more. The ranges of tumor volume, burden, count and largest size allow "
        "for that, and what more tumor could change stays open; a better mask can take its place "
        "(--lesions)."
    )
    return (Finding("lesions-overlooked", "warning", text, HIDDEN),)


def likely(
    lesions: NDArray[np.bool_],
    share: NDArray[np.float32],
    calibration: Calibration,
    voxel_ml: float,
) -> tuple[NDArray[np.bool_], tuple[Finding, ...]]:
    """Keep the components whose chance of being lesions is at least `Calibration.least_chance`.

    Parameters
    ----------
    lesions : bool (i, j, k)
    share : float (i, j, k)
        Lesion probability.
    calibration
        Its logistic gives the chance.
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
    intercept, probability, volume = calibration.lesion_existence
    score = intercept + probability * mean + volume * np.log10(counts * voxel_ml)
    keep = 1 / (1 + np.exp(-score)) >= calibration.least_chance
    keep[0] = False
    kept: NDArray[np.bool_] = keep[labels]
    number, lost = len(keep) - 1 - int(keep.sum()), float((lesions & ~kept).sum()) * voxel_ml
    if number == 0:
        return kept, ()
    text = (
        f"{number} spots ({lost:.1f} mL together) with a chance below {calibration.least_chance:.0%} of "
        "being lesions were left out."
    )
    return kept, (Finding("unlikely-lesions-left-out", "info", text),)
