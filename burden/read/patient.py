"""The patient module of a DICOM file -> facts: age, sex, height and weight, nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.vocabulary import vocabulary

_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
_TAGS = ("PatientAge", "PatientSex", "PatientSize", "PatientWeight")
_SEX = {"M": "male", "F": "female", "O": "other"}


def patient_facts(headers: Sequence[dict[str, str]]) -> tuple[Facts, tuple[Finding, ...]]:
    """Facts from PatientAge, PatientSex, PatientSize (m) and PatientWeight (kg) of all slices.

    Zero and implausible values are what scanners write for "not entered": left out, and said.
    So is what differs between slices, of which nobody knows whose it is.
    """
    facts = []
    findings = []
    said = {key: {tags.get(key, "") for tags in headers} - {""} for key in _TAGS}
    tags = {key: values.pop() for key, values in said.items() if len(values) == 1}
    if torn := [key for key in said if said[key]]:
        text = f"{', '.join(torn)} of the header differ inside the series, as if it held two patients."
        findings.append(Finding("contradictory-patient-data", "warning", f"{text} Not used."))
    sex = _SEX.get(tags.get("PatientSex", "").upper())
    if sex:
        facts.append(Fact("patient.sex", Choice.of(sex), "", "dicom"))
    height = _float(tags.get("PatientSize", ""))
    numbers = {
        "patient.age": _age(tags.get("PatientAge", "")),
        "patient.height": None if height is None else round(height * 100, 1),
        "patient.weight": _float(tags.get("PatientWeight", "")),
    }
    for key, value in numbers.items():
        if value is None or value == 0:
            continue
        entry = vocabulary()[key]
        low, high = entry.range or (0.0, float("inf"))
        if low <= value <= high:
            facts.append(Fact(key, Interval.exactly(value), entry.unit, "dicom"))
        else:
            text = f"{entry.text} {value:g} {entry.unit} in the DICOM header is not plausible; not used."
            findings.append(Finding("implausible-patient-data", "info", text))
    return Facts(facts), tuple(findings)


def _age(text: str) -> float | None:
    number, unit = _float(text[:-1]), text[-1:].upper()
    return None if number is None or unit not in _YEARS else round(number * _YEARS[unit], 2)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
