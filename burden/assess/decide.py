"""A rule book and the facts give an Assessment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from burden.answer import Answer
from burden.assess.derive import derive, disagreements
from burden.assess.describe import test_in_words
from burden.assess.explain import value_text
from burden.assess.logic import ANSWERS, Table, Verdicts, draws_of, evaluate, table_of
from burden.assess.missing import missing_facts
from burden.assess.propagate import DERIVED
from burden.assess.rulebook import Criterion, Group, Kind, Node, RuleBook, facts_in
from burden.assess.what_if import answer_with, what_if
from burden.case import Assessment, CriterionResult
from burden.facts import Fact, Facts, Interval
from burden.findings import Finding


@dataclass(frozen=True, eq=False)
class _Evaluated:
    """A book evaluated once for what is certain, and once for every draw."""

    root: Group  # keeps the identities alive that the two tables below are keyed by
    sure: dict[int, Verdicts]
    drawn: dict[int, Verdicts]

    def answer(self, node: Node) -> Answer:
        return ANSWERS[int(self.sure[id(node)][0])]

    def p_met(self, node: Node) -> float | None:
        """Share of the draws that say yes; None while a draw cannot be decided."""
        verdicts = self.drawn[id(node)]
        return None if (verdicts == 0).any() else float(np.mean(verdicts > 0))

    def bounds(self, node: Node) -> tuple[float, float]:
        """Least and largest share of yes, whatever the unknown facts turn out to be."""
        verdicts = self.drawn[id(node)]
        return float(np.mean(verdicts > 0)), float(np.mean(verdicts >= 0))


def assess(facts: Facts, books: Sequence[RuleBook]) -> tuple[Assessment, ...]:
    """Decide every book for one patient.

    Every book presupposes liver metastases. Where it is certain that there is no lesion, none
    of them has anything to say, and there are no assessments.

    Parameters
    ----------
    facts
        Measured and entered facts; what follows from them is derived here.
    """
    if without_lesions(facts):
        return ()
    known = derive(facts)
    odd = disagreements(facts)
    return tuple(decide(book, known, odd) for book in books)


def without_lesions(facts: Facts) -> bool:
    """Whether it is certain that the liver holds no lesion."""
    count = facts.get("lesion.count")
    return count is not None and isinstance(count.value, Interval) and count.value.high < 1


def decide(book: RuleBook, facts: Facts, disagree: Iterable[Finding] = ()) -> Assessment:
    """Decide one book from facts that are already complete with the derived ones.

    The answer is yes or no where the intervals of the facts leave no other; ``p_met`` is the
    share of the joint draws of the measured facts in which it is yes.
    """
    used = book.facts()
    run = _evaluate(book, Facts(facts[f] for f in used if f in facts))
    answer = run.answer(run.root)
    changes = what_if(book, facts, answer) if book.purpose == "eligibility" else ()
    return Assessment(
        book=book.id,
        title=book.title,
        answer=answer,
        criteria=tuple(_result(*row, facts, run) for row in book.rows()),
        p_met=run.p_met(run.root),
        missing=missing_facts(run.root, facts, run.sure),
        conflicts=(
            *_conflicts(book, run),
            *_grade_conflict(book, facts),
            *_grid_conflicts(book, run),
            *(f.text for f in disagree if set(f.invalidates) & set(used)),
        ),
        what_if=changes,
        modality=book.modality,
        note=" ".join(filter(None, (book.note, _bounds_note(run)))),
        purpose=book.purpose,
        short=book.short,
        version=book.version,
        status=book.status,
        inventory=book.inventory,
    )


def answers(book: RuleBook, table: Table) -> Verdicts:
    """Answers of a book for every row of a table: -1 no, 0 unknown, +1 yes; shape (rows,)."""
    return evaluate(book.root, table)


def _evaluate(book: RuleBook, facts: Facts) -> _Evaluated:
    root, sure, drawn = book.root, {}, {}  # type: Group, dict[int, Verdicts], dict[int, Verdicts]
    one = table_of(facts)
    many = draws_of(facts) or one
    for node in (root, *book.advisories):
        evaluate(node, one, sure)
        evaluate(node, many, drawn)
    return _Evaluated(root, sure, drawn)


def _result(kind: Kind, path: str, node: Node, facts: Facts, run: _Evaluated) -> CriterionResult:
    leaf = node if isinstance(node, Criterion) else None
    fact = facts.get(leaf.fact) if leaf else None
    answer = run.answer(node)
    return CriterionResult(
        id=path,
        text=node.text,
        answer=answer,
        cite=node.cite,
        facts=facts_in(node),
        kind=kind,
        p_met=run.p_met(node),
        margin=margin(leaf, fact, answer) if leaf and fact else None,
        unit=leaf.unit if leaf else "",
        value=value_text(fact) if leaf else "",
        test=test_in_words(node),
        note=node.note,
    )


def margin(leaf: Criterion, fact: Fact, answer: Answer) -> float | None:
    """How far the fact is from the limit, in its unit: positive on the met side.

    The best value counts; without one, the end of the interval that is nearest to the limit.
    """
    if not isinstance(fact.value, Interval) or isinstance(leaf.limit, frozenset):
        return None
    if leaf.op not in ("<", "<=", ">", ">="):
        return None
    below = leaf.op in ("<", "<=")
    if isinstance(fact.best, float | int):
        value = float(fact.best)
    elif answer is Answer.UNKNOWN:
        return None
    else:
        value = fact.value.high if below == (answer is Answer.YES) else fact.value.low
    gap = leaf.limit - value if below else value - leaf.limit
    return gap + 0.0  # no minus zero


def _conflicts(book: RuleBook, run: _Evaluated) -> Iterator[str]:
    for _, _, node in book.rows():
        if not isinstance(node, Group) or node.join != "readings":
            continue
        said_by = {run.answer(reading) for reading in node.nodes}
        if len(said_by) < 2:
            continue
        do = "differ" if {Answer.YES, Answer.NO} <= said_by else "may differ"
        said = "; ".join(f"{r.text} ({_sources(r)}): {run.answer(r)}" for r in node.nodes)
        yield (
            f"{node.text}: the published readings {do} here. {said}. "
            f"This book goes by: {node.nodes[node.decides].text}."
        )


def _grade_conflict(book: RuleBook, facts: Facts) -> Iterator[str]:
    """Where S1 (Ki-67 alone) and S2 (the higher of Ki-67 and mitoses) grade for different answers."""
    indices = [facts.get(i) for i in ("tumor.ki67", "tumor.mitoses")]
    known = all(f is not None and f.value.is_exact for f in indices)
    grade = facts.get("tumor.grade")
    if (
        not known
        or grade is None
        or not grade.source.startswith(DERIVED)
        or grade.id not in book.facts()
    ):
        return
    by = {key: facts[f"tumor.grade.{key.lower()}"] for key in ("S1", "S2")}
    said = {key: answer_with(book, facts, grade.id, fact.value) for key, fact in by.items()}
    if len(set(said.values())) < 2:
        return
    do = "differ" if {Answer.YES, Answer.NO} <= set(said.values()) else "may differ"
    told = "; ".join(f"{key} gives {value_text(by[key])}: {said[key]}" for key in by)
    yield f"Grade by Ki-67 and mitoses: the published readings {do} here. {told}. Both stay possible."


def _grid_conflicts(book: RuleBook, run: _Evaluated) -> Iterator[str]:
    """Scenarios of a grid that apply together, one grading a treatment for and one against it."""
    applies = [node for _, _, node in book.rows() if node.grades and run.answer(node) is Answer.YES]
    for treatment in dict.fromkeys(name for node in applies for name, _ in node.grades):
        graded = [(node, dict(node.grades).get(treatment, "")) for node in applies]
        against = [node for node, grade in graded if grade == "-"]
        if against and len(against) < len([grade for _, grade in graded if grade]):
            said = "; ".join(f"{node.text.split(':')[0]}: {grade}" for node, grade in graded if grade)
            yield f"{treatment}: scenarios that apply differ. {said} ({_sources(graded[0][0])})."


def _sources(node: Node) -> str:
    return ", ".join(f"{c.source} {c.where}" for c in node.cite)


def _bounds_note(run: _Evaluated) -> str:
    if run.p_met(run.root) is not None or len(run.drawn[id(run.root)]) < 2:
        return ""
    low, high = run.bounds(run.root)
    if (low, high) == (0.0, 1.0):
        return ""
    return f"Share of draws with yes: {low:.0%} to {high:.0%}, depending on what is not known."
