"""What the rule books say, in words: answer, what decided it, what is missing, who wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from burden.answer import Answer
from burden.case import Assessment, CriterionResult
from burden.resources import shipped
from burden.vocabulary import vocabulary
from burden.write.words import amount, name_of, number, percent

WORDS = {
    Answer.YES: ("Yes", "criteria met"),
    Answer.NO: ("No", "criteria not met"),
    Answer.UNKNOWN: ("Unknown", "cannot be decided yet"),
}
_REFERENCE_FIELDS = ("authors", "text", "title", "journal", "year", "volume", "pages", "doi")


@dataclass(frozen=True)
class Line:
    """One criterion of a book, in words."""

    answer: str
    word: str
    text: str
    kind: str
    value: str
    margin: str
    p: str
    cite: str


@dataclass(frozen=True)
class Verdict:
    """One rule book, in words."""

    book: str
    title: str
    answer: str
    word: str
    meaning: str
    p: str
    decided: str
    missing: tuple[str, ...]
    lines: tuple[Line, ...]
    conflicts: tuple[str, ...]
    what_if: tuple[str, ...]
    modality: str
    note: str


def verdict(one: Assessment) -> Verdict:
    """An assessment as the report shows it."""
    word, meaning = WORDS[one.answer]
    return Verdict(
        book=one.book,
        title=one.title,
        answer=one.answer.value,
        word=word,
        meaning=meaning,
        p="" if one.p_met is None else percent(one.p_met),
        decided=_decided(one),
        missing=tuple(_ask(fact_id) for fact_id in one.missing),
        lines=tuple(_line(row) for row in one.criteria),
        conflicts=one.conflicts,
        what_if=one.what_if,
        modality=one.modality,
        note=one.note,
    )


def references(assessments: tuple[Assessment, ...]) -> list[tuple[str, str]]:
    """Every source cited, by key, in full."""
    keys = sorted({c.source for one in assessments for row in one.criteria for c in row.cite})
    table = _reference_table()
    return [(key, _reference(table.get(key))) for key in keys]


def _decided(one: Assessment) -> str:
    """The criteria that made the answer what it is."""
    rules = [row for row in one.criteria if row.kind != "advisory"]
    against = [row.text for row in rules if _status(row) is Answer.NO]
    open_ = [row.text for row in rules if _status(row) is Answer.UNKNOWN]
    if one.answer is Answer.NO and against:
        return "Not met: " + "; ".join(against)
    if one.answer is Answer.UNKNOWN and open_:
        return "Open: " + "; ".join(open_)
    if one.answer is Answer.YES:
        return "Every criterion needed is met"
    return ""


def _status(row: CriterionResult) -> Answer:
    """How a row bears on the verdict: a contraindication that is present counts against it."""
    return ~row.answer if row.kind == "contraindication" else row.answer


def _line(row: CriterionResult) -> Line:
    words = {Answer.YES: "met", Answer.NO: "not met", Answer.UNKNOWN: "unknown"}
    if row.kind == "contraindication":
        words = {Answer.YES: "present", Answer.NO: "absent", Answer.UNKNOWN: "unknown"}
    return Line(
        answer=_status(row).value,
        word=words[row.answer],
        text=row.text,
        kind="" if row.kind == "criterion" else row.kind,
        value=row.value or "not known",
        margin=_margin(row),
        p="" if row.p_met is None else percent(row.p_met),
        cite=", ".join(dict.fromkeys(f"{c.source} {c.where}".strip() for c in row.cite)),
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
