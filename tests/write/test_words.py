"""Numbers with the digits they deserve; the unknown in words, never 0 or blank."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from burden.facts import ANYTHING, Choice, Fact, Facts, Interval
from burden.write.words import name_of, number, percent, said


def told(
    value: Interval | Choice, unit: str = "mL", fact_id: str = "liver.volume", **more: object
) -> str:
    fact = Fact(fact_id, value, unit, "test", **more)  # type: ignore[arg-type]
    return said(Facts([fact]), fact_id).text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1861.4, "mL", "1,861"), (85.62, "mL", "85.6"), (3.456, "mL", "3.46"), (0.004, "mL", "<0.01"),
     (0.0, "mL", "0"), (8.83, "%", "8.8"), (0.02, "%", "<0.1"), (100.0, "%", "100"), (68.4, "mm", "68"),
     (7.26, "mm", "7.3"), (12.0, "1", "12"), (-2.6, "%", "\u22122.6"), (math.inf, "mL", "no limit"),
     (99.96, "%", "100"), (9.996, "mL", "10.0")],
)  # fmt: skip
def test_digits(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [(Interval.exactly(1240.0), "1,240 mL"), (Interval(1240.0, math.inf), "at least 1,240 mL"),
     (ANYTHING, "not known"), (Interval(0.0, math.inf), "not known"),
     (Interval(-math.inf, 50.0), "at most 50.0 mL"), (Interval.exactly(0.0), "0 mL")],
)  # fmt: skip
def test_intervals(interval: Interval, text: str) -> None:
    assert told(interval) == text


def test_absent_is_not_known() -> None:
    assert said(Facts(), "liver.volume").text == "not known"


@given(st.floats(0, 1e5), st.floats(0, 1e5), st.sampled_from(["mL", "%", "mm", "1"]))
def test_what_is_unknown_never_looks_like_a_value(low: float, size: float, unit: str) -> None:
    """Words show a bare number only where a single best one exists."""
    fact = Fact("liver.volume", Interval(low, low + size), unit, "test")
    words = said(Facts([fact]), "liver.volume")
    assert words.text
    assert words.range == "bounds" or words.text.startswith("at most") or fact.best is not None
    unknown = said(Facts([fact.invalidated("cut")]), "liver.volume")
    assert (unknown.text, unknown.known, unknown.note) == ("not known", False, "cut")


def test_ranges_come_from_the_draws() -> None:
    draws = np.linspace(1000, 1100, 101)
    fact = Fact("liver.volume", Interval(900, 1200), "mL", "test", draws, 1050.0)
    words = said(Facts([fact]), "liver.volume")
    assert words.text == "1,050\u00a0mL"
    assert words.range.replace("\u2060", "").replace("\u00a0", " ") == "90 % range 1,005–1,095 mL"


def test_choices() -> None:
    assert told(Choice.of("II"), "", "frilling.type") == "II"
    assert told(Choice.of("II", "III"), "", "frilling.type") == "II or III"
    assert told(Choice.of("none", "I", "II", "III"), "", "frilling.type") == "not known"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0, "0 %"), (0.004, "<1 %"), (0.12, "12 %"), (0.996, ">99 %"), (1.0, "100 %")]
)
def test_probabilities(p: float, text: str) -> None:
    assert percent(p).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("fact_id", "words"),
    [("segment.7.tumor_volume", "segment VII"), ("flr.right_hepatectomy.percent", "Right hepatectomy"),
     ("flr.*", "future liver remnants"), ("not.in.the.vocabulary", "not.in.the.vocabulary"),
     ("tumor.*_fraction", "shares of the tumor by enhancement")],
)  # fmt: skip
def test_names(fact_id: str, words: str) -> None:
    assert words in name_of(fact_id)
