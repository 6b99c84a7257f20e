"""Three-valued logic over whole tables of facts; one row is only a short table.

An answer is an int8: -1 no, 0 unknown, +1 yes. Kleene's ``all`` is then the minimum, ``any``
the maximum, ``not`` the negative, and ``at least k`` the k-th largest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from burden.answer import Answer
from burden.assess.rulebook import Criterion, Group, Node
from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

Verdicts = NDArray[np.int8]
ANSWERS = {-1: Answer.NO, 0: Answer.UNKNOWN, 1: Answer.YES}


@dataclass(frozen=True, eq=False)
class Numbers:
    """What is known of one number in every row: bounds, both included; shape (rows,)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Options:
    """What is known of one choice in every row: bit i is set where option i is possible."""

    possible: NDArray[np.uint32]
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Table:
    """Fact sets, one a row. A fact without a column is unknown in every row."""

    rows: int
    columns: Mapping[str, Numbers | Options]


def table_of(facts: Facts) -> Table:
    """One row: what is certain of each fact."""
    return Table(1, {key: _one(fact) for key, fact in facts.items()})


def draws_of(facts: Facts) -> Table | None:
    """One row a draw; facts without draws keep their interval. None if no fact has draws.

    Raises
    ------
    ValueError
        The numbers of draws differ, so that draw k would not be one segmentation.
    """
    sizes = {len(f.draws) for f in facts.values() if f.draws is not None}
    if not sizes:
        return None
    if len(sizes) > 1:
        raise ValueError(f"draws are not joint: {sorted(sizes)} draws")
    columns = {k: _one(f) if f.draws is None else _column(k, f.draws) for k, f in facts.items()}
    return Table(sizes.pop(), columns)


def table_from(columns: Mapping[str, ArrayLike | tuple[ArrayLike, ArrayLike]]) -> Table:
    """A cohort: a column a fact, a row a patient.

    Parameters
    ----------
    columns
        Numbers (NaN: not known), a pair (low, high) of them, or options ("": not known).

    Raises
    ------
    ValueError
        No such fact (it would be unknown in every row), no option of it, numbers for a choice,
        bounds that cross, or columns of different length.
    """
    built: dict[str, Numbers | Options] = {}
    for key, given in columns.items():
        entry = vocabulary().find(key)
        if entry is None:
            raise ValueError(f"no such fact: {key}")
        if isinstance(given, tuple):
            low, high = (np.asarray(g, dtype=np.float64) for g in given)
            if (low > high).any():
                raise ValueError(f"{key}: low above high")
            built[key] = Numbers(
                np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
            )
        else:
            built[key] = _column(key, np.asarray(given))
        if entry.options and isinstance(built[key], Numbers):
            raise ValueError(f"{key}: a choice, in words: {', '.join(entry.options)}")
    sizes = {len(c.low if isinstance(c, Numbers) else c.possible) for c in built.values()}
    if len(sizes) != 1:
        raise ValueError(f"columns of different length: {sorted(sizes)}")
    return Table(sizes.pop(), built)


def evaluate(node: Node, table: Table, seen: dict[int, Verdicts] | None = None) -> Verdicts:
    """Answers of a node in every row.

    Parameters
    ----------
    seen
        Filled with the answers of the node and of all nodes below it, by ``id(node)``.

    Returns
    -------
    Shape (rows,): -1 no, 0 unknown, +1 yes.
    """
    if isinstance(node, Criterion):
        found = _compare(node, table)
    else:
        parts = [evaluate(inner, table, seen) for inner in node.nodes]
        found = _join(node, parts)
    if seen is not None:
        seen[id(node)] = found
    return found


def _join(group: Group, parts: list[Verdicts]) -> Verdicts:
    if group.join == "not":
        negated: Verdicts = np.negative(parts[0])
        return negated
    if group.join == "readings":
        return parts[group.decides]
    if group.join == "at_least":
        ranked: Verdicts = np.sort(np.stack(parts), axis=0)[-group.count]
        return ranked
    worst = group.join == "all"
    found = parts[0]
    for part in parts[1:]:
        found = np.minimum(found, part) if worst else np.maximum(found, part)
    return found


def _compare(leaf: Criterion, table: Table) -> Verdicts:
    column = table.columns.get(leaf.fact)
    if column is None:
        return np.zeros(table.rows, dtype=np.int8)
    if isinstance(column, Options):
        yes, no = _options(leaf, column)
    else:
        yes, no = _numbers(leaf, column)
    found = yes.astype(np.int8) - no.astype(np.int8)
    # a column of one row is the same for all draws
    return found if len(found) == table.rows else np.broadcast_to(found, (table.rows,))


def _options(leaf: Criterion, column: Options) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    assert isinstance(leaf.limit, frozenset)  # noqa: S101 - the loader has checked it
    bits = sum(1 << i for i, name in enumerate(column.names) if name in leaf.limit)
    wanted = np.uint32(bits)
    inside = (column.possible & ~wanted) == 0
    outside = (column.possible & wanted) == 0
    return (outside, inside) if leaf.op == "!=" else (inside, outside)


def _numbers(leaf: Criterion, column: Numbers) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    limit, low, high = leaf.limit, column.low, column.high
    assert not isinstance(limit, frozenset)  # noqa: S101 - the loader has checked it
    match leaf.op:
        case "<":
            return high < limit, low >= limit
        case "<=":
            return high <= limit, low > limit
        case ">":
            return low > limit, high <= limit
        case ">=":
            return low >= limit, high < limit
    same = (low == limit) & (high == limit)
    apart = (high < limit) | (low > limit)
    return (apart, same) if leaf.op == "!=" else (same, apart)


def _one(fact: Fact) -> Numbers | Options:
    value = fact.value
    if isinstance(value, Interval):
        return Numbers(np.array([value.low]), np.array([value.high]))
    names = _names(fact.id, value)
    bits = sum(1 << i for i, name in enumerate(names) if name in value.options)
    return Options(np.array([bits], dtype=np.uint32), names)


def _names(fact_id: str, value: Choice | None = None) -> tuple[str, ...]:
    entry = vocabulary().find(fact_id)
    if entry is not None and entry.options:
        return entry.options
    return tuple(sorted(value.options)) if value is not None else ()


def _column(fact_id: str, values: NDArray[np.generic]) -> Numbers | Options:
    if values.dtype.kind in "fiub":
        exact = values.astype(np.float64)
        unknown = np.isnan(exact)
        if not unknown.any():
            return Numbers(exact, exact)
        return Numbers(np.where(unknown, -np.inf, exact), np.where(unknown, np.inf, exact))
    names = _names(fact_id)
    possible = np.zeros(len(values), dtype=np.uint32)
    for i, name in enumerate(names):
        possible |= np.where(values == name, np.uint32(1 << i), np.uint32(0))
    possible[values == ""] = (1 << len(names)) - 1
    if (possible == 0).any():
        odd = sorted({str(v) for v in values[possible == 0]})
        raise ValueError(f"{fact_id}: not options of it: {odd[:3]}")
    return Options(possible, names)
