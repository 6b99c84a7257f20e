"""Case: everything said about one study, with the manifest that lets it be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from burden.answer import Answer
from burden.facts import Facts
from burden.findings import Finding
from burden.lesions import Lesion
from burden.options import Pathway

if TYPE_CHECKING:
    from burden.image import Labels, Volume

RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis or treatment decisions."


@dataclass(frozen=True)
class Citation:
    """Where a criterion is printed: a key of ``configs/references.yaml`` and the place."""

    source: str
    where: str


@dataclass(frozen=True)
class CriterionResult:
    """One criterion, decided.

    Parameters
    ----------
    kind
        ``criterion`` decides, ``contraindication`` vetoes, ``advisory`` only informs.
    p_met
        Fraction of draws in which it is met; None where no draws bear on it.
    test
        What is asked, in short: ``tumor.burden < 50 %``, ``all of 2``.
    margin
        How far the best value is on the met side (positive) or the unmet side (negative) of the
        limit, in ``unit``; None where it is not known or not a number.
    """

    id: str
    text: str
    answer: Answer
    cite: tuple[Citation, ...]
    facts: tuple[str, ...]
    kind: Literal["criterion", "contraindication", "advisory"] = "criterion"
    p_met: float | None = None
    margin: float | None = None
    unit: str = ""
    value: str = ""
    test: str = ""
    note: str = ""


@dataclass(frozen=True)
class Assessment:
    """One rule book, decided.

    Parameters
    ----------
    missing
        Ids of facts that are not known and could still change the answer.
    conflicts
        Sentences: readings of the sources that give different answers here.
    what_if
        Sentences: the smallest changes that would change the answer.
    short, version, status, inventory
        Of the book: name for a label, version, status, rows of the inventory of published systems.
    purpose
        That of the book: with ``information`` a yes means that what it describes applies, and
        makes nobody eligible.
    """

    book: str
    title: str
    answer: Answer
    criteria: tuple[CriterionResult, ...]
    p_met: float | None = None
    missing: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    what_if: tuple[str, ...] = ()
    modality: str = ""
    note: str = ""
    purpose: Literal["eligibility", "information"] = "eligibility"
    short: str = ""
    version: str = ""
    status: str = "released"
    inventory: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """What it takes to repeat a result; holds no patient identifier.

    Parameters
    ----------
    review
        Who corrected the masks of which earlier case, and how; empty for a case of `burden run`.
    """

    created: str
    version: str
    input: Mapping[str, Any]
    model: Mapping[str, Any]
    books: Mapping[str, str]
    packages: Mapping[str, str]
    settings: Mapping[str, Any]
    seconds: Mapping[str, float] = field(default_factory=dict)
    review: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Images:
    """The arrays behind a case, all on the grid of the input series."""

    volume: Volume
    liver: Labels
    lesions: Labels
    segments: Labels


@dataclass(frozen=True, eq=False)
class Case:
    """The record of one study. ``images`` is None for a case read back from its JSON."""

    case_id: str
    facts: Facts
    lesions: tuple[Lesion, ...]
    assessments: tuple[Assessment, ...]
    findings: tuple[Finding, ...]
    manifest: Manifest
    plans: tuple[Mapping[str, Any], ...] = ()
    planned: Mapping[str, Any] = field(default_factory=dict)
    pathway: Pathway = field(default_factory=Pathway)
    images: Images | None = None
