"""The smallest change of one fact that turns no or unknown into yes; tried before it is said."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from burden.answer import Answer
from burden.assess.derive import derive
from burden.assess.explain import fact_text, value_text, with_unit
from burden.assess.logic import ANSWERS, evaluate, table_of
from burden.assess.missing import around, limits_on, with_fact
from burden.assess.rulebook import Kind, RuleBook, facts_in
from burden.facts import Choice, Facts, Interval
from burden.vocabulary import vocabulary

_SOURCE = "what if"
NO_SINGLE = "No single change is enough"  # begins the sentence where nothing else can be said
COUNTS: dict[tuple[Kind, Answer], str] = {
    ("criterion", Answer.NO): "not met",
    ("criterion", Answer.UNKNOWN): "open",
    ("contraindication", Answer.YES): "present",
    ("contraindication", Answer.UNKNOWN): "may be present",
}
"""How a row stands in the way, said before its text: a contraindication does so by being there."""
GROWTH_PER_WEEK = 2.0
"""Points of remnant a week: the lower limit of kinetic growth of KGR (Shindoh 2013)."""
# Up to which Ki-67 index (%) a grade holds in one of the readings, and how to say so.
_KI67 = ((0.0, ""), (2.0, "at most 2 %"), (2.5, "below 3 %"), (3.0, ""), (20.0, "at most 20 %"))


@dataclass(frozen=True)
class Change:
    """One fact with the value that would turn the answer into yes."""

    fact: str
    value: Interval | Choice
    text: str


def what_if(book: RuleBook, facts: Facts, answer: Answer) -> tuple[str, ...]:
    """Sentences: single facts that would turn the answer into yes, or that none does."""
    if answer is Answer.YES:
        return ()
    changes = single_changes(book, facts)
    if changes:
        return tuple(change.text for change in changes)
    stand = _in_the_way(book, facts)
    if len(stand) < 2:
        return ()
    listed = "; ".join(stand[:4]) + ("; ..." if len(stand) > 4 else "")
    return (f"{NO_SINGLE}. {_capital(listed)}.",)


def single_changes(book: RuleBook, facts: Facts) -> tuple[Change, ...]:
    """For each fact the value nearest to the present one that makes the answer yes.

    What is known may change only for the better, as the vocabulary has it: nobody is to become
    younger, sicker or unresectable. Of what is not known yet every possible value is tried.
    """
    root = book.root
    found = []
    for fact_id in facts_in(root):
        for value in _candidates(book, facts, fact_id):
            if answer_with(book, facts, fact_id, value) is Answer.YES:
                found.append(Change(fact_id, value, _sentence(book, facts, fact_id, value)))
                break
    return (*found, *_by_ki67(book, facts))


def _by_ki67(book: RuleBook, facts: Facts) -> Iterator[Change]:
    """Where the grade is asked for, the Ki-67 index that would give a grade that does."""
    asked = facts_in(book.root)
    known = facts.get("tumor.ki67")
    if "tumor.grade" not in asked or "tumor.ki67" in asked:
        return
    if known is not None and (known.value.is_exact or known.draws is not None):
        return
    most: tuple[float, str] | None = None
    for point, words in _KI67:
        if answer_with(book, facts, "tumor.ki67", Interval.exactly(point)) is not Answer.YES:
            break
        most = (point, words) if words else most
    if most is None:
        return
    value = Interval(0.0, most[0])
    if answer_with(book, facts, "tumor.ki67", value) is Answer.YES:
        yield Change("tumor.ki67", value, f"Ki-67 index: would be met if known to be {most[1]}.")


def answer_with(book: RuleBook, facts: Facts, fact_id: str, value: Interval | Choice) -> Answer:
    """The answer of a book if one fact had another value, all else as it is."""
    changed = derive(with_fact(facts, fact_id, value, _SOURCE))
    return ANSWERS[int(evaluate(book.root, table_of(changed))[0])]


def _candidates(book: RuleBook, facts: Facts, fact_id: str) -> Iterator[Interval | Choice]:
    """Values of a fact that the book can tell apart: what it may be, then what it may become."""
    entry, known = vocabulary()[fact_id], facts.get(fact_id)
    value = known.value if known is not None else entry.everything
    if isinstance(value, Choice):
        left = [o for o in entry.options if o in value.options and not value.is_exact]
        become = [entry.better] if entry.better and entry.better not in value.options else []
        yield from (Choice.of(option) for option in (*left, *become))
        return
    now = known.best if known is not None and isinstance(known.best, float | int) else None
    if fact_id == "resection.complete_flr" and now == 0:
        return  # no plan removes everything: a larger remnant would not help
    low, high = entry.range or (-math.inf, math.inf)
    points = {p for limit in limits_on(book.root, fact_id) for p in around(limit, entry.unit)
              if low <= p <= high}  # fmt: skip
    for point in sorted(points, key=lambda p: abs(p - (now or 0.0))):
        if now is None:
            reachable = value.low <= point <= value.high
        else:
            reachable = entry.better == ("low" if point < now else "high")
        if reachable:
            yield Interval.exactly(point)


def _sentence(book: RuleBook, facts: Facts, fact_id: str, value: Interval | Choice) -> str:
    known = facts.get(fact_id)
    now = value_text(known)
    unknown = now == "not known"
    verb = "would be met if known to be" if unknown else "would be met"
    if isinstance(value, Choice):
        wanted = " or ".join(sorted(value.options))
        return (
            f"{_capital(fact_text(fact_id))}: {verb} {'' if unknown else 'with '}{wanted} (now {now})."
        )
    unit = vocabulary()[fact_id].unit
    shown, limit = _span(book, facts, fact_id, value.low)
    best = known.best if known is not None else None
    if isinstance(best, float | int) and best != limit and now.split(" (")[0] == with_unit(limit, unit):
        now = f"just {'below' if best < limit else 'above'}"  # rounding must not hide the difference
    by = "" if unknown or shown.startswith(("above", "below")) else "with "
    extra = _amount(facts, fact_id, limit)
    return f"{_capital(fact_text(fact_id))}: {verb} {by}{shown} (now {now}){extra}."


def _span(book: RuleBook, facts: Facts, fact_id: str, point: float) -> tuple[str, float]:
    """All values next to one another that do as well as ``point``, in words; and the end nearest to it.

    Between two limits the answer cannot change, so the points around the limits tell which values
    do. What no value of this fact can be bounds nothing.
    """
    entry, known = vocabulary()[fact_id], facts.get(fact_id)
    ends = [known.value] if known is not None and isinstance(known.value, Interval) else []
    ends += [Interval(*entry.range)] if entry.range else []
    if known is not None and known.best is not None:
        ends = ends[1:]  # what is known is to change: only what is possible at all counts
    limit_at = {p: x for x in limits_on(book.root, fact_id) for p in around(x, entry.unit)}
    points = sorted(p for p in limit_at if all(e.low <= p <= e.high for e in ends))
    does = [answer_with(book, facts, fact_id, Interval.exactly(p)) is Answer.YES for p in points]
    first = last = points.index(point)
    while first > 0 and does[first - 1]:
        first -= 1
    while last < len(points) - 1 and does[last + 1]:
        last += 1
    said: list[tuple[str, float]] = []
    if first > 0:
        said.append(_end(points[first], limit_at, entry.unit, "at least", "above"))
    if last < len(points) - 1:
        said.append(_end(points[last], limit_at, entry.unit, "at most", "below"))
    if len({number for _, number in said}) == 1 and len(said) == 2:
        said = [(with_unit(point, entry.unit), point)]
    if not said:
        return "anything possible", point
    return " and ".join(words for words, _ in said), min(
        (x for _, x in said), key=lambda x: abs(x - point)
    )


def _end(
    point: float, limit_at: Mapping[float, float], unit: str, on: str, beside: str
) -> tuple[str, float]:
    """``at most 2``, ``below 50 %``: an end of what would do, and the number in it."""
    exact = unit == "1" or point == limit_at[point]  # a count just below 3 is 2
    number = point if exact else limit_at[point]
    return f"{on if exact else beside} {with_unit(number, unit)}", number


def _amount(facts: Facts, fact_id: str, limit: float) -> str:
    """The change in a unit one can act on: mL of tumor or liver, months."""
    now = _best(facts, fact_id)
    if now is None:
        return ""
    if fact_id == "tumor.burden":
        tumor, liver = _best(facts, "tumor.volume"), _best(facts, "liver.volume")
        if tumor is None or liver is None or now <= limit:
            return ""
        # tumor that goes takes its volume out of the liver as well
        less = (tumor - limit / 100 * liver) / (1 - limit / 100)
        return f": about {less:.0f} mL less tumor" if less > 0 else ""
    if fact_id.startswith("flr.") and fact_id.endswith(".percent"):
        volume = _best(facts, fact_id.removesuffix("percent") + "volume")
        if volume is None or not 0 < now < limit:
            return ""
        return _growth(volume * (limit / now - 1), limit - now)
    if fact_id == "resection.complete_flr":
        tumor, liver = _best(facts, "tumor.volume"), _best(facts, "liver.volume")
        grow = None if tumor is None or liver is None else (limit - now) / 100 * (liver - tumor)
        return _growth(grow, limit - now) if now < limit else ""
    if vocabulary()[fact_id].unit == "month" and now < limit:
        return f": {with_unit(limit - now, 'month')} more"
    return ""


def _growth(ml: float | None, points: float) -> str:
    """How much a remnant must grow, and how long that takes at a stated rate."""
    more = "" if ml is None else f"about {ml:.0f} mL more remnant, "
    weeks = points / GROWTH_PER_WEEK
    return (
        f": {more}{weeks:.1f} weeks at a growth of {GROWTH_PER_WEEK:g} points a week (KGR, Shindoh 2013)"
    )


def _best(facts: Facts, fact_id: str) -> float | None:
    best = facts[fact_id].best if fact_id in facts else None
    return float(best) if isinstance(best, float | int) else None


def _in_the_way(book: RuleBook, facts: Facts) -> list[str]:
    table = table_of(facts)
    stand = []
    for kind, node in book.sections():
        answer = int(evaluate(node, table)[0])
        if (kind == "criterion" and answer < 1) or (kind == "contraindication" and answer > -1):
            stand.append(f"{COUNTS[kind, ANSWERS[answer]]}: {node.text}")
    return stand


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
