"""Frilling types: every row of the definition, and both sides of its thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from burden.facts import Choice, Facts
from burden.image import Labels
from burden.measure import measure
from burden.measure.frilling import RULES, sentence, spreading

Row = tuple[float, float, dict[int, float]]  # mL, long mm, shares by segment

BULK: Row = (300.0, 90.0, {7: 0.5, 8: 0.5})


def types(*rows: Row) -> tuple[str, str, str]:
    shares = np.array([[r[2].get(n, 0.0) for n in range(9)] for r in rows]).reshape(-1, 9)
    ml, long = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    seen = spreading(ml, long, shares[:, 5:].sum(1), shares[:, 2:5].sum(1), shares)
    text = sentence(seen)
    assert text.endswith(".")
    return RULES["2024"](seen), RULES["enets"](seen), RULES["2009"](seen)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((), ("none", "none", "none")),
        (((5.0, 21.0, {6: 1.0}),), ("I", "I", "I")),
        (((5.0, 21.0, {1: 1.0}),), ("I", "I", "I")),
        (((400.0, 95.0, {4: 0.5, 8: 0.5}),), ("I", "I", "I")),  # one lesion across the border
        (((5.0, 21.0, {6: 1.0}), (4.0, 20.0, {8: 1.0})), ("I", "I", "II")),  # several, one lobe
        (((5.0, 21.0, {4: 1.0}), (4.0, 20.0, {5: 1.0})), ("III", "I", "III")),  # adjacent segments
        (((5.0, 21.0, {3: 1.0}), (4.0, 20.0, {5: 1.0})), ("III", "III", "III")),  # not adjacent
        ((BULK, (3.0, 18.0, {2: 1.0})), ("II", "II", "II")),
        ((BULK, (99.0, 45.0, {2: 1.0})), ("II", "II", "II")),  # 24.8 % and exactly half as long
        ((BULK, (100.0, 45.0, {2: 1.0})), ("III", "III", "III")),  # exactly 25 %
        ((BULK, (99.0, 45.1, {2: 1.0})), ("III", "III", "III")),  # longer than half
        ((BULK, (3.0, 18.0, {1: 1.0})), ("I", "I", "II")),  # the caudate counts to neither lobe
        (((300.0, 90.0, {8: 0.9, 4: 0.1}), (3.0, 18.0, {7: 1.0})), ("II", "II", "II")),
        (((300.0, 90.0, {8: 0.91, 4: 0.09}), (3.0, 18.0, {7: 1.0})), ("I", "I", "II")),  # < 10 % across
    ],
)
def test_types(rows: tuple[Row, ...], expected: tuple[str, str, str]) -> None:
    assert types(*rows) == expected
    assert types(*reversed(rows)) == expected, "the order of lesions does not matter"


def test_mirrored_livers_have_the_same_type() -> None:
    mirror = {2: 7, 3: 6, 4: 5, 5: 4, 6: 3, 7: 2, 8: 4}
    rng = np.random.default_rng(0)
    for _ in range(50):
        n = int(rng.integers(1, 6))
        rows = [
            (float(rng.uniform(1, 300)), float(rng.uniform(10, 90)), {int(rng.integers(2, 9)): 1.0})
            for _ in range(n)
        ]
        swapped = [(ml, mm, {mirror[s]: v for s, v in shares.items()}) for ml, mm, shares in rows]
        assert types(*rows)[0] == types(*swapped)[0]


def test_readings_that_differ_are_named(toy: Callable[..., Any]) -> None:
    two = (((-45.0, 5.0, 5.0), (9.0, 9.0, 9.0)), ((-25.0, -20.0, 5.0), (7.0, 7.0, 7.0)))
    facts = measure(*toy(two).make(), Facts(), draws=0).facts
    assert [facts[f"frilling.type{s}"].best for s in ("", ".enets2012", ".frilling2009")] == [
        "I",
        "I",
        "II",
    ]
    assert "Readings differ" in facts["frilling.type"].note


def test_without_segments_several_lesions_leave_the_type_open(toy: Callable[..., Any]) -> None:
    tiny = ((0.0, 0.0, 0.0), (42.0, 40.0, 38.0))  # a ball is no liver to predict segments from
    balls = (((-15.0, 5.0, 5.0), (6.0, 6.0, 6.0)), ((15.0, 0.0, 5.0), (5.0, 5.0, 5.0)))
    result = measure(*toy(balls, liver=tiny, segments=False).make(), Facts(), draws=4)
    assert result.facts["frilling.type"].value == Choice.of("I", "II", "III")
    assert result.facts["frilling.type.frilling2009"].value == Choice.of("II", "III")
    assert result.facts["flr.right_hepatectomy.percent"].value.is_unknown  # type: ignore[union-attr]
    assert any(f.code == "segments-unknown" for f in result.findings)
    one = measure(*toy(balls[:1], liver=tiny, segments=False).make(), Facts(), draws=4)
    assert one.facts["frilling.type"].best == "I"


def test_lesions_that_may_be_none_leave_more_types_open(toy: Callable[..., Any]) -> None:
    """Two lesions as likely as not: there may be one, type I of the 2009 paper, or none."""
    balls = (((-8.0, 0.0, 0.0), (4.0, 4.0, 4.0)), ((8.0, 0.0, 0.0), (4.0, 4.0, 4.0)))
    volume, found = toy(balls, cut_top=False, segments=False).make()
    doubtful = replace(
        found,
        segments=Labels((found.liver.data > 0).astype(np.uint8), volume.grid),  # no Couinaud mask
        liver_boundary_sd_mm=0.5,
        lesion_boundary_sd_mm=1.0,
        lesion_existence=(0.0, 0.0, 0.0),
    )
    facts = measure(volume, doubtful, Facts(), draws=64).facts
    for name in ("frilling.type", "frilling.type.enets2012", "frilling.type.frilling2009"):
        assert facts[name].value == Choice.of("none", "I", "II", "III"), name


def test_what_would_be_dictated(toy: Callable[..., Any], three: Any) -> None:
    facts = measure(*toy(three).make(), Facts(), draws=200).facts
    note = facts["frilling.type"].note
    rows = measure(*toy(three).make(), Facts(), draws=0).lesions
    total = sum(r.volume_ml for r in rows)
    assert note.startswith(
        "Frilling type II (2024 wording): 3 liver lesions in both lobes, the right lobe"
    )
    left = 100 * next(r for r in rows if r.lobe == "left").volume_ml / total
    assert f"{left:.0f}% in the left lobe" in note
    assert f"{rows[0].recist_long_mm:.0f} mm long, is {100 * rows[0].volume_ml / total:.0f}%" in note
    assert "spared" in note
    draws = facts["frilling.type"].draws
    assert draws is not None
    share = float(np.mean(draws == "II"))
    assert f"II {share:.0%}" in note.split("P(type):")[1]


def test_one_lesion_is_dictated_as_such(toy: Callable[..., Any], three: Any) -> None:
    note = measure(*toy(three[:1]).make(), Facts(), draws=0).facts["frilling.type"].note
    assert "solitary liver lesion of 36 mm in the right lobe" in note
    assert "Readings differ" not in note
    none = measure(*toy(()).make(), Facts(), draws=0).facts["frilling.type"].note
    assert none == "No liver lesion."
