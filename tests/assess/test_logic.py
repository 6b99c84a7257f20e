"""Three-valued logic: against the plain definitions of burden.answer, and its laws."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burden.answer import Answer, all_of, any_of, at_least
from burden.assess import answers, load_books, table_from, table_of
from burden.assess.logic import ANSWERS, draws_of, evaluate
from burden.assess.rulebook import Criterion, Group, Node
from burden.case import Citation
from burden.facts import ANYTHING, Choice, Fact, Facts, Interval

CITE = (Citation("S1", "Table 2"),)
NUMBERS = ("patient.age", "tumor.burden", "disease.months_stable")
GRADES = ("G1", "G2", "G3", "NEC")
LIMITS = (0.0, 10.0, 50.0)


def number(fact: str, op: Any, limit: float, name: str = "x") -> Criterion:
    return Criterion(name, "text", fact, op, limit, "", CITE)


def grade(op: Any, options: frozenset[str]) -> Criterion:
    return Criterion("g", "text", "tumor.grade", op, options, "", CITE)


def oracle(node: Node, facts: Facts) -> Answer:
    """The same by the definitions, one value at a time."""
    if isinstance(node, Group):
        parts = [oracle(inner, facts) for inner in node.nodes]
        match node.join:
            case "all":
                return all_of(parts)
            case "any":
                return any_of(parts)
            case "not":
                return ~parts[0]
            case "at_least":
                return at_least(node.count, parts)
            case "readings":
                return parts[node.decides]
    value = facts[node.fact].value if node.fact in facts else ANYTHING
    if isinstance(node.limit, frozenset):
        options = value.options if isinstance(value, Choice) else frozenset(GRADES)
        met = {o in node.limit for o in options}
        met = {not m for m in met} if node.op == "!=" else met
    else:
        assert isinstance(value, Interval)
        met = _met(node.op, node.limit, value)
    return Answer.UNKNOWN if len(met) == 2 else Answer.YES if met == {True} else Answer.NO


def _met(op: str, limit: float, value: Interval) -> set[bool]:
    """What the comparison gives at the ends of the interval, at the limit and around it."""
    points = {value.low, value.high}
    near = (limit, math.nextafter(limit, -math.inf), math.nextafter(limit, math.inf))
    points |= {p for p in near if value.low <= p <= value.high}
    compare = {
        "<": lambda x: x < limit,
        "<=": lambda x: x <= limit,
        ">": lambda x: x > limit,
        ">=": lambda x: x >= limit,
        "==": lambda x: x == limit,
        "!=": lambda x: x != limit,
    }[op]
    return {bool(compare(p)) for p in points}


ends = st.sampled_from((-math.inf, -1.0, 0.0, 9.0, 10.0, 11.0, 50.0, 60.0, math.inf))
intervals = st.tuples(ends, ends).map(sorted).filter(
    lambda e: e[0] < math.inf and e[1] > -math.inf
).map(lambda e: Interval(*e))  # fmt: skip
choices = st.sets(st.sampled_from(GRADES), min_size=1).map(lambda o: Choice(frozenset(o)))


@st.composite
def fact_sets(draw: st.DrawFn) -> Facts:
    found = [Fact(i, draw(intervals), "", "test") for i in NUMBERS if draw(st.booleans())]
    if draw(st.booleans()):
        found.append(Fact("tumor.grade", draw(choices), "", "test"))
    return Facts(found)


leaf_nodes = st.one_of(
    st.builds(
        number,
        st.sampled_from(NUMBERS),
        st.sampled_from(("<", "<=", ">", ">=", "==", "!=")),
        st.sampled_from(LIMITS),
    ),
    st.builds(
        grade,
        st.sampled_from(("in", "!=")),
        st.sets(st.sampled_from(GRADES), min_size=1, max_size=3).map(frozenset),
    ),
)


def _groups(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    several = st.lists(inner, min_size=1, max_size=4).map(tuple)

    def group(join: Any) -> st.SearchStrategy[Node]:
        return several.map(lambda nodes: Group("n", "text", join, nodes))

    counted = several.flatmap(
        lambda nodes: st.integers(1, len(nodes)).map(
            lambda count: Group("n", "text", "at_least", nodes, count=count)
        )
    )
    negated = inner.map(lambda node: Group("n", "text", "not", (node,)))
    read = several.flatmap(
        lambda nodes: st.integers(0, len(nodes) - 1).map(
            lambda i: Group("n", "text", "readings", nodes, decides=i)
        )
    )
    return st.one_of(group("all"), group("any"), counted, negated, read)


trees: st.SearchStrategy[Node] = st.recursive(leaf_nodes, _groups, max_leaves=8)


def answer(node: Node, facts: Facts) -> Answer:
    return ANSWERS[int(evaluate(node, table_of(facts))[0])]


@given(trees, fact_sets())
@settings(max_examples=300, deadline=None)
def test_one_row_agrees_with_the_definitions(tree: Node, facts: Facts) -> None:
    assert answer(tree, facts) is oracle(tree, facts)


@given(trees, st.lists(fact_sets(), min_size=2, max_size=6))
@settings(max_examples=150, deadline=None)
def test_a_table_gives_each_row_what_it_would_get_alone(tree: Node, rows: list[Facts]) -> None:
    full = [_with_all(f) for f in rows]
    columns: dict[str, Any] = {}
    for key in NUMBERS:
        values = [f[key].value for f in full]
        columns[key] = ([v.low for v in values], [v.high for v in values])  # type: ignore[union-attr]
    together = evaluate(tree, table_from(columns))
    assert [ANSWERS[int(a)] for a in together] == [
        oracle(tree, Facts(f for f in facts.values() if f.id in NUMBERS)) for facts in full
    ]


def _with_all(facts: Facts) -> Facts:
    return Facts(Fact(i, ANYTHING, "", "test") for i in NUMBERS) | facts


@given(trees, fact_sets(), st.data())
@settings(max_examples=300, deadline=None)
def test_learning_never_turns_yes_into_no_nor_no_into_yes(
    tree: Node, facts: Facts, data: st.DataObject
) -> None:
    """Narrowing any fact keeps every decided answer; read backwards, widening decides nothing."""
    narrowed = Facts(_narrower(f, data) for f in _with_all(facts).values())
    before, after = answer(tree, facts), answer(tree, narrowed)
    assert before is Answer.UNKNOWN or after is before


def _narrower(fact: Fact, data: st.DataObject) -> Fact:
    if isinstance(fact.value, Choice):
        left = st.sets(st.sampled_from(sorted(fact.value.options)), min_size=1)
        return Fact(fact.id, Choice(frozenset(data.draw(left))), "", "test")
    inside = data.draw(intervals)
    low, high = max(inside.low, fact.value.low), min(inside.high, fact.value.high)
    return Fact(fact.id, Interval(low, high) if low <= high else fact.value, "", "test")


@pytest.mark.parametrize(
    ("op", "below", "on", "above"),
    [
        ("<", "yes", "no", "no"),
        ("<=", "yes", "yes", "no"),
        (">", "no", "no", "yes"),
        (">=", "no", "yes", "yes"),
        ("==", "no", "yes", "no"),
        ("!=", "yes", "no", "yes"),
    ],
)
def test_boundaries_are_as_printed(op: str, below: str, on: str, above: str) -> None:
    leaf = number("tumor.burden", op, 50.0)
    for value, expected in ((math.nextafter(50, 0), below), (50.0, on), (math.nextafter(50, 99), above)):
        facts = Facts([Fact("tumor.burden", Interval.exactly(value), "%", "test")])
        assert answer(leaf, facts).value == expected


def test_draws_must_be_joint() -> None:
    facts = [
        Fact(i, ANYTHING, "", "test", draws=np.ones(n)) for i, n in zip(NUMBERS, (5, 6, 5), strict=True)
    ]
    with pytest.raises(ValueError, match="not joint"):
        draws_of(Facts(facts))


def test_a_cohort_says_unknown_for_what_is_empty() -> None:
    table = table_from({"tumor.burden": [10.0, np.nan, 60.0], "tumor.grade": np.array(["G1", "G3", ""])})
    assert evaluate(number("tumor.burden", "<", 50.0), table).tolist() == [1, 0, -1]
    assert evaluate(grade("in", frozenset({"G1", "G2"})), table).tolist() == [1, -1, 0]
    with pytest.raises(ValueError, match="not options"):
        table_from({"tumor.grade": np.array(["G7"])})
    with pytest.raises(ValueError, match="different length"):
        table_from({"tumor.burden": [1.0], "patient.age": [1.0, 2.0]})
    with pytest.raises(ValueError, match="no such fact"):
        table_from({"tumor.burdn": [1.0]})
    with pytest.raises(ValueError, match="a choice, in words: yes, no"):
        table_from({"primary.resected": [True, False]})
    with pytest.raises(ValueError, match="low above high"):
        table_from({"tumor.burden": ([3.0], [1.0])})


def test_a_million_fact_sets_at_two_hundred_thousand_a_second_or_more() -> None:
    rng = np.random.default_rng(7)
    n = 1_000_000
    word = np.array(["yes", "no", ""])
    table = table_from(
        {
            "patient.age": rng.uniform(20, 80, n),
            "tumor.grade": np.array(["G1", "G2", "G3", "NEC", ""])[rng.integers(0, 5, n)],
            "tumor.burden": (rng.uniform(0, 50, n), rng.uniform(50, 100, n)),
            "disease.months_stable": rng.uniform(0, 24, n),
            **{
                key: word[rng.integers(0, 3, n)]
                for key in (
                    "tumor.grade_confirmed",
                    "primary.portal_drainage",
                    "primary.resected",
                    "extrahepatic.resected",
                )
            },
        }
    )
    (milan,) = load_books(["milan"])
    start = time.process_time()
    found = answers(milan, table)
    seconds = time.process_time() - start
    assert found.shape == (n,)
    assert set(np.unique(found)) == {-1, 0}  # the burden of every row straddles the limit
    assert n / seconds > 200_000, f"{n / seconds:.0f} verdicts a second"
