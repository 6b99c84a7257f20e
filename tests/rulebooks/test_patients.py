"""Patients worked through by hand; the reasoning stands in their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from burden.assess import answer_with, assess, decided_by, derive, load_books, single_changes
from burden.facts import Choice, Interval

PATIENTS = sorted((Path(__file__).parent / "patients").glob("*.yaml"))
WORD = {True: "yes", False: "no"}


def _load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", PATIENTS, ids=lambda p: p.stem)
def test_patient(path: Path, make_facts: Any) -> None:
    patient = _load(path)
    found = {a.book: a for a in assess(make_facts(patient["facts"]), load_books())}
    for book, expected in patient["expect"].items():
        said = found[book]
        assert said.answer.value == WORD.get(expected["answer"], "unknown"), (book, said)
        if "p_met" in expected:
            assert said.p_met == pytest.approx(expected["p_met"])
        if "missing" in expected:
            assert list(said.missing) == expected["missing"], book
        if "decided_by" in expected:
            assert [c.id for c in decided_by(said)] == expected["decided_by"], book
        for name in ("conflicts", "what_if"):
            if name in expected:
                assert len(getattr(said, name)) == expected[name], (book, getattr(said, name))


@pytest.mark.parametrize("path", PATIENTS, ids=lambda p: p.stem)
def test_derived_facts(path: Path, make_facts: Any) -> None:
    patient = _load(path)
    known = derive(make_facts(patient["facts"]))
    for fact_id, expected in patient.get("derived", {}).items():
        value = known[fact_id].value
        if isinstance(value, Choice):
            assert value.options == {WORD.get(e, e) for e in expected}, fact_id
        else:
            assert value == Interval(float(expected), float(expected)), fact_id


@pytest.mark.parametrize("path", PATIENTS, ids=lambda p: p.stem)
def test_every_what_if_comes_true(path: Path, make_facts: Any) -> None:
    known = derive(make_facts(_load(path)["facts"]))
    for book in load_books():
        if book.purpose == "eligibility":
            for change in single_changes(book, known):
                assert answer_with(book, known, change.fact, change.value).value == "yes", change


# The papers name histotripsy for any liver tumor, so that for a liver with a lesion it is never "no".
NEVER_NO = {"nelm.trial.investigational"}


def test_patients_cover_yes_no_and_unknown_of_every_book() -> None:
    seen: dict[str, set[str]] = {}
    for path in PATIENTS:
        for book, expected in _load(path)["expect"].items():
            seen.setdefault(book, set()).add(WORD.get(expected["answer"], "unknown"))
    assert len(PATIENTS) >= 12
    every = {"yes", "no", "unknown"}
    lacking = {
        book.id: sorted(every - seen.get(book.id, set()) - ({"no"} if book.id in NEVER_NO else set()))
        for book in load_books()
    }
    assert {book: answers for book, answers in lacking.items() if answers} == {}


def test_every_patient_has_a_story_and_a_reasoning() -> None:
    for path in PATIENTS:
        patient = _load(path)
        assert len(patient["story"]) > 20, path.name
        assert len(patient["reasoning"]) > 60, path.name
