"""The options of one patient side by side, in the order in which the papers place them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from burden.answer import Answer
from burden.assess.explain import decided_by
from burden.case import Assessment

# S1, Figure 2 and text: surgery, transplantation of selected patients, liver-directed
# treatment, to which S1 counts debulking as the alternative, then systemic treatment.
ORDER = ("resection", "transplantation", "debulking", "ablation", "embolization", "systemic")
PREFACE = (
    "Published criteria side by side, in the order of the papers (S1, Figure 2). "
    "No option is recommended, and none is ruled out by anything but the criteria named."
)

State = Literal["eligible", "needs data", "ruled out"]
_STATES: dict[Answer, State] = {
    Answer.YES: "eligible",
    Answer.UNKNOWN: "needs data",
    Answer.NO: "ruled out",
}


@dataclass(frozen=True)
class Option:
    """One published set of criteria as a place on the pathway.

    Parameters
    ----------
    state
        ``eligible`` means that these criteria are met, no more.
    because
        Texts of the criteria that rule it out, or that are still open.
    missing
        Ids of facts that are not known and could change the state, most deciding first.
    conflicts
        Sentences: readings of the papers that give different answers here.
    """

    modality: str
    book: str
    title: str
    state: State
    because: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    p_met: float | None = None
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pathway:
    """All options in printed order, and what to know before reading them (row H3)."""

    options: tuple[Option, ...]
    notes: tuple[str, ...]


def pathway(assessments: Sequence[Assessment]) -> Pathway:
    """The pathway view of the assessments of one patient; books that inform are no options."""
    options = [_option(a) for a in assessments if a.purpose == "eligibility"]
    options.sort(key=lambda o: ORDER.index(o.modality) if o.modality in ORDER else len(ORDER))
    notes = [note for a in assessments if a.purpose == "information" for note in _notes(a)]
    return Pathway(tuple(options), (PREFACE, *notes))


def _option(a: Assessment) -> Option:
    because = () if a.answer is Answer.YES else tuple(row.text for row in decided_by(a))
    return Option(
        modality=a.modality,
        book=a.book,
        title=a.title,
        state=_STATES[a.answer],
        because=because,
        missing=a.missing if a.answer is Answer.UNKNOWN else (),
        p_met=a.p_met,
        conflicts=a.conflicts,
    )


def _notes(a: Assessment) -> Iterator[str]:
    if a.modality == "safety" and a.answer is Answer.YES:
        yield f"{a.title}."
    if a.modality != "pathway":
        return
    rows = "; ".join(row.text for row in decided_by(a))
    if a.answer is Answer.NO:
        yield f"The order is printed for other patients. Not met: {rows}."
    elif a.answer is Answer.UNKNOWN:
        yield f"Whether the order is meant for this patient is not known. Open: {rows}."
    for row in a.criteria:
        if row.kind == "advisory" and row.answer is Answer.YES:
            yield f"{row.text}."
