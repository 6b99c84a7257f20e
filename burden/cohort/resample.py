"""Bootstrap over patients, as weights: how often each of them is drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from burden.cohort.data import Array

BLOCK = 500
FEWEST = 20  # resamples for an interval
Pairs = Callable[[NDArray[np.intp]], tuple[Array, Array]]


def draw_weights(patients: int, times: int, seed: int) -> Array:
    """Shape (times, patients): each row sums to the number of patients."""
    chance = np.random.default_rng(seed)
    share = np.full(patients, 1.0 / patients)
    return chance.multinomial(patients, share, size=times).astype(np.float64)


def interval(values: Array) -> tuple[float, float] | None:
    """Percentile interval of 95 %; None where too few resamples gave a value, or all the same one.

    Where every resample of six patients has an area of 1, the area is not known to be 1.
    """
    known = values[np.isfinite(values)]
    if len(known) < max(FEWEST, len(values) // 2) or np.ptp(known) < 1e-12:
        return None
    low, high = np.quantile(known, (0.025, 0.975))
    return float(low), float(high)


def concordance(score: Array, comparable: Pairs, weights: Array) -> Array:
    """Share of comparable pairs in which the first has the higher score, ties counting half.

    Parameters
    ----------
    comparable
        Gives for some patients (first of the pair) whether each patient may be the second, as
        0/1 of shape (some, patients), and the scores of these some.
    weights
        Shape (times, patients); a row of ones gives the plain figure.

    Returns
    -------
    Shape (times,); NaN where no pair can be compared.
    """
    right = np.zeros(len(weights))
    total = np.zeros(len(weights))
    for start in range(0, len(score), BLOCK):
        some = np.arange(start, min(start + BLOCK, len(score)))
        pairs, own = comparable(some)
        higher = (own[:, None] > score).astype(float) + 0.5 * (own[:, None] == score)
        first = weights[:, some]
        right += np.einsum("bi,bi->b", first @ (pairs * higher), weights)
        total += np.einsum("bi,bi->b", first @ pairs, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        share: Array = right / total
    return share
