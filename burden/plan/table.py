"""What planning needs of a case: volumes by segment, and lesions by segment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact, Facts, Interval
from burden.lesions import Lesion

FloatArray = NDArray[np.float64]

NO_SEGMENTS = "volumes of the Couinaud segments are not known"
NO_TUMOR = "no tumor to remove"


class CannotPlanError(ValueError):
    """Why there is no plan, in words; never leaves this package."""


@dataclass(frozen=True, eq=False)
class Table:
    """A liver in numbers; columns 1..8 of ``(..., 9)`` arrays are Couinaud segments.

    Parameters
    ----------
    functioning_ml
        Volume without tumor by segment, shape (9,).
    lesion_ml, long_mm, capsule_mm, hilum_mm
        One value a lesion, shape (m,). Lengths are the longest in any direction: what is ablated or
        wedged has a depth too. An unknown distance is infinite to the capsule and NaN to the hilum.
    share
        Share of each lesion in each segment, shape (m, 9).
    drawn_ml
        Joint draws of ``functioning_ml``, shape (n, 9); None without draws.
    expected_ml
        Liver volume expected of the body's size; None where height or weight is not known.
    complete
        Whether all tumor was seen; False where its volume is a lower bound.
    """

    functioning_ml: FloatArray
    lesion_ml: FloatArray
    long_mm: FloatArray
    capsule_mm: FloatArray
    hilum_mm: FloatArray
    share: FloatArray
    drawn_ml: FloatArray | None = None
    expected_ml: float | None = None
    complete: bool = True


def table_of(facts: Facts, lesions: Sequence[Lesion]) -> Table:
    """Table from the facts and lesions of a case.

    Raises
    ------
    CannotPlanError
        Where there is no tumor, or the segments are not known.
    """
    whole = [facts.get(f"segment.{n}.volume") for n in range(1, 9)]
    tumor = [facts.get(f"segment.{n}.tumor_volume") for n in range(1, 9)]
    if not lesions:
        raise CannotPlanError(NO_TUMOR)
    known = [f for f in (*whole, *tumor) if f is not None and f.valid and f.best is not None]
    if len(known) < 16 or not any(r.segments for r in lesions):
        raise CannotPlanError(NO_SEGMENTS)
    functioning = np.zeros(9)
    functioning[1:] = [_number(w) - _number(t) for w, t in zip(known[:8], known[8:], strict=True)]
    if functioning.sum() <= 0:
        raise CannotPlanError("there is no liver outside the tumor")
    return Table(
        functioning_ml=np.maximum(functioning, 0.0),
        lesion_ml=np.array([r.volume_ml for r in lesions]),
        long_mm=np.array([max(r.recist_long_mm, r.feret_3d_mm) for r in lesions]),
        capsule_mm=_distances([r.distance_capsule_mm for r in lesions], np.inf),
        hilum_mm=_distances([r.distance_hilum_mm for r in lesions], np.nan),
        share=np.array([[r.segments.get(n, 0.0) for n in range(9)] for r in lesions]),
        drawn_ml=_drawn(known[:8], known[8:]),
        expected_ml=_expected(facts.get("liver.estimated_volume")),
        complete=_bounded(facts.get("tumor.volume")),
    )


def why_no_share(facts: Facts) -> str:
    """Why no share of the tumor holds, where lesions were overlooked or cut; "" where it does."""
    cleared = facts.get("debulk.right_hepatectomy.percent")
    return "" if cleared is None or cleared.valid else cleared.note


def _number(fact: Fact) -> float:
    return float(fact.best) if fact.best is not None else np.nan


def _distances(values: list[float | None], unknown: float) -> FloatArray:
    return np.array([unknown if v is None else v for v in values])


def _drawn(whole: list[Fact], tumor: list[Fact]) -> FloatArray | None:
    columns = [f.draws.astype(np.float64) for f in (*whole, *tumor) if f.draws is not None]
    if len(columns) < 16 or len({c.size for c in columns}) > 1:
        return None
    drawn = np.zeros((columns[0].size, 9))
    drawn[:, 1:] = np.stack(columns[:8], axis=1) - np.stack(columns[8:], axis=1)
    return np.maximum(drawn, 0.0)


def _expected(fact: Fact | None) -> float | None:
    if fact is None or not isinstance(fact.value, Interval) or fact.value.is_unknown:
        return None
    middle = 0.5 * (fact.value.low + fact.value.high)
    best = fact.best if isinstance(fact.best, float | int) else middle
    return float(best) if np.isfinite(best) and best > 0 else None


def _bounded(fact: Fact | None) -> bool:
    return fact is None or not isinstance(fact.value, Interval) or bool(np.isfinite(fact.value.high))
