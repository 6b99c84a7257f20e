"""Facts from CSV rows and FHIR Bundles, in the same values as the same facts in YAML."""

from __future__ import annotations

import copy
import json
import math

import pytest

from burden.errors import BurdenError, InputError, RuleError
from burden.facts import Choice, Fact, Facts, Interval
from burden.read import agreed_facts, checked_facts, read_facts
from burden.read.fhir_codes import ICD10, LOINC, SNOMED, diagnosis
from burden.read.units import converted
from burden.vocabulary import vocabulary

TABLE = """case,name,patient.age,lab.bilirubin [umol/L],tumor.ki67,tumor.grade,patient.sex
A1,Secret,61,17.1,<5,G1|G2,female
A2,Secret,2..5,,3 to 4.5,unknown,male
A2b,Secret,,1 mg/dL,>=20,G3,
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "patients.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_row_by_case(table):
    facts, findings = checked_facts(f"{table}@A1")
    assert facts["patient.age"].value == Interval(61, 61)
    assert facts["lab.bilirubin"].best == pytest.approx(1.0, rel=1e-3)
    assert facts["tumor.ki67"].value == Interval(-math.inf, 5)
    assert facts["tumor.grade"].value == Choice.of("G1", "G2")
    assert {f.source for f in facts.values()} == {"patients.csv"}
    assert [f.code for f in findings] == ["columns-ignored"]
    assert "Secret" not in findings[0].text


def test_ranges_unknowns_and_units_in_cells(table):
    facts = read_facts(f"{table}@A2")
    assert facts["patient.age"].value == Interval(2, 5)
    assert facts["lab.bilirubin"].value.is_unknown
    assert facts["tumor.ki67"].value == Interval(3, 4.5)
    assert len(facts["tumor.grade"].value.options) == 4
    facts = read_facts(f"{table}@A2b")
    assert facts["lab.bilirubin"].best == 1.0
    assert facts["tumor.ki67"].value == Interval(20, math.inf)


def test_a_single_row_needs_no_name_and_excel_may_write_semicolons(tmp_path):
    path = tmp_path / "one.csv"
    path.write_bytes(b"\xef\xbb\xbfpatient.age;tumor.grade\r\n61;G1|G2\r\n")
    facts = read_facts(path)
    assert facts["patient.age"].best == 61
    assert facts["tumor.grade"].value == Choice.of("G1", "G2")


@pytest.mark.parametrize(
    ("text", "case", "what"),
    [
        (TABLE, "", "3 rows, and one is needed"),
        (TABLE, "@A9", "the named row is not there"),
        (TABLE + "A1,x,6,,,,\n", "@A1", "2 rows, and one is needed"),
        ("patient.age\n", "", "no row below"),
        ("", "", "no row below"),
        ("patient.age\n61\n", "@A1", "no column 'case'"),
        ("patient.agee\n61\n", "", "Did you mean patient.age"),
        ("patient.age\n610\n", "", "outside the plausible range 0 to 120 year"),
        ("patient.age\nold\n", "", "'old' is not a number"),
        ("patient.age,patient.age [month]\n1,2\n", "", "'patient.age' is there twice"),
        ("patient.age,tumor.grade\n61\n", "", "1 cells for 2 headings"),
        ("tumor.grade\nG7\n", "", "not one of"),
        ("patient.age [kg]\n61\n", "", "cannot be converted"),
        ('patient.age\n"61\n', "", "not a CSV table"),
        ("patient.age\n6\0\n", "", "patient.age|not a CSV"),
        ("patient.age\n2..1\n", "", "low 2 is above high 1"),
    ],
)
def test_csv_refusals_never_name_the_case(tmp_path, text, case, what):
    path = tmp_path / "p.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BurdenError, match=what) as error:
        read_facts(f"{path}{case}")
    assert "\n" not in str(error.value)
    assert "A1" not in str(error.value)


def observation(code, value, unit, when="2026-03-01", **more):
    quantity = {"value": value, "code": unit, "system": "http://unitsofmeasure.org"}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/secret-1"},
        "effectiveDateTime": when,
        "valueQuantity": quantity,
        **more,
    }


def condition(code, clinical="active", verification="confirmed"):
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}]},
        "subject": {"reference": "Patient/secret-1"},
        "clinicalStatus": {"coding": [{"code": clinical}]},
        "verificationStatus": {"coding": [{"code": verification}]},
    }


PATIENT = {
    "resourceType": "Patient",
    "name": [{"family": "Secret"}],
    "birthDate": "1965-03-02",
    "gender": "female",
}
RESOURCES = [
    PATIENT,
    observation("8302-2", 1.7, "m"),
    observation("29463-7", 154.324, "[lb_av]"),
    observation("14631-6", 17.1, "umol/L"),
    observation("2160-0", 88.42, "umol/L"),
    observation("1751-7", 42, "g/L"),
    observation("1920-8", 0.5, "ukat/L"),
    observation("2532-0", 210, "U/L"),
    observation("777-3", 187, "10*9/L"),
    observation("29593-1", 3, "%", valueQuantity={"value": 3, "code": "%", "comparator": "<"}),
    observation("1975-2", 40.0, "mg/dL", status="entered-in-error"),
    condition("C7A.012"),
    condition("R18.8"),
    condition("K76.82", clinical="resolved"),
    condition("I81", verification="refuted"),
]


@pytest.fixture
def bundle(tmp_path):
    def read(resources=RESOURCES, **top):
        path = tmp_path / "ehr.json"
        entries = [{"resource": r} for r in resources]
        path.write_text(
            json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries} | top)
        )
        return checked_facts(path)

    return read


def test_bundle_gives_facts_in_our_units(bundle):
    facts, findings = bundle()
    best = {name: fact.best for name, fact in facts.items()}
    expected = {
        "patient.age": 60,  # the day before the birthday
        "patient.height": 170,
        "patient.weight": 70.0,
        "lab.bilirubin": 1.0,
        "lab.creatinine": 1.0,
        "lab.albumin": 4.2,
        "lab.ast": 30.0,
        "lab.ldh": 210,
        "lab.platelets": 187,
    }
    for name, value in expected.items():
        assert best[name] == pytest.approx(value, rel=1e-3), name
    assert facts["tumor.ki67"].value == Interval(-math.inf, 3)
    assert best["patient.sex"] == "female"
    assert best["primary.site"] == "small_bowel"
    assert best["liver.ascites"] == "yes"
    assert "liver.encephalopathy" not in facts  # resolved
    assert "portal_vein.occluded" not in facts  # refuted
    assert findings == ()


def test_nothing_that_names_anybody_comes_out(bundle):
    facts, findings = bundle([*RESOURCES, observation("2532-0", 300, "U/L", when="2020-01-01")])
    out = " ".join([*(f"{f.id} {f.value} {f.source} {f.note}" for f in facts.values()), str(findings)])
    for word in ("Secret", "secret-1", "1965", "2026", "2020"):
        assert word not in out


def test_the_latest_observation_holds_across_time_zones(bundle):
    facts, findings = bundle(
        [
            observation("1975-2", 3.0, "mg/dL", when="2026-03-01T23:30:00-05:00"),
            observation("1975-2", 1.0, "mg/dL", when="2026-03-02T01:00:00+01:00"),
            observation("1975-2", 2.0, "mg/dL", when="2026-02"),
        ]
    )
    assert facts["lab.bilirubin"].best == 3.0
    assert [(f.code, f.severity) for f in findings] == [("facts-over-time", "info")]
    assert "1 to 3 mg/dL" in findings[0].text


def test_observations_of_one_time_that_disagree_leave_both(bundle):
    facts, findings = bundle([observation("1975-2", v, "mg/dL") for v in (1.0, 2.5)])
    assert facts["lab.bilirubin"].value == Interval(1.0, 2.5)
    assert [(f.code, f.severity) for f in findings] == [("facts-disagree", "warning")]


def test_two_primaries_leave_both(bundle):
    facts, _ = bundle([condition("C7A.020"), condition("C25.4")])
    assert facts["primary.site"].value == Choice.of("appendix", "pancreas")


def test_age_is_as_uncertain_as_the_birth_date(bundle):
    facts, _ = bundle([PATIENT | {"birthDate": "1965"}], timestamp="2026-06-01T10:00:00Z")
    assert facts["patient.age"].value == Interval(60, 61)
    facts, findings = bundle([PATIENT])
    assert "patient.age" not in facts
    assert "nothing says when" in findings[0].text


def test_values_without_unit_are_said(bundle):
    bare = observation("1975-2", 1.0, "mg/dL") | {"valueQuantity": {"value": 1.0}}
    facts, findings = bundle([bare, observation("2160-0", 1, "mg/dL", valueQuantity=None)])
    assert not facts
    assert ["lab.bilirubin" in f.text or "lab.creatinine" in f.text for f in findings] == [True, True]


@pytest.mark.parametrize(
    ("resources", "error", "what"),
    [
        (
            [observation("1975-2", 171, "mg/dL")],
            RuleError,
            "171 mg/dL is outside .* 0 to 60",
        ),
        ([observation("1975-2", 17, "kg")], RuleError, "'kg' cannot be converted"),
        ([observation("1975-2", "17", "mg/dL")], RuleError, "not a number"),
        ([PATIENT, PATIENT], InputError, "2 patients"),
        (
            [condition("R18"), condition("R18") | {"subject": {"reference": "Patient/2"}}],
            InputError,
            "2 patients",
        ),
    ],
)
def test_bundle_refusals(bundle, resources, error, what):
    with pytest.raises(error, match=what) as caught:
        bundle(resources)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    ["", "[]", "{", '{"resourceType": "Patient"}', "[" * 100_000, '{"a": NaN}', "\0", '{"a": 1e999}'],
)
def test_what_is_no_bundle(tmp_path, raw):
    path = tmp_path / "x.json"
    path.write_text(raw)
    with pytest.raises(RuleError):
        read_facts(path)


def outcome(read, resources):
    """The error of a Bundle in one line; "" if it was read."""
    try:
        read(resources)
    except BurdenError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("wrong", [None, 3, "x", [], [3], {"coding": 3}, {"coding": [{"code": {}}]}])
def test_any_part_may_be_of_the_wrong_kind(bundle, wrong):
    """Every key of every resource replaced by nonsense: read without it, or one clear error."""
    for at, resource in ((n, RESOURCES[n]) for n in (0, 1, 9, 11)):
        for key in resource:
            odd = copy.deepcopy(RESOURCES)
            odd[at][key] = wrong
            assert "\n" not in outcome(bundle, odd)


def test_codes_are_in_the_vocabulary():
    for name in LOINC.values():
        assert vocabulary()[name].unit
    for name, options in (*ICD10.values(), *SNOMED.values()):
        assert set(options) <= set(vocabulary()[name].options)
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    assert diagnosis(icd, "C7A010") == ("primary.site", ("duodenum",))
    assert diagnosis(icd, "C7A.011") == ("primary.site", ("small_bowel",))
    assert diagnosis(icd, "C34.1") is None
    assert diagnosis(icd, "C7") is None
    assert diagnosis("http://snomed.info/sct", "389026000") == ("liver.ascites", ("yes",))
    assert diagnosis("http://snomed.info/sct", "R18") is None
    assert diagnosis(icd, "389026000") is None
    assert diagnosis("", "R18") is None


@pytest.mark.parametrize("code", SNOMED)
def test_snomed_conditions_are_read_beside_icd(bundle, code):
    """Concept numbers carry a check digit: a slip of the pen is no concept."""
    assert checked(code)
    one = condition(code)
    one["code"]["coding"][0]["system"] = "http://snomed.info/sct"
    facts, _ = bundle([one])
    name, options = SNOMED[code]
    assert facts[name].value == Choice.of(*options)
    both = condition("I10")
    both["code"]["coding"] += one["code"]["coding"]
    assert bundle([both])[0][name].value == Choice.of(*options)


def checked(code: str) -> bool:
    """Verhoeff's check digit, as every SNOMED CT identifier ends in one."""
    turn = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]
    powers = [list(range(10)), turn]
    for _ in range(6):
        powers.append([turn[x] for x in powers[-1]])
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = dihedral(check, powers[place % 8][int(digit)])
    return check == 0


def dihedral(a: int, b: int) -> int:
    """Product in the group of ten symmetries of a pentagon."""
    if a < 5:
        return (a + b) % 5 if b < 5 else 5 + (a + b) % 5
    return 5 + (a - b) % 5 if b < 5 else (a - b) % 5


def test_cell_counts_as_laboratories_write_them():
    for unit in ("10*3/uL", "10*9/L", "/nL", "K/uL"):
        assert converted(187, unit, "10*3/uL", "lab.platelets") == 187
    assert converted(187_000, "/uL", "10*3/uL", "lab.platelets") == pytest.approx(187)


def exact(value, source, name="patient.age"):
    return Facts([Fact(name, Interval(*value), "year", source)])


def test_sources_put_together():
    known, none, other = (
        exact((61, 61), "dicom"),
        exact((-math.inf, math.inf), "yaml"),
        exact((52, 52), "b"),
    )
    facts, findings = agreed_facts([known, none])
    assert facts["patient.age"].best == 61  # "not known" overrides nothing
    assert not findings
    facts, findings = agreed_facts([known, none, other])
    assert facts["patient.age"].best == 52
    assert [f.text for f in findings] == ["patient.age: dicom 61 year, b 52 year; the latter holds."]
    facts, findings = agreed_facts([exact((50, 60), "a"), exact((55, 65), "b")])
    assert facts["patient.age"].value == Interval(55, 65)
    assert len(findings) == 1
