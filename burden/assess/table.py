"""A whole cohort at once: the facts that follow, and the verdicts, one row a patient or a draw.

Every row gets what `derive` and `assess` give it alone, in one pass over the columns.

>>> table = table_from({"tumor.burden": [20.0, 62.0, nan], "tumor.ki67": [1.0, 4.0, 30.0]})
>>> decide_table(table, load_books(["milan"]))["nelm.transplant.milan"]
array([ 0, -1, -1], dtype=int8)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.assess import grade
from burden.assess.derive import (
    bilobar,
    extensive,
    extrahepatic,
    mosteller,
    portal_drainage,
    share,
    share_of_all,
    vauthey,
)
from burden.assess.logic import Numbers, Options, Table, Verdicts, evaluate
from burden.assess.resection import ALL_OF_IT, PLANS
from burden.assess.rulebook import RuleBook
from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

Array = NDArray[np.float64]
Columns = Mapping[str, Numbers | Options]


def decide_table(table: Table, books: Sequence[RuleBook]) -> dict[str, Verdicts]:
    """Answers of books for every row of a table; what follows from its columns is derived here.

    The public way in for cohorts. A table of a million rows and one book take seconds.

    Parameters
    ----------
    table
        From `table_from`: ``{"tumor.burden": [20, nan], "tumor.grade": ["G1", ""]}``; numbers (NaN:
        not known) in the unit of the vocabulary, pairs ``(low, high)`` of them, or options
        ("": not known). A fact without a column is unknown in every row.
    books
        From `load_books`; a book with another limit (``dataclasses.replace``) does as well.

    Returns
    -------
    By id of the book, shape (rows,), int8: -1 no, 0 unknown, +1 yes. Row for row the answer of
    `assess`, which gives no verdict at all where there is certainly no lesion: see `with_lesions`.
    """
    known = derive_table(table)
    return {book.id: evaluate(book.root, known) for book in books}


def criteria_table(table: Table, book: RuleBook) -> dict[str, Verdicts]:
    """Answers of every named row of one book, by its dotted id; derived like `decide_table`.

    ``""`` is the book itself. A contraindication that is present is +1, as in `assess`.
    """
    known = derive_table(table)
    seen: dict[int, Verdicts] = {}
    root = book.root
    found = {"": evaluate(root, known, seen)}
    for node in book.advisories:
        evaluate(node, known, seen)
    return found | {path: seen[id(node)] for _, path, node in book.rows()}


def with_lesions(table: Table) -> NDArray[np.bool_]:
    """Rows about which the books have something to say: not those certainly without a lesion."""
    count = table.columns.get("lesion.count")
    if not isinstance(count, Numbers):
        return np.ones(table.rows, dtype=bool)
    return np.broadcast_to(count.high >= 1, (table.rows,))


def derive_table(table: Table) -> Table:
    """The table with everything that follows from its columns; what it says itself wins."""
    columns = {key: _whole(column, table.rows) for key, column in table.columns.items()}
    for rule in _RULES:
        for key, new in rule(columns):
            columns[key] = _merged(columns.get(key), new)
    return Table(table.rows, columns)


def _whole(column: Numbers | Options, rows: int) -> Numbers | Options:
    if isinstance(column, Numbers):
        return Numbers(np.broadcast_to(column.low, (rows,)), np.broadcast_to(column.high, (rows,)))
    return Options(np.broadcast_to(column.possible, (rows,)), column.names)


def _merged(given: Numbers | Options | None, new: Numbers | Options) -> Numbers | Options:
    """The derived value where it narrows the given one, as `derive` has it."""
    if isinstance(given, Numbers) and isinstance(new, Numbers):
        covers = (given.low <= new.low) & (new.high <= given.high)
        return Numbers(np.where(covers, new.low, given.low), np.where(covers, new.high, given.high))
    if isinstance(given, Options) and isinstance(new, Options):
        covers = (new.possible & ~given.possible) == 0
        return Options(np.where(covers, new.possible, given.possible), given.names)
    return new


@dataclass(frozen=True)
class _Formula:
    """A number from others, by the formula of `derive`: rising in ``up``, falling in ``down``."""

    new: str
    formula: Callable[..., Array]
    up: tuple[str, ...]
    down: tuple[str, ...] = ()

    def __call__(self, columns: Columns) -> Iterable[tuple[str, Numbers]]:
        up, down = ([columns.get(key) for key in keys] for keys in (self.up, self.down))
        given = [c for c in (*up, *down) if isinstance(c, Numbers)]
        if len(given) < len(self.up) + len(self.down):
            return
        ends = [(np.maximum(0.0, c.low), np.maximum(0.0, c.high)) for c in given]
        n = len(self.up)
        usable = np.all([np.isfinite(c.low) | np.isfinite(c.high) for c in given], axis=0)
        for c in given[n:]:
            usable &= c.low > 0  # nothing is divided by what may be nothing
        with np.errstate(divide="ignore", invalid="ignore"):
            low = self.formula(*(e[0] for e in ends[:n]), *(e[1] for e in ends[n:]))
            high = self.formula(*(e[1] for e in ends[:n]), *(e[0] for e in ends[n:]))
        yield (
            self.new,
            Numbers(
                np.where(usable & ~np.isnan(low), low, -np.inf),
                np.where(usable & ~np.isnan(high), high, np.inf),
            ),
        )


@dataclass(frozen=True)
class _Classed:
    """A choice from others: one rule of `derive`, run once for every kind of row there is.

    ``inputs`` names what the rule looks at, and the numbers at which it looks differently.
    """

    rule: Callable[[Facts], Iterable[Fact]]
    inputs: Mapping[str, tuple[float, ...]]

    def __call__(self, columns: Columns) -> Iterable[tuple[str, Options]]:
        given = {key: columns[key] for key in self.inputs if key in columns}
        if not given:
            return
        kinds = np.zeros(_rows(given), dtype=np.int64)
        for key, column in given.items():
            codes, count = _codes(column, self.inputs[key])
            kinds = kinds * count + codes
        _, first, kind = np.unique(kinds, return_index=True, return_inverse=True)
        told: dict[str, NDArray[np.uint32]] = {}
        for n, row in enumerate(first):
            facts = Facts(f for f in (_fact(key, c, int(row)) for key, c in given.items()) if f)
            for new in self.rule(facts):
                names = vocabulary()[new.id].options
                bits = told.setdefault(new.id, np.full(len(first), (1 << len(names)) - 1, np.uint32))
                assert isinstance(new.value, Choice)  # noqa: S101 - the vocabulary has it so
                bits[n] = sum(1 << i for i, name in enumerate(names) if name in new.value.options)
        for key, bits in told.items():
            yield key, Options(bits[kind], vocabulary()[key].options)


def _rows(columns: Columns) -> int:
    column = next(iter(columns.values()))
    return len(column.low if isinstance(column, Numbers) else column.possible)


def _codes(column: Numbers | Options, cuts: Sequence[float]) -> tuple[NDArray[np.int64], int]:
    """What a rule can tell of each row, as a number below the second one returned."""
    if isinstance(column, Options):
        return column.possible.astype(np.int64), 1 << len(column.names)
    wide = 2 * len(cuts) + 1
    low, high = (
        np.searchsorted(cuts, end, "left") + np.searchsorted(cuts, end, "right")
        for end in (column.low, column.high)
    )
    unknown = np.isinf(column.low) & np.isinf(column.high)
    return (low * wide + high) * 2 + unknown, 2 * wide * wide


def _fact(key: str, column: Numbers | Options, row: int) -> Fact | None:
    """A fact as one row has it; None where nothing is known."""
    entry = vocabulary()[key]
    value: Interval | Choice
    if isinstance(column, Numbers):
        value = Interval(float(column.low[row]), float(column.high[row]))
    else:
        bits = int(column.possible[row])
        value = Choice(frozenset(name for i, name in enumerate(column.names) if bits >> i & 1))
    return None if value == entry.everything else Fact(key, value, entry.unit, "table")


def _standardised(columns: Columns) -> Iterable[tuple[str, Numbers]]:
    for key in [k for k in columns if k.startswith("flr.") and k.endswith(".volume")]:
        new = key.removesuffix("volume") + "sflr"
        yield from _Formula(new, share, (key,), ("liver.estimated_volume",))(columns)


def _complete(columns: Columns) -> Iterable[tuple[str, Numbers]]:
    """As `resection.best_complete`: a plan without figures may be anything."""
    pairs = [(columns.get(f"debulk.{p}.percent"), columns.get(f"flr.{p}.percent")) for p in PLANS]
    given = [p for p in pairs if isinstance(p[0], Numbers) and isinstance(p[1], Numbers)]
    if not given:
        return
    rows = len(given[0][0].low)  # type: ignore[union-attr]
    low = np.zeros(rows)
    high = np.full(rows, 100.0 if len(given) < len(PLANS) else 0.0)
    some = np.zeros(rows, dtype=bool)
    for removed, left in given:
        assert isinstance(removed, Numbers)  # noqa: S101 - chosen so above
        assert isinstance(left, Numbers)  # noqa: S101 - chosen so above
        some |= ~_open(removed) & ~_open(left)
        low = np.where(removed.low >= ALL_OF_IT, np.maximum(low, left.low), low)
        high = np.where(removed.high >= ALL_OF_IT, np.maximum(high, np.minimum(left.high, 100.0)), high)
    yield (
        "resection.complete_flr",
        Numbers(np.where(some, low, -np.inf), np.where(some, np.maximum(low, high), np.inf)),
    )


def _open(column: Numbers) -> NDArray[np.bool_]:
    return np.isinf(column.low) & np.isinf(column.high)


_CUTS_KI67, _CUTS_MITOSES = (2.0, 3.0, 20.0), (2.0, 20.0)
_RULES: tuple[Callable[[Columns], Iterable[tuple[str, Numbers | Options]]], ...] = (
    _Formula("patient.bsa", mosteller, ("patient.height", "patient.weight")),
    _Formula("liver.estimated_volume", vauthey, ("patient.bsa",)),
    _standardised,
    _Formula("tumor.burden", share_of_all, ("tumor.volume",), ("liver.volume",)),
    _Classed(
        grade.grades,
        {"tumor.ki67": _CUTS_KI67, "tumor.mitoses": _CUTS_MITOSES, "tumor.differentiation": ()},
    ),
    _Classed(grade.differentiation, {"tumor.grade": ()}),
    _Classed(portal_drainage, {"primary.site": ()}),
    _Classed(
        bilobar,
        {"lesion.count_right": (1.0,), "lesion.count_left": (1.0,), "frilling.type": ()},
    ),
    _Classed(extensive, {"frilling.type": ()}),
    _Classed(
        extrahepatic,
        {
            "extrahepatic.excluded_cross_sectional": (),
            "extrahepatic.excluded_functional": (),
            "extrahepatic.present": (),
        },
    ),
    _complete,
)
