"""case.json: valid against the shipped schema, and read back to the same Case."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from burden.case import RESEARCH_USE, Case
from burden.errors import InputError
from burden.facts import ANYTHING, Choice, Fact, Facts
from burden.resources import shipped
from burden.write import read_case, write_case
from burden.write.record import case_record, validator

KINDS = ["solitary", "bilobar", "healthy", "truncated"]


def write(case: Case, folder: Path) -> Path:
    write_case(case, folder / "out", writers=["record"])
    return folder / "out" / "case.json"


def test_schema_is_sound() -> None:
    schema = json.loads(shipped("configs", "case.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("kind", KINDS)
def test_read_back_is_equal(kind: str, case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of(kind)
    again = read_case(write(case, tmp_path))
    assert again.case_id == case.case_id
    assert again.lesions == case.lesions
    assert again.assessments == case.assessments
    assert again.findings == case.findings
    assert again.images is None
    assert list(again.facts) == list(case.facts)
    for name, fact in case.facts.items():
        other = again.facts[name]
        assert (other.value, other.unit, other.source) == (fact.value, fact.unit, fact.source)
        assert (other.best, other.valid, other.note) == (fact.best, fact.valid, fact.note)
        if fact.draws is None:
            assert other.draws is None
        elif isinstance(fact.value, Choice):
            assert list(other.draws) == list(fact.draws)
        else:
            np.testing.assert_allclose(other.draws, fact.draws, rtol=1e-6)


def test_reading_and_writing_settles(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    """Draws are rounded once, when first written; from then on the text stays the same."""
    texts, path = [], write(case_of("bilobar"), tmp_path)
    for n in range(2):
        write_case(read_case(path), tmp_path / f"again{n}", writers=["record"])
        path = tmp_path / f"again{n}" / "case.json"
        texts.append(path.read_text())
    assert texts[0] == texts[1]


def test_what_the_contract_promises(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    record = json.loads(write(case_of("truncated"), tmp_path).read_text())
    liver, burden = record["facts"]["liver.volume"], record["facts"]["tumor.burden"]
    assert (liver["value"], liver["low"], liver["high"]) == (None, 1240.0, "inf")
    assert (burden["value"], burden["low"], burden["high"]) == (None, "-inf", "inf")
    assert burden["valid"] is False
    assert "field of view" in burden["note"]
    frilling = record["facts"]["frilling.type"]
    assert (frilling["value"], frilling["options"]) == (None, ["II", "III"])
    assert record["facts"]["segment.2.volume"]["p05"] < record["facts"]["segment.2.volume"]["p95"]
    assert record["research_use"] == RESEARCH_USE


def test_draws_stay_joint(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("bilobar")
    again = read_case(write(case, tmp_path).parent)
    for name in ("liver.volume", "tumor.volume"):
        np.testing.assert_array_equal(
            np.argsort(again.facts[name].draws), np.argsort(case.facts[name].draws)
        )


def test_infinite_draws_survive(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    draws = np.array([1.0, math.inf, 2.0])
    fact = Fact("lesion.min_distance_hilum", ANYTHING, "mm", "measured: test", draws)
    again = read_case(write(replace(case_of("healthy"), facts=Facts([fact])), tmp_path))
    np.testing.assert_array_equal(again.facts["lesion.min_distance_hilum"].draws, draws)


def test_a_number_that_is_not_one_is_a_bug(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("bilobar")
    bad = replace(case, lesions=(replace(case.lesions[0], volume_ml=math.nan),))
    with pytest.raises(ValueError, match=r"not JSON compliant|nan"):
        write(bad, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("place", "value"),
    [("lesions/0/lobe", "middle"), ("facts/liver.volume/low", "NaN"), ("findings/0/severity", "bad"),
     ("assessments/0/p_met", 1.2), ("case_id", 7)],
)  # fmt: skip
def test_schema_refuses(place: str, value: object, case_of: Callable[[str], Case]) -> None:
    record = case_record(case_of("bilobar"))
    assert validator().is_valid(record)
    *path, last = [int(p) if p.isdigit() else p for p in place.split("/")]
    spot = record
    for part in path:
        spot = spot[part]
    spot[last] = value
    assert not validator().is_valid(record)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"schema": "burden-case/2.0"}', '{"schema": "burden-case/1.0"}', "%PDF-1.4"],
)
def test_a_foreign_file_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "case.json").write_text(text)
    with pytest.raises(InputError) as caught:
        read_case(tmp_path)
    assert "\n" not in str(caught.value)
    assert "case.json" in str(caught.value)


def test_a_record_that_contradicts_itself_is_one_line(
    case_of: Callable[[str], Case], tmp_path: Path
) -> None:
    record = json.loads(json.dumps(case_record(case_of("bilobar"))))
    fact = record["facts"]["liver.volume"]
    fact["low"], fact["high"] = 900.0, 100.0
    (tmp_path / "case.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(InputError, match=r"not a sound case\.json"):
        read_case(tmp_path)


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no case\.json here"):
        read_case(tmp_path)


def test_purpose_of_a_book_is_kept_and_may_be_absent(
    case_of: Callable[[str], Case], tmp_path: Path
) -> None:
    case = case_of("solitary")
    informs = replace(case.assessments[0], purpose="information")
    path = write(replace(case, assessments=(informs,)), tmp_path)
    assert read_case(path).assessments[0].purpose == "information"
    record = json.loads(path.read_text())
    del record["assessments"][0]["purpose"]
    path.write_text(json.dumps(record))
    assert read_case(path).assessments[0].purpose == "eligibility"
