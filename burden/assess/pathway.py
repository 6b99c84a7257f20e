"""The options of one patient side by side, in the order in which the papers place them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from burden.answer import Answer
from burden.assess.evidence import published, published_key
from burden.assess.explain import decided_by
from burden.assess.rulebook import LOCAL
from burden.assess.what_if import COUNTS, NO_SINGLE
from burden.case import Assessment, CriterionResult
from burden.options import Option, Pathway, Question, State

# S1, Figure 2 and text: surgery, transplantation of selected patients, liver-directed
# treatment, to which S1 counts debulking as the alternative, then systemic treatment.
ORDER = ("resection", "transplantation", "debulking", "ablation", "embolization", "systemic")
PREFACE = (
    "Published criteria side by side, in the order of the papers (S1, Figure 2). "
    "No option is recommended, and none is ruled out by anything but the criteria named."
)

_STATES: dict[Answer, State] = {
    Answer.YES: "eligible",
    Answer.UNKNOWN: "needs data",
    Answer.NO: "ruled out",
}


def pathway(assessments: Sequence[Assessment], questions: Sequence[Question] = ()) -> Pathway:
    """The pathway view of the assessments of one patient (row H3); books that inform are no options.

    Parameters
    ----------
    questions
        From `worth_of_facts`: what to find out next.
    """
    options = [_option(a) for a in assessments if a.purpose == "eligibility"]
    options.sort(key=lambda o: ORDER.index(o.modality) if o.modality in ORDER else len(ORDER))
    notes = [note for a in assessments if a.purpose == "information" for note in _notes(a)]
    keys = dict.fromkeys(option.published for option in options if option.published)
    outcomes = {key: published(key) for key in keys}
    return Pathway(tuple(options), (PREFACE, *notes), tuple(questions), outcomes)


def _option(a: Assessment) -> Option:
    because = () if a.answer is Answer.YES else tuple(_reason(row) for row in decided_by(a))
    return Option(
        modality=a.modality,
        book=a.book,
        title=a.title,
        state=_STATES[a.answer],
        because=because,
        missing=a.missing if a.answer is Answer.UNKNOWN else (),
        p_met=a.p_met,
        conflicts=a.conflicts,
        what_if=tuple(s for s in a.what_if if not _says_no_more(s)),
        name=a.short or a.title,
        published=published_key(a.book.removesuffix(LOCAL), a.modality),
    )


def _reason(row: CriterionResult) -> str:
    """A row with which way it counts: a carcinoma rules out by being there."""
    return f"{COUNTS[row.kind, row.answer]}: {row.text}"


def _says_no_more(sentence: str) -> bool:
    """Whether a what-if sentence only repeats what is open or not known."""
    plainly = ("if known to be yes", "if known to be no")
    return sentence.startswith(NO_SINGLE) or any(words in sentence for words in plainly)


def _notes(a: Assessment) -> Iterator[str]:
    if a.modality == "safety" and a.answer is Answer.YES:
        yield f"{a.title}."
    if a.modality != "pathway":
        return
    rows = "; ".join(_reason(row) for row in decided_by(a) if a.answer is not Answer.YES)
    if a.answer is Answer.NO:
        yield f"The order is printed for other patients ({rows})."
    elif a.answer is Answer.UNKNOWN:
        yield f"Whether the order is meant for this patient is not known ({rows})."
    for row in a.criteria:
        if row.kind == "advisory" and row.answer is Answer.YES:
            yield f"{row.text}."
