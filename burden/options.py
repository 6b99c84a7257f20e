"""Pathway, Option, Question, Published: the options of one patient, and what is printed about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

State = Literal["eligible", "needs data", "ruled out"]


@dataclass(frozen=True)
class Option:
    """One published set of criteria as a place on the pathway.

    Parameters
    ----------
    name
        Short name, as it stands on a label.
    state
        ``eligible`` means that these criteria are met, no more.
    because
        Texts of the criteria that rule it out, or that are still open.
    missing
        Ids of facts that are not known and could change the state, most deciding first.
    conflicts
        Sentences: readings of the papers that give different answers here.
    what_if
        Sentences: the smallest changes that would make it eligible, but for knowing a yes-or-no fact
        that ``missing`` names.
    published
        Key of `Pathway.published`; "" where the papers have no table of outcomes for it.
    """

    modality: str
    book: str
    title: str
    state: State
    because: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    p_met: float | None = None
    conflicts: tuple[str, ...] = ()
    what_if: tuple[str, ...] = ()
    name: str = ""
    published: str = ""


@dataclass(frozen=True)
class Question:
    """What knowing one fact would do to the books that are still open.

    Parameters
    ----------
    question
        How to ask for it.
    imaging
        Whether it is measured from the image rather than asked for.
    decides
        Books that every value of it decides.
    may_decide
        Books that some value of it decides.
    bears_on
        Books for which it matters, but not without another fact.
    """

    fact: str
    question: str
    imaging: bool
    decides: tuple[str, ...]
    may_decide: tuple[str, ...]
    bears_on: tuple[str, ...]


@dataclass(frozen=True)
class StudyArm:
    """One row of a printed table of outcomes; ``outcomes`` are its cells as printed, by heading."""

    source: str
    where: str
    study: str
    n: str
    treatment: str
    outcomes: Mapping[str, str]
    note: str = ""


@dataclass(frozen=True)
class Published:
    """What the tables of the papers report for one kind of treatment.

    Parameters
    ----------
    summary
        Sentences: from the least to the greatest figure printed, with how many arms print one.
    """

    summary: tuple[str, ...] = ()
    arms: tuple[StudyArm, ...] = ()


@dataclass(frozen=True)
class Pathway:
    """All options in printed order, what to know before reading them, and what to ask next.

    Parameters
    ----------
    questions
        Facts that are not known, those first that settle most.
    published
        Outcomes by `Option.published`.
    """

    options: tuple[Option, ...] = ()
    notes: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()
    published: Mapping[str, Published] = field(default_factory=dict)
