"""Remnants against the published minima: what the interval decides, and what the draws know of it."""

from __future__ import annotations

import numpy as np
import pytest

from burden.facts import Fact, Facts, Interval
from burden.plan.minima import minima_table


def test_remnants_against_the_published_minima() -> None:
    draws = np.linspace(20.0, 39.9, 200)
    facts = Facts(
        [
            Fact("flr.right_hepatectomy.percent", Interval(20.0, 39.9), "%", "measured", draws, 30.0),
            Fact("flr.right_hepatectomy.sflr", Interval.exactly(25.0), "%", "measured"),
            Fact("flr.left_hepatectomy.percent", Interval.exactly(75.0), "%", "measured", valid=False),
        ]
    )
    table = {(r["plan"], r["measure"]): r for r in minima_table(facts)}
    one = table["right_hepatectomy", "flr"]
    answers = {state: cell["answer"] for state, cell in one["reaches"].items()}
    assert answers == {"normal": "yes", "chemotherapy": "unknown", "cirrhosis": "no", "nelm": "unknown"}
    assert one["reaches"]["nelm"]["p"] == pytest.approx(0.5, abs=0.01)
    two = table["right_hepatectomy", "sflr"]["reaches"]
    assert [two[s]["answer"] for s in ("normal", "chemotherapy", "cirrhosis")] == ["yes", "no", "no"]
    assert table["right_hepatectomy", "sflr_urata"]["percent"] is None
    assert table["left_hepatectomy", "flr"]["reaches"]["normal"]["answer"] == "unknown"
    assert len(table) == 7 * 3


def test_a_minimum_within_what_is_not_known_of_the_body_is_open() -> None:
    """Draws are those of the remnant at a typical body; height and weight may be far from it."""
    draws = np.random.default_rng(0).normal(33.0, 0.6, 256)
    sflr = Fact("flr.central.sflr", Interval(23.8, 56.2), "%", "measured", draws, 33.0)
    (row,) = (r for r in minima_table(Facts([sflr])) if (r["plan"], r["measure"]) == ("central", "sflr"))
    answers = {state: cell["answer"] for state, cell in row["reaches"].items()}
    assert answers == {s: "yes" if s == "normal" else "unknown" for s in answers}
    assert {state: cell["p"] for state, cell in row["reaches"].items()} == dict.fromkeys(answers)
