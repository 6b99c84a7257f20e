"""How well two readings of the same patients agree: kappa for classes, limits and ICC for numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from burden.cohort.data import Array
from burden.cohort.resample import interval

Weighting = Literal["none", "linear", "quadratic"]
_Z = 1.959963984540054


def cross_table(one: Sequence[str], other: Sequence[str], options: Sequence[str]) -> Array:
    """Counts, shape (options, options): rows are the first reading."""
    table = np.zeros((len(options), len(options)))
    for a, b in zip(one, other, strict=True):
        table[options.index(a), options.index(b)] += 1
    return table


def kappa(table: Array, weighting: Weighting = "none") -> float:
    """Cohen's kappa of a table of counts; NaN where chance alone would always agree.

    ``linear`` and ``quadratic`` count a disagreement by how many classes it spans.
    """
    size = len(table)
    steps = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    cost = {"none": (steps > 0).astype(np.float64), "linear": steps, "quadratic": steps**2}[weighting]
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    by_chance = (cost * expected).sum()
    return float(1 - (cost * table).sum() / by_chance) if by_chance > 0 else float("nan")


def icc(one: Array, other: Array) -> float:
    """Intraclass correlation for absolute agreement of single readings, two-way: ICC(A,1)."""
    both = np.stack([one, other], axis=1)
    n, k = both.shape
    grand = both.mean()
    rows = k * ((both.mean(axis=1) - grand) ** 2).sum() / (n - 1)
    columns = n * ((both.mean(axis=0) - grand) ** 2).sum() / (k - 1)
    rest = (both - both.mean(axis=1, keepdims=True) - both.mean(axis=0) + grand) ** 2
    error = rest.sum() / ((n - 1) * (k - 1))
    below = rows + (k - 1) * error + k * (columns - error) / n
    return float((rows - error) / below) if below > 0 else float("nan")


def bland_altman(one: Array, other: Array) -> dict[str, float]:
    """Bias (first less second), its standard deviation, and the 95 % limits of agreement."""
    difference = one - other
    bias, spread = float(difference.mean()), float(difference.std(ddof=1))
    return {
        "bias": bias,
        "sd": spread,
        "lower_limit": bias - _Z * spread,
        "upper_limit": bias + _Z * spread,
    }


def class_agreement(
    one: Sequence[str],
    other: Sequence[str],
    options: Sequence[str],
    times: int,
    seed: int,
    *,
    ordered: bool = True,
) -> dict[str, Any]:
    """Kappas with bootstrap intervals over patients, and the table they come from.

    Weighted ones only where the options stand in an order: alphabetical order is none.
    """
    codes = np.array([[options.index(a), options.index(b)] for a, b in zip(one, other, strict=True)])
    size = len(options)

    def counted(pick: NDArray[np.intp]) -> Array:
        flat = codes[pick, 0] * size + codes[pick, 1]
        return np.bincount(flat, minlength=size**2).reshape(size, size).astype(np.float64)

    table = cross_table(one, other, options)
    found: dict[str, Any] = {"options": list(options), "table": table.astype(int).tolist()}
    found["agreement"] = float(np.trace(table) / table.sum())
    weightings: tuple[Weighting, ...] = ("none", "linear", "quadratic") if ordered else ("none",)
    for weighting in weightings:
        name = "kappa" if weighting == "none" else f"kappa_{weighting}"

        def one_kappa(pick: NDArray[np.intp], by: Weighting = weighting) -> float:
            return kappa(counted(pick), by)

        found[name] = {"value": kappa(table, weighting), **_bounds(one_kappa, len(codes), times, seed)}
    return found


def number_agreement(one: Array, other: Array, times: int, seed: int) -> dict[str, Any]:
    """Bland-Altman figures and ICC, with bootstrap intervals over patients."""
    found: dict[str, Any] = {}
    for name, value in bland_altman(one, other).items():

        def figure(pick: NDArray[np.intp], key: str = name) -> float:
            return bland_altman(one[pick], other[pick])[key]

        found[name] = {"value": value, **_bounds(figure, len(one), times, seed)}

    def one_icc(pick: NDArray[np.intp]) -> float:
        return icc(one[pick], other[pick])

    found["icc"] = {"value": icc(one, other), **_bounds(one_icc, len(one), times, seed)}
    return found


def _bounds(
    figure: Callable[[NDArray[np.intp]], float], patients: int, times: int, seed: int
) -> dict[str, float | None]:
    chance = np.random.default_rng(seed)
    values = [figure(chance.integers(0, patients, patients)) for _ in range(times)]
    found = interval(np.array(values))
    return {"low": None, "high": None} if found is None else {"low": found[0], "high": found[1]}
