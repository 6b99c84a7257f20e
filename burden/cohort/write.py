"""Results of a threshold study: cohort.json, CSV tables, and a page with the plots."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from burden import __version__
from burden.case import RESEARCH_USE
from burden.cohort.data import unit_of
from burden.cohort.study import Study

SCHEMA = "burden-cohort/1"


def study_record(study: Study) -> dict[str, Any]:
    """Everything as plain JSON values; None where a share has nothing below the line."""
    asked = study.asked
    record = {
        "schema": SCHEMA,
        "research_use": RESEARCH_USE,
        "version": __version__,
        "patients": study.data.rows,
        "left_out": dict(study.data.left_out),
        "settings": {"below": asked.below, "bootstrap": asked.bootstrap, "seed": asked.seed},
        "warnings": study.warnings,
        "published": {
            fact: [{"limit": limit, "book": book} for limit, book in found]
            for fact, found in study.published.items()
        },
        "binary": [
            {
                "fact": fact,
                "unit": unit_of(fact),
                "outcome": outcome,
                "patients": one.patients,
                "positives": one.positives,
                "auc": one.auc,
                "auc_interval": one.auc_interval,
                "best": {
                    **one.rows()[one.best],
                    "youden_on_others": one.youden_on_others,
                    "chosen_between": one.chosen,
                },
                "thresholds": one.rows(),
            }
            for fact, outcome, one in study.binary
        ],
        "survival": [
            {
                "fact": fact,
                "unit": unit_of(fact),
                "patients": one.patients,
                "events": one.events,
                "c_index": one.c_index,
                "c_interval": one.c_interval,
                "best": {
                    **one.rows()[one.best],
                    "p_corrected": one.p_best,
                    "permutations": one.permutations,
                },
                "thresholds": one.rows(),
            }
            for fact, one, _ in study.survival
        ],
        "agreement": [
            {"first": left, "second": right, **{k: v for k, v in found.items() if k != "pairs"}}
            for left, right, found in study.agreement
        ],
        "eligibility": [
            {
                "book": one.book,
                "title": one.title,
                "criterion": one.criterion,
                "text": one.text,
                "fact": one.fact,
                "op": one.op,
                "limit": one.limit,
                "patients": one.patients,
                "at_limit": one.at_limit(),
                "thresholds": one.rows(),
            }
            for one in study.eligibility
        ],
    }
    plain: dict[str, Any] = _plain(record)
    return plain


def write_study(study: Study, record: Mapping[str, Any], folder: Path) -> None:
    """Write cohort.json, cohort.html and a CSV table for each kind of analysis."""
    from burden.cohort.page import page

    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    (folder / "cohort.json").write_text(text + "\n", encoding="utf-8")
    for name, about in (
        ("binary", ("fact", "outcome")),
        ("survival", ("fact",)),
        ("eligibility", ("book", "criterion", "fact", "op", "limit")),
    ):
        rows = [
            {**{key: one[key] for key in about}, **row}
            for one in record[name]
            for row in one["thresholds"]
        ]
        _write_csv(folder / f"{name}.csv", rows)
    _write_csv(folder / "agreement.csv", list(_agreement_rows(record["agreement"])))
    (folder / "cohort.html").write_text(page(study, record), encoding="utf-8")


def _agreement_rows(found: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
    for one in found:
        for name, figure in one.items():
            if isinstance(figure, dict):
                yield {"first": one["first"], "second": one["second"], "figure": name, **figure}


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
