"""A threshold study from what was asked: which analyses, on which patients, with which warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from burden.cohort.agreement import class_agreement, number_agreement
from burden.cohort.binary import Sweep, sweep, thresholds_of
from burden.cohort.data import Array, Data, Flags, unit_of
from burden.cohort.eligibility import Moved, fact_tables, limits_in, move_limit
from burden.cohort.resample import draw_weights
from burden.cohort.survival import Split, split
from burden.errors import UsageError
from burden.vocabulary import vocabulary

USUAL = ("tumor.burden", "lesion.count", "lesion.largest_diameter", "tumor.volume")
FEW = 10  # events a sweep needs before its figures mean much
MOST_PAIRS = 2e10
FEWEST_DRAWS = 200
AT_LEAST = 5  # patients
MOST_SHOWN = 8  # values that count as no
UNORDERED = {"patient.sex", "primary.site", "liver.background"}
"""Facts whose options stand in no order, so that no disagreement is larger than another."""


@dataclass(frozen=True)
class Asked:
    """What the user wants to know.

    Parameters
    ----------
    tables
        The table of the cohort, and tables to join to it by ``case``.
    facts
        Numbers to move a threshold over.
    outcomes
        ``COLUMN`` or ``COLUMN=VALUE that means yes``; several values with commas between.
    time, event
        Columns of the survival time, and of whether it ended in the event.
    readers
        ``FACT=COLUMN``: pairs of columns that say the same of a patient.
    marks
        ``FACT=NUMBER``: thresholds of interest.
    below
        A low number is the positive test.
    """

    tables: tuple[Path, ...]
    facts: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    time: str | None = None
    event: str | None = None
    readers: tuple[str, ...] = ()
    books: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    below: bool = False
    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Study:
    """Everything found; lists of (what it is about, figures)."""

    asked: Asked
    data: Data
    facts: tuple[str, ...]
    binary: list[tuple[str, str, Sweep]] = field(default_factory=list)
    survival: list[tuple[str, Split, tuple[Array, Array, Flags]]] = field(default_factory=list)
    agreement: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    eligibility: list[Moved] = field(default_factory=list)
    published: dict[str, list[tuple[float, str]]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def make_study(asked: Asked, data: Data) -> Study:
    """All analyses that were asked for.

    Raises
    ------
    UsageError
        If a column is not there or does not hold what it should.
    """
    from burden.assess import load_books

    if (asked.time is None) != (asked.event is None):
        raise UsageError("survival needs both --time and --event.")
    scarce = {} if asked.facts else _scarce(data)
    numbers = list(dict.fromkeys(asked.facts)) or [f for f in USUAL if f in data.columns]
    numbers = [f for f in numbers if f not in scarce]
    if not numbers and not asked.readers:
        few = f" {', '.join(scarce)}: fewer than {AT_LEAST} patients have one." if scarce else ""
        hint = "Name a column with --fact."
        raise UsageError(f"no number to move a threshold over.{few}", hint=hint)
    study = Study(asked, data, tuple(numbers))
    given = _marks(asked, numbers)
    books = load_books(asked.books or None)
    for fact, count in scarce.items():
        study.warnings.append(f"{fact}: only {count} of {data.rows} patients have one; left out.")
    _shares(study)
    for name, count in data.left_out.items():
        study.warnings.append(f"{count} rows: {name}.")
    for fact in numbers:
        found = limits_in(books, fact)
        study.published[fact] = sorted({(float(leaf.limit), book.id) for book, _, leaf in found})  # type: ignore[arg-type]
        marks = given[fact] + tuple(limit for limit, _ in study.published[fact])
        _binary(study, fact, marks)
        _survival(study, fact, marks)
    _agreement(study)
    _eligibility(study, books, given)
    _warn(study)
    return study


def _scarce(data: Data) -> dict[str, int]:
    """Numbers nobody asked for by name that too few patients have."""
    counts = {f: int(np.isfinite(data.measured(f).best).sum()) for f in USUAL if f in data.columns}
    return {fact: count for fact, count in counts.items() if count < AT_LEAST}


def _shares(study: Study) -> None:
    """Percentages of which all are one at most may be shares: 0.3 for 30 %."""
    for name in study.data.columns:
        if unit_of(name) == "%":
            values = study.data.numbers(name)
            known = values[np.isfinite(values)]
            if len(known) >= AT_LEAST and 0 < known.max() <= 1:
                study.warnings.append(
                    f"{name}: no value is above 1. The unit is %; are these shares (0.3 for 30 %)?"
                )


def _marks(asked: Asked, facts: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """The thresholds of interest of every fact."""
    found: dict[str, tuple[float, ...]] = dict.fromkeys(facts, ())
    for text in asked.marks:
        name, _, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not np.isfinite(number):
            raise UsageError(f"a threshold is FACT=NUMBER, not {text!r}.")
        if name not in found:
            hint = f"It moves over {', '.join(facts)}; --fact names others."
            raise UsageError(f"no threshold moves over {name!r}.", hint=hint)
        found[name] += (number,)
    return found


def _draws(asked: Asked, patients: int) -> Array:
    times = max(FEWEST_DRAWS, min(asked.bootstrap, int(MOST_PAIRS / patients**2)))
    return draw_weights(patients, min(times, asked.bootstrap), asked.seed)


def _enough(study: Study, known: Flags, what: str) -> None:
    left = int((~known).sum())
    if known.sum() < AT_LEAST:
        hint = f"At least {AT_LEAST} are needed."
        raise UsageError(f"{int(known.sum())} patients have all of {what}.", hint=hint)
    if left:
        study.warnings.append(
            f"{what}: {left} of {len(known)} patients are left out, something is missing."
        )


def _binary(study: Study, fact: str, marks: tuple[float, ...]) -> None:
    values = study.data.measured(fact)
    for text in study.asked.outcomes:
        column, outcome = _yes_no(study, text)
        known = np.isfinite(values.best) & np.isfinite(outcome)
        _enough(study, known, f"{fact} and {column}")
        if len(set(outcome[known].tolist())) < 2:
            raise UsageError(f"the patients with {fact} have not both yes and no in {text!r}.")
        own = type(values)(values.best[known], values.low[known], values.high[known])
        done = sweep(
            own, outcome[known], thresholds_of(own.best, marks), _draws(study.asked, int(known.sum())),
            above=not study.asked.below,
        )  # fmt: skip
        study.binary.append((fact, text, done))


def _survival(study: Study, fact: str, marks: tuple[float, ...]) -> None:
    asked, data = study.asked, study.data
    if asked.time is None or asked.event is None:
        return
    values = data.numbers(fact)
    column, event = _yes_no(study, asked.event)
    time = data.numbers(asked.time)
    if (time < 0).any():
        raise UsageError(f"the column {asked.time!r} holds a negative time.")
    known = np.isfinite(values) & np.isfinite(time) & np.isfinite(event)
    _enough(study, known, f"{fact}, {asked.time} and {column}")
    happened = event[known] == 1
    if not happened.any():
        raise UsageError(f"no patient with {fact} had the event {asked.event!r}.")
    done = split(
        values[known], time[known], happened, thresholds_of(values[known], marks),
        _draws(asked, int(known.sum())), above=not asked.below,
        permutations=max(0, asked.bootstrap - 1), seed=asked.seed,
    )  # fmt: skip
    study.survival.append((fact, done, (values[known], time[known], happened)))


def _yes_no(study: Study, text: str) -> tuple[str, Array]:
    """The column of ``COLUMN[=VALUE]``, and who had it; several ways to say no are told once."""
    column, _, positive = text.partition("=")
    found = study.data.yes_no(column, positive or None)
    cells = zip(study.data.column(column), found, strict=True)
    others = sorted({cell for cell, yes in cells if yes == 0})
    if positive and len(others) > 1:
        shown = ", ".join(others[:MOST_SHOWN]) + (" ..." if len(others) > MOST_SHOWN else "")
        told = f"{column}: {shown} count as not {positive}."
        if told not in study.warnings:
            study.warnings.append(told)
    return column, found


def _agreement(study: Study) -> None:
    for text in study.asked.readers:
        left, _, right = text.partition("=")
        if not right:
            raise UsageError(f"a reader is FACT=COLUMN, not {text!r}.")
        times, seed = study.asked.bootstrap, study.asked.seed
        options, ordered = _options(study, left, right)
        if options:
            entry = vocabulary().find(left) or vocabulary().find(right)
            fixed = entry.options if entry else ()
            one, other = study.data.words(left, fixed), study.data.words(right, fixed)
            both = [(a, b) for a, b in zip(one, other, strict=True) if a and b]
            known = np.array([bool(a and b) for a, b in zip(one, other, strict=True)])
            _enough(study, known, f"{left} and {right}")
            first, second = zip(*both, strict=True)
            found = class_agreement(first, second, options, times, seed, ordered=ordered)
        else:
            x, y = study.data.numbers(left), study.data.numbers(right)
            known = np.isfinite(x) & np.isfinite(y)
            _enough(study, known, f"{left} and {right}")
            found = number_agreement(x[known], y[known], times, seed)
            found["pairs"] = np.stack([x[known], y[known]], axis=1).tolist()
        study.agreement.append((left, right, {"patients": int(known.sum()), **found}))


def _options(study: Study, left: str, right: str) -> tuple[tuple[str, ...], bool]:
    """The classes, and whether they stand in an order; none where both columns are numbers."""
    entry = vocabulary().find(left) or vocabulary().find(right)
    if entry is not None and entry.options:
        return entry.options, entry.id not in UNORDERED
    said = {w for name in (left, right) for w in study.data.words(name) if w}
    try:
        for word in said:
            float(word)
    except ValueError:
        return tuple(sorted(said)), False
    return (), False


def _eligibility(study: Study, books: Any, given: Mapping[str, tuple[float, ...]]) -> None:
    facts = [fact for fact in study.facts if study.published.get(fact)]
    if not facts:
        return
    try:
        bounded, exact = fact_tables(study.data)
    except ValueError as error:
        raise UsageError(f"the table holds a fact that does not fit ({error}).") from error
    for fact in facts:
        values = study.data.measured(fact).best
        for book, path, leaf in limits_in(books, fact):
            limits = thresholds_of(values, (*given[fact], float(leaf.limit)))  # type: ignore[arg-type]
            study.eligibility.append(move_limit(book, path, leaf, limits, bounded, exact))


def _warn(study: Study) -> None:
    for fact, outcome, found in study.binary:
        unit = f" {unit_of(fact)}".rstrip()
        best = found.thresholds[found.best]
        youden = found.figures["youden"][found.best]
        others = found.youden_on_others
        fall = f" Its Youden index of {youden:.2f} falls to about {others:.2f} on other patients."
        told = fall if np.isfinite(others) else ""
        study.warnings.append(
            f"{fact} against {outcome}: the best threshold ({best:.4g}{unit}) was chosen on these same "
            f"patients.{told} Report it only with patients it was not chosen on."
        )
        if (found.auc_interval or (0.0, found.auc))[1] < 0.5:
            study.warnings.append(
                f"{fact} against {outcome}: the test points the wrong way (area below one half); "
                f"{'leave out' if study.asked.below else 'give'} --below."
            )
        if min(found.positives, found.patients - found.positives) < FEW:
            study.warnings.append(f"{fact} against {outcome}: fewer than {FEW} patients on one side.")
    for fact, times, _ in study.survival:
        p = float(times.figures["p"][times.best])
        told = "not known" if times.p_best is None else f"{times.p_best:.3g}"
        study.warnings.append(
            f"{fact}: the smallest log-rank p of all splits with a tenth of the patients on either side "
            f"({p:.2g}) is no p value; with the choice counted in it is {told} "
            f"({times.permutations} permutations)."
        )
        if times.events < FEW:
            study.warnings.append(f"{fact}: only {times.events} events.")
