"""Short plain sentences about answers, values and probabilities."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from burden.answer import Answer
from burden.case import Assessment, CriterionResult
from burden.facts import Choice, Fact, Interval
from burden.vocabulary import vocabulary

_GREY = (0.05, 0.95)


def in_grey_zone(p_met: float | None) -> bool:
    """Whether measurement error alone could well turn the answer: 5 % < P < 95 %."""
    return p_met is not None and _GREY[0] < p_met < _GREY[1]


def decided_by(assessment: Assessment) -> tuple[CriterionResult, ...]:
    """The top rows that made the answer what it is.

    For no: criteria that are not met and contraindications that are present. For unknown: the
    ones still open. For yes: all criteria.
    """
    against = {"criterion": assessment.answer, "contraindication": ~assessment.answer}
    return tuple(
        c
        for c in assessment.criteria
        if "." not in c.id and c.kind != "advisory" and c.answer is against[c.kind]
    )


def explain(assessment: Assessment) -> tuple[str, ...]:
    """The assessment in a few sentences, most important first."""
    return tuple(_sentences(assessment))


def _sentences(a: Assessment) -> Iterator[str]:
    yield f"{a.title}: {_ANSWER[a.answer]}."
    rows = decided_by(a)
    if a.answer is Answer.NO:
        yield "Decided by: " + "; ".join(_row(c) for c in rows) + "."
    elif a.answer is Answer.UNKNOWN and rows:
        yield "Open: " + "; ".join(_row(c) for c in rows) + "."
    if in_grey_zone(a.p_met):
        yield f"Grey zone: yes in {a.p_met:.0%} of the repeated measurements."
    if a.missing:
        yield "Not known, most deciding first: " + ", ".join(fact_text(f) for f in a.missing) + "."
    applies = [c for c in a.criteria if c.kind == "advisory" and c.answer is Answer.YES]
    yield from (f"Note: {c.text}." for c in applies if "." not in c.id)
    yield from a.conflicts
    yield from a.what_if


_ANSWER = {
    Answer.YES: "yes",
    Answer.NO: "no",
    Answer.UNKNOWN: "cannot be decided yet",
}


def _row(c: CriterionResult) -> str:
    said = [c.value] if c.value else []
    if c.margin is not None and c.answer is not Answer.YES:
        side = "short of" if c.margin < 0 else "inside"
        said.append(f"{with_unit(float(f'{abs(c.margin):.2g}'), c.unit)} {side} the limit")
    # A criterion stands in the way by being missed, a contraindication by being there.
    there = {Answer.YES: "contraindication, ", Answer.UNKNOWN: "possible contraindication, "}
    kind = there.get(c.answer, "") if c.kind == "contraindication" else ""
    return f"{kind}{c.text} ({', '.join(said)})" if said else f"{kind}{c.text}"


def value_text(fact: Fact | None) -> str:
    """A fact's value for people: ``53.2 % (51 to 55.4)``, ``at least 1200 mL``, ``not known``."""
    if fact is None:
        return "not known"
    if isinstance(fact.value, Choice):
        return _choice_text(fact, fact.value)
    return _number_text(fact, fact.value)


def _choice_text(fact: Fact, value: Choice) -> str:
    entry = vocabulary().find(fact.id)
    options = entry.options if entry else ()
    if isinstance(fact.best, str) and not value.is_exact:
        return f"{fact.best} (or {' or '.join(sorted(value.options - {fact.best}))})"
    if value.is_exact or value.options != frozenset(options):
        return " or ".join(sorted(value.options))
    return "not known"


def with_unit(number: float, unit: str) -> str:
    """A number with its unit as people write it: ``6 months``, ``51.1 %``, ``3``."""
    if unit in ("", "1"):
        return f"{number:.4g}"
    plural = "s" if unit in ("year", "month") and number != 1 else ""
    return f"{number:.4g} {unit}{plural}"


def _number_text(fact: Fact, value: Interval) -> str:
    if value.is_unknown:
        return "not known"
    if value.is_exact and isinstance(fact.best, float | int):
        return with_unit(fact.best, fact.unit)
    low, high = _rough(value.low), _rough(value.high)
    if isinstance(fact.best, float | int):
        return f"{with_unit(_rough(fact.best), fact.unit)} ({low:.4g} to {high:.4g})"
    if math.isinf(value.high):
        return f"at least {with_unit(low, fact.unit)}"
    if math.isinf(value.low):
        return f"at most {with_unit(high, fact.unit)}"
    return f"{low:.4g} to {with_unit(high, fact.unit)}"


def _rough(number: float) -> float:
    """A number that is not known exactly, to one decimal, and below 1 to two digits."""
    return float(f"{number:.2g}") if abs(number) < 1 else round(number, 1)


def fact_text(fact_id: str) -> str:
    """What a fact is, in a few words."""
    entry = vocabulary().find(fact_id)
    return re.split(r":| \(|, %", entry.text)[0] if entry else fact_id
