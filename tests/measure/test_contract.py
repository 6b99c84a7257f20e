"""What every entry of MEASUREMENTS must keep: known ids, units, no NaN, no side effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from burden.facts import Choice, Fact, Facts, Interval
from burden.measure import MEASUREMENTS, Measured, measure, prepare
from burden.vocabulary import vocabulary

PATIENT = Facts(
    [
        Fact("patient.height", Interval.exactly(175.0), "cm", "test"),
        Fact("patient.weight", Interval(70.0, 80.0), "kg", "test"),
    ]
)


@pytest.fixture(params=["full", "no-lesion", "no-segments", "no-draws"])
def case(request: pytest.FixtureRequest, toy: Callable[..., Any], three: Any) -> tuple[Any, Any, int]:
    made = {
        "full": toy(three, spacing=(1.5, 1.5, 3.0)),
        "no-lesion": toy((), spacing=(1.5, 1.5, 3.0)),
        "no-segments": toy(three, spacing=(1.5, 1.5, 3.0), segments=False),
        "no-draws": toy(three, spacing=(1.5, 1.5, 3.0)),
    }[request.param]
    return *made.make(), 0 if request.param == "no-draws" else 16


def valid(fact: Fact, draws: int) -> None:
    entry = vocabulary()[fact.id]
    assert fact.unit == entry.unit
    assert entry.origin == "image"
    assert fact.source
    if isinstance(fact.value, Choice):
        assert fact.value.options <= set(entry.options)
        assert fact.estimate is None or fact.estimate in fact.value.options
    else:
        assert not entry.options
        assert fact.estimate is None or fact.value.low <= float(fact.estimate) <= fact.value.high
        assert fact.value.low >= 0 or fact.value.is_unknown
    if fact.draws is not None:
        assert fact.draws.shape == (draws,)
        assert fact.draws.dtype.kind == "U" or np.isfinite(fact.draws).all()
    if fact.best is None:
        assert fact.note, "what cannot be measured says why"


@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measurement_keeps_the_contract(name: str, case: tuple[Any, Any, int]) -> None:
    volume, found, draws = case
    scene, _ = prepare(volume, found, PATIENT, draws=draws, seed=0)
    before = [
        volume.data.tobytes(),
        found.liver.data.tobytes(),
        scene.liver.tobytes(),
        scene.lesions.tobytes(),
    ]
    facts = list(MEASUREMENTS[name](scene))
    assert facts
    for fact in facts:
        valid(fact, draws)
    again = list(MEASUREMENTS[name](scene))
    assert [(f.id, f.value, f.estimate, f.note) for f in facts] == [
        (f.id, f.value, f.estimate, f.note) for f in again
    ]
    after = [
        volume.data.tobytes(),
        found.liver.data.tobytes(),
        scene.liver.tobytes(),
        scene.lesions.tobytes(),
    ]
    assert before == after


def test_every_image_fact_is_always_said(case: tuple[Any, Any, int]) -> None:
    volume, found, draws = case
    facts = measure(volume, found, PATIENT, draws=draws).facts
    for entry in vocabulary().entries.values():
        if entry.origin == "image" and "<" not in entry.id:
            assert entry.id in facts
    for n in range(1, 9):
        assert f"segment.{n}.volume" in facts
    assert "flr.best.percent" in facts


def test_masks_come_back_on_the_grid_of_the_image(toy: Callable[..., Any], three: Any) -> None:
    volume, found = toy(three).make()
    result: Measured = measure(volume, found, Facts(), draws=0)
    np.testing.assert_array_equal(
        result.liver.data > 0, (found.liver.data > 0) | (found.lesions.data > 0)
    )
    np.testing.assert_array_equal(result.lesion_labels.data > 0, found.lesions.data > 0)
    np.testing.assert_array_equal(result.segments.data, found.segments.data)
    for lesion in result.lesions:
        assert (result.lesion_labels.data == lesion.id).sum() * volume.grid.voxel_ml == pytest.approx(
            lesion.volume_ml
        )
