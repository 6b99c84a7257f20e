"""cohort.html: one self-contained page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from burden.cohort.data import Array, unit_of
from burden.cohort.eligibility import Moved
from burden.cohort.plots import (
    agreement_plot,
    eligibility_plot,
    p_plot,
    roc_plot,
    survival_plot,
    threshold_plot,
)
from burden.cohort.study import Study

SHOWN = 9
"""Thresholds in a table of the page; the CSV has them all."""


def page(study: Study, record: Mapping[str, Any]) -> str:
    """The page as HTML text."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    world = Environment(
        loader=PackageLoader("burden.cohort", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.filters |= {"number": number, "percent": percent, "between": between}
    text: str = world.get_template("cohort.html").render(
        record=record,
        binary=[_binary(study, n, one) for n, one in enumerate(record["binary"])],
        survival=[_survival(study, n, one) for n, one in enumerate(record["survival"])],
        agreement=[
            {**one, "plot": agreement_plot(*study.agreement[n])}
            for n, one in enumerate(record["agreement"])
        ],
        eligibility=[
            {**one, "unit": unit_of(one["fact"]), "plot": _moved_plot(study.eligibility[n])}
            for n, one in enumerate(record["eligibility"])
        ],
    )
    return text


def _binary(study: Study, n: int, one: Mapping[str, Any]) -> dict[str, Any]:
    fact, _, found = study.binary[n]
    published = study.published.get(fact, [])
    return {
        **one,
        "shown": _shown(one["thresholds"], found.thresholds, found.best, published),
        "roc": roc_plot(found),
        "plot": threshold_plot(found, fact, published, below=study.asked.below),
    }


def _moved_plot(one: Moved) -> str:
    """The plot, or nothing where the limit changes no verdict."""
    changes = any(np.ptp(one.figures[name]) > 0 for name in ("yes", "no"))
    return eligibility_plot(one) if changes else ""


def _survival(study: Study, n: int, one: Mapping[str, Any]) -> dict[str, Any]:
    fact, found, (values, time, event) = study.survival[n]
    published = study.published.get(fact, [])
    best = float(found.thresholds[found.best])
    below = study.asked.below
    return {
        **one,
        "shown": _shown(one["thresholds"], found.thresholds, found.best, published),
        "curves": survival_plot(values, time, event, best, fact, below=below),
        "plot": p_plot(found, fact, published, below=below),
    }


def _shown(
    rows: list[dict[str, Any]], thresholds: Array, best: int, published: list[tuple[float, str]]
) -> list[dict[str, Any]]:
    """The published limits, the best threshold, and a few in between, with what they are."""
    why: dict[int, str] = {}
    for limit, _ in published:
        why[int(np.argmin(np.abs(thresholds - limit)))] = "published"
    why[best] = f"{why[best]}, best here" if best in why else "best here"
    for k in np.linspace(0, len(rows) - 1, SHOWN).round().astype(int):
        why.setdefault(int(k), "")
    return [{**rows[k], "why": why[k]} for k in sorted(why)]


def number(value: float | None, digits: int = 4) -> str:
    """A number as people write it; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}g}"


def percent(value: float | None) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.0f} %"


def between(ends: Any) -> str:
    """An interval in words."""
    if isinstance(ends, dict):
        ends = None if ends["low"] is None else (ends["low"], ends["high"])
    return "no interval" if not ends else f"{ends[0]:.3g} to {ends[1]:.3g}"
