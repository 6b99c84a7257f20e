"""Clinical facts from a FHIR R4 Bundle: Patient, Observation (LOINC) and Condition (ICD-10, SNOMED CT).

Only the values themselves leave this module: no name, identifier, date or reference. Of
several observations the latest holds, and how far the others differ is said. That a
condition is not listed says nothing: it is never taken for "no".
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from burden.errors import InputError, RuleError
from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.read.clinical import fact_of
from burden.read.fhir_codes import ACTIVE, CERTAIN, LOINC, SEX, USED_STATUS, diagnosis
from burden.vocabulary import vocabulary

MAX_BYTES = 2**25
_NOT_READ = "fhir-not-used"
_EARLIEST = datetime.min.replace(tzinfo=UTC)
Json = dict[str, Any]


def read_bundle(path: Path) -> tuple[Facts, tuple[Finding, ...]]:
    """Facts of the one patient of a Bundle.

    Raises
    ------
    InputError
        If it is no Bundle, or of several patients.
    RuleError
        If a value is outside its plausible range, with the range.
    """
    bundle = _bundle(path)
    resources = [e["resource"] for e in _items(bundle, "entry") if isinstance(e.get("resource"), dict)]
    by_type: dict[str, list[Json]] = defaultdict(list)
    for resource in resources:
        by_type[str(resource.get("resourceType"))].append(resource)
    _one_patient(path, by_type)
    facts, findings = _observed(path, by_type["Observation"])
    facts |= _diagnosed(path, by_type["Condition"])
    for patient in by_type["Patient"]:
        about, said = _person(path, patient, _as_of(bundle, by_type["Observation"]))
        facts |= about
        findings += said
    return facts, tuple(findings)


def _bundle(path: Path) -> Json:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RuleError("too large for a FHIR Bundle of one patient.", where=path)
        bundle = json.loads(path.read_text(encoding="utf-8-sig"), parse_constant=_no_constant)
    except OSError as error:
        raise InputError("cannot be read.", where=path, hint=error.strerror) from error
    except (ValueError, RecursionError) as error:
        raise RuleError("not valid JSON.", where=path) from error
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise RuleError(
            "not a FHIR Bundle.", where=path, hint="Export the record as a Bundle (R4, JSON)."
        )
    return bundle


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _one_patient(path: Path, by_type: dict[str, list[Json]]) -> None:
    subjects = {
        str(_part(resource, "subject").get("reference", ""))
        for kind in ("Observation", "Condition")
        for resource in by_type[kind]
    } - {""}
    count = max(len(by_type["Patient"]), len(subjects))
    if count > 1:
        raise InputError(f"a Bundle of {count} patients.", where=path, hint="Export one patient.")


def _observed(path: Path, observations: list[Json]) -> tuple[Facts, list[Finding]]:
    found: dict[str, list[tuple[datetime, Fact]]] = defaultdict(list)
    skipped: dict[str, int] = defaultdict(int)
    for number, one in enumerate(observations, 1):
        name = next((LOINC[c] for s, c in _codes(one) if "loinc" in s and c in LOINC), None)
        if name is None or str(one.get("status", "final")) not in USED_STATUS:
            continue
        value = _quantity(one)
        if value is None:
            skipped[name] += 1
            continue
        fact = fact_of(name, value, f"{path}: Observation {number}", path.name)
        found[name].append((_when(one), fact))
    findings = [
        Finding(_NOT_READ, "warning", f"{name}: {n} observation(s) without a number and unit; not used.")
        for name, n in sorted(skipped.items())
    ]
    facts = []
    for name, dated in sorted(found.items()):
        fact, said = _latest(name, dated)
        facts.append(fact)
        findings += said
    return Facts(facts), findings


def _latest(name: str, dated: list[tuple[datetime, Fact]]) -> tuple[Fact, list[Finding]]:
    """The latest value; all of them together where several bear the latest date."""
    last = max(when for when, _ in dated)
    now = [fact for when, fact in dated if when == last]
    spans = [_span(f) for f in now], [_span(f) for _, f in dated]
    (low, high), (least, most) = ((min(s[0] for s in part), max(s[1] for s in part)) for part in spans)
    fact, unit = replace(now[-1], value=Interval(low, high)), vocabulary()[name].unit
    if len({_span(f) for f in now}) > 1:
        text = f"{name}: {len(now)} observations of one time disagree, {low:g} to {high:g} {unit}."
        return fact, [Finding("facts-disagree", "warning", text)]
    if len({_span(f) for _, f in dated}) > 1:
        text = (
            f"{name}: the latest of {len(dated)} observations holds; all: {least:g} to {most:g} {unit}."
        )
        return fact, [Finding("facts-over-time", "info", text)]
    return fact, []


def _span(fact: Fact) -> tuple[float, float]:
    assert isinstance(fact.value, Interval)  # noqa: S101 - every LOINC code here is a number
    return fact.value.low, fact.value.high


def _quantity(one: Json) -> Json | None:
    """Value of an Observation in the form a YAML facts file has; None where there is none."""
    span = _part(one, "valueRange")
    ends = {key: _part(span, key) for key in ("low", "high") if _part(span, key)}
    quantity = _part(one, "valueQuantity")
    if quantity:
        key = {"<": "high", ">": "low"}.get(str(quantity.get("comparator", ""))[:1], "value")
        ends = {key: quantity}
    units = {str(q.get("code") or q.get("unit") or "") for q in ends.values()}
    if len(units) != 1 or "" in units or any(q.get("value") is None for q in ends.values()):
        return None
    return {**{key: q["value"] for key, q in ends.items()}, "unit": units.pop()}


def _diagnosed(path: Path, conditions: list[Json]) -> Facts:
    options: dict[str, set[str]] = defaultdict(set)
    for one in conditions:
        status = [_status(one, key) for key in ("clinicalStatus", "verificationStatus")]
        if status[0] not in ACTIVE or status[1] not in CERTAIN:
            continue
        for system, code in _codes(one):
            known = diagnosis(system, code)
            if known is not None:
                options[known[0]].update(known[1])
    return Facts(Fact(n, Choice.of(*o), "", path.name, note="diagnosis") for n, o in options.items())


def _status(one: Json, key: str) -> str:
    return next((str(c.get("code", "")) for c in _items(_part(one, key), "coding")), "")


def _person(path: Path, patient: Json, as_of: date | None) -> tuple[Facts, list[Finding]]:
    facts, findings = [], []
    sex = SEX.get(str(patient.get("gender")))
    if sex:
        facts.append(Fact("patient.sex", Choice.of(sex), "", path.name))
    born = str(patient.get("birthDate") or "")
    if born and as_of is None:
        text = "The age is not known: the Bundle has a birth date, but nothing says when it was made."
        findings.append(Finding(_NOT_READ, "warning", text))
    elif born and as_of is not None:
        age = _age(born, as_of)
        if age is None:
            findings.append(
                Finding(_NOT_READ, "warning", "The birth date is no date; the age is not known.")
            )
        else:
            facts.append(fact_of("patient.age", age, f"{path}: Patient", path.name))
    return Facts(facts), findings


def _age(born: str, as_of: date) -> Json | None:
    """Completed years; both ends where the day or month of birth is not given."""
    year, month, day = [*born.split("T")[0].split("-"), "", ""][:3]
    try:
        first = date(int(year), int(month or 1), int(day or 1))
        last = date(int(year), int(month or 12), int(day or 28))
    except ValueError:
        return None
    years = [as_of.year - b.year - ((as_of.month, as_of.day) < (b.month, b.day)) for b in (last, first)]
    return {"low": years[0], "high": years[1]}


def _as_of(bundle: Json, observations: list[Json]) -> date | None:
    """The day of the Bundle, else of its latest observation."""
    stamp = _moment(str(bundle.get("timestamp") or _part(bundle, "meta").get("lastUpdated") or ""))
    last = max([stamp] if stamp > _EARLIEST else [_when(o) for o in observations], default=_EARLIEST)
    return None if last == _EARLIEST else last.date()


def _when(one: Json) -> datetime:
    period = _part(one, "effectivePeriod")
    times = (
        one.get("effectiveDateTime"),
        one.get("effectiveInstant"),
        period.get("end"),
        one.get("issued"),
    )
    return _moment(next((str(t) for t in times if t), ""))


def _moment(text: str) -> datetime:
    """A FHIR date or time, whole or partial; the beginning of time where it is none."""
    whole = text + {4: "-01-01", 7: "-01"}.get(len(text), "")
    try:
        moment = datetime.fromisoformat(whole)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return _EARLIEST


def _codes(one: Json) -> Iterator[tuple[str, str]]:
    for coding in _items(_part(one, "code"), "coding"):
        yield str(coding.get("system", "")).lower(), str(coding.get("code", ""))


def _part(one: Json, key: str) -> Json:
    value = one.get(key)
    return value if isinstance(value, dict) else {}


def _items(one: Json, key: str) -> list[Json]:
    value = one.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
