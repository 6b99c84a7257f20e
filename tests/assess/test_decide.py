"""Assessments: probabilities, margins, what is missing, what would change the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from burden.answer import Answer
from burden.assess import (
    answer_with,
    answers,
    assess,
    decided_by,
    derive,
    explain,
    in_grey_zone,
    load_books,
    single_changes,
    table_of,
)
from burden.assess.decide import margin
from burden.assess.rulebook import Criterion, RuleBook
from burden.case import Assessment, Citation
from burden.facts import ANYTHING, Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

Make = Callable[[Mapping[str, Any]], Facts]

MILAN: dict[str, Any] = {
    "patient.age": 48,
    "tumor.grade": "G1",
    "tumor.grade_confirmed": "yes",
    "primary.portal_drainage": "yes",
    "primary.resected": "yes",
    "extrahepatic.resected": "yes",
    "tumor.burden": 30,
    "disease.months_stable": 9,
}


def milan(facts: Facts) -> Assessment:
    return assess(facts, load_books(["milan"]))[0]


def test_a_patient_who_meets_everything(make_facts: Make) -> None:
    found = milan(make_facts(MILAN))
    assert found.answer is Answer.YES
    assert found.p_met == 1.0
    assert found.missing == found.conflicts == found.what_if == ()
    assert found.book == "nelm.transplant.milan"
    assert found.modality == "transplantation"
    burden = next(c for c in found.criteria if c.id == "burden")
    assert (burden.margin, burden.unit, burden.value) == (20.0, "%", "30 %")
    assert burden.cite == (Citation("S1", "Table 2, Milan"),)
    assert burden.facts == ("tumor.burden",)


def test_p_met_agrees_with_brute_force_over_joint_draws(make_facts: Make) -> None:
    """ENETS: a burden of 50 to 75 % is met only with refractory symptoms; draws correlate."""
    rng = np.random.default_rng(3)
    n = 100_000
    burden = rng.normal(50, 6, n)
    months = 6 + 0.1 * (burden - 50) + rng.normal(0, 1, n)
    facts = make_facts(
        MILAN
        | {
            "tumor.burden": burden,
            "disease.months_stable": months,
            "tumor.ki67": 2,
            "tumor.refractory_symptoms": "no",
            "primary.months_since_resection": 12,
            "extrahepatic.excluded_cross_sectional": "yes",
            "extrahepatic.excluded_functional": "yes",
            "lab.bilirubin_low": "yes",
        }
    )
    (found,) = assess(facts, load_books(["enets"]))
    met = sum(b < 50 and m >= 6 for b, m in zip(burden, months, strict=True)) / n
    assert found.answer is Answer.UNKNOWN
    assert found.p_met == pytest.approx(met, abs=1e-12)
    by_id = {c.id: c.p_met for c in found.criteria}
    assert by_id["burden.standard"] == pytest.approx(np.mean(burden < 50))
    assert by_id["stable"] == pytest.approx(np.mean(months >= 6))
    # correlated against the patient: not what independence would give
    independent = np.mean(burden < 50) * np.mean(months >= 6)
    assert abs(met - independent) > 0.01
    drawn = rng.normal(50, 6, 100_000)
    again = milan(make_facts(MILAN | {"tumor.burden": drawn})).p_met
    assert again == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(100_000))


def test_draws_far_from_the_limit_decide(make_facts: Make) -> None:
    rng = np.random.default_rng(4)
    for centre, expected in ((30.0, Answer.YES), (70.0, Answer.NO)):
        found = milan(make_facts(MILAN | {"tumor.burden": rng.normal(centre, 1, 256)}))
        assert found.answer is expected
        assert found.p_met == (1.0 if expected is Answer.YES else 0.0)


def test_p_is_not_invented_while_a_fact_is_missing(make_facts: Make) -> None:
    rng = np.random.default_rng(5)
    draws = rng.normal(50, 1, 1000)
    found = milan(make_facts(MILAN | {"tumor.burden": draws, "patient.age": None}))
    assert found.p_met is None
    assert f"0% to {np.mean(draws < 50):.0%}" in found.note
    # with an age that rules out, no draw depends on anything any more
    ruled_out = milan(make_facts(MILAN | {"tumor.burden": draws, "patient.age": 70}))
    assert (ruled_out.answer, ruled_out.p_met) == (Answer.NO, 0.0)


def test_an_interval_without_draws_has_no_probability(make_facts: Make) -> None:
    found = milan(make_facts(MILAN | {"tumor.burden": (40, 60)}))
    burden = next(c for c in found.criteria if c.id == "burden")
    assert (burden.answer, burden.p_met, burden.margin) == (Answer.UNKNOWN, None, None)
    assert found.p_met is None


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [
        ("<", 53.2, -3.2), ("<=", 40.0, 10.0), (">", 53.2, 3.2), (">=", 40.0, -10.0),
        ("<", (60, 70), -10.0), (">=", (60, 70), 10.0), ("<", (40, 60), None), ("==", 50.0, None),
    ],
)  # fmt: skip
def test_margin_is_positive_on_the_met_side(
    make_facts: Make, op: Any, value: Any, expected: float | None
) -> None:
    leaf = Criterion("x", "text", "tumor.burden", op, 50.0, "%", ())
    fact = make_facts({"tumor.burden": value})["tumor.burden"]
    met = {True: Answer.YES, False: Answer.NO}
    answer = Answer.UNKNOWN if value == (40, 60) else met[expected is not None and expected > 0]
    assert margin(leaf, fact, answer) == (None if expected is None else pytest.approx(expected))


def test_what_a_contraindication_does(make_facts: Make) -> None:
    base = {"tumor.grade": "G1", "liver_disease.extensive": "no", "resection.complete_flr": 50}
    (curative,) = load_books(["curative"])
    for fit, expected in (("yes", Answer.YES), ("no", Answer.NO), (None, Answer.UNKNOWN)):
        (found,) = assess(make_facts(base | {"patient.fit_for_surgery": fit}), [curative])
        assert found.answer is expected
        unfit = next(c for c in found.criteria if c.id == "unfit")
        assert (unfit.kind, unfit.answer) == ("contraindication", ~expected)


def test_conflicts_name_the_readings_and_the_one_that_decides(make_facts: Make) -> None:
    base = {"tumor.functional": "yes", "tumor.refractory_symptoms": "yes"}
    books = load_books(["debulking"])
    (split,) = assess(make_facts(base | {"debulk.best.percent": 82}), books)
    (sentence,) = split.conflicts
    for part in ("At least 70 %", "At least 90 %", "S2 Section 2.1", "yes", "no", "goes by"):
        assert part in sentence
    for agreed in (99, 50):
        (found,) = assess(make_facts(base | {"debulk.best.percent": agreed}), books)
        assert found.conflicts == ()


def test_facts_that_disagree_are_reported_where_they_are_used(make_facts: Make) -> None:
    found = milan(make_facts(MILAN | {"tumor.ki67": 45}))
    assert found.answer is Answer.YES  # the entered grade wins
    (sentence,) = found.conflicts
    assert "G1" in sentence
    assert "G3" in sentence


def test_missing_facts_rank_what_decides_alone_first(make_facts: Make) -> None:
    """Whether the symptoms are refractory matters only if the burden is 50 to 75 %."""
    base = MILAN | {
        "tumor.ki67": 2,
        "tumor.burden": None,
        "primary.months_since_resection": 12,
        "extrahepatic.excluded_cross_sectional": "yes",
        "extrahepatic.excluded_functional": "yes",
        "lab.bilirubin_low": "yes",
    }
    books = load_books(["enets"])
    (both,) = assess(make_facts(base), books)
    assert both.missing == ("tumor.burden", "tumor.refractory_symptoms")
    (one,) = assess(make_facts(base | {"tumor.burden": 60}), books)
    assert one.missing == ("tumor.refractory_symptoms",)
    (none,) = assess(make_facts(base | {"tumor.burden": 40}), books)
    assert none.missing == ()


def test_uncertain_is_not_missing(make_facts: Make) -> None:
    draws = np.random.default_rng(6).normal(50, 1, 100)
    assert milan(make_facts(MILAN | {"tumor.burden": draws})).missing == ()


def test_a_type_with_draws_is_uncertain_and_not_missing() -> None:
    drawn = np.array(["I", "II"] * 20)
    facts = Facts([Fact("frilling.type", Choice.of("I", "II"), "", "measured: test", drawn)])
    (found,) = assess(facts, load_books(["simultaneous"]))
    assert "frilling.type" not in found.missing


def _any_facts() -> st.SearchStrategy[dict[str, Any]]:
    def value(fact_id: str) -> st.SearchStrategy[Any]:
        entry = vocabulary()[fact_id]
        if entry.options:
            return st.one_of(st.none(), st.sampled_from(entry.options))
        high = 20 if entry.unit == "month" else 100
        return st.one_of(st.none(), st.integers(0, high), st.tuples(*[st.integers(0, high)] * 2).map(
            lambda e: tuple(sorted(e))))  # fmt: skip

    used = sorted({f for book in BOOKS for f in book.facts()})
    return st.fixed_dictionaries({}, optional={f: value(f) for f in used})


BOOKS = load_books()


@given(given_facts=_any_facts(), book=st.sampled_from(BOOKS))
@settings(max_examples=80, deadline=None)
def test_every_what_if_is_true_and_every_open_answer_names_something(
    given_facts: dict[str, Any], book: RuleBook, make_facts: Make
) -> None:
    facts = make_facts(given_facts)
    assume(given_facts.get("lesion.count") not in (0, (0, 0)))  # nothing to treat, no verdict
    (found,) = assess(facts, [book])
    if found.answer is Answer.UNKNOWN:
        assert found.missing
        assert any(c.answer is Answer.UNKNOWN for c in found.criteria)
    if found.answer is not Answer.YES:
        known = derive(facts)
        for change in single_changes(book, known):
            assert answer_with(book, known, change.fact, change.value) is Answer.YES


@given(given_facts=_any_facts(), data=st.data())
@settings(max_examples=100, deadline=None)
def test_learning_any_fact_never_reverses_any_book(
    given_facts: dict[str, Any], data: st.DataObject, make_facts: Make
) -> None:
    """Through the derived facts too."""
    facts = make_facts(given_facts)
    unknown = sorted({f for book in BOOKS for f in book.facts()} - set(given_facts))
    if not unknown:
        return
    new = data.draw(st.sampled_from(unknown))
    entry = vocabulary()[new]
    value: Interval | Choice = (
        Choice.of(data.draw(st.sampled_from(entry.options)))
        if entry.options
        else Interval.exactly(float(data.draw(st.integers(0, 100))))
    )
    before = table_of(derive(facts))
    after = table_of(derive(facts | Facts([Fact(new, value, entry.unit, "test")])))
    for book in BOOKS:
        both = {int(answers(book, before)[0]), int(answers(book, after)[0])}
        assert both != {-1, 1}, (book.id, new, value)


# Without mitoses the grade goes by Ki-67 alone, the reading of S1: forgetting them is no widening.
NEVER_FORGOTTEN = {"tumor.mitoses"}


@given(given_facts=_any_facts(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_widening_any_fact_makes_no_book_more_certain(
    given_facts: dict[str, Any], data: st.DataObject, make_facts: Make
) -> None:
    """Through the derived facts too: what is decided with less known is decided so with more."""
    facts = make_facts(given_facts)
    known = sorted(key for key, value in given_facts.items() if value is not None)
    if not known:
        return
    key = data.draw(st.sampled_from(known))
    value = facts[key].value
    wider: Interval | Choice
    if isinstance(value, Choice):
        more = data.draw(st.sets(st.sampled_from(vocabulary()[key].options)))
        wider = Choice(value.options | more)
    elif key not in NEVER_FORGOTTEN and data.draw(st.booleans()):
        wider = ANYTHING
    else:
        below, above = data.draw(st.integers(0, 60)), data.draw(st.integers(0, 60))
        wider = Interval(max(0.0, value.low - below), value.high + above)
    after = table_of(derive(facts | Facts([Fact(key, wider, facts[key].unit, "test")])))
    before = table_of(derive(facts))
    for book in BOOKS:
        was, now = int(answers(book, before)[0]), int(answers(book, after)[0])
        assert now in (0, was), (book.id, key, wider)


def test_what_if_speaks_of_milliliters_and_months(make_facts: Make) -> None:
    """800 of 1500 mL is 53.3 %; taking x gives (800 - x) / (1500 - x) = 0.5 at x = 100."""
    volumes = {"tumor.volume": 800, "liver.volume": 1500, "tumor.burden": 100 * 800 / 1500}
    (sentence,) = milan(make_facts(MILAN | volumes)).what_if
    assert "below 50 %" in sentence
    assert "100 mL less tumor" in sentence
    (sentence,) = milan(make_facts(MILAN | {"disease.months_stable": 4})).what_if
    assert "with at least 6 months (now 4 months): 2 months more" in sentence


def test_what_if_proposes_no_other_age_or_histology(make_facts: Make) -> None:
    assert milan(make_facts(MILAN | {"patient.age": 60})).what_if == ()
    assert milan(make_facts(MILAN | {"tumor.grade": "G3"})).what_if == ()
    (sentence,) = milan(make_facts(MILAN | {"patient.age": None})).what_if
    assert "if known to be below 55 years" in sentence


def test_what_if_makes_nobody_sicker(make_facts: Make) -> None:
    """Stable, controlled symptoms: debulking is not offered by way of worse symptoms."""
    given_facts = {
        "tumor.functional": "yes",
        "tumor.refractory_symptoms": "no",
        "debulk.best.percent": 90,
        "liver_disease.resectable": "yes",
        "patient.fit_for_surgery": "yes",
        # nothing else than being resectable is in the way of TARE
        **{"tumor.grade": "G1", "disease.liver_dominant": "yes", "extrahepatic.stable": "yes"},
        **{"tumor.burden": 30, "liver.insufficiency": "no", "liver.encephalopathy": "no"},
        **{"lab.creatinine": 1, "lab.ldh": 200, "lab.ast": 30, "lab.platelets": 220, "lab.bilirubin": 1},
    }
    for found in assess(make_facts(given_facts), load_books(["debulking", "tare"])):
        assert (found.answer, found.what_if) == (Answer.NO, ())


def test_several_obstacles_are_said_to_be_several(make_facts: Make) -> None:
    found = milan(make_facts(MILAN | {"patient.age": 60, "tumor.burden": 60}))
    (sentence,) = found.what_if
    assert sentence.startswith("No single change is enough. Not met: ")
    assert [c.id for c in decided_by(found)] == ["age", "burden"]


def test_explanations_are_short_and_name_what_decided(make_facts: Make) -> None:
    said = explain(milan(make_facts(MILAN | {"tumor.burden": 53.2})))
    assert said[0].endswith("(not the HCC criteria): no.")
    assert "53.2 %" in said[1]
    assert "3.2 % short of the limit" in said[1]
    draws = np.linspace(48, 52, 101)
    said = explain(milan(make_facts(MILAN | {"tumor.burden": draws})))
    assert any(s.startswith("Grey zone: yes in 50%") for s in said)


def test_the_grey_zone_is_five_to_ninety_five_percent() -> None:
    assert [in_grey_zone(p) for p in (None, 0.0, 0.05, 0.051, 0.949, 0.95, 1.0)] == [
        False, False, False, True, True, False, False,
    ]  # fmt: skip
