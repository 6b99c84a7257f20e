"""A figure of many cases and its bootstrap interval: cases, not voxels or lesions, are drawn again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Reduce = Callable[[Floats], Floats]
"""(..., cases, columns) to (...). A row that is NaN takes no part; NaN comes back where none does."""


@dataclass(frozen=True)
class Figure:
    """One number of the summary.

    Parameters
    ----------
    value
        None where it is not defined; then ``note`` says why.
    low, high
        95 % bootstrap interval over cases; None where there are too few cases for one, or all
        samples of them give the same.
    cases
        Number of cases behind it.
    """

    name: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    cases: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class Resampler:
    """Cases drawn with replacement, the same for every figure.

    Parameters
    ----------
    index : int (draws, cases)
    """

    index: NDArray[np.intp]

    @classmethod
    def of(cls, cases: int, draws: int, seed: int) -> Resampler:
        """``draws`` samples of ``cases`` cases."""
        return cls(np.random.default_rng(seed).integers(0, cases, (draws, cases)))

    def figure(
        self, name: str, unit: str, table: Floats, reduce: Reduce, note: str = "", undefined: str = ""
    ) -> Figure:
        """Reduce all cases, and each sample of them.

        Parameters
        ----------
        table : float (cases, columns)
        note
            Said beside the value.
        undefined
            Said instead where there is none.
        """
        told = int(np.count_nonzero(~np.isnan(table).any(axis=-1)))
        value = float(reduce(table))
        if np.isnan(value):
            return Figure(
                name, unit, None, None, None, told, "; ".join(t for t in (undefined, note) if t)
            )
        low = high = None
        if told > 1 and len(self.index):
            drawn = reduce(table[self.index])
            drawn = drawn[~np.isnan(drawn)]
            if drawn.size and drawn.min() < drawn.max():  # one case with lesions has no spread to show
                low, high = quantile(drawn, 0.025), quantile(drawn, 0.975)
        return Figure(name, unit, value, low, high, told, note)


def mean(table: Floats) -> Floats:
    """Mean of the first column."""
    return _over(np.nansum(table[..., 0], axis=-1), _told(table))


def ratio(table: Floats) -> Floats:
    """Sum of the first column over the sum of the second."""
    return _over(np.nansum(table[..., 0], axis=-1), np.nansum(table[..., 1], axis=-1))


def f1(table: Floats) -> Floats:
    """Harmonic mean of two ratios: columns found, reference, true, predicted.

    0 where one side has none and the other has some.
    """
    found, reference, true, predicted = np.moveaxis(np.nansum(table, axis=-2), -1, 0)
    recall, precision = _over(found, reference), _over(true, predicted)
    product = 2.0 * np.nan_to_num(recall) * np.nan_to_num(precision)
    total = np.nan_to_num(recall) + np.nan_to_num(precision)
    result = np.where(total > 0, product / np.where(total > 0, total, 1.0), 0.0)
    return np.where(reference + predicted > 0, result, np.nan)


def median(table: Floats) -> Floats:
    """Median of the first column; bears infinite values."""
    ordered = np.sort(table[..., 0], axis=-1)  # NaN goes last
    count = _told(table).astype(int)
    low = np.maximum((count - 1) // 2, 0)[..., None]
    high = np.minimum(count // 2, ordered.shape[-1] - 1)[..., None]
    first = np.take_along_axis(ordered, low, axis=-1)[..., 0]
    second = np.take_along_axis(ordered, high, axis=-1)[..., 0]
    return np.where(count > 0, 0.5 * first + 0.5 * second, np.nan)


def rms(table: Floats) -> Floats:
    """Root of the mean square of the first column."""
    return np.sqrt(mean(table[..., :1] ** 2))


def largest(table: Floats) -> Floats:
    """Largest absolute value of the first column."""
    values = np.abs(table[..., 0])
    top = np.max(np.where(np.isnan(values), -1.0, values), axis=-1)
    return np.where(top >= 0, top, np.nan)


def shifted(sds: float) -> Reduce:
    """Mean of the first column plus a number of its standard deviations."""

    def reduce(table: Floats) -> Floats:
        centre, count = mean(table), _told(table)
        squares = np.nansum((table[..., 0] - centre[..., None]) ** 2, axis=-1)
        return np.asarray(centre + sds * np.sqrt(squares / np.maximum(count - 1, 1)))

    return reduce


def quantile(values: Floats, share: float) -> float:
    """Quantile by linear interpolation that bears infinite values."""
    ordered = np.sort(values)
    place = share * (ordered.size - 1)
    low, rest = int(place), place - int(place)
    if not rest or ordered[low] == ordered[low + 1]:
        return float(ordered[low])
    return float(ordered[low] + rest * (ordered[low + 1] - ordered[low]))


def _told(table: Floats) -> Floats:
    """Number of cases that take part."""
    return np.asarray(np.count_nonzero(~np.isnan(table[..., 0]), axis=-1), dtype=np.float64)


def _over(top: Floats, bottom: Floats) -> Floats:
    """Quotient; NaN where there is nothing to divide by."""
    quotient: Floats = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), np.nan)
    return quotient
