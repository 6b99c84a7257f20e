"""fhir.json: the report as an HL7 FHIR R4 Bundle of a DiagnosticReport and its Observations.

Like everything outside ``dicom/`` it names no patient: the report refers to the imaging study by
its UID, and whoever files it knows whose study that is. Lesions carry the tracking UIDs of the
SEG and SR. Codes are SNOMED CT, LOINC, DICOM and UCUM where one exists, else those of one scheme
of our own, which a CodeSystem in the Bundle declares.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from burden.answer import Answer
from burden.case import RESEARCH_USE, Assessment, Case
from burden.facts import Choice, Fact
from burden.lesions import Lesion
from burden.write import dicom_codes as c
from burden.write.dicom_object import NAME, case_digest, is_dicom, model_digest
from burden.write.dicom_seg import parts
from burden.write.dicom_source import uid
from burden.write.verdicts import verdict
from burden.write.words import said

FILE = "fhir.json"
Json = dict[str, Any]
_HL7 = "http://terminology.hl7.org/CodeSystem"
_SYSTEMS = {
    "SCT": "http://snomed.info/sct",
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "IBSI": "urn:oid:1.2.840.10008.2.16.13",
    "LN": "http://loinc.org",
    c.SCHEME: f"urn:oid:{uid(NAME, 'coding scheme')}",
}
_ANSWERS = {Answer.YES: c.YES, Answer.NO: c.NO, Answer.UNKNOWN: c.UNKNOWN}
_DIGITS = 6
_LOWEST: c.Code = ("P05", c.SCHEME, "5th percentile of the measurement's error")
_HIGHEST: c.Code = ("P95", c.SCHEME, "95th percentile of the measurement's error")
_P_MET: c.Code = ("P-MET", c.SCHEME, "Probability that the criteria are met")
_LONGEST: c.Code = ("33728-7", "LN", "Size.maximum dimension in Tumor")


def write_fhir(case: Case, folder: Path) -> None:
    """Write ``fhir.json``."""
    text = json.dumps(bundle(case), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def bundle(case: Case) -> Json:
    """The Bundle: report first, then its observations, the program as Device, and the CodeSystem."""
    digest = case_digest(case)
    observations = [*_facts(case), *_lesions(case), *(_verdict(case, one) for one in case.assessments)]
    device = _named(digest, "device", _device(case))
    for number, one in enumerate(observations):
        one["device"] = {"reference": device["fullUrl"]}
        if study := _study(case):
            one["derivedFrom"] = [study]
        observations[number] = _named(digest, f"observation {number}", one)
    report = _named(digest, "report", _report(case, [one["fullUrl"] for one in observations]))
    entries = [report, *observations, device]
    entries.append(_named(digest, "codes", _code_system(entries)))
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "timestamp": case.manifest.created,
        "entry": entries,
    }


def _named(digest: str, what: str, resource: Json) -> Json:
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{digest}/{what}"))
    kind = resource["resourceType"]
    return {"fullUrl": f"urn:uuid:{name}", "resource": {"resourceType": kind, "id": name, **resource}}


def _report(case: Case, results: Sequence[str]) -> Json:
    told = [verdict(one, case.facts) for one in case.assessments]
    lines = [RESEARCH_USE]
    lines += [f"{f.severity.upper()}: {f.text}" for f in case.findings if f.severity != "info"]
    lines += [f"{one.title}: {one.word}, {one.meaning}." for one in told]
    report: Json = {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "category": [{"coding": [_coding(("RAD", f"{_HL7}/v2-0074", "Radiology"))]}],
        "code": {
            "coding": [_coding(("18748-4", "LN", "Diagnostic imaging study"))],
            "text": "Liver tumor burden (research use only)",
        },
        "subject": {"display": "Not named here: the patient of the imaging study"},
        "issued": case.manifest.created,
        "result": [{"reference": one} for one in results],
        "conclusion": "\n".join(_plain(line) for line in lines),
    }
    if study := _study(case):
        report["imagingStudy"] = [study]
    return report


def _study(case: Case) -> Json | None:
    """The imaging study by its UID, which is no resource of this Bundle."""
    name = case.manifest.input.get("study_uid")
    if not name:
        return None
    return {
        "type": "ImagingStudy",
        "identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{name}"},
    }


def _device(case: Case) -> Json:
    model = case.manifest.model
    return {
        "resourceType": "Device",
        "identifier": [_oid(uid(NAME, case.manifest.version, model_digest(case)))],
        "status": "active",
        "manufacturer": NAME,
        "deviceName": [{"name": f"{NAME} {model.get('id', '')}".strip(), "type": "model-name"}],
        "version": [{"value": case.manifest.version}],
        "note": [{"text": RESEARCH_USE}],
    }


def _facts(case: Case) -> Iterable[Json]:
    """One Observation for each measured fact that has a code, known or not."""
    for fact_id, fact in case.facts.items():
        code = c.fact_code(fact_id)
        if code is None:
            continue
        codes = [_LONGEST, code] if fact_id == "lesion.largest_diameter" else [code]
        place = c.LIVER
        if fact_id.startswith("segment."):
            place = c.SEGMENTS[int(fact_id.split(".")[1])]
        one = _observation(codes, [place], c.words_of(fact_id))
        if fact_id == "liver.volume":
            one["method"] = {"coding": [_coding(c.VOXELS)]}
        one |= _value(case, fact)
        told = said(case.facts, fact_id)
        words = [told.text if fact.best is None else "", told.range, fact.note]
        yield _noted(one, *words)


def _value(case: Case, fact: Fact) -> Json:
    """``value[x]`` and the range of the draws, or why there is no value."""
    if isinstance(fact.value, Choice):
        if fact.best is None:
            return _absent("unknown")
        return {"valueCodeableConcept": _concept(c.option_code(fact.id, str(fact.best)))}
    low, high = fact.value.low, fact.value.high
    best = fact.best
    out: Json
    if isinstance(best, (int, float)):
        out = {"valueQuantity": _quantity(best, fact.unit)}
    elif fact.valid and low > 0 and high == float("inf"):
        return {"valueQuantity": _quantity(low, fact.unit, ">=")}
    elif fact.valid and not fact.value.is_unknown and abs(low) != float("inf") and high != float("inf"):
        out = {"valueRange": {"low": _quantity(low, fact.unit), "high": _quantity(high, fact.unit)}}
    else:
        count = case.facts.get("lesion.count")
        none = count is not None and count.best == 0 and fact.id.startswith("lesion.")
        return _absent("not-applicable" if none else "unknown")
    quantiles = fact.quantiles()
    if quantiles is not None and abs(quantiles[0]) != float("inf") and quantiles[2] != float("inf"):
        ends = ((_LOWEST, quantiles[0]), (_HIGHEST, quantiles[2]))
        out["component"] = [_component(code, value, fact.unit) for code, value in ends]
    return out


def _lesions(case: Case) -> Iterable[Json]:
    """One Observation for each lesion, its sizes as components."""
    tracked = {}
    if is_dicom(case):
        tracked = {part.value: part.tracking_uid for part in parts(case) if part.mask == "lesions"}
    for one in case.lesions:
        sites = [c.SEGMENTS[n] for n, share in sorted(one.segments.items(), key=lambda s: -s[1])
                 if share >= 0.05 and n in c.SEGMENTS] or [c.LIVER]  # fmt: skip
        # R4 has one body site: the segment that holds most of it; the others are said.
        row = _observation([c.LESION], sites[:1], f"Lesion {one.id}")
        if one.id in tracked:
            row["identifier"] = [_oid(tracked[one.id])]
        at_least = ">=" if one.touches_edge else ""
        row["component"] = [_component(*part) for part in _sizes(one, at_least)]
        also = ", ".join(code[2] for code in sites[1:])
        yield _noted(row, f"Also in: {also}" if also else "", one.source)


def _sizes(one: Lesion, at_least: str) -> list[tuple[c.Code, float, str, str]]:
    return [
        (c.VOLUME, one.volume_ml, "mL", at_least),
        (_LONGEST, one.recist_long_mm, "mm", at_least),
        (c.SHORT_AXIS, one.recist_short_mm, "mm", at_least),
        (c.FERET, one.feret_3d_mm, "mm", at_least),
        (c.P_LESION, one.p_lesion, "1", ""),
    ]


def _verdict(case: Case, one: Assessment) -> Json:
    """A rule book's answer; what decided it and what is missing as notes."""
    told = verdict(one, case.facts)
    row = _observation([c.book_code(one.book, told.title)], [], told.title)
    row["category"].append({"text": "Eligibility" if one.purpose == "eligibility" else "Information"})
    row["valueCodeableConcept"] = _concept(_ANSWERS[one.answer]) | {
        "text": f"{told.word}, {told.meaning}"
    }
    if one.p_met is not None:
        row["component"] = [_component(_P_MET, one.p_met, "1")]
    words = [f"Decided by: {told.decided}" if told.decided else ""]
    words += [f"Missing: {'; '.join(told.missing)}" if told.missing else ""]
    return _noted(row, *words, *told.conflicts, *told.what_if)


def _observation(codes: Sequence[c.Code], places: Sequence[c.Code], text: str) -> Json:
    row: Json = {
        "resourceType": "Observation",
        "status": "preliminary",
        "category": [{"coding": [_coding(("imaging", f"{_HL7}/observation-category", "Imaging"))]}],
        "code": {"coding": [_coding(code) for code in codes], "text": text},
    }
    if places:
        row["bodySite"] = {"coding": [_coding(code) for code in places]}
    return row


def _noted(row: Json, *words: str) -> Json:
    """With its notes; an Observation may be taken out of the Bundle, so each says what it is."""
    return row | {"note": [{"text": _plain(word)} for word in (RESEARCH_USE, *words) if word]}


def _absent(reason: str) -> Json:
    code = (reason, f"{_HL7}/data-absent-reason", reason.replace("-", " ").capitalize())
    return {"dataAbsentReason": {"coding": [_coding(code)]}}


def _component(code: c.Code, value: float, unit: str, comparator: str = "") -> Json:
    return {"code": _concept(code), "valueQuantity": _quantity(value, unit, comparator)}


def _quantity(value: float, unit: str, comparator: str = "") -> Json:
    out: Json = {"value": float(f"{value:.{_DIGITS}g}")}
    if comparator:
        out["comparator"] = comparator
    return out | {"unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def _concept(code: c.Code) -> Json:
    return {"coding": [_coding(code)]}


def _coding(code: c.Code) -> Json:
    value, scheme, meaning = code
    return {"system": _SYSTEMS.get(scheme, scheme), "code": value, "display": meaning}


def _oid(value: str) -> Json:
    return {"system": "urn:dicom:uid", "value": f"urn:oid:{value}"}


def _code_system(entries: Sequence[Json]) -> Json:
    """The codes of our own scheme that the entries use."""
    ours = _SYSTEMS[c.SCHEME]
    used: dict[str, str] = {}

    def look(value: Any) -> None:
        if isinstance(value, Mapping):
            if value.get("system") == ours:
                used.setdefault(value["code"], value["display"])
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(list(entries))
    return {
        "resourceType": "CodeSystem",
        "url": ours,
        "name": "LiverBurden",
        "title": "Liver burden: measurements and verdicts",
        "status": "draft",
        "experimental": True,
        "content": "fragment",
        "concept": [{"code": code, "display": text} for code, text in sorted(used.items())],
    }


def _plain(text: str) -> str:
    return text.replace("\N{WORD JOINER}", "").replace("\N{NO-BREAK SPACE}", " ")
