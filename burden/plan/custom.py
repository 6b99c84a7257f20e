"""The remnant of any set of segments that somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from burden.errors import UsageError
from burden.facts import Facts
from burden.lesions import Lesion
from burden.plan.anatomy import ALL, named, removable
from burden.plan.search import remaining, staying
from burden.plan.table import CannotPlanError, table_of, why_no_share

Json = dict[str, Any]


def parse_segments(text: str) -> frozenset[int]:
    """``4,5,6`` as segments.

    Raises
    ------
    UsageError
        Unless these are one to seven different numbers from 1 to 8.
    """
    parts = [p.strip() for p in text.split(",")]
    if not all(p.isdigit() for p in parts) or not frozenset(map(int, parts)) < ALL:
        raise UsageError("segments are one to seven numbers from 1 to 8, as 5,6,7,8.", where=text)
    return frozenset(map(int, parts))


def remnant_without(
    facts: Facts, lesions: Sequence[Lesion], removed: frozenset[int], min_flr: float = 30.0
) -> Json:
    """What stays when segments are removed, and what is cleared.

    ``why_not`` says why nothing is known, or, where lesions were overlooked, why what is cleared is
    not: ``debulked_percent`` and ``residual_lesions`` are None then.
    """
    try:
        table = table_of(facts, lesions)
    except CannotPlanError as reason:
        return {"removed_segments": sorted(removed), "why_not": str(reason)}
    why = why_no_share(facts)
    stays = staying(removed)
    flr, total = float(table.functioning_ml[stays].sum()), float(table.functioning_ml.sum())
    left, tumor = table.lesion_ml * remaining(table, removed), table.lesion_ml.sum()
    ends = p = None
    if table.drawn_ml is not None:
        shares = 100.0 * table.drawn_ml[:, stays].sum(1) / np.maximum(table.drawn_ml.sum(1), 1e-9)
        ends = [round(float(q), 2) for q in np.quantile(shares, (0.05, 0.95))]
        p = float(np.mean(shares >= min_flr))
    return {
        "name": named(removed),
        "removed_segments": sorted(removed),
        "anatomical": removable(removed),
        "debulked_percent": None if why else round(100.0 * (1.0 - float(left.sum() / tumor)), 2),
        "residual_lesions": None if why else int(np.count_nonzero(left)),
        "flr_ml": round(flr, 1),
        "flr_percent": round(100.0 * flr / total, 2),
        "flr_percent_90": ends,
        "p_flr_enough": p,
        "min_flr_percent": min_flr,
        "sflr_percent": _share(flr, table.expected_ml),
        "sflr_urata_percent": _share(flr, _urata_ml(facts)),
        "why_not": why,
    }


def _share(flr: float, expected_ml: float | None) -> float | None:
    return None if expected_ml is None else round(100.0 * flr / expected_ml, 2)


def _urata_ml(facts: Facts) -> float | None:
    """Liver volume expected by Urata's formula, from a remnant that was measured both ways."""
    ml, share = (facts.get(f"flr.right_hepatectomy.{n}") for n in ("volume", "sflr_urata"))
    if ml is None or share is None or not share.valid:
        return None
    one, two = ml.best, share.best
    return 100.0 * one / two if isinstance(one, float) and isinstance(two, float) and two > 0 else None
