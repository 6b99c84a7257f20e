"""What if, and what to ask next; every promise is tried by assessing again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burden.answer import Answer
from burden.assess import assess, assess_with, load_books, worth_of_facts
from burden.errors import UsageError
from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

Make = Callable[[Mapping[str, Any]], Facts]
BOOKS = load_books()
MILAN = [book for book in BOOKS if book.id == "nelm.transplant.milan"]
KNOWN = {
    "patient.age": 50,
    "tumor.grade_confirmed": "yes",
    "primary.site": "small_bowel",
    "primary.resected": "yes",
    "extrahepatic.resected": "yes",
    "disease.months_stable": 8,
}


def test_both_answers(make_facts: Make) -> None:
    draws = np.linspace(50.5, 56, 101)
    facts = make_facts(KNOWN | {"tumor.grade": "G1", "tumor.burden": draws})
    (one,) = assess_with(facts, MILAN, {"tumor.burden": 48})
    assert (one.now.answer, one.then.answer, one.changes) == (Answer.NO, Answer.YES, True)
    assert one.now == assess(facts, MILAN)[0]
    assert one.then.p_met == 1.0
    assert "48 %" in one.then.note
    assert one.then.conflicts == ()
    (same,) = assess_with(facts, MILAN, {"tumor.burden": "50"})
    assert (same.then.answer, same.changes) == (Answer.NO, False)


def test_what_follows_is_derived_again(make_facts: Make) -> None:
    facts = make_facts(KNOWN | {"tumor.ki67": 40, "tumor.mitoses": 3, "tumor.burden": 20})
    (one,) = assess_with(facts, MILAN, {"tumor.ki67": 5})
    assert (one.now.answer, one.then.answer) == (Answer.NO, Answer.YES)
    # two at once: the rectum does not drain into the portal vein
    (one,) = assess_with(facts, MILAN, {"tumor.ki67": 5, "primary.site": "rectum"})
    assert one.then.answer is Answer.NO


def test_a_measured_fact_that_no_longer_fits_is_named(make_facts: Make) -> None:
    facts = make_facts({"tumor.volume": 500, "liver.volume": 1000, "tumor.burden": 50})
    (one,) = assess_with(facts, MILAN, {"tumor.volume": 300})
    assert one.now.conflicts == ()
    assert [c for c in one.then.conflicts if "disagrees" in c]
    (one,) = assess_with(facts, MILAN, {"tumor.burden": 30})
    assert one.then.conflicts == ()  # that is what was asked for


def test_what_disagreed_before_is_told_of_both(make_facts: Make) -> None:
    facts = make_facts({"tumor.volume": 300, "liver.volume": 1000, "tumor.burden": 50})
    (one,) = assess_with(facts, MILAN, {"patient.age": 40})
    assert one.now == assess(facts, MILAN)[0]
    assert one.now.conflicts == one.then.conflicts != ()


@pytest.mark.parametrize(
    ("fact", "value"),
    [
        ("tumor.burdn", 48),
        ("flr.<plan>.percent", 48),
        ("patient.age", 130),
        ("patient.age", "old"),
        ("patient.age", "nan"),
        ("tumor.burden", "inf"),
        ("patient.age", True),
        ("tumor.grade", "G4"),
        ("primary.resected", 1),
    ],
)
def test_what_cannot_be_supposed_is_refused(fact: str, value: Any) -> None:
    with pytest.raises(UsageError):
        assess_with(Facts(), MILAN, {fact: value})


def test_yes_and_no_may_be_true_and_false() -> None:
    (one,) = assess_with(Facts(), MILAN, {"primary.resected": False})
    assert one.then.answer is Answer.NO


def test_worth_of_the_last_fact_and_of_two(make_facts: Make) -> None:
    facts = make_facts(KNOWN | {"tumor.grade": "G1"})
    (burden,) = worth_of_facts(facts, MILAN)
    assert (burden.fact, burden.imaging) == ("tumor.burden", True)
    assert burden.question == "Percent hepatic replacement"
    assert (burden.decides, burden.may_decide, burden.bears_on) == (("nelm.transplant.milan",), (), ())
    facts = make_facts(KNOWN | {"tumor.grade": "G1", "patient.age": None})
    rows = worth_of_facts(facts, MILAN)
    assert {r.fact for r in rows} == {"patient.age", "tumor.burden"}
    assert all(r.may_decide == ("nelm.transplant.milan",) and not r.decides for r in rows)
    age = next(r for r in rows if r.fact == "patient.age")
    assert (age.question, age.imaging) == ("How old is the patient?", False)


def test_most_decided_books_come_first(make_facts: Make) -> None:
    transplant = [b for b in BOOKS if b.modality == "transplantation" and b.purpose == "eligibility"]
    facts = make_facts(KNOWN | {"tumor.grade": "G1"})
    rows = worth_of_facts(facts, transplant)
    ranks = [(len(r.decides), len(r.may_decide), len(r.bears_on)) for r in rows]
    assert ranks == sorted(ranks, reverse=True)
    assert rows[0].fact == "tumor.burden"
    assert worth_of_facts(facts, ()) == ()


def test_one_book_decided_is_worth_more_than_two_that_may_be(make_facts: Make) -> None:
    (unos,) = [book for book in BOOKS if book.id == "nelm.transplant.unos"]
    books = [*MILAN, unos, replace(unos, id="nelm.test.copy")]
    known = KNOWN | {"tumor.grade": "G1", "tumor.burden": 30, "tumor.grade_confirmed": None}
    first, *others = worth_of_facts(make_facts(known), books)
    assert (first.fact, len(first.decides), first.may_decide) == ("tumor.grade_confirmed", 1, ())
    assert max(len(row.may_decide) for row in others) == 2


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_worth_holds_when_tried(data: st.DataObject) -> None:
    """Whatever a fact that decides turns out to be, its books are decided; nothing known is asked."""
    chosen = data.draw(st.sampled_from([b for b in BOOKS if b.purpose == "eligibility"]))
    facts = Facts(_any_value(data, i) for i in chosen.facts() if data.draw(st.integers(0, 3)))
    for row in worth_of_facts(facts, [chosen]):
        assert row.fact not in facts
        tried = Facts([_any_value(data, row.fact)])
        verdicts = assess(facts | tried, [chosen])
        # A liver that turns out to have no lesion gets no verdict at all, which decides it as well.
        assert verdicts or row.fact == "lesion.count"
        if row.decides:
            assert all(said.answer is not Answer.UNKNOWN for said in verdicts), (row, tried[row.fact])


def _any_value(data: st.DataObject, fact_id: str) -> Fact:
    entry = vocabulary()[fact_id]
    if entry.options:
        return Fact(fact_id, Choice.of(data.draw(st.sampled_from(entry.options))), "", "test")
    number = float(data.draw(st.integers(0, 100)))
    return Fact(fact_id, Interval.exactly(number), entry.unit, "test")


def test_supposing_what_is_so_changes_nothing(make_facts: Make) -> None:
    facts = make_facts(KNOWN | {"tumor.grade": "G1", "tumor.burden": 30})
    for one in assess_with(facts, BOOKS, {"tumor.burden": 30.0}):
        assert replace(one.then, note=one.now.note) == one.now


def test_a_liver_without_lesions_gets_no_verdicts(make_facts: Make) -> None:
    healthy, ill = make_facts({"lesion.count": 0}), make_facts({"lesion.count": 3})
    assert assess_with(healthy, MILAN, {"patient.age": 40}) == ()
    assert assess_with(ill, MILAN, {"lesion.count": 0}) == ()
    assert worth_of_facts(healthy, MILAN) == ()
    assert len(assess_with(ill, MILAN, {"lesion.count": 1})) == 1
    assert worth_of_facts(ill, MILAN) != ()
