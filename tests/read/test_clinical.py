"""Facts files: every accepted form, every refusal with file and line."""

from __future__ import annotations

import math

import pytest

from burden.errors import BurdenError, InputError, RuleError
from burden.facts import Choice, Interval
from burden.read import read_facts
from burden.read.units import converted


@pytest.fixture
def facts(tmp_path):
    def read(text: str):
        path = tmp_path / "facts.yaml"
        path.write_text(text, encoding="utf-8")
        return read_facts(path)

    return read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("patient.age: 61", Interval(61, 61)),
        ("patient.age: {low: 50, high: 60}", Interval(50, 60)),
        ("patient.age: {low: 50}", Interval(50, math.inf)),
        ("patient.age: {high: 60}", Interval(-math.inf, 60)),
        ("patient.age: null", Interval(-math.inf, math.inf)),
        ("patient.age:", Interval(-math.inf, math.inf)),
        ("patient.age: {note: asked}", Interval(-math.inf, math.inf)),
        ("patient.age: {value: 18, unit: months}", Interval(1.5, 1.5)),
        ("patient.height: {value: 1.7, unit: m}", Interval(170, 170)),
        ("patient.weight: {value: 70000, unit: g}", Interval(70, 70)),
        ("primary.months_since_resection: {value: 2, unit: years}", Interval(24, 24)),
        ("tumor.ki67: {value: 0.05, unit: '1'}", Interval(5, 5)),
        ("tumor.ki67: 5", Interval(5, 5)),
        ("flr.right_hepatectomy.percent: 31.5", Interval(31.5, 31.5)),
        ("flr.planned.sflr: 130", Interval(130, 130)),
        ("debulk.best.percent: {low: 70}", Interval(70, math.inf)),
        ("segment.8.tumor_volume: 0", Interval(0, 0)),
        ("lesion.count: {low: 2.5}", Interval(2.5, math.inf)),
        ("patient.sex: female", Choice.of("female")),
        ("patient.sex: Female", Choice.of("female")),
        ("tumor.grade: [G1, G2]", Choice.of("G1", "G2")),
        ("tumor.grade: null", Choice.of("G1", "G2", "G3", "NEC")),
        ("primary.resected: yes", Choice.of("yes")),
        ("primary.resected: true", Choice.of("yes")),
        ("primary.resected: 'no'", Choice.of("no")),
        ("primary.resected: no", Choice.of("no")),
        ("primary.resected: {value: no, note: still there}", Choice.of("no")),
        ("primary.resected: {value: null}", Choice.of("yes", "no")),
    ],
)
def test_accepted_forms(facts, text, value):
    (fact,) = facts(text).values()
    if isinstance(value, Interval):
        assert fact.value.low == pytest.approx(value.low)
        assert fact.value.high == pytest.approx(value.high)
    else:
        assert fact.value == value
    assert fact.source == "facts.yaml"


def test_bilirubin_in_both_concentrations(facts):
    """1 mg/dL of bilirubin is 17.1 umol/L in every laboratory handbook."""
    for unit in ("umol/L", "µmol/L", "μmol/l"):
        (fact,) = facts(f"lab.bilirubin: {{value: 17.1, unit: {unit}}}").values()
        assert fact.best == pytest.approx(1.0, rel=1e-3)
        assert fact.unit == "mg/dL"
    (fact,) = facts("lab.bilirubin: {low: 17.1, high: 34.2, unit: umol/L}").values()
    assert (fact.value.low, fact.value.high) == pytest.approx((1.0, 2.0), rel=1e-3)


def test_creatinine_has_its_own_molar_mass():
    """88.4 umol/L of creatinine are 1 mg/dL."""
    assert converted(88.4, "umol/L", "mg/dL", "lab.creatinine") == pytest.approx(1.0, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("patient.agee: 61", 1, "Did you mean patient.age?"),
        ("# x\n\npatient.age: 610", 3, "outside the plausible range 0 to 120 year"),
        ("patient.height: {value: 170, unit: m}", 1, r"17000 cm \(170 m\) is outside"),
        ("patient.age: 61\npatient.age: 62", 2, "given twice, first in line 1"),
        ("patient.age: {low: 1, low: 2}", 1, "low is given twice"),
        ("patient.age: {low: 60, high: 50}", 1, "low 60 is above high 50"),
        ("patient.age: {value: 1, low: 2}", 1, "not both"),
        ("patient.age: old", 1, "'old' is not a number"),
        ("patient.age: true", 1, "True is not a number"),
        ("patient.age: .nan", 1, "nan is not a number"),
        ("patient.age: .inf", 1, "inf is not a number"),
        ("patient.age: [1, 2]", 1, "is not a number"),
        ("patient.age: {vlaue: 2}", 1, "unknown key 'vlaue'"),
        ("patient.age: {value: 2, unit: kg}", 1, "'kg' cannot be converted to 'year'"),
        ("patient.age: {value: 2, unit: parsec per}", 1, "cannot be converted"),
        ("tumor.grade: G5", 1, "not one of G1, G2, G3, NEC"),
        ("tumor.grade: []", 1, "an empty list"),
        ("tumor.grade: {low: G1}", 1, "is a choice"),
        ("\ntumor.grade: {value: G1, unit: mm}", 2, "is a choice"),
        ("primary.resected: maybe", 1, "not one of yes, no"),
        ("flr.<plan>.percent: 2", 1, "no fact is called"),
        ("tumor.burden: -3", 1, "-3 % is outside the plausible range 0 to 100 %"),
        ("tumor.burden: {low: 20, high: 300}", 1, "outside the plausible range 0 to 100 %"),
        ("liver.volume: -5", 1, "outside the plausible range from 0 mL"),
        ("lesion.count: 2.5", 1, "2.5 holds no whole number"),
        ("lesion.count: {low: 2.2, high: 2.8}", 1, "2.2 to 2.8 holds no whole number"),
        ("segment.9.volume: 2", 1, "<n> is one of 1, 2"),
        ("segment.foo.volume: 2", 1, "no fact is called"),
        ("segment.1x.volume: 2", 1, "no fact is called"),
        ("flr.frobnicate.percent: 40", 1, "<plan> is one of right_hepatectomy"),
        ("debulk.nope.percent: 40", 1, "no fact is called"),
        ("a: [", 1, "not valid YAML"),
        ("patient.age: !!python/object/apply:os.system [ls]", 1, "no plain value"),
        ("patient.age: 2020-13-45", 1, "patient.age"),
        ("? [a, b]\n: 2", 1, "plain name"),
        ("patient.age: {value: {a: 1}}", 1, "must be plain"),
        ("<<: {patient.age: 2}", 1, "no fact is called"),
    ],
)
def test_refusals_name_file_and_line(facts, tmp_path, text, line, what):
    with pytest.raises(RuleError, match=what) as error:
        facts(text)
    assert f"facts.yaml:{line}:" in str(error.value)
    assert error.value.exit_code == 5
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["- a\n- b", "just text", "42"])
def test_yaml_that_is_no_list_of_facts(facts, text):
    with pytest.raises(RuleError, match="fact: value"):
        facts(text)


def test_empty_files_know_nothing(facts):
    assert len(facts("")) == 0
    assert len(facts("# nothing yet\n")) == 0


def test_no_file_a_folder_and_bytes(tmp_path):
    with pytest.raises(InputError, match="no such facts file"):
        read_facts(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="a folder"):
        read_facts(tmp_path)
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(RuleError):
        read_facts(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 50_000,
        "{a: " * 5_000,
        "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]",
        "patient.age: &a [*a]",
        "x" * 300_000,
        "patient.age: 1" + "0" * 5000,
        "patient.age: 1e400",
        "patient.age: {value: 5, unit: '2**9999999'}",
        "patient.age: {value: 5, unit: 'year**99**99**99'}",
    ],
)
def test_hostile_files_end_at_once(facts, text):
    with pytest.raises(BurdenError):
        facts(text)
