"""A table gives every row what that patient gets alone: derived facts and verdicts alike."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from burden.assess import (
    Table,
    answers,
    assess,
    criteria_table,
    decide_table,
    derive,
    derive_table,
    load_books,
    table_from,
    table_of,
    with_lesions,
    without_lesions,
)
from burden.assess.logic import ANSWERS, Numbers, Options
from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

BOOKS = load_books()
SIGN = {answer: sign for sign, answer in ANSWERS.items()}
LOOKED_AT = {fact for book in BOOKS for fact in book.facts()}
FROM = (
    *("patient.height", "patient.weight", "patient.bsa", "tumor.volume", "liver.volume"),
    *("liver.estimated_volume", "tumor.mitoses", "tumor.differentiation", "primary.site"),
    *("lesion.count_right", "lesion.count_left", "frilling.type", "tumor.grade.s1"),
    *("debulk.right_hepatectomy.percent", "flr.right_hepatectomy.percent"),
    *("debulk.left_hepatectomy.percent", "flr.left_hepatectomy.percent"),
    *("flr.right_hepatectomy.volume", "flr.right_hepatectomy.sflr"),
)
IDS = sorted(LOOKED_AT | set(FROM))
# the limits of the rules and of deriving, and what lies beside them
POINTS = (0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 6.0, 10.0, 20.0, 20.5, 30.0, 50.0, 55.0, 99.9, 100.0, 180.0)


def _value(draw: st.DrawFn, fact_id: str) -> Interval | Choice:
    entry = vocabulary()[fact_id]
    if entry.options:
        return Choice.of(*draw(st.lists(st.sampled_from(entry.options), min_size=1, max_size=3)))
    low, high = sorted((draw(st.sampled_from(POINTS)), draw(st.sampled_from(POINTS))))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return Interval(low, math.inf)
    if kind == 1:
        return Interval(-math.inf, high)
    return Interval(low, high) if kind < 5 else Interval.exactly(low)


@st.composite
def patients(draw: st.DrawFn) -> list[Facts]:
    ids = draw(st.lists(st.sampled_from(IDS), min_size=3, max_size=40, unique=True))
    ids += [i for i in FROM if draw(st.booleans())]
    rows = draw(st.integers(1, 4))
    return [
        Facts(
            Fact(i, _value(draw, i), vocabulary()[i].unit, "typed in")
            for i in dict.fromkeys(ids)
            if draw(st.integers(0, 4))
        )
        for _ in range(rows)
    ]


def _table(rows: list[Facts]) -> Table:
    columns: dict[str, Numbers | Options] = {}
    for key in sorted({i for facts in rows for i in facts}):
        entry = vocabulary()[key]
        values: list[Any] = [f[key].value if key in f else entry.everything for f in rows]
        if entry.options:
            bits = [sum(1 << i for i, o in enumerate(entry.options) if o in v.options) for v in values]
            columns[key] = Options(np.array(bits, dtype=np.uint32), entry.options)
        else:
            ends = ([v.low for v in values], [v.high for v in values])
            columns[key] = Numbers(*(np.array(end, dtype=float) for end in ends))
    return Table(len(rows), columns)


def _read(column: Numbers | Options | None, row: int) -> Interval | frozenset[str] | None:
    """What a column says of a row; None for nothing."""
    if column is None:
        return None
    if isinstance(column, Numbers):
        value = Interval(float(column.low[row]), float(column.high[row]))
        return None if value.is_unknown else value
    bits = int(column.possible[row])
    names = frozenset(name for i, name in enumerate(column.names) if bits >> i & 1)
    return None if len(names) == len(column.names) else names


@given(patients())
@settings(max_examples=80, deadline=None)
@example([Facts([Fact("tumor.ki67", Interval(2.5, 2.5), "%", "typed in")])])
def test_derived_facts_and_verdicts_are_those_of_each_row_alone(rows: list[Facts]) -> None:
    table = _table(rows)
    known, decided = derive_table(table), decide_table(table, BOOKS)
    certain = with_lesions(table)
    for row, facts in enumerate(rows):
        alone = derive(facts)
        for key in set(known.columns) | set(alone):
            said = alone[key].value if key in alone else vocabulary()[key].everything
            expected = said.options if isinstance(said, Choice) else said
            if said == vocabulary()[key].everything:
                expected = None
            assert _read(known.columns.get(key), row) == expected, (key, facts)
        assert bool(certain[row]) != without_lesions(facts)
        for book in BOOKS:
            assert decided[book.id][row] == answers(book, table_of(alone))[0], (book.id, facts)


@given(patients(), st.sampled_from(BOOKS))
@settings(max_examples=40, deadline=None)
def test_criteria_are_those_of_each_row_alone(rows: list[Facts], book: Any) -> None:
    said = criteria_table(_table(rows), book)
    for row, facts in enumerate(rows):
        for verdict in assess(facts, [book]):
            assert said[""][row] == SIGN[verdict.answer]
            assert {c.id: SIGN[c.answer] for c in verdict.criteria} == {
                key: int(answers[row]) for key, answers in said.items() if key
            }


def test_what_is_given_wins_and_what_is_open_is_filled_in() -> None:
    """60 mL of 100 mL is 60 %; a burden of 20 % that was typed in stays."""
    table = table_from(
        {
            "tumor.volume": [60.0, 60.0, np.nan],
            "liver.volume": [100.0, 100.0, 100.0],
            "tumor.burden": [np.nan, 20.0, np.nan],
            "primary.site": np.array(["pancreas", "rectum", ""]),
        }
    )
    known = derive_table(table)
    burden, drainage = known.columns["tumor.burden"], known.columns["primary.portal_drainage"]
    assert isinstance(burden, Numbers)
    assert isinstance(drainage, Options)
    assert burden.low.tolist() == [60.0, 20.0, -np.inf]
    assert burden.high.tolist() == [60.0, 20.0, np.inf]
    assert drainage.possible.tolist() == [1, 2, 3]
    decided = decide_table(table, load_books(["milan"]))
    assert decided["nelm.transplant.milan"].tolist() == [-1, -1, 0]


def test_a_million_patients_with_what_follows() -> None:
    """Burden from volumes, grade from Ki-67 and mitoses, drainage from the site; then Milan."""
    rng = np.random.default_rng(11)
    n = 1_000_000
    sites, words = np.array(vocabulary()["primary.site"].options), np.array(["yes", "no", ""])
    table = table_from(
        {
            "tumor.volume": rng.uniform(0, 1500, n),
            "liver.volume": rng.uniform(1200, 2500, n),
            "tumor.ki67": rng.uniform(0, 40, n),
            "tumor.mitoses": (rng.uniform(0, 2, n), rng.uniform(2, 30, n)),
            "patient.age": rng.uniform(20, 80, n),
            "disease.months_stable": rng.uniform(0, 24, n),
            "primary.site": sites[rng.integers(0, len(sites), n)],
            **{
                key: words[rng.integers(0, 3, n)]
                for key in ("tumor.grade_confirmed", "primary.resected", "extrahepatic.resected")
            },
        }
    )
    start = time.process_time()
    decided = decide_table(table, load_books(["milan"]))["nelm.transplant.milan"]
    seconds = time.process_time() - start
    print(f"{n / seconds:,.0f} Milan verdicts a second, deriving included")
    assert {-1, 0, 1} == set(np.unique(decided).tolist())
    assert n / seconds > 200_000


def _rows(**choices: Any) -> list[Facts]:
    """Every combination of values; None is a fact that is not given."""
    rows = []
    for values in itertools.product(*choices.values()):
        given_facts = zip((key.replace("__", ".") for key in choices), values, strict=True)
        rows.append(Facts(Fact(k, v, vocabulary()[k].unit, "typed in") for k, v in given_facts if v))
    return rows


def _exact(*points: float) -> list[Interval]:
    return [Interval.exactly(p) for p in points]


WIDE = Interval(0.0, 100.0)  # bounds that tell nothing are not the same as nothing given


@pytest.mark.parametrize(
    "rows",
    [
        _rows(
            tumor__ki67=[*_exact(1, 2, 2.5, 3, 20, 20.5), WIDE, None],
            tumor__mitoses=[*_exact(1, 2, 20, 21), WIDE, None],
            tumor__differentiation=[Choice.of("well"), Choice.of("poor"), None],
        ),
        _rows(
            lesion__count_right=[*_exact(0, 1), WIDE, None],
            lesion__count_left=[*_exact(0, 1), WIDE, None],
            frilling__type=[Choice.of("I"), Choice.of("II"), None],
        ),
        _rows(
            debulk__right_hepatectomy__percent=[*_exact(99.8, 99.9, 100), Interval(99.9, 100), None],
            flr__right_hepatectomy__percent=[*_exact(25, 40), None],
            debulk__left_hepatectomy__percent=[*_exact(50, 99.9), None],
            flr__left_hepatectomy__percent=[*_exact(60), None],
        ),
    ],
    ids=["grade", "lobes", "remnant"],
)
def test_all_kinds_of_rows_in_one_table(rows: list[Facts]) -> None:
    """Rows that a rule tells apart stay apart when they stand in one table."""
    known = derive_table(_table(rows))
    for row, facts in enumerate(rows):
        alone = derive(facts)
        for key in set(known.columns) | set(alone):
            said = alone[key].value if key in alone else vocabulary()[key].everything
            expected = said.options if isinstance(said, Choice) else said
            if said == vocabulary()[key].everything:
                expected = None
            assert _read(known.columns.get(key), row) == expected, (key, facts)
