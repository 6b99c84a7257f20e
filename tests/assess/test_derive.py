"""Derived facts: formulas against numbers worked by hand, readings, and what wins."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from burden.assess import derive, disagreements
from burden.facts import Choice, Fact, Facts, Interval

Make = Callable[[Mapping[str, Any]], Facts]


def options(facts: Facts, fact_id: str) -> set[str]:
    value = facts[fact_id].value
    assert isinstance(value, Choice)
    return set(value.options)


def test_body_surface_liver_and_standardised_remnant(make_facts: Make) -> None:
    """170 cm, 70 kg: BSA sqrt(170 x 70 / 3600) = 1.8181 m2; 1267.28 x 1.8181 - 794.41 = 1509.7 mL."""
    known = derive(make_facts({"patient.height": 170, "patient.weight": 70, "flr.planned.volume": 453}))
    assert known["patient.bsa"].best == pytest.approx(1.8181, abs=1e-4)
    assert known["liver.estimated_volume"].best == pytest.approx(1509.7, abs=0.1)
    assert known["flr.planned.sflr"].best == pytest.approx(30.006, abs=1e-3)
    assert known["flr.planned.sflr"].unit == "%"
    assert known["patient.bsa"].source == "derived: Mosteller"


def test_intervals_and_draws_go_through(make_facts: Make) -> None:
    draws = np.array([400.0, 450.0, 500.0])
    facts = make_facts({"patient.height": (160, 180), "patient.weight": 70, "flr.planned.volume": draws})
    known = derive(facts)
    liver = known["liver.estimated_volume"].value
    assert isinstance(liver, Interval)
    assert liver.low == pytest.approx(-794.41 + 1267.28 * math.sqrt(160 * 70 / 3600))
    assert liver.high == pytest.approx(-794.41 + 1267.28 * math.sqrt(180 * 70 / 3600))
    remnant = known["flr.planned.sflr"]
    assert remnant.draws is None  # the body's size has an interval and no draws
    exact = derive(make_facts({"liver.estimated_volume": 1500, "flr.planned.volume": draws}))
    assert exact["flr.planned.sflr"].draws == pytest.approx(draws / 15)


def test_burden_from_typed_in_volumes(make_facts: Make) -> None:
    known = derive(make_facts({"tumor.volume": (300, 400), "liver.volume": 2000}))
    assert known["tumor.burden"].value == Interval(15.0, 20.0)
    cut = derive(make_facts({"tumor.volume": (300, math.inf), "liver.volume": (1000, math.inf)}))
    value = cut["tumor.burden"].value
    assert isinstance(value, Interval)
    assert (value.low, value.high) == (0.0, 100.0)


@pytest.mark.parametrize("height", [(160, math.inf), (-math.inf, 180), (-math.inf, math.inf)])
@pytest.mark.parametrize("weight", [(60, math.inf), (-math.inf, 80), 70])
def test_open_ends_stay_open_and_never_cross(make_facts: Make, height: Any, weight: Any) -> None:
    known = derive(
        make_facts({"patient.height": height, "patient.weight": weight, "flr.planned.volume": 400})
    )
    if height == (-math.inf, math.inf):
        assert "patient.bsa" not in known
        return
    area = known["patient.bsa"].value
    assert isinstance(area, Interval)
    truth = math.sqrt(170 * 70 / 3600)
    assert area.low <= truth <= area.high
    if "flr.planned.sflr" in known:
        share = known["flr.planned.sflr"].value
        assert isinstance(share, Interval)
        assert share.low <= 100 * 400 / (1267.28 * truth - 794.41) <= share.high


@pytest.mark.parametrize(
    ("ki67", "s1", "s2"),
    [
        (0, {"G1"}, {"G1"}),
        (2, {"G1"}, {"G1"}),
        (2.01, {"G1", "G2"}, {"G1"}),
        (2.99, {"G1", "G2"}, {"G1"}),
        (3, {"G2"}, {"G2"}),
        (20, {"G2"}, {"G2"}),
        (20.1, {"G3"}, {"G3"}),
        ((1, 5), {"G1", "G2"}, {"G1", "G2"}),
        ((15, 25), {"G2", "G3"}, {"G2", "G3"}),
    ],
)
def test_grade_by_both_readings(make_facts: Make, ki67: Any, s1: set[str], s2: set[str]) -> None:
    given = {"tumor.ki67": ki67, "tumor.mitoses": 1, "tumor.differentiation": "well"}
    known = derive(make_facts(given))
    assert options(known, "tumor.grade.s1") == s1
    assert options(known, "tumor.grade.s2") == s2
    assert options(known, "tumor.grade") == s1 | s2
    assert ("gap" in known["tumor.grade"].note) == (ki67 in (2.01, 2.99, (1, 5)))


@pytest.mark.parametrize(("mitoses", "s2"), [(1, "G1"), (1.9, "G1"), (2, "G2"), (20, "G2"), (21, "G3")])
def test_the_higher_index_decides_in_s2(make_facts: Make, mitoses: float, s2: str) -> None:
    given = {"tumor.ki67": 1, "tumor.mitoses": mitoses, "tumor.differentiation": "well"}
    known = derive(make_facts(given))
    assert options(known, "tumor.grade.s1") == {"G1"}
    assert options(known, "tumor.grade.s2") == {s2}
    assert options(known, "tumor.grade") == {"G1", s2}


def test_high_grade_needs_the_differentiation(make_facts: Make) -> None:
    for given, expected in (("well", {"G3"}), ("poor", {"NEC"}), (None, {"G3", "NEC"})):
        known = derive(make_facts({"tumor.ki67": 40, "tumor.differentiation": given}))
        assert options(known, "tumor.grade") == expected
    discordant = derive(make_facts({"tumor.ki67": 5, "tumor.differentiation": "poor"}))
    assert options(discordant, "tumor.grade") == {"G2", "NEC"}


def test_mitoses_alone_leave_open_what_ki67_could_raise(make_facts: Make) -> None:
    known = derive(make_facts({"tumor.mitoses": 5, "tumor.differentiation": "well"}))
    assert options(known, "tumor.grade") == {"G2", "G3"}
    high = derive(make_facts({"tumor.mitoses": 30, "tumor.differentiation": "well"}))
    assert options(high, "tumor.grade") == {"G3"}


def test_differentiation_follows_from_the_grade(make_facts: Make) -> None:
    for grade, expected in (("G2", {"well"}), ("NEC", {"poor"}), (["G3", "NEC"], {"well", "poor"})):
        assert options(derive(make_facts({"tumor.grade": grade})), "tumor.differentiation") == expected


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("small_bowel", {"yes"}), ("pancreas", {"yes"}), ("colon", {"yes"}), ("duodenum", {"yes"}),
        ("appendix", {"yes"}), ("rectum", {"no"}), ("lung", {"no"}), ("stomach", {"yes", "no"}),
        ("unknown_primary", {"yes", "no"}), (["lung", "rectum"], {"no"}),
    ],
)  # fmt: skip
def test_portal_drainage_by_site(make_facts: Make, site: Any, expected: set[str]) -> None:
    assert options(derive(make_facts({"primary.site": site})), "primary.portal_drainage") == expected


@pytest.mark.parametrize(
    ("right", "left", "expected"),
    [(3, 1, {"yes"}), (3, 0, {"no"}), (0, 0, {"no"}), ((2, 4), (0, 1), {"yes", "no"})],
)
def test_bilobar_by_counts(make_facts: Make, right: Any, left: Any, expected: set[str]) -> None:
    known = derive(make_facts({"lesion.count_right": right, "lesion.count_left": left}))
    assert options(known, "liver_disease.bilobar") == expected


def test_bilobar_and_extensive_by_type_with_its_draws() -> None:
    draws = np.array(["I", "I", "II", "III"])
    kind = Fact("frilling.type", Choice.of("I", "II", "III"), "", "measured: test", draws, "I")
    known = derive(Facts([kind]))
    assert known["liver_disease.bilobar"].draws.tolist() == ["no", "no", "yes", "yes"]  # type: ignore[union-attr]
    assert known["liver_disease.extensive"].draws is None  # type II is left to people
    sure = Fact("frilling.type", Choice.of("I", "III"), "", "measured: test", draws[[0, 1, 3]], "I")
    assert derive(Facts([sure]))["liver_disease.extensive"].draws.tolist() == ["no", "no", "yes"]  # type: ignore[union-attr]


def test_disease_elsewhere(make_facts: Make) -> None:
    both = {
        "extrahepatic.excluded_cross_sectional": "yes",
        "extrahepatic.excluded_functional": "yes",
    }
    assert options(derive(make_facts(both)), "extrahepatic.present") == {"no"}
    one = derive(make_facts(both | {"extrahepatic.excluded_functional": None}))
    assert "extrahepatic.present" not in one
    there = derive(make_facts({"extrahepatic.present": "yes"}))
    assert options(there, "extrahepatic.resected") == {"no"}


def _plans(**given: tuple[Any, Any]) -> dict[str, Any]:
    names = ("right_hepatectomy", "left_hepatectomy", "extended_right", "extended_left")
    names += ("left_lateral", "right_posterior", "central")
    found: dict[str, Any] = {}
    for name in names:
        found[f"debulk.{name}.percent"], found[f"flr.{name}.percent"] = given.get(name, (0, 50))
    return found


def test_largest_remnant_of_the_plans_that_clear_everything(make_facts: Make) -> None:
    plans = _plans(right_hepatectomy=(100, 34), extended_right=(100, 18), left_lateral=(40, 80))
    assert derive(make_facts(plans))["resection.complete_flr"].value == Interval(34.0, 34.0)
    none = derive(make_facts(_plans()))
    assert none["resection.complete_flr"].value == Interval(0.0, 0.0)
    open_plan = derive(make_facts(plans | {"debulk.left_lateral.percent": None}))
    assert open_plan["resection.complete_flr"].value == Interval(34.0, 80.0)


def test_largest_remnant_draw_by_draw(make_facts: Make) -> None:
    removed, left = np.array([100.0, 98.0, 100.0]), np.array([33.0, 34.0, 28.0])
    plans = _plans(right_hepatectomy=(removed, left), extended_right=(100, 20))
    found = derive(make_facts(plans))["resection.complete_flr"]
    assert found.draws is not None
    assert found.draws.tolist() == [33.0, 20.0, 28.0]


def test_deriving_twice_changes_nothing(make_facts: Make) -> None:
    given = {"tumor.ki67": 8, "patient.height": 170, "patient.weight": 70, "primary.site": "pancreas"}
    once = derive(make_facts(given))
    twice = derive(once)
    assert {k: (f.value, f.source) for k, f in once.items()} == {
        k: (f.value, f.source) for k, f in twice.items()
    }


def test_changing_an_input_replaces_what_followed_from_it(make_facts: Make) -> None:
    known = derive(make_facts({"tumor.ki67": 8}))
    again = derive(known | make_facts({"tumor.ki67": 1}))
    assert options(again, "tumor.grade") == {"G1"}


def test_entered_wins_and_a_contradiction_is_reported(make_facts: Make) -> None:
    facts = make_facts({"tumor.ki67": 30, "tumor.differentiation": "well", "tumor.grade": "G1"})
    assert options(derive(facts), "tumor.grade") == {"G1"}
    (finding,) = disagreements(facts)
    assert finding.invalidates == ("tumor.grade",)
    assert "G1" in finding.text
    assert "G3" in finding.text
    assert disagreements(make_facts({"tumor.ki67": 30, "tumor.grade": "G3"})) == ()


def test_an_entered_not_known_is_filled_in(make_facts: Make) -> None:
    known = derive(make_facts({"tumor.grade": None, "tumor.ki67": 8}))
    assert options(known, "tumor.grade") == {"G2"}


def test_measurements_are_not_overwritten(make_facts: Make) -> None:
    draws = np.array([48.0, 50.0, 52.0])
    facts = make_facts({"tumor.burden": draws, "tumor.volume": 500, "liver.volume": 1000})
    assert derive(facts)["tumor.burden"].draws is draws
    taken_back = facts["tumor.burden"].invalidated("the liver is cut")
    known = derive(facts | Facts([taken_back]))
    assert known["tumor.burden"].value == Interval(-math.inf, math.inf)
    assert not known["tumor.burden"].valid
