"""Figures of a set of cases: plain numpy is the oracle, and nothing is NaN or silently left out."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from burden.evaluate.overlap import Overlap
from burden.evaluate.resample import Figure, Resampler, f1, largest, mean, median, quantile, ratio, rms
from burden.evaluate.score import Score
from burden.evaluate.statistics import summarise


def case(name: str, liver: tuple[float, float], burdens: tuple[float | None, float | None]) -> Score:
    ours, theirs = liver
    common = 0.9 * min(ours, theirs)
    state = "both" if ours and theirs else "missed" if theirs else "false" if ours else "both empty"
    part = Overlap(
        state,  # type: ignore[arg-type]
        2 * common / (ours + theirs) if ours + theirs else 1.0,
        0.8 if state == "both" else 0.0,
        7.0 if state == "both" else math.inf,
        ours,
        theirs,
        common,
    )
    return Score(name, part, part, (), burdens, ())


CASES = (
    case("a", (1500.0, 1600.0), (10.0, 12.0)),
    case("b", (1400.0, 1350.0), (30.0, 25.0)),
    case("c", (0.0, 1700.0), (None, 40.0)),
    case("d", (900.0, 1000.0), (5.0, 5.5)),
    case("e", (50.0, 0.0), (2.0, None)),
)


def figures(cases: tuple[Score, ...] = CASES, **options: int) -> dict[str, Figure]:
    settings = {"draws": 300, "seed": 1} | options
    found = summarise(cases, (0.0, 0.5), tolerance_mm=3.0, **settings)
    return {f.name: f for f in found}


def test_known_figures() -> None:
    told = figures()
    dices = [
        2 * 0.9 * min(a, b) / (a + b) for a, b in ((1500, 1600), (1400, 1350), (0, 1700), (900, 1000))
    ]
    one = told["liver Dice per case, mean"]
    assert one.value == pytest.approx(np.mean(dices))
    assert one.cases == 4
    assert "1 missed" in one.note
    assert "1 with an empty reference" in one.note
    pooled = told["liver Dice, all voxels pooled"]
    common = 0.9 * (1500 + 1350 + 0 + 900)
    assert pooled.value == pytest.approx(2 * common / (3850 + 5650))
    errors = np.array([-2.0, 5.0, -0.5])
    assert told["burden RMSE"].value == pytest.approx(np.sqrt((errors**2).mean()))
    largest = told["burden, largest error"]
    assert (largest.value, largest.low, largest.note) == (5.0, None, "no interval: it is a maximum")
    assert "2 without a burden" in told["burden RMSE"].note
    assert told["burden bias"].value == pytest.approx(errors.mean())
    upper = told["burden, upper limit of agreement"].value
    assert upper == pytest.approx(errors.mean() + 1.96 * errors.std(ddof=1))
    volumes = np.array([-100.0, 50.0, -1700.0, -100.0])
    assert told["liver volume bias"].value == pytest.approx(volumes.mean())
    assert told["liver volume bias"].cases == 4, "an empty reference has no volume to be off by"
    assert told["liver HD95, median"].value == 7.0


def test_undefined_figures_say_why() -> None:
    told = figures()
    for name in ("lesion recall, IoU >= 0.5", "lesion precision, any overlap", "lesion F1, any overlap"):
        assert told[name].value is None
        assert told[name].note
    for one in told.values():
        assert one.value is None or not math.isnan(one.value)


def test_one_case_has_no_interval_and_no_limits() -> None:
    told = figures(CASES[:1])
    assert told["burden RMSE"].value == pytest.approx(2.0)
    assert all(f.low is None and f.high is None for f in told.values())
    assert "burden, upper limit of agreement" not in told
    assert "two cases" in told["burden bias"].note


def test_intervals_are_seeded_and_hold_the_value() -> None:
    one, same, other = figures(), figures(), figures(seed=2)
    assert one == same
    key = "liver Dice, all voxels pooled"
    assert one[key].low != other[key].low
    for f in one.values():
        if f.value is not None and f.low is not None and f.high is not None and "limit" not in f.name:
            assert f.low <= f.value <= f.high
    assert all(f.low is None for f in figures(draws=0).values())


def test_no_spread_between_cases_is_no_certainty() -> None:
    """Lesions in one case of five: every sample has its recall, and knows no other."""
    table = np.full((5, 2), 0.0)
    table[2] = (2, 3)
    found = Resampler.of(5, 500, 0).figure("recall", "", table, ratio)
    assert (found.value, found.low, found.high) == (pytest.approx(2 / 3), None, None)


def test_bootstrap_of_a_mean_is_the_known_one() -> None:
    """Against the full enumeration of all resamples of four cases."""
    values = np.array([1.0, 2.0, 4.0, 9.0])
    means = np.array([np.mean(row) for row in itertools.product(values, repeat=4)])
    found = Resampler.of(4, 20_000, 0).figure("x", "", values[:, None], mean)
    assert found.low == pytest.approx(np.quantile(means, 0.025), abs=0.26)
    assert found.high == pytest.approx(np.quantile(means, 0.975), abs=0.26)


@pytest.mark.parametrize("seed", range(5))
def test_reductions_against_plain_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table = rng.integers(0, 6, (6, 4)).astype(float)
    table[rng.integers(6)] = np.nan
    kept = table[~np.isnan(table).any(axis=1)]
    stack = np.stack([table, table[::-1]])
    top = kept[:, 0].sum() / kept[:, 1].sum(), kept[:, 2].sum() / kept[:, 3].sum()
    for reduce, wanted in (
        (mean, kept[:, 0].mean()),
        (median, np.median(kept[:, 0])),
        (rms, np.sqrt((kept[:, 0] ** 2).mean())),
        (largest, np.abs(kept[:, 0]).max()),
        (ratio, top[0]),
        (f1, 2 * top[0] * top[1] / (top[0] + top[1])),
    ):
        np.testing.assert_allclose(reduce(stack), [wanted, wanted])


def test_infinite_distances_stay_infinite_not_nan() -> None:
    values = np.array([[3.0], [np.inf], [5.0]])
    assert float(median(values)) == 5.0
    assert float(median(np.array([[3.0], [np.inf]]))) == math.inf
    assert quantile(np.array([1.0, np.inf]), 0.025) == math.inf
    assert quantile(np.array([1.0, 2.0, np.inf, np.inf]), 0.0) == 1.0
