"""Facts that follow from other facts, with their intervals and draws.

What was entered or measured wins over what is derived; where the two cannot both be true,
`disagreements` says so. Deriving twice changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from burden.assess import grade, resection
from burden.assess.explain import fact_text, value_text
from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.vocabulary import YES_NO, vocabulary

DERIVED = "derived: "
Array = NDArray[np.float64]

_PORTAL = frozenset({"small_bowel", "pancreas", "duodenum", "appendix", "colon"})
_NOT_PORTAL = frozenset({"rectum", "lung"})


def derive(facts: Facts) -> Facts:
    """The facts with everything that follows from them."""
    known, _ = _run(facts)
    return known


def disagreements(facts: Facts) -> tuple[Finding, ...]:
    """Entered or measured facts that contradict what follows from the others."""
    _, odd = _run(facts)
    return tuple(odd)


def _run(facts: Facts) -> tuple[Facts, list[Finding]]:
    known = Facts(f for f in facts.values() if not f.source.startswith(DERIVED))
    odd: list[Finding] = []
    for rule in _RULES:
        for new in rule(known):
            given = known.get(new.id)
            if given is None or _adds_to(given, new):
                known = known | Facts([new])
            elif _apart(given.value, new.value):
                odd.append(_contradiction(given, new))
    return known, odd


def _adds_to(given: Fact, new: Fact) -> bool:
    """Whether the derived value only narrows an entered one; measurements stay as they are."""
    one, other = given.value, new.value
    if not given.valid or given.source.startswith("measured") or given.draws is not None:
        return False
    if one == other:
        return False
    if isinstance(one, Choice) and isinstance(other, Choice):
        return one.covers(other)
    return isinstance(one, Interval) and isinstance(other, Interval) and one.covers(other)


def _apart(one: Interval | Choice, other: Interval | Choice) -> bool:
    if isinstance(one, Choice) and isinstance(other, Choice):
        return not one.options & other.options
    if isinstance(one, Interval) and isinstance(other, Interval):
        return one.high < other.low or other.high < one.low
    return False


def _contradiction(given: Fact, new: Fact) -> Finding:
    return Finding(
        "facts-disagree",
        "warning",
        f"{fact_text(given.id).capitalize()}: {value_text(given)} ({given.source}) disagrees with "
        f"{value_text(new)} ({new.source}); the former was used.",
        (given.id,),
    )


def combined(
    fact_id: str,
    formula: Callable[..., Array],
    rising: Iterable[Fact],
    falling: Iterable[Fact] = (),
    *,
    source: str,
) -> tuple[Fact, ...]:
    """A number computed from others by a formula that rises with some and falls with others.

    Parameters
    ----------
    formula
        Takes the rising inputs, then the falling ones.

    Returns
    -------
    One fact, with draws where every input is exact or has draws; none if nothing is known.
    """
    up, down = tuple(rising), tuple(falling)
    inputs = (*up, *down)
    if any(isinstance(f.value, Interval) and f.value.is_unknown for f in inputs):
        return ()
    low = formula(*(_end(f, "low") for f in up), *(_end(f, "high") for f in down))
    high = formula(*(_end(f, "high") for f in up), *(_end(f, "low") for f in down))
    best = [f.best for f in inputs]
    known = all(isinstance(b, float | int) for b in best)
    # infinity over infinity leaves the bound open
    lower = -math.inf if np.isnan(low) else float(low)
    upper = math.inf if np.isnan(high) else float(high)
    unit = vocabulary()[fact_id].unit
    return (
        Fact(
            fact_id,
            Interval(lower, upper),
            unit,
            DERIVED + source,
            draws=_joint(formula, inputs),
            estimate=float(formula(*(np.float64(b) for b in best if b is not None))) if known else None,
        ),
    )


def _end(fact: Fact, end: str) -> np.float64:
    return np.float64(getattr(fact.value, end))


def _joint(formula: Callable[..., Array], inputs: tuple[Fact, ...]) -> Array | None:
    if all(f.draws is None for f in inputs):
        return None
    if any(f.draws is None and not f.value.is_exact for f in inputs):
        return None
    return formula(*(_end(f, "low") if f.draws is None else f.draws.astype(float) for f in inputs))


def _numbers(facts: Facts, *ids: str) -> tuple[Fact, ...] | None:
    found = tuple(facts[i] for i in ids if i in facts and isinstance(facts[i].value, Interval))
    return found if len(found) == len(ids) else None


def _body_surface(facts: Facts) -> tuple[Fact, ...]:
    """Mosteller: square root of height (cm) x weight (kg) / 3600, m2."""
    inputs = _numbers(facts, "patient.height", "patient.weight")
    if inputs is None:
        return ()
    return combined("patient.bsa", lambda h, w: np.sqrt(h * w / 3600), inputs, source="Mosteller")


def _estimated_liver(facts: Facts) -> tuple[Fact, ...]:
    """Vauthey 2002: -794.41 + 1267.28 x body surface area, mL."""
    inputs = _numbers(facts, "patient.bsa")
    if inputs is None:
        return ()
    return combined(
        "liver.estimated_volume", lambda a: -794.41 + 1267.28 * a, inputs, source="Vauthey from BSA"
    )


def _standardised_remnants(facts: Facts) -> tuple[Fact, ...]:
    """FLR of each plan as % of the estimated liver volume."""
    estimated = _numbers(facts, "liver.estimated_volume")
    if estimated is None or getattr(estimated[0].value, "low", 0.0) <= 0:
        return ()
    plans = [i.split(".")[1] for i in facts if i.startswith("flr.") and i.endswith(".volume")]
    return tuple(
        fact
        for plan in plans
        for fact in combined(
            f"flr.{plan}.sflr",
            lambda volume, liver: 100 * volume / liver,
            [facts[f"flr.{plan}.volume"]],
            estimated,
            source="remnant / estimated liver volume",
        )
    )


def _burden(facts: Facts) -> tuple[Fact, ...]:
    """Percent replacement from typed-in volumes, the liver with its lesions."""
    inputs = _numbers(facts, "tumor.volume", "liver.volume")
    if inputs is None or getattr(inputs[1].value, "low", 0.0) <= 0:
        return ()
    found = combined(
        "tumor.burden",
        lambda tumor, liver: np.minimum(100.0, 100 * tumor / liver),
        inputs[:1],
        inputs[1:],
        source="tumor volume / liver volume",
    )
    return tuple(replace(f, value=Interval(max(0.0, f.value.low), f.value.high))  # type: ignore[union-attr]
                 for f in found)  # fmt: skip


def _portal_drainage(facts: Facts) -> tuple[Fact, ...]:
    """S1 Table 2: from the distal stomach to the sigmoid colon, and the pancreas."""
    sites = _options(facts, "primary.site")
    if not sites:
        return ()
    options = {
        answer
        for site in sites
        for answer in (("yes",) if site in _PORTAL else ("no",) if site in _NOT_PORTAL else YES_NO)
    }
    return (_choice("primary.portal_drainage", options, "from the site of the primary"),)


def _bilobar(facts: Facts) -> tuple[Fact, ...]:
    """Tumor in both hemilivers: by lesion counts, else by the distribution type."""
    counts = _numbers(facts, "lesion.count_right", "lesion.count_left")
    if counts is not None and not any(getattr(c.value, "is_unknown", True) for c in counts):
        lows = [getattr(c.value, "low", 0.0) for c in counts]
        highs = [getattr(c.value, "high", 0.0) for c in counts]
        options = ({"yes"} if min(highs) >= 1 else set()) | ({"no"} if min(lows) < 1 else set())
        return (_choice("liver_disease.bilobar", options or {"no"}, "from lesion counts"),)
    types = _options(facts, "frilling.type")
    if not types:
        return ()
    options = {"yes" if kind in ("II", "III") else "no" for kind in types}
    return (_choice("liver_disease.bilobar", options, "from the distribution type"),)


def _extensive(facts: Facts) -> tuple[Fact, ...]:
    """Type III is disseminated, type I a single lesion; type II is for people to judge."""
    types = _options(facts, "frilling.type")
    if not types:
        return ()
    known = {"III": ("yes",), "I": ("no",), "none": ("no",)}
    options = {answer for kind in types for answer in known.get(kind, YES_NO)}
    return (_choice("liver_disease.extensive", options, "from the distribution type"),)


def _extrahepatic(facts: Facts) -> tuple[Fact, ...]:
    """No disease elsewhere if both kinds of imaging exclude it; not all removed if some is there."""
    excluded = [
        _options(facts, f"extrahepatic.excluded_{how}") for how in ("cross_sectional", "functional")
    ]
    found = []
    if all(e == {"yes"} for e in excluded):
        found.append(_choice("extrahepatic.present", {"no"}, "excluded by both kinds of imaging"))
    if _options(facts, "extrahepatic.present") == {"yes"}:
        found.append(_choice("extrahepatic.resected", {"no"}, "extrahepatic disease is present"))
    return tuple(found)


def _options(facts: Facts, fact_id: str) -> frozenset[str]:
    value = facts[fact_id].value if fact_id in facts else None
    return value.options if isinstance(value, Choice) else frozenset()


def _choice(fact_id: str, options: Iterable[str], source: str) -> Fact:
    return Fact(fact_id, Choice(frozenset(options)), "", DERIVED + source)


_RULES: tuple[Callable[[Facts], Iterable[Fact]], ...] = (
    _body_surface,
    _estimated_liver,
    _standardised_remnants,
    _burden,
    grade.grades,
    grade.differentiation,
    _portal_drainage,
    _bilobar,
    _extensive,
    _extrahepatic,
    resection.best_complete,
)
