"""A threshold on a number against survival: Kaplan-Meier, log-rank, C-index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from burden.cohort.data import Array, Flags
from burden.cohort.resample import concordance, interval

MOST_WORK = 4e9  # patients x thresholds x permutations
FEWEST_PERMUTATIONS = 99
SMALLEST_SIDE = 0.1
"""Share of the patients that either side of the best split has at least (Lausen and Schumacher 1992).

The statistic of a handful against all others is the wildest, and would hide every real limit.
"""


@dataclass(frozen=True, eq=False)
class Split:
    """Every threshold as a split of the cohort in two.

    Parameters
    ----------
    best
        Index of the largest statistic among splits with a tenth of the patients on either side;
        among all where there is none.
    figures
        Columns by name: patients and events on each side, chi2, p, hazard_ratio (observed over
        expected events, positive side against the other), median survival of each side.
    p_best
        Probability that chance alone makes the best of all these splits as good: permutations of
        the patients, each with its own best split. None without permutations.
    """

    thresholds: Array
    figures: dict[str, Array]
    patients: int
    events: int
    c_index: float
    c_interval: tuple[float, float] | None
    best: int
    p_best: float | None
    permutations: int

    def rows(self) -> list[dict[str, Any]]:
        """One row a threshold."""
        return [
            {"threshold": float(t), **{n: float(column[k]) for n, column in self.figures.items()}}
            for k, t in enumerate(self.thresholds)
        ]


def kaplan_meier(time: Array, event: Flags) -> tuple[Array, Array]:
    """Times of events and the share that is event-free after each (product-limit)."""
    times = np.unique(time[event])
    at_risk = (time[:, None] >= times).sum(axis=0)
    deaths = ((time[:, None] == times) & event[:, None]).sum(axis=0)
    return times, np.cumprod(1.0 - deaths / np.maximum(at_risk, 1))


def median_survival(time: Array, event: Flags) -> float:
    """First time at which no more than half are event-free; NaN if that is never reached."""
    times, share = kaplan_meier(time, event)
    reached = share <= 0.5 + 1e-12
    return float(times[np.argmax(reached)]) if reached.any() else float("nan")


def log_rank(time: Array, event: Flags, groups: Flags) -> tuple[Array, Array]:
    """Log-rank statistic (chi squared, 1 degree of freedom) and hazard ratio of every split.

    Parameters
    ----------
    groups
        Shape (splits, patients): who is on the positive side.
    """
    order = np.argsort(time, kind="stable")
    time, event, groups = time[order], event[order], groups[:, order]
    _, first = np.unique(time, return_index=True)
    deaths = np.add.reduceat(event.astype(np.float64), first)
    in_group = groups.astype(np.float64)
    own_deaths = np.add.reduceat(in_group * event, first, axis=1)
    at_risk = (len(time) - first).astype(np.float64)
    own_at_risk = in_group.sum(axis=1, keepdims=True) - _before(in_group, first)
    share = own_at_risk / at_risk
    expected = (share * deaths).sum(axis=1)
    spread = deaths * (at_risk - deaths) / np.maximum(at_risk - 1, 1)
    variance = (share * (1 - share) * spread).sum(axis=1)
    observed = own_deaths.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        chi2 = np.where(variance > 0, (observed - expected) ** 2 / variance, 0.0)
        total = deaths.sum()
        ratio = (observed / expected) / ((total - observed) / (total - expected))
    return chi2, np.where(variance > 0, ratio, np.nan)


def _before(in_group: Array, first: Any) -> Array:
    """How many of the group have a shorter time, at each distinct time."""
    running = np.concatenate([np.zeros((len(in_group), 1)), np.cumsum(in_group, axis=1)], axis=1)
    found: Array = running[:, first]
    return found


def c_index(score: Array, time: Array, event: Flags, weights: Array) -> Array:
    """Harrell's C for every row of weights: whether the higher score has its event first."""

    def pairs(some: Any) -> tuple[Array, Array]:
        own, others = time[some][:, None], time[None, :]
        earlier = (own < others) | ((own == others) & ~event[None, :])
        return (earlier & event[some][:, None]).astype(np.float64), score[some]

    return concordance(score, pairs, weights)


def split(
    values: Array,
    time: Array,
    event: Flags,
    thresholds: Array,
    weights: Array,
    *,
    above: bool = True,
    permutations: int = 999,
    seed: int = 0,
) -> Split:
    """Split the cohort at every threshold and compare the survival of both sides."""
    from scipy.stats import chi2 as chi_squared

    groups = values >= thresholds[:, None] if above else values <= thresholds[:, None]
    statistic, ratio = log_rank(time, event, groups)
    sizes = groups.sum(axis=1)
    able = np.minimum(sizes, len(time) - sizes) >= SMALLEST_SIDE * len(time)
    able |= ~able.any()
    best = int(np.argmax(np.where(able, statistic, -1.0)))
    medians = [[median_survival(time[s], event[s]) for s in (g, ~g)] for g in groups]
    positive, negative = np.array(medians).reshape(-1, 2).T
    score = values if above else -values
    areas = c_index(score, time, event, np.vstack([np.ones(len(time)), weights]))
    work = max(1.0, float(groups.size))
    permutations = int(min(permutations, MOST_WORK / work)) if permutations else 0
    return Split(
        thresholds=thresholds,
        figures={
            "patients": sizes.astype(np.float64),
            "patients_other": (~groups).sum(axis=1).astype(np.float64),
            "events": (groups & event).sum(axis=1).astype(np.float64),
            "events_other": (~groups & event).sum(axis=1).astype(np.float64),
            "chi2": statistic,
            "p": chi_squared.sf(statistic, 1),
            "hazard_ratio": ratio,
            "median": positive,
            "median_other": negative,
        },
        patients=len(time),
        events=int(event.sum()),
        c_index=float(areas[0]),
        c_interval=interval(areas[1:]),
        best=best,
        p_best=_p_best(time, event, groups[able], float(statistic[best]), permutations, seed),
        permutations=permutations,
    )


def _p_best(
    time: Array, event: Flags, groups: Flags, reached: float, permutations: int, seed: int
) -> float | None:
    if permutations < FEWEST_PERMUTATIONS:
        return None
    chance = np.random.default_rng(seed)
    as_good = 0
    for _ in range(permutations):
        mixed = groups[:, chance.permutation(len(time))]
        as_good += bool(log_rank(time, event, mixed)[0].max() >= reached - 1e-9)
    return (as_good + 1) / (permutations + 1)
