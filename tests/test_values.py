"""Answers and facts: three values, and nothing known is never a value."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from burden.answer import Answer, all_of, any_of, at_least
from burden.facts import ANYTHING, Choice, Fact, Facts, Interval
from burden.vocabulary import PLACES, load_vocabulary, vocabulary

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN


def completions(answers: tuple[Answer, ...]) -> list[list[bool]]:
    """Every way in which the unknown answers may turn out."""
    return [list(c) for c in product(*[[True, False] if a is UNKNOWN else [a is YES] for a in answers])]


@pytest.mark.parametrize("answers", list(product(Answer, repeat=3)))
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_at_least_is_what_all_completions_agree_on(answers: tuple, count: int) -> None:
    outcomes = {sum(c) >= count for c in completions(answers)}
    expected = UNKNOWN if len(outcomes) == 2 else (YES if outcomes.pop() else NO)
    assert at_least(count, answers) is expected


@pytest.mark.parametrize("answers", list(product(Answer, repeat=2)))
def test_de_morgan(answers: tuple) -> None:
    assert ~all_of(answers) is any_of([~a for a in answers])


def test_an_answer_is_no_condition() -> None:
    for answer in Answer:
        with pytest.raises(TypeError):
            bool(answer)


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (math.nan, 1.0), (0.0, math.nan)])
def test_no_such_interval(bounds: tuple) -> None:
    with pytest.raises(ValueError, match="not an interval"):
        Interval(*bounds)


def test_what_is_not_known_has_no_best_value() -> None:
    assert Fact("tumor.burden", ANYTHING, "%", "x").best is None
    assert Fact("primary.resected", Choice.of("yes", "no"), "", "x").best is None
    measured = Fact(
        "tumor.burden", Interval(18, 22), "%", "x", draws=np.linspace(18, 22, 101), estimate=20
    )
    assert measured.best == 20
    assert measured.quantiles() == pytest.approx((18.2, 20, 21.8))
    counted = Fact("lesion.count", Interval(3, 44), "", "x", draws=np.array([3.0, 4.0, 5.0, 44.0]))
    assert counted.quantiles() == (3, 5, 44), "lesions are not counted in parts"
    gone = measured.invalidated("liver cut by the field of view")
    assert (gone.best, gone.value, gone.draws, gone.valid) == (None, ANYTHING, None, False)


def test_later_facts_hold() -> None:
    first = Facts([Fact("patient.age", Interval.exactly(50), "year", "dicom")])
    second = Facts([Fact("patient.age", Interval.exactly(51), "year", "facts.yaml")])
    assert (first | second)["patient.age"].best == 51
    with pytest.raises(ValueError, match="twice"):
        Facts([first["patient.age"], second["patient.age"]])


def test_vocabulary_has_the_contract_ids() -> None:
    words = vocabulary()
    for fact_id, unit in [
        ("liver.volume", "mL"),
        ("tumor.burden", "%"),
        ("segment.4.tumor_volume", "mL"),
        ("flr.right_hepatectomy.sflr", "%"),
        ("debulk.best.percent", "%"),
    ]:
        assert words[fact_id].unit == unit
    assert words.find("segment.4.5.volume") is None
    assert words.find("no.such.fact") is None


def test_plans_and_segments_of_the_vocabulary_are_those_of_the_plans() -> None:
    from burden.plan.anatomy import ALL, STANDARD

    assert set(PLACES["plan"]) == {*STANDARD, "best", "planned"}
    assert set(PLACES["n"]) == {str(segment) for segment in ALL}


def test_every_number_has_a_range() -> None:
    numbers = [entry for entry in vocabulary().entries.values() if not entry.options]
    assert [e.id for e in numbers if e.range is None or e.range[0] > e.range[1]] == []
    assert all(e.range == (0, 100) for e in numbers if e.unit == "%" and ".sflr" not in e.id)


def test_vocabulary_errors_name_the_entry(tmp_path) -> None:
    from burden.errors import RuleError

    path = tmp_path / "facts.yaml"
    for text in ("a.b: {text: x, unit: mm, options: [p, q]}", "a.b.<z>: {text: x, unit: mm}"):
        path.write_text(text)
        with pytest.raises(RuleError, match=r"a\.b"):
            load_vocabulary(path)
