"""case.json: everything said about a case, in a form that can be read back.

The shape is ``configs/case.schema.json`` (JSON Schema 2020-12). Infinities are the strings
"-inf" and "inf". Draws are kept, rounded to seven digits, so that P(met) can be worked out
again for other rule books or other clinical facts.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from burden.case import RESEARCH_USE, Assessment, Case, CriterionResult
from burden.facts import Choice, Fact
from burden.lesions import Lesion
from burden.options import Pathway
from burden.resources import shipped
from burden.write.folder import SCHEMA

Json = dict[str, Any]
VERSION = f"{SCHEMA}.1"


def write_record(case: Case, folder: Path) -> None:
    """Write ``case.json``, listing with their SHA-256 the files already in ``folder``."""
    record = case_record(case)
    record["manifest"]["files"] = {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    validator().validate(record)
    (folder / "case.json").write_text(_text(record), encoding="utf-8")


def case_record(case: Case) -> Json:
    """The case as plain JSON values, without the list of files."""
    facts = case.facts.values()
    return {
        "schema": VERSION,
        "research_use": RESEARCH_USE,
        "case_id": case.case_id,
        "facts": {fact.id: _fact(fact) for fact in facts},
        "lesions": [_lesion(lesion) for lesion in case.lesions],
        "assessments": [assessment_record(one) for one in case.assessments],
        "plans": _plain(case.plans),
        "planned": _plain(case.planned),
        "pathway": pathway_record(case.pathway),
        "findings": [_plain(vars(finding)) for finding in case.findings],
        "manifest": _plain(vars(case.manifest)),
        "draws": {f.id: [_draw(x) for x in f.draws.tolist()] for f in facts if f.draws is not None},
    }


@cache
def validator() -> Any:
    """Validator of ``case.json`` (``.validate(record)`` raises ``jsonschema.ValidationError``)."""
    from jsonschema import Draft202012Validator

    schema = json.loads(shipped("configs", "case.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _text(record: Json) -> str:
    """JSON with one line a value, but one line for all draws of a fact."""
    draws = record["draws"]
    rest = {key: value for key, value in record.items() if key != "draws"}
    body = json.dumps(rest, indent=2, ensure_ascii=False, allow_nan=False)
    lines = ",\n".join(
        f"    {json.dumps(key)}: {json.dumps(values, allow_nan=False, separators=(',', ':'))}"
        for key, values in draws.items()
    )
    block = f"{{\n{lines}\n  }}" if lines else "{}"
    return f'{body.removesuffix("}").rstrip()},\n  "draws": {block}\n}}\n'


def _fact(fact: Fact) -> Json:
    value, quantiles = fact.value, fact.quantiles() or (None, None, None)
    bounds = (None, None) if isinstance(value, Choice) else (value.low, value.high)
    entry: Json = {
        "value": fact.best,
        "low": bounds[0],
        "high": bounds[1],
        "unit": fact.unit,
        "source": fact.source,
        "p05": quantiles[0],
        "p50": quantiles[1],
        "p95": quantiles[2],
        "valid": fact.valid,
        "note": fact.note,
    }
    if isinstance(value, Choice):
        entry["options"] = sorted(value.options)
        if fact.draws is not None:
            names, counts = np.unique(fact.draws, return_counts=True)
            entry["p"] = {str(n): float(c) for n, c in zip(names, counts / fact.draws.size, strict=True)}
    return {key: _plain(item) for key, item in entry.items()}


def _lesion(lesion: Lesion) -> Json:
    row = dict(vars(lesion))
    row["centroid_x_mm"], row["centroid_y_mm"], row["centroid_z_mm"] = row.pop("centroid_mm")
    return {key: _plain(item) for key, item in row.items()}


def assessment_record(one: Assessment) -> Json:
    """One assessment as it stands in ``case.json``."""
    return {**_plain(vars(one)), "criteria": [_criterion(row) for row in one.criteria]}


def pathway_record(pathway: Pathway) -> Json:
    """The options side by side as they stand in ``case.json``."""
    found: Json = _plain(asdict(pathway))
    return found


def _criterion(row: CriterionResult) -> Json:
    return {**_plain(vars(row)), "cite": [_plain(vars(cite)) for cite in row.cite]}


def _draw(x: Any) -> Any:
    return _plain(float(f"{x:.7g}") if isinstance(x, float) else x)


def _plain(value: Any) -> Any:
    """Value as JSON knows it: string keys, lists, infinities as strings."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(item) for item in value)
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)
