"""The statistics against published answers, brute force and other implementations."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from burden.cohort.agreement import (
    bland_altman,
    class_agreement,
    cross_table,
    icc,
    kappa,
    number_agreement,
)
from burden.cohort.binary import sweep, thresholds_of
from burden.cohort.data import Measured
from burden.cohort.resample import draw_weights, interval
from burden.cohort.survival import c_index, kaplan_meier, log_rank, median_survival, split

# Freireich et al. 1963: weeks of remission under 6-MP and placebo, + censored.
MP6 = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
MP6_EVENT = [1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
PLACEBO = [1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23]
TIME = np.array(MP6 + PLACEBO, dtype=float)
EVENT = np.array(MP6_EVENT + [1] * 21, dtype=bool)
TREATED = np.array([True] * 21 + [False] * 21)


def exact(values: np.ndarray) -> Measured:
    return Measured(values, values, values)


def cohort(seed: int, n: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers with ties, times with ties, events."""
    chance = np.random.default_rng(seed)
    score = chance.integers(0, 12, n).astype(float)
    time = chance.integers(1, 25, n).astype(float)
    return score, time, chance.random(n) < 0.6


def test_the_leukaemia_trial_gives_its_published_figures() -> None:
    """Kaplan-Meier and log-rank of the 6-MP trial as every textbook prints them."""
    times, share = kaplan_meier(TIME[TREATED], EVENT[TREATED])
    assert times.tolist() == [6, 7, 10, 13, 16, 22, 23]
    printed = [0.857, 0.807, 0.753, 0.690, 0.627, 0.538, 0.448]
    assert share == pytest.approx(printed, abs=6e-4)
    assert median_survival(TIME[TREATED], EVENT[TREATED]) == 23
    assert median_survival(TIME[~TREATED], EVENT[~TREATED]) == 8
    chi2, ratio = log_rank(TIME, EVENT, np.stack([TREATED, ~TREATED]))
    assert chi2 == pytest.approx([16.79, 16.79], abs=0.01)
    # 9 of 19.25 expected against 21 of 10.75
    assert ratio[0] == pytest.approx((9 / 19.25) / (21 / 10.75), rel=2e-3)
    assert ratio[0] * ratio[1] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(5))
def test_kaplan_meier_and_log_rank_agree_with_scipy(seed: int) -> None:
    score, time, event = cohort(seed)
    times, share = kaplan_meier(time, event)
    both = stats.CensoredData.right_censored(time, ~event)
    assert share == pytest.approx(stats.ecdf(both).sf.evaluate(times))
    groups = score >= np.arange(1, 11)[:, None]
    chi2, _ = log_rank(time, event, groups)
    for group, ours in zip(groups, chi2, strict=True):
        x, y = (stats.CensoredData.right_censored(time[g], ~event[g]) for g in (group, ~group))
        assert ours == pytest.approx(stats.logrank(x, y).statistic ** 2)


@pytest.mark.parametrize("seed", range(4))
def test_c_index_is_the_share_of_pairs_counted_by_hand(seed: int) -> None:
    score, time, event = cohort(seed, 40)
    right = total = 0.0
    for i, j in product(range(40), repeat=2):
        first = event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j]))
        total += first
        right += first * (1.0 if score[i] > score[j] else 0.5 if score[i] == score[j] else 0.0)
    (ours,) = c_index(score, time, event, np.ones((1, 40)))
    assert ours == pytest.approx(right / total)


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_the_bootstrap(seed: int) -> None:
    """A row of weights gives what the resampled patients themselves give."""
    score, time, event = cohort(seed, 30)
    weights = draw_weights(30, 5, seed)
    assert (weights.sum(axis=1) == 30).all()
    for row, ours in zip(weights, c_index(score, time, event, weights), strict=True):
        pick = np.repeat(np.arange(30), row.astype(int))
        (theirs,) = c_index(score[pick], time[pick], event[pick], np.ones((1, 30)))
        assert ours == pytest.approx(theirs)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=6, max_size=40), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_sweep_counts_what_can_be_counted_by_hand(rows: list[tuple[int, bool]], above: bool) -> None:
    values = np.array([float(v) for v, _ in rows])
    yes = np.array([y for _, y in rows])
    if yes.all() or not yes.any():
        return
    one = sweep(exact(values), yes.astype(float), thresholds_of(values), np.ones((0, len(rows))),
                above=above)  # fmt: skip
    for k, t in enumerate(one.thresholds):
        test = [v >= t if above else v <= t for v in values]
        tp = sum(p and y for p, y in zip(test, yes, strict=True))
        fp = sum(p and not y for p, y in zip(test, yes, strict=True))
        assert (one.figures["tp"][k], one.figures["fp"][k]) == (tp, fp)
        assert one.figures["sensitivity"][k] == pytest.approx(tp / yes.sum())
        assert one.figures["specificity"][k] == pytest.approx(1 - fp / (~yes).sum())
        if tp + fp:
            assert one.figures["ppv"][k] == pytest.approx(tp / (tp + fp))
        assert one.figures["undecided"][k] == 0
    u = stats.mannwhitneyu(values[yes], values[~yes]).statistic / (yes.sum() * (~yes).sum())
    assert one.auc == pytest.approx(u if above else 1 - u)
    assert one.best == int(np.argmax(one.figures["youden"]))


def test_measurement_error_leaves_open_what_lies_across_the_threshold() -> None:
    values = Measured(
        np.array([10.0, 20, 30, 40]), np.array([8.0, 15, 24, 38]), np.array([12.0, 26, 33, 41])
    )
    one = sweep(values, np.array([0.0, 1, 0, 1]), np.array([25.0]), np.ones((0, 4)))
    figures = {name: float(column[0]) for name, column in one.figures.items()}
    assert figures["undecided"] == 2  # [15, 26] and [24, 33] lie across 25
    assert (figures["sensitivity_low"], figures["sensitivity"], figures["sensitivity_high"]) == (
        0.5,
        0.5,
        1,
    )
    assert (figures["specificity_low"], figures["specificity"], figures["specificity_high"]) == (
        0.5,
        0.5,
        1,
    )
    low = sweep(values, np.array([0.0, 1, 0, 1]), np.array([26.0]), np.ones((0, 4)), above=False)
    assert low.figures["undecided"][0] == 1  # 26 itself is "at or below"


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_best_threshold_looks_better_than_it_is_and_the_bootstrap_says_by_how_much(
    shift: float,
) -> None:
    """Normal scores with a known difference: the true index of each chosen threshold is known."""
    seen, told, true = [], [], []
    for seed in range(60):
        chance = np.random.default_rng(seed)
        yes = chance.random(60) < 0.5
        values = chance.normal(size=60) + shift * yes
        one = sweep(exact(values), yes * 1.0, thresholds_of(values), draw_weights(60, 100, seed))
        seen.append(one.figures["youden"][one.best])
        largest = stats.ks_2samp(values[yes], values[~yes], alternative="less").statistic
        assert seen[-1] == pytest.approx(largest)
        told.append(one.youden_on_others)
        chosen = one.thresholds[one.best]
        true.append(stats.norm.sf(chosen - shift) - stats.norm.sf(chosen))
    assert np.mean(seen) > np.mean(true) + 0.08
    assert np.mean(told) == pytest.approx(np.mean(true), abs=0.04)


def test_the_best_split_of_noise_is_not_significant_once_the_choice_is_counted() -> None:
    """The smallest of many p values is below 0.05 far too often; the permuted one is not."""
    naive, honest = 0, 0
    for seed in range(30):
        chance = np.random.default_rng(seed)
        values, time = chance.normal(size=40), chance.exponential(10, 40)
        one = split(values, time, chance.random(40) < 0.7, thresholds_of(values), np.ones((0, 40)),
                    permutations=99, seed=seed)  # fmt: skip
        naive += float(one.figures["p"][one.best]) < 0.05
        honest += one.p_best is not None and one.p_best <= 0.05
    assert naive >= 10
    assert honest <= 5


def test_a_handful_of_patients_cannot_be_the_best_split() -> None:
    """A limit that is there (hazard ratio 3) is found; splitting off a few patients hid it."""
    found = 0
    for seed in range(30):
        chance = np.random.default_rng(seed)
        values = chance.normal(size=60)
        own, other = chance.exponential(1, 60) / np.where(values > 0, 3, 1), chance.exponential(1.5, 60)
        one = split(values, np.minimum(own, other), own <= other, thresholds_of(values),
                    np.ones((0, 60)), permutations=99, seed=seed)  # fmt: skip
        sides = [one.figures[name][one.best] for name in ("patients", "patients_other")]
        assert min(sides) >= 6
        found += one.p_best is not None and one.p_best <= 0.05
    assert found >= 15
    tiny = split(
        np.arange(5.0), np.arange(1.0, 6), np.ones(5, bool), np.array([0.0, 9]), np.ones((0, 5))
    )
    assert tiny.best == 0, "none has a tenth on either side: all are candidates"


def test_intervals_of_auc_cover_the_truth_as_often_as_they_say() -> None:
    """Normal scores 1 SD apart: the true area is Phi(1/sqrt 2) = 0.760."""
    truth = stats.norm.cdf(1 / np.sqrt(2))
    covered = 0
    for seed in range(60):
        chance = np.random.default_rng(seed)
        yes = np.arange(80) < 40
        values = chance.normal(size=80) + yes
        one = sweep(exact(values), yes.astype(float), np.array([0.0]), draw_weights(80, 200, seed))
        assert one.auc_interval is not None
        covered += one.auc_interval[0] <= truth <= one.auc_interval[1]
    assert 51 <= covered <= 60


def test_kappas_of_published_tables() -> None:
    """Cohen 1968 as worked in Fleiss, Statistical Methods: 0.76 / 0.68 table of 100 patients."""
    fleiss = np.array([[75.0, 1, 4], [5, 4, 1], [0, 0, 10]])
    assert kappa(fleiss) == pytest.approx(0.676, abs=5e-4)
    with_two = np.array([[20.0, 5], [10, 15]])
    assert kappa(with_two) == pytest.approx(0.4)
    for weighting in ("linear", "quadratic"):
        assert kappa(with_two, weighting) == pytest.approx(0.4)
    assert kappa(np.diag([3.0, 4, 5]), "quadratic") == 1
    assert np.isnan(kappa(np.array([[5.0, 0], [0, 0]])))


def test_weighted_kappa_by_its_definition() -> None:
    chance = np.random.default_rng(4)
    one, other = (chance.choice(["I", "II", "III"], 50).tolist() for _ in "ab")
    table = cross_table(one, other, ["I", "II", "III"])
    codes = [np.array([("I", "II", "III").index(w) for w in said]) for said in (one, other)]
    for weighting, power in (("linear", 1), ("quadratic", 2)):
        seen = np.mean(np.abs(codes[0] - codes[1]) ** power)
        by_chance = np.mean(np.abs(codes[0][:, None] - codes[1][None, :]) ** power)
        assert kappa(table, weighting) == pytest.approx(1 - seen / by_chance)


def test_icc_of_shrout_and_fleiss() -> None:
    """Two of the four judges of Shrout and Fleiss 1979, by the mean squares of the textbook."""
    one, other = np.array([9.0, 6, 8, 7, 10, 6]), np.array([5.0, 3, 6, 2, 6, 4])
    both = np.stack([one, other], 1)
    subjects = 2 * ((both.mean(1) - both.mean()) ** 2).sum() / 5
    judges = 6 * ((both.mean(0) - both.mean()) ** 2).sum()
    error = (((both - both.mean()) ** 2).sum() - 5 * subjects - judges) / 5
    assert icc(one, other) == pytest.approx(
        (subjects - error) / (subjects + error + 2 * (judges - error) / 6)
    )
    assert icc(one, one) == pytest.approx(1)
    assert icc(one, one + 3) < 0.5  # a constant difference is no absolute agreement


def test_bland_altman_of_a_known_difference() -> None:
    one = np.array([10.0, 12, 14, 16])
    found = bland_altman(one, one - np.array([1.0, 3, 1, 3]))
    assert found["bias"] == 2
    assert found["sd"] == pytest.approx(np.sqrt(4 / 3))
    assert found["upper_limit"] == pytest.approx(2 + 1.95996 * np.sqrt(4 / 3), rel=1e-5)


def test_agreement_carries_intervals_over_patients() -> None:
    chance = np.random.default_rng(0)
    truth = chance.normal(50, 20, 200)
    found = number_agreement(truth, truth + chance.normal(0, 5, 200), 400, 0)
    assert found["icc"]["low"] < 400 / 412.5 < found["icc"]["high"]
    assert found["bias"]["low"] < 0 < found["bias"]["high"]
    half_width = (found["bias"]["high"] - found["bias"]["low"]) / 2
    assert half_width == pytest.approx(1.96 * 5 / np.sqrt(200), rel=0.2)
    words = ["I", "II"] * 40
    classes = class_agreement(words, words[1:] + words[:1], ("I", "II", "III"), 100, 0)
    assert classes["kappa"]["value"] == pytest.approx(-1)
    assert classes["table"] == [[0, 40, 0], [40, 0, 0], [0, 0, 0]]


def test_too_few_resamples_give_no_interval() -> None:
    assert interval(np.array([0.5] * 19)) is None
    assert interval(np.full(100, np.nan)) is None
    assert interval(np.ones(100)) is None, "six patients that separate are no proof of an area of 1"
    assert interval(np.linspace(0, 1, 1001)) == pytest.approx((0.025, 0.975))
