"""What the rule books say, in words: answer, what decided it, what is missing, who wrote it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burden.answer import Answer
from burden.case import Assessment, CriterionResult
from burden.facts import Choice, Facts
from burden.resources import shipped
from burden.vocabulary import vocabulary
from burden.write.words import amount, name_of, number, percent, said

MOST_NAMED = 3  # more names than this in one cell are summed up
WORDS = {
    Answer.YES: ("Yes", "criteria met"),
    Answer.NO: ("No", "criteria not met"),
    Answer.UNKNOWN: ("Unknown", "cannot be decided yet"),
}
INFORMS = {Answer.YES: "applies", Answer.NO: "does not apply"}  # and makes nobody eligible
_REFERENCE_FIELDS = ("authors", "text", "title", "journal", "year", "volume", "pages", "doi")


@dataclass(frozen=True)
class Line:
    """One criterion of a book, in words; ``depth`` 0 is a criterion of the book itself."""

    depth: int
    answer: str
    word: str
    text: str
    kind: str
    value: str
    margin: str
    p: str
    cite: str
    test: str = ""
    note: str = ""


@dataclass(frozen=True)
class Verdict:
    """One rule book, in words; ``lines`` are what decided, ``tree`` is every criterion."""

    book: str
    title: str
    scope: str
    cite: str
    answer: str
    word: str
    meaning: str
    p: str
    decided: str
    missing: tuple[str, ...]
    needed: str
    lines: tuple[Line, ...]
    conflicts: tuple[str, ...]
    what_if: tuple[str, ...]
    modality: str
    note: str
    name: str = ""
    about: str = ""
    tree: tuple[Line, ...] = ()


def verdict(one: Assessment, facts: Facts) -> Verdict:
    """An assessment as the report shows it."""
    shared = _shared_cite(one)
    shown = _shown(one.criteria)
    missing = tuple(_ask(fact_id) for fact_id in one.missing)
    title, scope = _split(one.title)
    word, meaning = WORDS[one.answer]
    if one.purpose == "information":
        meaning = INFORMS.get(one.answer, meaning)
    return Verdict(
        book=one.book,
        title=title,
        scope=scope,
        answer=one.answer.value,
        word=word,
        meaning=meaning,
        p="" if one.p_met is None else percent(one.p_met),
        decided=_decided(one, shown),
        missing=missing,
        needed=_few(missing),
        cite=shared,
        lines=tuple(_line(row, _depth(row.id, shown), facts, shared) for row in shown.values()),
        conflicts=one.conflicts,
        # Where no single change is enough the open criteria above say the same.
        what_if=tuple(s for s in one.what_if if not s.startswith("No single change")),
        modality=one.modality,
        note=one.note,
        name=one.short or title,
        about=_about(one),
        tree=_tree(one, facts),
    )


def _about(one: Assessment) -> str:
    """Id, version, status and inventory rows of the book."""
    rows = f"inventory {', '.join(one.inventory)}" if one.inventory else ""
    version = f"version {one.version}" if one.version else ""
    return " · ".join(part for part in (one.book, version, one.status, rows) if part)


def _tree(one: Assessment, facts: Facts) -> tuple[Line, ...]:
    """Every criterion of the book, each with its own source."""
    every = {row.id: row for row in one.criteria}
    return tuple(_line(row, _depth(row.id, every), facts, "") for row in one.criteria)


def by_modality(verdicts: Sequence[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """Verdicts grouped by treatment, in the order in which treatments first appear."""
    groups: dict[str, list[Verdict]] = {}
    for one in verdicts:
        groups.setdefault(one.modality, []).append(one)
    return list(groups.items())


def references(assessments: tuple[Assessment, ...]) -> list[tuple[str, str]]:
    """Every source cited, by key, in full."""
    keys = sorted({c.source for one in assessments for row in one.criteria for c in row.cite})
    table = _reference_table()
    return [(key, _reference(table.get(key))) for key in keys]


def _split(title: str) -> tuple[str, str]:
    """A book's name, and what narrows it: ``(yes = ...)`` or the disease."""
    if found := re.fullmatch(r"(.*?), (neuroendocrine .*)", title):
        return found[1], found[2]
    if found := re.fullmatch(r"(.*?) \((.*)\)", title):
        return found[1], found[2]
    return title, ""


def _few(items: Sequence[str]) -> str:
    """The first items, and how many more there are."""
    more = len(items) - MOST_NAMED
    return "; ".join(items[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _decided(one: Assessment, shown: Mapping[str, CriterionResult]) -> str:
    """The criteria that made the answer what it is."""
    rules = [row for row in shown.values() if row.kind != "advisory" and not _depth(row.id, shown)]
    met = [_name(row) for row in rules if _status(row) is Answer.YES]
    count = f"{len(met)} of {len(rules)} met"
    against = [_name(row) for row in rules if _status(row) is Answer.NO]
    open_ = [_name(row) for row in rules if _status(row) is Answer.UNKNOWN]
    if one.answer is Answer.NO and against:
        return _few(against)
    if one.answer is Answer.UNKNOWN and open_:
        if len(open_) <= 2:
            return f"{count}; open: {'; '.join(open_)}"
        return f"{count}, {len(open_)} open"
    if one.answer is Answer.YES and len(met) < len(rules):
        return f"{count}: {_few(met)}"
    return count


def _name(row: CriterionResult) -> str:
    """A criterion in the summary, with the word that says which way it counts."""
    if row.kind == "contraindication":
        return f"{row.text} (present)" if row.answer is Answer.YES else row.text
    return f"{row.text} (not met)" if row.answer is Answer.NO else row.text


def _status(row: CriterionResult) -> Answer:
    """How a row bears on the verdict: a contraindication that is present counts against it."""
    return ~row.answer if row.kind == "contraindication" else row.answer


def _shown(criteria: tuple[CriterionResult, ...]) -> dict[str, CriterionResult]:
    """Criteria worth a line: the book's own, and of their parts those that decided them.

    A part with a margin is always shown: it is a measurement held against a limit. The whole
    tree is in case.json.
    """
    shown: dict[str, CriterionResult] = {}
    ids = {row.id for row in criteria}
    for row in criteria:
        parent = row.id.rpartition(".")[0]
        if parent not in ids:
            shown[row.id] = row
        elif (whole := shown.get(parent)) is None or whole.kind == "advisory":
            continue
        elif row.answer is whole.answer or row.margin is not None:
            shown[row.id] = row
    return shown


def _depth(row_id: str, shown: Mapping[str, CriterionResult]) -> int:
    """How many criteria this one is part of: ``grade.low`` is part of ``grade``."""
    parts = row_id.split(".")
    return sum(".".join(parts[:n]) in shown for n in range(1, len(parts)))


def _cite(row: CriterionResult) -> str:
    return ", ".join(dict.fromkeys(f"{c.source} {c.where}".strip() for c in row.cite))


def _shared_cite(one: Assessment) -> str:
    """The source most criteria of the book come from, to be named once."""
    cites = [text for row in one.criteria if (text := _cite(row))]
    return max(cites, key=cites.count) if cites else ""


def _value(row: CriterionResult, facts: Facts) -> str:
    """The value decided on, in the digits used elsewhere on the page."""
    fact = facts.get(row.facts[0]) if len(row.facts) == 1 else None
    if fact is None or isinstance(fact.value, Choice):
        return row.value
    told = said(facts, fact.id, natural=(0.0, 100.0) if fact.unit == "%" else (0.0, math.inf))
    return f"{told.text} ({told.range})" if told.range else told.text


def _line(row: CriterionResult, depth: int, facts: Facts, shared: str) -> Line:
    words = {Answer.YES: "met", Answer.NO: "not met", Answer.UNKNOWN: "unknown"}
    if row.kind == "contraindication":
        words = {Answer.YES: "present", Answer.NO: "absent", Answer.UNKNOWN: "unknown"}
    if row.kind == "advisory":
        words = {Answer.YES: "applies", Answer.NO: "does not apply", Answer.UNKNOWN: "unknown"}
    return Line(
        depth=depth,
        # An advisory decides nothing: where it does not apply it gets no cross.
        answer="none" if row.kind == "advisory" and row.answer is Answer.NO else _status(row).value,
        word=words[row.answer],
        text=row.text,
        kind="" if row.kind == "criterion" else row.kind,
        value=_value(row, facts),
        margin=_margin(row),
        # A certain answer needs no probability beside it.
        p=percent(row.p_met) if row.p_met is not None and 0 < row.p_met < 1 else "",
        cite="" if _cite(row) == shared else _cite(row),
        test=row.test,
        note=row.note,
    )


def _margin(row: CriterionResult) -> str:
    if row.margin is None:
        return ""
    size = abs(row.margin)
    words = f"{number(size, '%')} points" if row.unit == "%" else amount(size, row.unit)
    if size == 0:
        return "on the limit"
    return f"{words} {'inside' if row.margin > 0 else 'outside'}"


def _ask(fact_id: str) -> str:
    entry = vocabulary().find(fact_id)
    return name_of(fact_id) if entry is None or "<" in entry.id else entry.text


def _reference_table() -> Mapping[str, Any]:
    import yaml

    path = shipped("configs", "references.yaml")
    table = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
    return table if isinstance(table, dict) else {}


def _reference(entry: Any) -> str:
    if isinstance(entry, Mapping):
        parts = [str(entry[field]) for field in _REFERENCE_FIELDS if entry.get(field)]
        return ". ".join(part.rstrip(".") for part in parts) + "."
    return str(entry) if entry else "source not listed in configs/references.yaml"
