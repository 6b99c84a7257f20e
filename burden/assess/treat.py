"""What if lesions were treated, or a plan carried out: tried by deciding again before it is said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from burden.answer import Answer
from burden.assess.derive import derive
from burden.assess.explain import with_unit
from burden.assess.logic import ANSWERS, evaluate, table_of
from burden.assess.missing import with_fact
from burden.assess.rulebook import RuleBook
from burden.assess.what_if import NO_SINGLE
from burden.case import Assessment
from burden.facts import Choice, Fact, Facts, Interval
from burden.lesions import Lesion
from burden.vocabulary import vocabulary

MOST_TREATED = 5  # more lesions than this are no small change
_SOURCE = "what if"
# What treating a lesion changes in a way that the lesion table alone does not tell.
_REDRAWN = (
    "frilling.",
    "flr.",
    "debulk.",
    "segment.",
    "treated.",
    "tumor.burden_",
    "lesion.min_distance",
)
_LOOKS_AT_LESIONS = ("lesion.", "tumor.burden", "tumor.volume", "segments.", "liver_disease.bilobar")
_LOOKS_AT_PLANS = ("debulk.", "flr.best", "resection.complete_flr", "residual.ablatable")
Plan = Mapping[str, Any]


def with_treatment(
    assessments: Sequence[Assessment],
    facts: Facts,
    books: Sequence[RuleBook],
    lesions: Sequence[Lesion],
    plans: Sequence[Plan] = (),
) -> tuple[Assessment, ...]:
    """The assessments, each told which few lesions, or which plan, would turn it into yes.

    Parameters
    ----------
    lesions
        The lesion table, largest first.
    plans
        As in ``case.json``.
    """
    by_id = {book.id: book for book in books}
    found = []
    for one in assessments:
        book = by_id.get(one.book)
        if book is None or book.purpose != "eligibility" or one.answer is Answer.YES:
            found.append(one)
            continue
        new = (*_by_lesions(book, facts, lesions), *_by_plan(book, facts, plans))
        kept = tuple(s for s in one.what_if if not (new and s.startswith(NO_SINGLE)))
        found.append(replace(one, what_if=(*kept, *new)))
    return tuple(found)


def treated(facts: Facts, lesions: Sequence[Lesion], gone: Sequence[int]) -> Facts:
    """The facts when the lesions with these ids are gone, and the rest is as it is.

    Numbers are taken at their best value. What takes the image to tell (distribution type,
    remnants) is not known then; tumor that goes takes its volume out of the liver as well.
    """
    lost = [one for one in lesions if one.id in gone]
    rest = [one for one in lesions if one.id not in gone]
    ml = sum(one.volume_ml for one in lost)
    tumor, liver = (_less(facts, key, ml) for key in ("tumor.volume", "liver.volume"))
    new: dict[str, float | None] = {
        "tumor.volume": tumor,
        "liver.volume": liver,
        "tumor.burden": 100 * tumor / liver if tumor is not None and liver else None,
        "lesion.count": _less(facts, "lesion.count", len(lost)),
        "lesion.largest_diameter": max((one.recist_long_mm for one in rest), default=None),
        "segments.involved": _involved(rest),
    }
    for side in ("right", "left"):
        here = sum(one.lobe in (side, "both") for one in lost)
        new[f"lesion.count_{side}"] = _less(facts, f"lesion.count_{side}", here)
    changed = facts
    for key in facts:
        if key.startswith(_REDRAWN):
            changed = with_fact(changed, key, vocabulary()[key].everything, _SOURCE)
    for key, value in new.items():
        if key in facts:
            known = vocabulary()[key].everything if value is None else Interval.exactly(value)
            changed = with_fact(changed, key, known, _SOURCE)
    return derive(changed)


def planned(facts: Facts, plan: Plan) -> Facts:
    """The facts with one plan carried out, what it ablates or wedges counted as removed."""
    cleared, left = float(plan["debulked_percent"]), float(plan["flr_percent"])
    new: list[tuple[str, Interval | Choice]] = [
        ("debulk.best.percent", Interval.exactly(cleared)),
        ("debulk.with_ablation.percent", Interval.exactly(cleared)),
        ("flr.best.percent", Interval.exactly(left)),
    ]
    if plan["residual_lesions"] == 0:
        new.append(("resection.complete_flr", Interval.exactly(left)))
        if plan["ablated_lesions"]:
            new.append(("residual.ablatable", Choice.of("yes")))
    # set after deriving: these figures are the plan's, whatever the standard hepatectomies give
    known = derive(facts)
    for key, value in new:
        known = known | Facts([Fact(key, value, vocabulary()[key].unit, _SOURCE)])
    return known


def _by_lesions(book: RuleBook, facts: Facts, lesions: Sequence[Lesion]) -> Iterator[str]:
    if not any(key.startswith(_LOOKS_AT_LESIONS) for key in book.facts()):
        return
    best: tuple[int, ...] | None = None
    for gone in _candidates(lesions):
        if best is not None and len(gone) >= len(best):
            continue
        if _answer(book, treated(facts, lesions, gone)) is Answer.YES:
            best = gone
    if best is not None:
        yield _lesion_sentence(facts, lesions, best)


def _candidates(lesions: Sequence[Lesion]) -> Iterator[tuple[int, ...]]:
    """Few lesions whose going could matter: the largest, the longest, those outside two segments."""
    for ranked in (
        sorted(lesions, key=lambda one: -one.volume_ml),
        sorted(lesions, key=lambda one: -one.recist_long_mm),
    ):
        for n in range(1, min(MOST_TREATED, len(lesions) - 1) + 1):
            yield tuple(sorted(one.id for one in ranked[:n]))
    for first in range(1, 9):
        for second in range(first, 9):
            outside = [one.id for one in lesions if one.segments and set(one.segments) - {first, second}]
            if 0 < len(outside) <= min(MOST_TREATED, len(lesions) - 1):
                yield tuple(sorted(outside))


def _lesion_sentence(facts: Facts, lesions: Sequence[Lesion], gone: Sequence[int]) -> str:
    lost = [one for one in lesions if one.id in gone]
    names = ", ".join(str(one.id) for one in lost)
    sizes = ", ".join(f"{one.recist_long_mm:.0f}" for one in lost)
    left = treated(facts, lesions, gone)
    said = [f"{len(lesions) - len(lost)} left"]
    for key, words in (("lesion.largest_diameter", "the longest"), ("tumor.burden", "burden")):
        fact = left.get(key)
        if fact is not None and isinstance(fact.best, float | int):
            said.append(f"{words} {with_unit(float(fact.best), fact.unit)}")
    plural = "s" if len(lost) > 1 else ""
    return f"Lesion{plural} {names} ({sizes} mm) treated: would be met ({', '.join(said)})."


def _by_plan(book: RuleBook, facts: Facts, plans: Sequence[Plan]) -> Iterator[str]:
    if not any(key.startswith(_LOOKS_AT_PLANS) for key in book.facts()):
        return
    for plan in sorted(plans, key=lambda p: p.get("extent", 0)):
        if plan["flr_percent"] < plan["min_flr_percent"]:
            continue
        if _answer(book, planned(facts, plan)) is Answer.YES:
            done = "removed or ablated" if plan["ablated_lesions"] else "removed"
            p = plan.get("p_flr_enough")
            sure = "" if p is None else f", P {100 * p:.0f} %"
            caveat = f" But {plan['caveat']}." if plan.get("caveat") else ""
            yield (
                f"With the plan {plan['name']}: would be met ({plan['debulked_percent']:.4g} % of the "
                f"tumor {done}, {plan['flr_percent']:.3g} % of the liver left{sure}).{caveat}"
            )
            return


def _answer(book: RuleBook, known: Facts) -> Answer:
    return ANSWERS[int(evaluate(book.root, table_of(known))[0])]


def _less(facts: Facts, key: str, by: float) -> float | None:
    best = facts[key].best if key in facts else None
    return max(0.0, float(best) - by) if isinstance(best, float | int) else None


def _involved(lesions: Sequence[Lesion]) -> float | None:
    """Segments with a lesion in them; None where a lesion's segments are not known."""
    if any(not one.segments for one in lesions):
        return None
    return float(len({n for one in lesions for n, share in one.segments.items() if share > 0}))
