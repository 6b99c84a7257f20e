"""Which unknown facts could still change an answer, the most deciding first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from burden.assess.logic import Numbers, Options, Table, Verdicts, evaluate, table_of
from burden.assess.rulebook import Criterion, Node, facts_in, leaves
from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

STEP = 1e-6  # "just below" a limit, as a share of it


def missing_facts(root: Node, facts: Facts, seen: dict[int, Verdicts]) -> tuple[str, ...]:
    """Unknown facts below ``root`` that could still change its answer.

    A fact counts while every node above it is undecided. First come facts of which every
    value decides, then those of which some value decides alone, then by how many open
    criteria they bear on.

    Parameters
    ----------
    seen
        Answers by ``id(node)``, as `evaluate` fills it in for one row.
    """
    open_leaves = list(_open(root, seen))
    wanted = [f for f in dict.fromkeys(leaf.fact for leaf in open_leaves) if _is_missing(f, facts)]

    def rank(fact_id: str) -> tuple[bool, bool, int]:
        decided = outcomes(root, facts, fact_id) != 0
        bears_on = sum(leaf.fact == fact_id for leaf in open_leaves)
        return not decided.all(), not decided.any(), -bears_on

    return tuple(sorted(wanted, key=rank))  # stable: reading order among equals


def outcomes(root: Node, facts: Facts, fact_id: str) -> Verdicts:
    """Answers for each value of one fact that the node can tell apart, other facts as they are."""
    table = table_of(Facts(facts[f] for f in facts_in(root) if f in facts))
    column = _every_value(fact_id, facts.get(fact_id), limits_on(root, fact_id))
    rows = len(column.low if isinstance(column, Numbers) else column.possible)
    return evaluate(root, Table(rows, dict(table.columns) | {fact_id: column}))


def values_of(root: Node, fact_id: str) -> Table:
    """Every value of one fact that the node can tell apart, one a row; nothing else is known."""
    column = _every_value(fact_id, None, limits_on(root, fact_id))
    rows = len(column.low if isinstance(column, Numbers) else column.possible)
    return Table(rows, {fact_id: column})


def limits_on(root: Node, fact_id: str) -> tuple[float, ...]:
    """The numbers a fact is compared with."""
    found = {
        leaf.limit
        for leaf in leaves(root)
        if leaf.fact == fact_id and not isinstance(leaf.limit, frozenset)
    }
    return tuple(sorted(found))


def around(limit: float, unit: str) -> tuple[float, float, float]:
    """Just below a limit, on it, and just above it; whole numbers for counts."""
    step = 1.0 if unit == "1" else STEP * max(1.0, abs(limit))
    return limit - step, limit, limit + step


def _every_value(fact_id: str, fact: Fact | None, limits: Sequence[float]) -> Numbers | Options:
    entry = vocabulary()[fact_id]
    value = fact.value if fact is not None else entry.everything
    if isinstance(value, Choice):
        possible = [1 << i for i, name in enumerate(entry.options) if name in value.options]
        return Options(np.array(possible, dtype=np.uint32), entry.options)
    points = {p for limit in limits for p in around(limit, entry.unit) if value.low <= p <= value.high}
    inside = np.array(sorted(points) or [max(value.low, min(value.high, 0.0))])
    return Numbers(inside, inside)


def _open(node: Node, seen: dict[int, Verdicts]) -> Iterator[Criterion]:
    if seen[id(node)][0] != 0:
        return
    if isinstance(node, Criterion):
        yield node
    elif node.join == "readings":
        yield from _open(node.nodes[node.decides], seen)
    else:
        for inner in node.nodes:
            yield from _open(inner, seen)


def _is_missing(fact_id: str, facts: Facts) -> bool:
    """Whether asking could help; what was measured with an error is uncertain, not missing."""
    fact = facts.get(fact_id)
    if fact is None:
        return True
    if fact.draws is not None or fact.value.is_exact:
        return False
    if isinstance(fact.value, Interval) and fact.source.startswith("measured"):
        return math.isinf(fact.value.low) or math.isinf(fact.value.high)
    return True


def with_fact(facts: Facts, fact_id: str, value: Interval | Choice, source: str) -> Facts:
    """The facts with one of them known to be ``value``."""
    unit = vocabulary()[fact_id].unit
    known = facts.get(fact_id)
    new = replace(known, value=value, draws=None, estimate=None, source=source, note="", valid=True) \
        if known else Fact(fact_id, value, unit, source)  # fmt: skip
    return facts | Facts([new])
