"""Local policy: what a site changes is decided beside what is published, never in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from burden.answer import Answer
from burden.assess import assess, assess_locally, load_books, load_policy
from burden.errors import RuleError
from burden.facts import Facts

Make = Callable[[Mapping[str, Any]], Facts]
BOOKS = load_books()
MILAN = {
    "patient.age": 50,
    "tumor.grade": "G1",
    "tumor.grade_confirmed": "yes",
    "primary.portal_drainage": "yes",
    "primary.resected": "yes",
    "extrahepatic.resected": "yes",
    "disease.months_stable": 8,
}
POLICY = """\
site: Test Hospital
overrides:
  - book: nelm.transplant.milan
    criterion: burden
    limit: 60
    unit: "%"
    reason: Board decision of 2024
"""
OWN_BOOK = """\
book: nelm.transplant.test_hospital
version: 1.0.0
title: Transplantation as the test hospital has it
modality: transplantation
criteria:
  all:
    - id: age
      text: Below 70
      fact: patient.age
      op: "<"
      limit: 70
      unit: year
      cite: [{source: local, where: Protocol 7}]
"""


def _site(folder: Path, policy: str = POLICY, book: str | None = None) -> Path:
    (folder / "policy.yaml").write_text(policy)
    if book is not None:
        (folder / "own.yaml").write_text(book)
    return folder


@pytest.mark.parametrize(
    ("burden", "published", "local"),
    [
        (49, "yes", "yes"),
        (50, "no", "yes"),
        (59.9, "no", "yes"),
        (60, "no", "no"),
        (None, "unknown", "unknown"),
    ],
)
def test_both_answers_are_shown(
    burden: float | None, published: str, local: str, tmp_path: Path, make_facts: Make
) -> None:
    books = [b for b in BOOKS if b.id.endswith((".milan", ".unos"))]
    facts = make_facts(MILAN | {"tumor.burden": burden})
    policy = load_policy(_site(tmp_path), BOOKS)
    first, second, unos = assess_locally(facts, books, policy)
    assert (first.book, first.answer.value) == ("nelm.transplant.milan", published)
    assert (second.book, second.answer.value) == ("nelm.transplant.milan.local", local)
    assert f"As published the answer is {published}." in second.note
    assert "burden: tumor.burden < 60 % instead of tumor.burden < 50 %" in second.note
    assert "Board decision of 2024" in second.note
    assert "Test Hospital" in second.title
    said = {row.id: row.text for row in second.criteria}
    assert "locally tumor.burden < 60 %" in said["burden"]
    assert sum("locally" in text for text in said.values()) == 1
    plain = assess(facts, books)
    assert (first, unos) == plain  # what is published is decided as without a policy


def test_a_book_of_the_site_comes_last_and_says_so(tmp_path: Path, make_facts: Make) -> None:
    policy = load_policy(_site(tmp_path, book=OWN_BOOK), BOOKS)
    *_, own = assess_locally(make_facts({"patient.age": 60}), load_books(["unos"]), policy)
    assert (own.book, own.answer) == ("nelm.transplant.test_hospital", Answer.YES)
    assert own.note.startswith("Local book of Test Hospital, not a published rule.")


def test_options_and_nested_criteria_can_be_overridden(tmp_path: Path, make_facts: Make) -> None:
    text = """\
site: X
overrides:
  - {book: nelm.ablation.thermal, criterion: setting.grade, limit: [G1], reason: Caution}
  - {book: nelm.ablation.thermal, criterion: size.s4.count, limit: 5, unit: "1", reason: Device}
"""
    policy = load_policy(_site(tmp_path, text), BOOKS)
    facts = make_facts({"tumor.grade": "G2", "lesion.count": 4, "lesion.largest_diameter": 20})
    published, local = assess_locally(facts, load_books(["ablation.thermal"]), policy)
    rows = [{row.id: row.answer.value for row in a.criteria} for a in (published, local)]
    assert [r["setting.grade"] for r in rows] == ["yes", "no"]
    assert [r["size.s4.count"] for r in rows] == ["no", "yes"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("nelm.transplant.milan", "nelm.transplant.milano", "no book is called"),
        ("criterion: burden", "criterion: burdens", "has no criterion"),
        ("limit: 60", "limit: sixty", "is a number"),
        ('unit: "%"', "unit: mL", "unit is `mL`"),
        ("reason: Board decision of 2024", "reason: ' '", "`reason` is missing"),
        ("    reason", "    op: '>'\n    reason", "unknown key `op`"),
        ("site: Test Hospital\n", "", "`site` is missing"),
        ("overrides:", "overides:", "unknown key `overides`"),
    ],
)
def test_mistakes_name_file_and_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    site = _site(tmp_path, POLICY.replace(old, new))
    with pytest.raises(RuleError, match=message) as caught:
        load_policy(site, BOOKS)
    assert f"{site / 'policy.yaml'}:" in str(caught.value)


def test_the_same_limit_twice_or_a_published_id_is_refused(tmp_path: Path) -> None:
    twice = POLICY + POLICY.split("overrides:\n")[1]
    with pytest.raises(RuleError, match="twice"):
        load_policy(_site(tmp_path, twice), BOOKS)
    taken = OWN_BOOK.replace("nelm.transplant.test_hospital", "nelm.transplant.milan")
    with pytest.raises(RuleError, match="published book"):
        load_policy(_site(tmp_path, book=taken), BOOKS)


def test_a_folder_without_a_policy_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RuleError, match=r"policy\.yaml"):
        load_policy(tmp_path, BOOKS)


def test_a_liver_without_lesions_gets_no_verdicts(tmp_path: Path, make_facts: Make) -> None:
    policy = load_policy(_site(tmp_path, book=OWN_BOOK), BOOKS)
    assert assess_locally(make_facts({"lesion.count": 0}), BOOKS, policy) == ()
