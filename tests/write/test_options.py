"""The options, questions and plans in case.json and report.pdf; report.html is in test_page.py."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from burden.assess import appraise, derive, load_books
from burden.case import Case
from burden.facts import Choice, Fact, Facts, Interval
from burden.options import Pathway
from burden.write import read_case, write_case
from burden.write.pdf import pdf_bytes
from burden.write.plans import plans_of
from burden.write.record import case_record, validator

PLAN: dict[str, Any] = {
    "name": "right hepatectomy", "roles": ["best", "front"], "extent": 4,
    "removed_segments": [5, 6, 7, 8], "resections": 1, "ablated_lesions": [], "wedged_lesions": [],
    "debulked_percent": 82.0, "residual_lesions": 2, "flr_ml": 500.0, "flr_percent": 33.0,
    "sflr_percent": 30.1, "p_flr_enough": 1.0, "min_flr_percent": 30.0, "growth": None,
}  # fmt: skip
SEARCH: dict[str, Any] = {
    "answers": [
        {
            "question": "?",
            "target_percent": 70.0,
            "answer": "yes",
            "p": 1.0,
            "plan": "right hepatectomy",
        },
        {"question": "?", "target_percent": 90.0, "answer": "no", "p": None, "plan": None},
    ]
}


@pytest.fixture(scope="module")
def patient(case_of: Callable[[str], Case]) -> Case:
    case = replace(case_of("bilobar"), images=None)
    entered = Facts([Fact("tumor.functional", Choice.of("yes"), "", "facts.yaml"),
                     Fact("tumor.refractory_symptoms", Choice.of("yes"), "", "facts.yaml"),
                     Fact("debulk.best.percent", Interval(82.0, 82.0), "%", "test")])  # fmt: skip
    facts = derive(case.facts | entered)
    said, pathway = appraise(facts, load_books(), lesions=case.lesions, plans=(PLAN,))
    return replace(case, facts=facts, assessments=said, pathway=pathway, plans=(PLAN,), planned=SEARCH)


def test_options_are_read_back_equal(patient: Case, tmp_path: Path) -> None:
    write_case(patient, tmp_path / "out", writers=["record"])
    again = read_case(tmp_path / "out")
    assert again.pathway == patient.pathway
    assert again.assessments == patient.assessments
    assert again.pathway.questions
    assert again.pathway.published["resection"].arms[3].study == "Mayo 2010"


def test_the_first_version_is_still_read(patient: Case, tmp_path: Path) -> None:
    """1.0 had no pathway, and assessments without short names, tests and notes."""
    write_case(patient, tmp_path / "out", writers=["record"])
    path = tmp_path / "out" / "case.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["schema"] == "burden-case/1.1"
    record["schema"] = "burden-case/1.0"
    del record["pathway"]
    for one in record["assessments"]:
        for key in ("short", "version", "status", "inventory"):
            del one[key]
        for row in one["criteria"]:
            del row["test"], row["note"]
    path.write_text(json.dumps(record), encoding="utf-8")
    again = read_case(path)
    assert again.pathway == Pathway()
    assert [a.answer for a in again.assessments] == [a.answer for a in patient.assessments]


@pytest.mark.parametrize(
    ("key", "value"), [("state", "recommended"), ("p_met", 1.5), ("because", "too large"), ("rank", 1)]
)
def test_schema_refuses(key: str, value: object, patient: Case) -> None:
    record = case_record(patient)
    validator().validate(record)
    record["pathway"]["options"][0][key] = value
    with pytest.raises(jsonschema.ValidationError):
        validator().validate(record)


@pytest.fixture(scope="module")
def paper(patient: Case, tmp_path_factory: pytest.TempPathFactory, program: Any) -> str:
    path = tmp_path_factory.mktemp("pdf") / "report.pdf"
    path.write_bytes(pdf_bytes(patient))
    done = subprocess.run(
        [program("pdftotext"), "-layout", path, "-"], check=True, capture_output=True, text=True
    )
    return re.sub(r"\s+", " ", done.stdout)


def test_pdf_says_what_is_possible_before_anything_else(paper: str) -> None:
    order = (
        *("Key numbers", "Options by published criteria", "none is recommended"),
        *("Most worth finding out", "Options side by side", "What to find out next"),
        *("Resection plans", "Lesions", "Sources"),
    )
    at = 0
    for words in order:
        at = paper.find(words, at)
        assert at >= 0, words


def test_pdf_shows_outcomes_conflicts_and_plans(paper: str) -> None:
    assert "5-year survival 41 to 100 % (17 study arms, S1 Table 1, S2 Table 1)" in paper
    assert "readings differ" in paper
    assert "the published readings differ here" in paper
    assert (
        "Clear at least 70 % of the tumor and keep at least 30 % of the liver? yes: right hepatectomy"
        in paper
    )
    assert "keep at least 30 % of the liver? no: no plan clears that much" in paper
    for one in ("nelm.transplant.milan", "version 1.0.0", "released", "inventory C1"):
        assert one in paper


def test_a_target_is_not_denied_where_tumor_was_cut(patient: Case) -> None:
    """The search leaves it open; the report says of what no plan clears that much."""
    left_open = {"answers": [{"target_percent": 90.0, "answer": "unknown", "p": None, "plan": None}]}
    plans = plans_of(replace(patient, planned=left_open))
    assert plans is not None
    ((_, answer, told),) = plans.answers
    assert (answer, told) == ("unknown", "no plan clears that much of what was seen")
    assert plans_of(replace(patient, plans=())) is None


def test_a_group_title_is_never_left_alone_at_the_foot_of_a_page() -> None:
    from burden.write.pdf_page import paragraph, table

    rows = [[paragraph(f"row {n}", "cell"), ""] for n in range(10)]
    one = table(rows, [50, 50], titles=[4])
    one.wrap(400, 1000)
    first, rest = one.split(400, sum(one._rowHeights[:5]) + 1)  # room for the title, and no more
    assert (len(first._cellvalues), len(rest._cellvalues)) == (4, 7), "the head is repeated"
