"""The options side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from burden.answer import Answer
from burden.assess import assess, load_books, pathway
from burden.assess.explain import explain
from burden.assess.pathway import ORDER
from burden.case import Assessment, CriterionResult
from burden.facts import Facts

Make = Callable[[Mapping[str, Any]], Facts]


def _row(id: str, answer: Answer, kind: Any = "criterion") -> CriterionResult:
    return CriterionResult(id, f"text of {id}", answer, (), (), kind)


def _said(modality: str, answer: Answer, *rows: CriterionResult, **more: Any) -> Assessment:
    return Assessment(f"x.{modality}.y", modality, answer, rows, modality=modality, **more)


def test_order_is_that_of_the_papers_whatever_comes_in() -> None:
    given = [_said(m, Answer.YES) for m in ("other", *reversed(ORDER))]
    assert [o.modality for o in pathway(given).options] == [*ORDER, "other"]


def test_books_of_one_kind_stay_as_given() -> None:
    given = [_said("resection", Answer.NO), _said("systemic", Answer.NO), _said("resection", Answer.YES)]
    assert [o.state for o in pathway(given).options] == ["ruled out", "eligible", "ruled out"]


def test_ruled_out_by_what() -> None:
    rows = (
        _row("met", Answer.YES),
        _row("failed", Answer.NO),
        _row("failed.inner", Answer.NO),
        _row("open", Answer.UNKNOWN),
        _row("veto", Answer.YES, "contraindication"),
        _row("absent", Answer.NO, "contraindication"),
        _row("told", Answer.NO, "advisory"),
    )
    (option,) = pathway([_said("ablation", Answer.NO, *rows, missing=("tumor.grade",))]).options
    assert option.because == ("not met: text of failed", "present: text of veto")
    assert option.missing == ()  # nothing that is asked for would change it
    (option,) = pathway([_said("ablation", Answer.UNKNOWN, *rows, missing=("tumor.grade",))]).options
    assert (option.state, option.because) == ("needs data", ("open: text of open",))
    assert option.missing == ("tumor.grade",)
    (option,) = pathway([_said("ablation", Answer.YES, *rows[:1])]).options
    assert (option.state, option.because) == ("eligible", ())


def test_a_contraindication_that_nobody_has_ruled_out_is_no_open_criterion() -> None:
    row = _row("veto", Answer.UNKNOWN, "contraindication")
    (option,) = pathway([_said("ablation", Answer.UNKNOWN, row)]).options
    assert option.because == ("may be present: text of veto",)


def test_a_carcinoma_rules_out_by_being_there(make_facts: Make) -> None:
    """Both rows stand against curative resection, one by what is missing, one by what is there."""
    found = pathway(assess(make_facts({"tumor.grade": "NEC"}), load_books(["curative"])))
    first, second = found.options[0].because
    assert first.startswith("not met: Well-differentiated")
    assert second.startswith("present: Neuroendocrine carcinoma")


def test_sentences_tell_what_is_missed_from_what_is_there(make_facts: Make) -> None:
    (found,) = assess(make_facts({"tumor.grade": "NEC"}), load_books(["resection.curative"]))
    (decided,) = (s for s in explain(found) if s.startswith("Decided by"))
    assert "contraindication, Neuroendocrine carcinoma" in decided
    assert "contraindication, Well-differentiated" not in decided


def test_what_informs_is_no_option() -> None:
    informs = [_said(m, Answer.YES, purpose="information") for m in ("trial", "embolization", "safety")]
    found = pathway(informs)
    assert found.options == ()
    assert found.notes[1:] == ("safety.",)


@pytest.mark.parametrize(
    ("grade", "note"), [("G1", None), ("G3", "other patients"), (None, "not known"), ("NEC", "other")]
)
def test_for_whom_the_order_is_meant(grade: str | None, note: str | None, make_facts: Make) -> None:
    facts = make_facts({"tumor.grade": grade, "extrahepatic.present": "yes"})
    _, *notes = pathway(assess(facts, load_books(["H3"]))).notes
    assert notes[-1].startswith("Extrahepatic disease")
    assert len(notes) == (1 if note is None else 2)
    assert note is None or note in notes[0]


def test_nothing_is_recommended(make_facts: Make) -> None:
    found = pathway(assess(make_facts({"tumor.functional": "yes"}), load_books()))
    said = [found.notes[1:], *(o.because for o in found.options), *(o.conflicts for o in found.options)]
    words = " ".join(text for part in said for text in part).lower()
    assert not {"should", "recommend", "best option", "preferred"} & set(words.split())
    assert "No option is recommended" in found.notes[0]
    deciding = [b for b in load_books() if b.purpose == "eligibility"]
    assert {o.book for o in found.options} == {b.id for b in deciding}
    assert {o.state for o in found.options} <= {"needs data", "ruled out"}
