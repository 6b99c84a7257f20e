"""Where the papers differ all readings run, and a conflict is told when they give other answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from burden.assess import assess, load_books
from burden.assess.rulebook import Group
from burden.facts import Facts

Make = Callable[[Mapping[str, Any]], Facts]
BOOKS = load_books()

# The book, the group, the facts, what each reading says: from the inventory, by hand.
DIFFERENT = [
    # C4: "<= 50 %" in S2, "< 50 %" in S1
    ("transplant.summary_2022", "burden", {"tumor.burden": 50}, {"s2": "yes", "s1": "no"}),
    # D2: three lesions of 28 mm are too many for S3, enough for S4, small enough for S1
    (
        "ablation.thermal",
        "size",
        {"lesion.count": 3, "lesion.largest_diameter": 28},
        {"s3": "no", "s4": "yes", "s1": "yes"},
    ),
    # D2: two lesions of just 30 mm are within S3 and not within S4; one of 45 mm only within S3 and S1
    (
        "ablation.thermal",
        "size",
        {"lesion.count": 2, "lesion.largest_diameter": 30},
        {"s3": "yes", "s4": "no", "s1": "yes"},
    ),
    (
        "ablation.thermal",
        "size",
        {"lesion.count": 1, "lesion.largest_diameter": 45},
        {"s3": "yes", "s4": "no", "s1": "yes"},
    ),
    # E1 against E3: the window goes up to 90 %, the laboratory set of S3 stops below 50 %
    ("embolization.tae_tace", "extent", {"tumor.burden": 60}, {"window": "yes", "laboratory_set": "no"}),
    ("embolization.tare", "extent", {"tumor.burden": 60}, {"window": "yes", "laboratory_set": "no"}),
    # guidelines stop at G2, NANETS goes on to G3
    (
        "embolization.tae_tace",
        "setting",
        {"tumor.grade": "G3", "disease.liver_dominant": "yes", "extrahepatic.stable": "yes"},
        {"guidelines": "no", "nanets": "yes"},
    ),
    (
        "embolization.tare",
        "setting",
        {"tumor.grade": "G1", "disease.liver_dominant": "yes", "extrahepatic.stable": "no"},
        {"guidelines": "no", "nanets": "yes"},
    ),
    # debulking: 70, 90 and 95 %
    (
        "resection.debulking",
        "cleared",
        {"debulk.best.percent": 82},
        {"liberal": "yes", "traditional": "no", "symptom_control": "no"},
    ),
    (
        "resection.debulking",
        "cleared",
        {"debulk.best.percent": 92},
        {"liberal": "yes", "traditional": "yes", "symptom_control": "no"},
    ),
    # B7: "> 70 %" and "> 90 %"
    (
        "ablation.cytoreduction",
        "cleared",
        {"debulk.with_ablation.percent": 80},
        {"liberal": "yes", "traditional": "no"},
    ),
    # G1: S2 takes a subset of G3 up to a Ki-67 of 55 %
    (
        "systemic.prrt",
        "grade",
        {"tumor.ki67": 30, "tumor.differentiation": "well"},
        {"s1": "no", "s2": "no", "s2_subset": "yes"},
    ),
]


@pytest.mark.parametrize(("book", "group", "facts", "readings"), DIFFERENT)
def test_readings_that_differ_are_a_conflict(
    book: str, group: str, facts: dict[str, Any], readings: dict[str, str], make_facts: Make
) -> None:
    (found,) = assess(make_facts(facts), load_books([book]))
    said = {c.id: c.answer.value for c in found.criteria}
    assert {key: said[f"{group}.{key}"] for key in readings} == readings
    (sentence,) = (s for s in found.conflicts if "readings differ here" in s)
    for row in found.criteria:
        if row.id.startswith(f"{group}.") and row.id.count(".") == 1:
            assert f"{row.text} (" in sentence
            assert all(f"{c.source} {c.where}" in sentence for c in row.cite)


def test_every_group_of_readings_is_seen_to_differ() -> None:
    groups = {
        (b.id.removeprefix("nelm."), path)
        for b in BOOKS
        for _, path, node in b.rows()
        if isinstance(node, Group) and node.join == "readings"
    }
    assert groups == {(book, group) for book, group, _, _ in DIFFERENT}


@pytest.mark.parametrize(
    ("book", "facts"),
    [
        ("transplant.summary_2022", {"tumor.burden": 49}),
        ("ablation.thermal", {"lesion.count": 2, "lesion.largest_diameter": 29}),
        ("embolization.tae_tace", {"tumor.burden": 40}),
        ("resection.debulking", {"debulk.best.percent": 96}),
        ("systemic.prrt", {"tumor.ki67": 60, "tumor.differentiation": "well"}),
    ],
)
def test_readings_that_agree_are_none(book: str, facts: dict[str, Any], make_facts: Make) -> None:
    (found,) = assess(make_facts(facts), load_books([book]))
    assert found.conflicts == ()


def test_a_reading_that_is_still_open_may_differ(make_facts: Make) -> None:
    (found,) = assess(make_facts({"debulk.best.percent": (80, 96)}), load_books(["debulking"]))
    assert "the published readings may differ here" in found.conflicts[0]


@pytest.mark.parametrize(("burden", "window", "benefit"), [(40, "yes", "yes"), (60, "yes", "no")])
def test_best_benefit_is_told_beside_the_window(
    burden: float, window: str, benefit: str, make_facts: Make
) -> None:
    """E1 against E5: up to 90 % is reasonable, below 50 % the benefit was best; it decides nothing."""
    (found,) = assess(make_facts({"tumor.burden": burden}), load_books(["tae_tace"]))
    said = {c.id: (c.answer.value, c.kind) for c in found.criteria}
    assert said["extent.window"] == (window, "criterion")
    assert said["benefit"] == (benefit, "advisory")


# A1: the grade by S1 and by S2.
SETTING = {
    "patient.age": 40,
    "tumor.grade_confirmed": "yes",
    "primary.portal_drainage": "yes",
    "primary.resected": "yes",
    "extrahepatic.resected": "yes",
    "tumor.burden": 20,
    "disease.months_stable": 12,
}


def test_grades_that_differ_are_a_conflict(make_facts: Make) -> None:
    """Ki-67 1 % with 25 mitoses: G1 by S1, high grade by S2. Milan: yes by S1, no by S2."""
    facts = make_facts(SETTING | {"tumor.ki67": 1, "tumor.mitoses": 25, "tumor.differentiation": "well"})
    (found,) = assess(facts, load_books(["milan"]))
    assert found.answer.value == "unknown"
    assert found.conflicts == (
        "Grade by Ki-67 and mitoses: the published readings differ here. S1 gives G1: yes; "
        "S2 gives G3: no. Both stay possible.",
    )


def test_a_gap_that_changes_nothing_is_no_conflict(make_facts: Make) -> None:
    """Ki-67 2.5 %, one mitosis: open between G1 and G2 in S1, G1 in S2; Milan takes either."""
    given = SETTING | {"tumor.ki67": 2.5, "tumor.mitoses": 1}
    (found,) = assess(make_facts(given), load_books(["milan"]))
    assert (found.answer.value, found.conflicts) == ("yes", ())


def test_a_gap_that_matters_is_told(make_facts: Make) -> None:
    """Capecitabine and temozolomide were studied in G2: the note applies by S1 and not by S2."""
    given = {"tumor.ki67": 2.5, "tumor.mitoses": 1}
    by_row = {
        row.id: row.answer.value
        for found in assess(make_facts(given), load_books(["systemic.drugs"]))
        for row in found.criteria
        if row.facts == ("tumor.grade",)
    }
    assert "unknown" in by_row.values()


# H1: the grid of S4 Table 1, read by hand: TAE or cTACE, then TARE.
GRID = {
    "progressive_on_ssa": ("+++", "-"),
    "stable_with_symptoms": ("+++", "-"),
    "few_enlarging": ("+++", "+"),
    "few_low_uptake": ("+++", "+"),
    "bulky": ("+++", "+"),
    "after_prrt": ("+++", "-"),
    "receptor_negative": ("+++", "+"),
    "one_lobe": ("+++", "+++"),
    "rapid": ("+", "+++"),
    "instrumented": ("-", "+++"),
}


def test_grid_has_the_ten_scenarios_and_says_their_grades_in_words_too() -> None:
    (grid,) = load_books(["H1"])
    rows = {path: node for _, path, node in grid.rows() if node.grades}
    assert {path: tuple(g for _, g in node.grades) for path, node in rows.items()} == GRID
    for node in rows.values():
        assert [name for name, _ in node.grades] == ["TAE/TACE", "TARE"]
        for name, grade in node.grades:
            assert f"{name} {grade}" in node.text


def test_scenarios_that_pull_apart_are_a_conflict(make_facts: Make) -> None:
    """Bulk in one lobe after PRRT: TARE +++ and -. With a Whipple procedure TAE/TACE too: +++ and -."""
    base = {"disease.one_lobe_bulk": "yes", "disease.progressed_after_prrt": "yes"}
    (found,) = assess(make_facts(base), load_books(["H1"]))
    (sentence,) = found.conflicts
    assert sentence == (
        "TARE: scenarios that apply differ. Progression after PRRT: -; Bulky disease mainly in one "
        "lobe: +++ (S4 Table 1)."
    )
    (found,) = assess(make_facts(base | {"surgery.whipple": "yes"}), load_books(["H1"]))
    assert [c.split(":")[0] for c in found.conflicts] == ["TAE/TACE", "TARE"]
    both = {"disease.one_lobe_bulk": "yes", "disease.rapid_bilobar_progression": "yes"}
    (found,) = assess(make_facts(both), load_books(["H1"]))
    assert found.conflicts == ()  # +++ and + are both for it
    ssa = {"tumor.sstr_positive": "yes", "disease.liver_dominant": "yes"}
    ssa |= {"disease.progressing_on_ssa": "yes", "disease.progressed_after_prrt": "yes"}
    (found,) = assess(make_facts(ssa), load_books(["H1"]))
    assert found.conflicts == ()  # both scenarios have TARE at -
