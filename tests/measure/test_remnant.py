"""Remnants against numbers worked by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from burden.facts import Fact, Facts, Interval
from burden.measure import measure
from burden.measure.remnant import PLANS, URATA, estimated_liver_ml


def body(height: Interval, weight: Interval) -> Facts:
    return Facts([Fact("patient.height", height, "cm", "t"), Fact("patient.weight", weight, "kg", "t")])


def test_estimated_volume_by_hand() -> None:
    """170 cm, 70 kg: BSA 1.8181 m2, 1509.66 mL."""
    found = estimated_liver_ml(body(Interval.exactly(170.0), Interval.exactly(70.0)))
    assert found is not None
    assert found.low == pytest.approx(1509.656, abs=0.01)
    assert found.is_exact


def test_estimated_volume_needs_both_and_spans_what_is_open() -> None:
    assert estimated_liver_ml(Facts()) is None
    assert estimated_liver_ml(body(Interval.exactly(170.0), Interval(-np.inf, np.inf))) is None
    found = estimated_liver_ml(body(Interval.exactly(170.0), Interval(60.0, 80.0)))
    assert found is not None
    assert found.low < 1509.6 < found.high
    assert estimated_liver_ml(body(Interval.exactly(80.0), Interval.exactly(10.0))) is None, (
        "a small child"
    )


@pytest.mark.parametrize("plan", PLANS)
def test_plans_against_counting(plan: str, toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    patient = body(Interval.exactly(170.0), Interval.exactly(70.0))
    facts = measure(volume, found, patient, draws=0).facts
    segment, tumor = found.segments.data, found.lesions.data > 0
    gone = np.isin(segment, PLANS[plan])
    liver, ml = segment > 0, volume.grid.voxel_ml
    remnant = (liver & ~gone & ~tumor).sum()
    assert facts[f"flr.{plan}.volume"].best == pytest.approx(remnant * ml)
    assert facts[f"flr.{plan}.percent"].best == pytest.approx(100 * remnant / (liver & ~tumor).sum())
    assert facts[f"flr.{plan}.sflr"].best == pytest.approx(100 * remnant * ml / 1509.656, rel=1e-5)
    assert facts[f"debulk.{plan}.percent"].best == pytest.approx(
        100 * (tumor & gone).sum() / tumor.sum()
    )


def test_of_plans_that_clear_alike_the_one_that_leaves_more(toy: Callable[..., Any]) -> None:
    """A lesion in segment 6 goes with the right posterior section: as measured as in every draw."""
    volume, found = toy((((-45.0, 20.0, -12.0), (8.0, 8.0, 8.0)),)).make()
    facts = measure(volume, found, Facts()).facts
    best, posterior = facts["flr.best.percent"], facts["flr.right_posterior.percent"]
    assert facts["debulk.best.percent"].best == facts["debulk.right_posterior.percent"].best == 100.0
    assert best.estimate == posterior.estimate
    assert "right_posterior" in best.note
    assert best.draws is not None
    assert best.draws.min() <= float(best.estimate) <= best.draws.max()  # type: ignore[arg-type]


def test_the_best_plan_clears_most_and_leaves_enough(toy: Callable[..., Any], three: Any) -> None:
    facts = measure(*toy(three).make(), Facts(), draws=0).facts
    allowed = [p for p in PLANS if facts[f"flr.{p}.percent"].best >= 30]  # type: ignore[operator]
    most = max(float(facts[f"debulk.{p}.percent"].best or 0) for p in allowed)
    assert facts["debulk.best.percent"].best == most
    assert 0 < len(allowed) < len(PLANS)


def test_without_tumor_there_is_nothing_to_debulk(toy: Callable[..., Any]) -> None:
    facts = measure(*toy(()).make(), Facts(), draws=4).facts
    assert facts["flr.right_hepatectomy.percent"].best is not None
    assert facts["debulk.right_hepatectomy.percent"].best is None
    assert "no tumor" in facts["debulk.right_hepatectomy.percent"].note
    assert facts["flr.best.percent"].best is None
    assert facts["flr.right_hepatectomy.sflr"].best is None
    assert "height" in facts["flr.right_hepatectomy.sflr"].note


def test_urata_beside_vauthey(toy: Callable[..., Any], three: Any) -> None:
    """170 cm, 70 kg: 2.4 + 706.2 x 1.8181 = 1286.4 mL; which formula is said beside each number."""
    patient = body(Interval.exactly(170.0), Interval.exactly(70.0))
    found = estimated_liver_ml(patient, URATA)
    assert found is not None
    assert found.low == pytest.approx(2.4 + 706.2 * np.sqrt(170 * 70 / 3600))
    facts = measure(*toy(three).make(), patient, draws=0).facts
    vauthey, urata = (facts[f"flr.right_hepatectomy.{n}"] for n in ("sflr", "sflr_urata"))
    assert float(urata.best) / float(vauthey.best) == pytest.approx(1509.656 / found.low, rel=1e-5)
    assert "Urata 1995" in urata.note
    assert "Vauthey 2002" in vauthey.note


def test_the_best_plan_is_chosen_in_every_draw(toy: Callable[..., Any], three: Any) -> None:
    facts = measure(*toy(three).make(), Facts(), draws=300).facts
    left = np.array([facts[f"flr.{p}.percent"].draws for p in PLANS])
    gone = np.array([facts[f"debulk.{p}.percent"].draws for p in PLANS])
    expected = np.where(left >= 30, gone, 0).max(axis=0)
    np.testing.assert_allclose(facts["debulk.best.percent"].draws, expected)
    best = facts["flr.best.percent"].draws
    assert best is not None
    assert (best >= 30 - 1e-9).all()
