"""fhir.json: valid R4 (as the R4B models have it), every number as in case.json, nobody named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burden.case import RESEARCH_USE, Case
from burden.write import write_case
from burden.write.dicom_codes import SCHEME, fact_code
from burden.write.dicom_seg import parts

KINDS = ["bilobar", "healthy", "truncated", "diffuse"]
Json = dict[str, Any]


def problems(bundle: Json) -> list[str]:
    """What the FHIR models object to, required code lists included.

    None of the resources used here differs between R4 and R4B.
    """
    from fhir.resources.R4B.bundle import Bundle
    from pydantic import BaseModel, ValidationError

    try:
        model = Bundle.model_validate(bundle, strict=False)
    except ValidationError as error:
        return [str(e["loc"]) for e in error.errors()]
    found = []

    def walk(one: Any) -> Iterator[str]:
        if isinstance(one, (list, tuple)):
            for item in one:
                yield from walk(item)
        elif isinstance(one, BaseModel):
            for name, field in type(one).model_fields.items():
                value = getattr(one, name)
                allowed = (field.json_schema_extra or {}).get("enum_values")  # type: ignore[union-attr]
                if allowed and value is not None and value not in allowed:
                    yield f"{type(one).__name__}.{name}: {value}"
                yield from walk(value)

    found += walk(model)
    stored = json.loads(model.model_dump_json(exclude_none=True))
    # the models write an instant in their own way, and numbers are to stay numbers
    if leaves(stored) != leaves(bundle):
        found.append("the models store something else")
    return found


def leaves(value: Any, name: str = "") -> list[str]:
    if isinstance(value, dict):
        return sorted(x for key, item in value.items() for x in leaves(item, f"{name}.{key}"))
    if isinstance(value, list):
        return [x for n, item in enumerate(value) for x in leaves(item, f"{name}[{n}]")]
    if name.endswith((".timestamp", ".issued")):
        value = str(value).replace("+00:00", "Z")
    return [f"{name} = {float(value)!r}" if isinstance(value, (int, float)) else f"{name} = {value!r}"]


def resources(bundle: Json, kind: str) -> list[Json]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


@pytest.fixture(scope="module", params=KINDS)
def written(
    request: pytest.FixtureRequest,
    case_of: Callable[[str], Case],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    out = tmp_path_factory.mktemp("fhir") / "out"
    write_case(case_of(request.param), out, writers=["fhir"])
    return out


def test_valid_against_the_models(written: Path) -> None:
    bundle = json.loads((written / "fhir.json").read_text())
    assert problems(bundle) == []
    names = [e["fullUrl"] for e in bundle["entry"]]
    assert len(set(names)) == len(names)
    text = json.dumps(bundle)
    referred = [r["reference"] for r in resources(bundle, "DiagnosticReport")[0]["result"]]
    assert referred == names[1 : 1 + len(resources(bundle, "Observation"))]
    for one in resources(bundle, "Observation"):
        assert one["device"]["reference"] in names
        assert one["status"] == "preliminary"
        assert one["note"][0]["text"] == RESEARCH_USE
        has_value = [key for key in one if key.startswith("value")]
        # a lesion is a panel: its values are its components
        assert len(has_value) + ("dataAbsentReason" in one) == (not is_lesion(one))
    assert "QUIXANO" not in text
    assert "ALONSO" not in text


def is_lesion(one: Json) -> bool:
    return bool(one["code"]["coding"][0]["code"] == "52988006")


@pytest.mark.parametrize("harm", ["status", "code", "extra", "two values", "instant", "text"])
def test_the_check_can_fail(harm: str, case_of: Callable[[str], Case], tmp_path: Path) -> None:
    write_case(case_of("bilobar"), tmp_path / "out", writers=["fhir"])
    bundle = copy.deepcopy(json.loads((tmp_path / "out" / "fhir.json").read_text()))
    one = next(o for o in resources(bundle, "Observation") if "valueQuantity" in o)
    changes: dict[str, Callable[[], Any]] = {
        "status": lambda: one.update(status="done"),
        "code": lambda: one.pop("code"),
        "extra": lambda: one.update(patientName="x"),
        "two values": lambda: one.update(valueString="x"),
        "instant": lambda: resources(bundle, "DiagnosticReport")[0].update(issued="2026-13-01"),
        "text": lambda: one["valueQuantity"].update(value="12"),
    }
    changes[harm]()
    assert problems(bundle)


def test_every_number_is_that_of_case_json(written: Path) -> None:
    record = json.loads((written / "case.json").read_text())
    bundle = json.loads((written / "fhir.json").read_text())
    found = {
        o["code"]["coding"][-1]["code"]: o for o in resources(bundle, "Observation") if not is_lesion(o)
    }
    units = {"mL": "mL", "%": "%", "mm": "mm", "1": "1"}
    checked = 0
    for fact_id, fact in record["facts"].items():
        code = fact_code(fact_id)
        if code is None:
            continue
        one = found[code[0]]
        checked += 1
        if fact["value"] is None:
            known = fact["valid"] and fact.get("options") is None and fact["low"] not in ("-inf",)
            if known and fact["high"] == "inf":
                told = one["valueQuantity"]
                assert (told["value"], told["comparator"]) == (pytest.approx(fact["low"], 1e-5), ">=")
            elif not known:
                assert one["dataAbsentReason"]["coding"][0]["code"] in ("unknown", "not-applicable")
            continue
        if isinstance(fact["value"], str):
            option = one["valueCodeableConcept"]["coding"][0]["code"]
            assert option.endswith(f"-{fact['value'].upper()}")
            continue
        told = one["valueQuantity"]
        assert told["value"] == pytest.approx(fact["value"], rel=1e-5)
        assert told["code"] == units[fact["unit"]]
        if fact["p05"] is not None:
            low, high = (part["valueQuantity"]["value"] for part in one["component"])
            assert (low, high) == pytest.approx((fact["p05"], fact["p95"]), rel=1e-5)
    assert checked >= 30
    verdicts = [o for code, o in found.items() if code.startswith("RULE-")]
    answers = [o["valueCodeableConcept"]["coding"][0]["display"].lower() for o in verdicts]
    assert answers == [a["answer"] for a in record["assessments"]]
    conclusion = resources(bundle, "DiagnosticReport")[0]["conclusion"]
    assert conclusion.startswith(RESEARCH_USE)
    for finding in record["findings"]:
        assert (finding["text"] in conclusion) == (finding["severity"] != "info")


def test_lesions_have_their_sizes_and_the_tracking_uids_of_the_seg(written: Path) -> None:
    record = json.loads((written / "case.json").read_text())
    bundle = json.loads((written / "fhir.json").read_text())
    rows = [o for o in resources(bundle, "Observation") if is_lesion(o)]
    assert len(rows) == len(record["lesions"])
    names = ["volume_ml", "recist_long_mm", "recist_short_mm", "feret_3d_mm", "p_lesion"]
    for one, lesion in zip(rows, record["lesions"], strict=True):
        told = [part["valueQuantity"]["value"] for part in one["component"]]
        assert told == pytest.approx([lesion[name] for name in names], rel=1e-5)


def test_tracking_uids_are_those_of_the_seg(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("bilobar")
    write_case(case, tmp_path / "out", writers=["fhir"])
    bundle = json.loads((tmp_path / "out" / "fhir.json").read_text())
    rows = [o for o in resources(bundle, "Observation") if is_lesion(o)]
    tracked = [p.tracking_uid for p in parts(case) if p.mask == "lesions"]
    assert [o["identifier"][0]["value"] for o in rows] == [f"urn:oid:{one}" for one in tracked]
    study = resources(bundle, "DiagnosticReport")[0]["imagingStudy"][0]["identifier"]
    assert study == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}


def test_a_lesion_at_the_edge_is_a_lower_bound(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("bilobar")
    cut = replace(case, lesions=(replace(case.lesions[0], touches_edge=True), *case.lesions[1:]))
    write_case(cut, tmp_path / "out", writers=["fhir"])
    bundle = json.loads((tmp_path / "out" / "fhir.json").read_text())
    rows = [o for o in resources(bundle, "Observation") if is_lesion(o)]
    comparators = [
        {part["valueQuantity"].get("comparator", "") for part in o["component"][:4]} for o in rows
    ]
    assert comparators[0] == {">="}
    assert set.union(*comparators[1:]) == {""}


def test_our_own_codes_are_declared(written: Path) -> None:
    bundle = json.loads((written / "fhir.json").read_text())
    (system,) = resources(bundle, "CodeSystem")
    declared = {one["code"] for one in system["concept"]}
    schemes: dict[str, set[str]] = {}

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if "system" in value and "code" in value:
                schemes.setdefault(value["system"], set()).add(value["code"])
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(bundle)
    assert schemes.pop(system["url"]) == declared
    public = (
        "http://snomed.info/sct",
        "http://loinc.org",
        "http://unitsofmeasure.org",
        "http://dicom.nema.org/resources/ontology/DCM",
        "urn:oid:1.2.840.10008.2.16.13",
    )
    assert all(name in public or name.startswith("http://terminology.hl7.org/") for name in schemes)
    assert SCHEME not in schemes


def test_the_same_case_gives_the_same_bundle(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_case(case_of("bilobar"), tmp_path / name, writers=["fhir"])
    texts = [(tmp_path / name / "fhir.json").read_bytes() for name in ("one", "two")]
    assert texts[0] == texts[1]
