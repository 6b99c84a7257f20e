"""Totals over all lesions in every draw: of those found, and of those a model overlooks or invents.

The draws of single lesions know nothing of what was not found. A model that was held against
truth on images it had never seen says by how much its totals were off there; each draw is off
as one of those images was, or, with the chance that n images leave for it, by more than any of them.
Square roots make the errors of small and large burdens alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from burden.measure.uncertainty import Spread

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Totals:
    """Draws, n of them.

    Parameters
    ----------
    tumor_ml, count, largest_mm
        Shape (n,).
    """

    tumor_ml: FloatArray
    count: FloatArray
    largest_mm: FloatArray


def of_found(spread: Spread) -> Totals:
    """Totals where no lesion is overlooked."""
    count = spread.exists.sum(1).astype(float)
    return Totals(spread.tumor_ml, count, spread.long_mm.max(axis=1, initial=0.0))


def of_all(
    spread: Spread,
    found: tuple[float, float, float],
    errors: Sequence[tuple[float, float, float]],
) -> Totals:
    """Totals as far off as those of the model were on images it had never seen.

    Of n + 1 images alike, the new one is the furthest off to either side with a chance of 1 / (n + 1).
    There its burden lies anywhere between the worst seen and none, or all of the liver; count and
    largest diameter stay those of the worst seen, for which no such end is known.

    Parameters
    ----------
    found
        Burden in %, number of lesions, largest diameter in mm, as measured.
    errors
        One row an image: sqrt(true) - sqrt(found) of the same three.
    """
    roots = np.sqrt(found) + np.array(sorted(errors), dtype=float)
    ends = np.array([[0.0], [10.0]]), roots[[0, -1], 1:]
    least, most = np.concatenate(ends, axis=1)
    rows = np.maximum(np.vstack([least, roots, most]), 0.0)
    place = ndtr(spread.luck) * (len(rows) - 1)
    burden, count, largest = (np.interp(place, np.arange(len(rows)), column) ** 2 for column in rows.T)
    tumor_ml = np.minimum(burden / 100.0, 1.0) * spread.liver_ml
    return Totals(tumor_ml, np.rint(count), largest)
