"""The options of one patient side by side, in words: state, reason, what would change it, evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from burden.case import Assessment, Case
from burden.options import Option, Pathway, Published, Question
from burden.write.verdicts import Verdict
from burden.write.words import name_of

WORDS = {"yes": "Criteria met", "no": "Ruled out", "unknown": "Needs data"}
MOST_ASKED = 3  # questions on the first screen


@dataclass(frozen=True)
class Choice:
    """One option: its name, its state, and why."""

    name: str
    title: str
    answer: str
    word: str
    p: str
    why: str
    changes: tuple[str, ...]
    differ: bool
    anchor: str


@dataclass(frozen=True)
class Group:
    """The options of one kind of treatment, and what is published about them."""

    title: str
    choices: tuple[Choice, ...]
    published: tuple[tuple[str, str, tuple[str, ...]], ...]  # whose, anchor, sentences


@dataclass(frozen=True)
class Ask:
    """One fact worth finding out."""

    text: str
    effect: str
    where: str


@dataclass(frozen=True)
class Outcomes:
    """One table of published outcomes; ``rows`` are cells under ``heads``."""

    title: str
    anchor: str
    summary: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def anchor(book: str) -> str:
    """Where a book stands in the page."""
    return "book-" + book.replace(".", "-").replace("_", "-")


def groups(case: Case, verdicts: Sequence[Verdict]) -> list[Group]:
    """Options by treatment, in the order of the pathway."""
    told = {one.book: one for one in verdicts}
    found: dict[str, list[Option]] = {}
    for option in _options(case):
        found.setdefault(option.modality, []).append(option)
    return [
        Group(
            title=_capital(modality),
            choices=tuple(_choice(o, told[o.book]) for o in options if o.book in told),
            published=tuple(_published(case.pathway, options)),
        )
        for modality, options in found.items()
    ]


def questions(case: Case, most: int | None = None) -> list[Ask]:
    """What to find out next, most deciding first; only what bears on an option."""
    names = _names(case.assessments)
    options = {o.book for o in _options(case)}
    asked = [_ask(q, names, options) for q in case.pathway.questions]
    return [one for one in asked if one is not None][:most]


def outcomes(case: Case) -> list[Outcomes]:
    """Every table of published outcomes that an option points to."""
    shown = []
    for key, one in case.pathway.published.items():
        users = [o for o in case.pathway.options if o.published == key]
        shown.append(outcome_table(key, one, _users(users)))
    return shown


def informing(verdicts: Sequence[Verdict], assessments: Sequence[Assessment]) -> list[Verdict]:
    """Books that inform and whose content applies to this patient."""
    informs = [a for a in assessments if a.purpose == "information" and a.modality != "pathway"]
    ids = {a.book for a in informs}  # what the pathway book says stands above the options
    return [v for v in verdicts if v.book in ids and v.answer == "yes"]


def _options(case: Case) -> Sequence[Option]:
    """Those of the pathway; of an older case.json those of its books."""
    if case.pathway.options:
        return case.pathway.options
    states = {"yes": "eligible", "no": "ruled out", "unknown": "needs data"}
    return [
        Option(a.modality, a.book, a.title, states[a.answer.value], what_if=a.what_if, name=a.short)  # type: ignore[arg-type]
        for a in case.assessments
        if a.purpose == "eligibility"
    ]


def _choice(option: Option, told: Verdict) -> Choice:
    why = told.decided
    if told.answer == "unknown" and told.needed:
        why = f"needed: {told.needed}"
    return Choice(
        name=option.name or told.title,
        title=told.title,
        answer=told.answer,
        word=WORDS[told.answer],
        p=told.p,
        why=why,
        changes=option.what_if[:2],
        differ=bool(told.conflicts),
        anchor=anchor(option.book),
    )


def _published(pathway: Pathway, options: Sequence[Option]) -> list[tuple[str, str, tuple[str, ...]]]:
    keys = dict.fromkeys(o.published for o in options if o.published)
    several = len(keys) > 1
    return [
        (
            _users([o for o in options if o.published == key]) if several else "",
            _evidence_anchor(key),
            pathway.published[key].summary,
        )
        for key in keys
        if key in pathway.published and pathway.published[key].summary
    ]


def _users(options: Sequence[Option]) -> str:
    modalities = dict.fromkeys(o.modality for o in options)
    if len(options) > 1:
        return _capital(", ".join(modalities))
    return options[0].name if options else ""


def _evidence_anchor(key: str) -> str:
    return "published-" + key.replace(".", "-").replace("_", "-")


def _ask(question: Question, names: Mapping[str, str], options: set[str]) -> Ask | None:
    settles = [names[b] for b in question.decides if b in options and b in names]
    may = [names[b] for b in question.may_decide if b in options and b in names]
    bears = [names[b] for b in question.bears_on if b in options and b in names]
    if not settles and not may and not bears:
        return None
    parts = [
        f"{words} {', '.join(books)}"
        for words, books in (("settles", settles), ("may settle", may), ("bears on", bears))
        if books
    ]
    text = question.question or _capital(name_of(question.fact))
    return Ask(text, "; ".join(parts[:2]), "from imaging" if question.imaging else "not from imaging")


def _names(assessments: Sequence[Assessment]) -> dict[str, str]:
    return {a.book: a.short or a.title for a in assessments}


def outcome_table(key: str, one: Published, title: str) -> Outcomes:
    """Study arms as rows of cells, a column for every heading that one of them has."""
    heads = dict.fromkeys(head for arm in one.arms for head in arm.outcomes)
    heads = dict.fromkeys(h for h in _ORDER if h in heads) | heads
    noted = any(arm.note for arm in one.arms)
    rows = tuple(
        (
            arm.study or "review",
            arm.n,
            arm.treatment,
            *(arm.outcomes.get(head, "") for head in heads),
            f"{arm.source} {arm.where}",
            *((arm.note,) if noted else ()),
        )
        for arm in one.arms
    )
    columns = ("Study", "n", "Treatment", *map(_capital, heads), "Source")
    return Outcomes(
        title, _evidence_anchor(key), one.summary, columns + (("Note",) if noted else ()), rows
    )


_ORDER = (
    *("symptom response, %", "biochemical response, %", "complete or partial response, %"),
    *("stable disease, %", "progression, %", "PFS, months", "survival, months"),
    *("1-year survival, %", "3-year survival, %", "5-year survival, %"),
    *("1-year disease-free, %", "3-year disease-free, %", "5-year disease-free, %"),
    *("morbidity, %", "mortality, %"),
)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
