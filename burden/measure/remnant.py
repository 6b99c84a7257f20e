"""Future liver remnant and debulking of the standard hepatectomies.

Couinaud segments removed, after the Brisbane terms. The caudate (segment 1) stays unless a
plan says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact, Facts, Interval
from burden.measure.fact import TAIL, number, unknown
from burden.measure.scene import Scene
from burden.measure.volumes import NO_SEGMENTS, percent

PLANS: dict[str, tuple[int, ...]] = {
    "right_hepatectomy": (5, 6, 7, 8),
    "left_hepatectomy": (2, 3, 4),
    "extended_right": (4, 5, 6, 7, 8),
    "extended_left": (2, 3, 4, 5, 8),
    "left_lateral": (2, 3),
    "right_posterior": (6, 7),
    "central": (4, 5, 8),
}
VAUTHEY, URATA = "Vauthey 2002", "Urata 1995"
TELV = {VAUTHEY: (-794.41, 1267.28), URATA: (2.4, 706.2)}
"""Estimated total liver volume: mL at BSA 0, and mL a m2."""
STANDARDISED = {"sflr": VAUTHEY, "sflr_urata": URATA}
MIN_FLR_PERCENT = 30.0
"""What must stay for a plan to be the best one (S1 Isolated surgical resection)."""

_SEGMENTS = tuple(range(1, 9))
_PARTS = (
    ("flr.{}.volume", "mL"),
    ("flr.{}.percent", "%"),
    ("flr.{}.sflr", "%"),
    ("flr.{}.sflr_urata", "%"),
    ("debulk.{}.percent", "%"),
)
Parts = dict[str, tuple[float, NDArray[np.float64] | None]]
_T = TypeVar("_T", float, NDArray[np.float64])


def remnants(scene: Scene) -> Iterator[Fact]:
    """FLR, sFLR and debulking of every plan, and of the best one."""
    if not scene.anatomy.known:
        for plan in (*PLANS, "best"):
            yield from (unknown(i.format(plan), unit, NO_SEGMENTS) for i, unit in _PARTS)
        return
    parts = {plan: _parts(scene, removed) for plan, removed in PLANS.items()}
    for plan, removed in PLANS.items():
        yield from _facts(scene, plan, parts[plan], f"removes segments {_list(removed)}")
    good = [p for p in PLANS if parts[p]["percent"][0] >= MIN_FLR_PERCENT]
    if scene.rows and good:
        best = max(good, key=lambda p: _worth(parts[p]["debulk"][0], parts[p]["percent"][0]))
        note = f"{best}: clears most tumor of the plans that leave >= {MIN_FLR_PERCENT:.0f} %"
        yield from _facts(scene, "best", _best_parts(parts, best), note)
        return
    why = "no tumor to remove" if good else f"no standard plan leaves {MIN_FLR_PERCENT:.0f} %"
    yield from (unknown(i.format("best"), unit, why) for i, unit in _PARTS)


def _best_parts(parts: dict[str, Parts], best: str) -> Parts:
    """The best plan as measured, and in every draw the plan that is best in that draw.

    Where none leaves enough liver nothing is removed: 0 % is cleared and all the liver stays.
    """
    if parts[best]["percent"][1] is None:
        return parts[best]
    drawn = {key: np.array([parts[p][key][1] for p in PLANS]) for key in ("volume", "percent", "debulk")}
    enough = drawn["percent"] >= MIN_FLR_PERCENT
    score = np.where(enough, _worth(drawn["debulk"], drawn["percent"]), -1.0)
    pick, which = score.argmax(axis=0), np.arange(score.shape[1])
    none = ~enough.any(axis=0)
    whole = drawn["volume"][0] / np.maximum(drawn["percent"][0] / 100.0, 1e-9)
    idle = {"volume": whole, "percent": np.full(len(whole), 100.0), "debulk": np.zeros(len(whole))}
    return {
        key: (parts[best][key][0], np.where(none, idle[key], drawn[key][pick, which])) for key in drawn
    }


def _worth(cleared: _T, left: _T) -> _T:
    """What plans are ranked by: of those that clear alike the one that leaves more."""
    return cleared + 1e-6 * left


def estimated_liver_ml(patient: Facts, formula: str = VAUTHEY) -> Interval | None:
    """Total liver volume expected of the body, mL.

    Vauthey 2002 (western adults): -794.41 + 1267.28 x BSA; Urata 1995 (Japan): 2.4 + 706.2 x BSA. Body
    surface by Mosteller: sqrt(height cm x weight kg / 3600). None where height or weight is not
    known, or the formula has left its range (small children).
    """
    start, slope = TELV[formula]
    sizes = [patient[i].value for i in ("patient.height", "patient.weight") if i in patient]
    known = [s for s in sizes if isinstance(s, Interval) and s.low > 0 and s.high < np.inf]
    if len(known) < 2:
        return None
    low, high = (
        start + slope * float(np.sqrt(np.prod(ends) / 3600.0))
        for ends in ([s.low for s in known], [s.high for s in known])
    )
    return Interval(low, high) if low > 0 else None


def _parts(scene: Scene, removed: tuple[int, ...]) -> Parts:
    """Estimate and draws of each part of a plan."""
    stays = [n for n in _SEGMENTS if n not in removed]
    gone = list(removed)
    liver, tumor, spread = scene.segment_ml, scene.segment_tumor_ml, scene.spread
    flr = float(liver[stays].sum() - tumor[stays].sum())
    functioning = float(liver.sum() - tumor.sum())
    cleared = float(100.0 * tumor[gone].sum() / tumor.sum()) if tumor.sum() > 0 else 0.0
    measured = (flr, min(100.0 * flr / max(functioning, 1e-9), 100.0), cleared)
    if spread is None:
        return {
            key: (value, None)
            for key, value in zip(("volume", "percent", "debulk"), measured, strict=True)
        }
    livers, tumors = spread.segment_ml, spread.segment_tumor_ml
    flrs = np.maximum(livers[:, stays].sum(1) - tumors[:, stays].sum(1), 0.0)
    shares = percent(flrs, livers.sum(1) - tumors.sum(1))
    clears = percent(tumors[:, gone].sum(1), tumors.sum(1))
    return {"volume": (flr, flrs), "percent": (measured[1], shares), "debulk": (cleared, clears)}


def _facts(scene: Scene, plan: str, parts: Parts, note: str) -> Iterator[Fact]:
    source, note = scene.source, f"{note}; {scene.anatomy.source}"
    yield number(f"flr.{plan}.volume", "mL", *parts["volume"], source, f"without tumor; {note}")
    yield number(
        f"flr.{plan}.percent", "%", *parts["percent"], source, f"of (total liver - tumor); {note}"
    )
    for name, formula in STANDARDISED.items():
        body = estimated_liver_ml(scene.patient, formula)
        if body is None:
            yield unknown(f"flr.{plan}.{name}", "%", "needs the patient's height and weight (adults)")
        else:
            text = f"body size ({formula}, Mosteller BSA); {note}"
            yield _standardised(f"flr.{plan}.{name}", parts["volume"], body, source, text)
    if scene.rows:
        yield number(f"debulk.{plan}.percent", "%", *parts["debulk"], source, note)
    else:
        yield unknown(f"debulk.{plan}.percent", "%", "no tumor to remove")


def _standardised(
    fact_id: str, flr: tuple[float, NDArray[np.float64] | None], body: Interval, source: str, note: str
) -> Fact:
    """FLR by body size; the interval also spans what is not known of the body's size."""
    typical = 0.5 * (body.low + body.high)
    draws = None if flr[1] is None else 100.0 * flr[1] / typical
    low, high = (flr[0], flr[0]) if flr[1] is None else np.quantile(flr[1], (TAIL, 1.0 - TAIL))
    text = f"of {typical:.0f} mL expected by {note}"
    fact = number(fact_id, "%", 100.0 * flr[0] / typical, draws, source, text)
    span = Interval(
        100.0 * min(float(low), flr[0]) / body.high, 100.0 * max(float(high), flr[0]) / body.low
    )
    return Fact(fact.id, span, "%", fact.source, draws, fact.estimate, note=text)


def _list(segments: tuple[int, ...]) -> str:
    return ", ".join(map(str, segments))
