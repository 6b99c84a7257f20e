"""Facts that follow from other facts, with their intervals and draws.

What was entered or measured wins over what is derived; where the two cannot both be true,
`disagreements` says so. Deriving twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from burden.assess import grade, resection
from burden.assess.explain import fact_text, value_text
from burden.assess.propagate import DERIVED, Array, choice, combined, joint, mapped, numbers, options_of
from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.vocabulary import YES_NO

# Of the stomach only the distal part is named, and an unknown primary may be anywhere.
_DRAINAGE = {
    **dict.fromkeys(("small_bowel", "pancreas", "duodenum", "appendix", "colon"), ("yes",)),
    **dict.fromkeys(("rectum", "lung"), ("no",)),
    **dict.fromkeys(("stomach", "unknown_primary", "other"), YES_NO),
}


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
    measured = given.source.startswith("measured") and given.best is not None
    if not given.valid or measured or given.draws is not None or one == other:
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


def mosteller(height: Array, weight: Array) -> Array:
    """Body surface, m2, from cm and kg."""
    area: Array = np.sqrt(height * weight / 3600)
    return area


def vauthey(area: Array) -> Array:
    """Liver volume expected of a body surface (m2), mL."""
    return -794.41 + 1267.28 * area


def share(part: Array, whole: Array) -> Array:
    """Percent."""
    return 100 * part / whole


def share_of_all(part: Array, whole: Array) -> Array:
    """Percent of what it is a part of: never above 100."""
    found: Array = np.minimum(100.0, share(part, whole))
    return found


def _body_surface(facts: Facts) -> tuple[Fact, ...]:
    """Mosteller: square root of height (cm) x weight (kg) / 3600, m2."""
    inputs = numbers(facts, "patient.height", "patient.weight")
    if inputs is None:
        return ()
    return combined("patient.bsa", mosteller, inputs, source="Mosteller")


def _estimated_liver(facts: Facts) -> tuple[Fact, ...]:
    """Vauthey 2002: -794.41 + 1267.28 x body surface area, mL."""
    inputs = numbers(facts, "patient.bsa")
    if inputs is None:
        return ()
    return combined("liver.estimated_volume", vauthey, inputs, source="Vauthey from BSA")


def _standardised_remnants(facts: Facts) -> tuple[Fact, ...]:
    """FLR of each plan as % of the estimated liver volume."""
    estimated = numbers(facts, "liver.estimated_volume")
    if estimated is None or getattr(estimated[0].value, "low", 0.0) <= 0:
        return ()
    plans = [i.split(".")[1] for i in facts if i.startswith("flr.") and i.endswith(".volume")]
    return tuple(
        fact
        for plan in plans
        for fact in combined(
            f"flr.{plan}.sflr",
            share,
            [facts[f"flr.{plan}.volume"]],
            estimated,
            source="remnant / estimated liver volume",
        )
    )


def _burden(facts: Facts) -> tuple[Fact, ...]:
    """Percent replacement from typed-in volumes, the liver with its lesions."""
    inputs = numbers(facts, "tumor.volume", "liver.volume")
    if inputs is None or getattr(inputs[1].value, "low", 0.0) <= 0:
        return ()
    found = combined(
        "tumor.burden",
        share_of_all,
        inputs[:1],
        inputs[1:],
        source="tumor volume / liver volume",
    )
    return tuple(replace(f, value=Interval(max(0.0, f.value.low), f.value.high))  # type: ignore[union-attr]
                 for f in found)  # fmt: skip


def portal_drainage(facts: Facts) -> tuple[Fact, ...]:
    """S1 Table 2: from the distal stomach to the sigmoid colon, and the pancreas."""
    new = "primary.portal_drainage"
    return mapped(facts, "primary.site", new, _DRAINAGE, "from the site of the primary")


def bilobar(facts: Facts) -> tuple[Fact, ...]:
    """Tumor in both hemilivers: by lesion counts, else by the distribution type."""
    new = "liver_disease.bilobar"
    counts = numbers(facts, "lesion.count_right", "lesion.count_left")
    if counts is not None:
        ends = [c.value for c in counts if isinstance(c.value, Interval) and not c.value.is_unknown]
        if len(ends) == len(counts):
            options = {"yes"} if all(e.high >= 1 for e in ends) else set()
            options |= {"no"} if any(e.low < 1 for e in ends) else set()
            fewest = joint(np.minimum, counts)
            draws = None if fewest is None else np.where(fewest >= 1, "yes", "no")
            return (choice(new, options, "from lesion counts", draws),)
    by_type = {"none": ("no",), "I": ("no",), "II": ("yes",), "III": ("yes",)}
    return mapped(facts, "frilling.type", new, by_type, "from the distribution type")


def extensive(facts: Facts) -> tuple[Fact, ...]:
    """Type III is disseminated, type I a single lesion; type II is for people to judge."""
    by_type = {"none": ("no",), "I": ("no",), "II": YES_NO, "III": ("yes",)}
    new = "liver_disease.extensive"
    return mapped(facts, "frilling.type", new, by_type, "from the distribution type")


def extrahepatic(facts: Facts) -> tuple[Fact, ...]:
    """No disease elsewhere if both kinds of imaging exclude it; not all removed if some is there."""
    excluded = [
        options_of(facts, f"extrahepatic.excluded_{how}") for how in ("cross_sectional", "functional")
    ]
    found = []
    if all(e == {"yes"} for e in excluded):
        found.append(choice("extrahepatic.present", {"no"}, "excluded by both kinds of imaging"))
    if options_of(facts, "extrahepatic.present") == {"yes"}:
        found.append(choice("extrahepatic.resected", {"no"}, "extrahepatic disease is present"))
    return tuple(found)


_RULES: tuple[Callable[[Facts], Iterable[Fact]], ...] = (
    _body_surface,
    _estimated_liver,
    _standardised_remnants,
    _burden,
    grade.grades,
    grade.differentiation,
    portal_drainage,
    bilobar,
    extensive,
    extrahepatic,
    resection.best_complete,
)
