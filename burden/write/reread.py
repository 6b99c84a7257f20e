"""A Case read back from its case.json (without the images)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.answer import Answer
from burden.case import Assessment, Case, Citation, CriterionResult, Manifest
from burden.errors import InputError
from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.lesions import Lesion
from burden.options import Option, Pathway, Published, Question, StudyArm
from burden.write.folder import SCHEMA
from burden.write.record import validator

Json = Mapping[str, Any]
_AGAIN = "Make it again with `burden run`."


def read_case(path: Path) -> Case:
    """Read ``case.json``, or the folder that holds it.

    The images are not part of the record: ``images`` is None. Draws come back rounded to
    seven digits.

    Raises
    ------
    InputError
        If there is no such file, or it is not a valid case.json of this version.
    """
    if path.is_dir():
        path = path / "case.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("no case.json here.", where=path, hint="Give the OUT of a run.") from None
    except (OSError, ValueError) as error:
        raise InputError("not a readable case.json.", where=path, hint=_AGAIN) from error
    schema = str(record.get("schema", "missing")) if isinstance(record, dict) else "missing"
    if not schema.startswith(f"{SCHEMA}."):
        raise InputError(
            f"not a case.json that this version reads (schema {schema}, need {SCHEMA}.x).",
            where=path,
            hint=_AGAIN,
        )
    problem = next(iter(validator().iter_errors(record)), None)
    if problem is not None:
        place = "/".join(str(part) for part in problem.absolute_path) or "the top level"
        raise InputError(f"case.json is not valid at {place}.", where=path, hint=_AGAIN)
    try:
        return _case(record)
    except (ValueError, TypeError) as error:  # a low above a high, a word among numbers
        raise InputError(f"not a sound case.json ({error}).", where=path, hint=_AGAIN) from error


def _case(record: Json) -> Case:
    draws = record["draws"]
    return Case(
        case_id=record["case_id"],
        facts=Facts(_fact(key, entry, draws.get(key)) for key, entry in record["facts"].items()),
        lesions=tuple(_lesion(row) for row in record["lesions"]),
        assessments=tuple(_assessment(one) for one in record["assessments"]),
        findings=tuple(
            Finding(f["code"], f["severity"], f["text"], tuple(f["invalidates"]))
            for f in record["findings"]
        ),
        manifest=Manifest(**{k: v for k, v in record["manifest"].items() if k != "files"}),
        plans=tuple(record["plans"]),
        planned=record.get("planned", {}),
        pathway=_pathway(record.get("pathway")),
    )


def _fact(key: str, entry: Json, draws: list[Any] | None) -> Fact:
    value: Interval | Choice
    estimate: float | None = None
    if "options" in entry:
        value = Choice.of(*entry["options"])
    else:
        value = Interval(float(entry["low"]), float(entry["high"]))
        estimate = None if value.is_exact else entry["value"]
    return Fact(
        id=key,
        value=value,
        unit=entry["unit"],
        source=entry["source"],
        draws=None if draws is None else _draws(draws, isinstance(value, Choice)),
        estimate=estimate,
        valid=entry["valid"],
        note=entry["note"],
    )


def _draws(values: list[Any], words: bool) -> NDArray[np.generic]:
    if words:
        return np.array(values, dtype=np.str_)
    if any(isinstance(x, str) for x in values):  # infinities
        return np.array([float(x) for x in values])
    return np.array(values)


def _lesion(row: Json) -> Lesion:
    fields = dict(row)
    centroid = tuple(fields.pop(f"centroid_{axis}_mm") for axis in "xyz")
    ends = tuple(tuple(point) for point in fields.pop("recist_ends_mm"))
    segments = {int(n): share for n, share in fields.pop("segments").items()}
    return Lesion(**fields, centroid_mm=centroid, recist_ends_mm=ends, segments=segments)  # type: ignore[arg-type]


def _assessment(one: Json) -> Assessment:
    fields = dict(one)
    criteria = tuple(_criterion(row) for row in fields.pop("criteria"))
    for key in ("missing", "conflicts", "what_if", "inventory"):
        fields[key] = tuple(fields.get(key, ()))
    return Assessment(**fields | {"criteria": criteria, "answer": Answer(one["answer"])})


def _pathway(given: Json | None) -> Pathway:
    """The options; none in a case.json of version 1.0."""
    if given is None:
        return Pathway()
    published = {
        key: Published(tuple(one["summary"]), tuple(StudyArm(**arm) for arm in one["arms"]))
        for key, one in given["published"].items()
    }
    return Pathway(
        options=tuple(Option(**_tuples(row)) for row in given["options"]),
        notes=tuple(given["notes"]),
        questions=tuple(Question(**_tuples(row)) for row in given["questions"]),
        published=published,
    )


def _tuples(row: Json) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}


def _criterion(row: Json) -> CriterionResult:
    cite = tuple(Citation(**one) for one in row["cite"])
    changed = {"cite": cite, "facts": tuple(row["facts"]), "answer": Answer(row["answer"])}
    return CriterionResult(**dict(row) | changed)
