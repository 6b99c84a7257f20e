"""Change of the tumor volume between two studies."""

from __future__ import annotations

from math import log
from typing import Any

import numpy as np

from burden.case import Case
from burden.compare.response import by_volume

NOTE = (
    "limits of RECIST carried over to spheres: -65.7 % and +72.8 %; a negative doubling "
    "time is a halving time; p05 and p95 as if both masks erred independently"
)


def volume_change(
    one: Case, two: Case, weeks: float | None, *, known: tuple[bool, bool], whole: bool
) -> dict[str, Any]:
    """Volumes of both studies, mL, their change, %, and the response by it.

    Parameters
    ----------
    known
        Whether the lesions of each study are; what is not known has no volume.
    whole
        False where lesions lie beyond an image: the volumes are what was seen, and say nothing of
        the change.
    """
    before, after = (
        sum(r.volume_ml for r in case.lesions) if told else None
        for case, told in zip((one, two), known, strict=True)
    )
    change, rate, low, high = None, 0.0, None, None
    response: str | None = "NE"
    if whole and before is not None and after is not None:
        change = percent(before, after)
        response = None if change is None else by_volume(change)
        rate = log(after / before) if before > 0 and after > 0 else 0.0
        low, high = _open(one, two)
    return {
        "base_ml": before,
        "follow_up_ml": after,
        "change_percent": change,
        "change_p05": low,
        "change_p95": high,
        "response": response,
        "doubling_days": weeks * 7 * log(2) / rate if weeks and abs(rate) > 1e-9 else None,
        "note": NOTE,
    }


def percent(before: float, after: float) -> float | None:
    """Change, %; None where nothing was there before."""
    return 100.0 * (after / before - 1.0) if before > 0 else None


def _open(one: Case, two: Case) -> tuple[float | None, float | None]:
    """90 % range of the change of the tumor volume, %; None without draws in both studies.

    All pairs of draws: two masks by one hand have errors in common, which makes the range too wide.
    """
    drawn = [c.facts["tumor.volume"].draws if "tumor.volume" in c.facts else None for c in (one, two)]
    if drawn[0] is None or drawn[1] is None:
        return None, None
    before, after = (d.astype(np.float64) for d in drawn if d is not None)
    if not (before > 0).all():
        return None, None
    low, high = np.quantile(100.0 * (after[None] / before[:, None] - 1.0), (0.05, 0.95))
    return float(low), float(high)
