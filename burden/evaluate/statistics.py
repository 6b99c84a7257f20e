"""From scored cases to the figures of the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from burden.evaluate.lesions import bands, rates
from burden.evaluate.overlap import Overlap
from burden.evaluate.resample import (
    Figure,
    Floats,
    Resampler,
    f1,
    largest,
    mean,
    median,
    ratio,
    rms,
    shifted,
)
from burden.evaluate.score import Score

LIMITS_SD = 1.96
"""Bland-Altman limits of agreement lie this many standard deviations from the bias."""


def summarise(
    scores: Sequence[Score], overlaps: Sequence[float], *, tolerance_mm: float, draws: int, seed: int
) -> tuple[Figure, ...]:
    """All figures, in the order in which they are shown.

    Parameters
    ----------
    overlaps
        Intersections over union from which a lesion counts as found.
    draws, seed
        Bootstrap samples of the cases behind each interval.
    """
    sample = Resampler.of(len(scores), draws, seed)
    figures: list[Figure] = []
    for part in ("liver", "lesions"):
        if any(getattr(s, part) is not None for s in scores):
            figures += _of_part(sample, scores, part, tolerance_mm)
    if any(s.lesions is not None for s in scores):
        for least in overlaps:
            figures += _detection(sample, scores, least)
    if any(s.liver is not None and s.lesions is not None for s in scores):
        figures += _of_burden(sample, scores)
    if any(s.liver is not None for s in scores):
        figures += _bland_altman(sample, scores, "liver volume", "mL", liver_error)
    return tuple(figures)


def liver_error(one: Score) -> float | None:
    """Predicted less reference liver volume, mL; None where the reference is empty."""
    if one.liver is None or not one.liver.reference_ml:
        return None
    return one.liver.predicted_ml - one.liver.reference_ml


def burden_error(one: Score) -> float | None:
    """Predicted less reference burden, percentage points."""
    return one.burden_error


def _table(scores: Sequence[Score], row: Callable[[Score], Sequence[float] | None]) -> Floats:
    """One row a case, NaN where it has nothing to say."""
    rows = [row(s) for s in scores]
    width = max((len(r) for r in rows if r is not None), default=1)
    return np.array([[np.nan] * width if r is None else list(r) for r in rows], dtype=np.float64)


def _of_part(sample: Resampler, scores: Sequence[Score], part: str, tolerance_mm: float) -> list[Figure]:
    """Dice, surface Dice and HD95 where the reference holds any; false ones apart."""

    def of(key: str) -> Callable[[Score], Sequence[float] | None]:
        def row(s: Score) -> Sequence[float] | None:
            one: Overlap | None = getattr(s, part)
            return None if one is None or not one.reference_ml else [getattr(one, key)]

        return row

    def volumes(s: Score) -> Sequence[float] | None:
        one: Overlap | None = getattr(s, part)
        return None if one is None else [2.0 * one.common_ml, one.predicted_ml + one.reference_ml]

    surface = f"{part} surface Dice at {tolerance_mm:g} mm"
    none = "no reference mask holds any"
    return [
        sample.figure(
            f"{part} Dice per case, mean",
            "",
            _table(scores, of("dice")),
            mean,
            _states(scores, part),
            none,
        ),
        sample.figure(
            f"{part} Dice, all voxels pooled",
            "",
            _table(scores, volumes),
            ratio,
            "",
            "all masks are empty",
        ),
        sample.figure(surface, "", _table(scores, of("surface_dice")), mean, "", none),
        sample.figure(f"{part} HD95, median", "mm", _table(scores, of("hd95_mm")), median, "", none),
    ]


def _states(scores: Sequence[Score], part: str) -> str:
    """Say which cases the means leave out, and which count as nil."""
    states = [o.state for s in scores if (o := getattr(s, part)) is not None]
    counts = [
        ("missed", "missed altogether: Dice 0, HD95 infinite"),
        ("false", "with an empty reference but a prediction: only in the pooled Dice"),
        ("both empty", "empty on both sides, as they should be: not in the mean"),
    ]
    return "; ".join(f"{states.count(s)} {text}" for s, text in counts if states.count(s))


def _detection(sample: Resampler, scores: Sequence[Score], least: float) -> list[Figure]:
    """Recall, precision, F1 and false lesions of all cases together, then recall by size."""
    at = "any overlap" if least <= 0 else f"IoU >= {least:g}"

    def counted(low: float = 0.0, high: float = np.inf) -> Floats:
        def row(s: Score) -> Sequence[float] | None:
            if s.lesions is None:
                return None
            r = rates([c for c in s.components if low <= c.diameter_mm < high], least)
            found, reference, predicted, false = (
                float(r[key] or 0) for key in ("found", "reference", "predicted", "false")
            )
            return [found, reference, predicted - false, predicted, false]

        return _table(scores, row)

    counts = counted()
    figures = [
        sample.figure(f"lesion recall, {at}", "", counts, ratio, "", "no reference lesion"),
        sample.figure(f"lesion precision, {at}", "", counts[:, 2:4], ratio, "", "no predicted lesion"),
        sample.figure(f"lesion F1, {at}", "", counts[:, :4], f1, "", "no lesion on either side"),
        sample.figure(f"false lesions a case, {at}", "", counts[:, 4:], mean),
    ]
    for name, low, high in bands():
        table = counted(low, high)
        wanted = int(np.nansum(table[:, 1]))
        note = f"{wanted} reference lesion{'' if wanted == 1 else 's'}"
        figures.append(sample.figure(f"lesion recall, {at}, {name}", "", table, ratio, note))
    return figures


def _of_burden(sample: Resampler, scores: Sequence[Score]) -> list[Figure]:
    """RMSE and largest error as LiTS defines them, then bias and limits."""
    lost = sum(s.burden_error is None for s in scores)
    note = f"{lost} without a burden: a side without liver, or without lesion mask" if lost else ""
    errors = _table(scores, _one(burden_error))
    return [
        sample.figure("burden RMSE", "points", errors, rms, note),
        Resampler.of(len(scores), 0, 0).figure(
            "burden, largest error", "points", errors, largest, "no interval: it is a maximum", note
        ),
        *_bland_altman(sample, scores, "burden", "points", burden_error),
    ]


def _bland_altman(
    sample: Resampler,
    scores: Sequence[Score],
    name: str,
    unit: str,
    error: Callable[[Score], float | None],
) -> list[Figure]:
    """Mean difference, predicted less reference, and its 95 % limits of agreement."""
    table = _table(scores, _one(error))
    bias = sample.figure(f"{name} bias", unit, table, mean, "", "no case tells it")
    if bias.cases < 2:
        return [replace(bias, note=bias.note or "limits of agreement need two cases")]
    limits = [
        sample.figure(f"{name}, {side} limit of agreement", unit, table, shifted(sds))
        for side, sds in (("lower", -LIMITS_SD), ("upper", LIMITS_SD))
    ]
    return [bias, *limits]


def _one(value: Callable[[Score], float | None]) -> Callable[[Score], Sequence[float] | None]:
    def row(s: Score) -> Sequence[float] | None:
        v = value(s)
        return None if v is None else [v]

    return row
