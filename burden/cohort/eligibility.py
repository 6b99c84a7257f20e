"""How many patients a published rule lets in, as one of its limits moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.cohort.data import Array, Data
from burden.vocabulary import vocabulary

if TYPE_CHECKING:
    from burden.assess import Criterion, RuleBook, Table

Node = Any  # Criterion | Group of the rule books


@dataclass(frozen=True, eq=False)
class Moved:
    """One limit of one book, moved.

    Parameters
    ----------
    figures
        By name, a value a threshold: ``yes``, ``no``, ``unknown`` are shares of the patients;
        ``within_error`` counts the patients whose verdict hangs on measurement error alone: it is
        unknown with the bounds of the measured numbers, and decided by their best values.
    straddling
        Patients whose own bounds for the fact include both sides of the threshold.
    """

    book: str
    title: str
    criterion: str
    text: str
    fact: str
    op: str
    limit: float
    thresholds: Array
    figures: dict[str, Array]
    patients: int

    def at_limit(self) -> dict[str, float]:
        """The figures at the published limit."""
        at = int(np.argmin(np.abs(self.thresholds - self.limit)))
        return {name: float(column[at]) for name, column in self.figures.items()}

    def rows(self) -> list[dict[str, Any]]:
        """One row a threshold."""
        return [
            {"threshold": float(t), **{n: float(column[k]) for n, column in self.figures.items()}}
            for k, t in enumerate(self.thresholds)
        ]


def fact_tables(data: Data) -> tuple[Table, Table]:
    """Facts for the rules engine, with what follows from them: with their bounds, and best values alone.

    A choice of which several options are left counts as not known.
    """
    from burden.assess import derive_table, table_from

    bounded: dict[str, Any] = {}
    exact: dict[str, Any] = {}
    for name in data.columns:
        entry = vocabulary().find(name)
        if entry is None:
            continue
        if entry.options:
            bounded[name] = exact[name] = np.array(data.words(name, entry.options), dtype=np.str_)
        else:
            known = data.measured(name)
            bounded[name] = (known.low, known.high)
            have = ~np.isnan(known.best)
            exact[name] = (
                np.where(have, known.best, known.low), np.where(have, known.best, known.high)
            )  # fmt: skip
    return derive_table(table_from(bounded)), derive_table(table_from(exact))


def limits_in(books: Sequence[RuleBook], fact: str) -> list[tuple[RuleBook, str, Criterion]]:
    """Every comparison of the books with a number of this fact, and its dotted path."""
    from burden.assess import Criterion

    return [
        (book, path, node)
        for book in books
        for kind, path, node in book.rows()
        if kind != "advisory" and isinstance(node, Criterion)
        and node.fact == fact and not isinstance(node.limit, frozenset)
    ]  # fmt: skip


def move_limit(
    book: RuleBook, path: str, leaf: Criterion, thresholds: Array, bounded: Table, exact: Table
) -> Moved:
    """Decide the book for the whole cohort with the limit at every threshold."""
    from burden.assess import answers, with_lesions

    counted = with_lesions(bounded)
    patients = int(counted.sum())
    columns: dict[str, list[float]] = {
        n: [] for n in ("yes", "no", "unknown", "within_error", "straddling")
    }
    numbers: Any = bounded.columns[leaf.fact]
    for t in thresholds:
        moved = with_limit(book, leaf, float(t))
        said = answers(moved, bounded)[counted]
        best = answers(moved, exact)[counted]
        for name, answer in (("yes", 1), ("no", -1), ("unknown", 0)):
            columns[name].append(float(np.mean(said == answer)) if patients else np.nan)
        columns["within_error"].append(float(np.sum((said == 0) & (best != 0))))
        low, high = numbers.low[counted], numbers.high[counted]
        strict = leaf.op in ("<", ">=")
        across = (low < t) & (high >= t) if strict else (low <= t) & (high > t)
        columns["straddling"].append(float(np.sum(across & np.isfinite(low) & np.isfinite(high))))
    return Moved(
        book=book.id,
        title=book.title,
        criterion=path,
        text=leaf.text,
        fact=leaf.fact,
        op=leaf.op,
        limit=float(leaf.limit),  # type: ignore[arg-type]  # a number: see limits_in
        thresholds=thresholds,
        figures={name: np.array(column) for name, column in columns.items()},
        patients=patients,
    )


def with_limit(book: RuleBook, leaf: Criterion, limit: float) -> RuleBook:
    """The book with another limit in one place; everything else is the same."""
    from burden.assess import Criterion

    def moved(node: Node) -> Node:
        if node is leaf:
            return replace(node, limit=limit)
        if isinstance(node, Criterion):
            return node
        return replace(node, nodes=tuple(moved(inner) for inner in node.nodes))

    return replace(
        book,
        criteria=moved(book.criteria),
        contraindications=tuple(moved(node) for node in book.contraindications),
    )
