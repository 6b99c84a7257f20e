"""Numbers and facts in words: sensible digits, ranges, and what is not known said so."""

from __future__ import annotations

import math
from dataclasses import dataclass

from burden.errors import RuleError
from burden.facts import Choice, Fact, Facts
from burden.vocabulary import vocabulary

ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")
PLANS = {
    "right_hepatectomy": "Right hepatectomy",
    "left_hepatectomy": "Left hepatectomy",
    "extended_right": "Extended right hepatectomy",
    "extended_left": "Extended left hepatectomy",
    "left_lateral": "Left lateral sectionectomy",
    "right_posterior": "Right posterior sectionectomy",
    "central": "Central hepatectomy",
    "best": "Best of these",
    "planned": "The surgeon's own plan",
}
_UNITS = {"1": "", "year": "years", "month": "months", "m2": "m²"}


@dataclass(frozen=True)
class Said:
    """A fact for the reader.

    Parameters
    ----------
    text
        The value with its unit, or words: ``at least 1,240 mL``, ``not known``.
    range
        ``90 % range 20.1–24.9 %``, ``between 2 and 5``, or "".
    note
        Why it is not known, or which definition it follows.
    known
        Whether ``text`` is a number or option rather than words about one.
    """

    text: str
    range: str = ""
    note: str = ""
    known: bool = True


def number(value: float, unit: str) -> str:
    """A number with as many digits as it deserves, without its unit."""
    size = abs(value)
    if math.isinf(value):
        return "no limit"
    if value == 0:
        return "0"
    if unit == "1":
        digits = 0 if float(value).is_integer() else 1
    elif unit == "mL":
        digits = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    elif unit == "%":
        digits = 0 if size >= 99.95 else 1
    elif unit == "mm":
        digits = 0 if size >= 9.95 else 1
    else:
        digits = 0 if float(value).is_integer() or size >= 100 else 1 if size >= 10 else 2
    if unit in ("mL", "%", "mm") and 0 < size < 0.5 * 10**-digits:
        return f"<{10**-digits:.{digits}f}"  # small, and not nothing
    return f"{value:,.{digits}f}".replace("-", "\N{MINUS SIGN}")


def unit_words(unit: str) -> str:
    """Unit as it stands behind a number, "" for counts."""
    return _UNITS.get(unit, unit)


def amount(value: float, unit: str) -> str:
    """A number with its unit, joined so that they never part at a line end."""
    return f"{number(value, unit)}\N{NO-BREAK SPACE}{unit_words(unit)}".rstrip()


def span(low: float, high: float, unit: str) -> str:
    """Two numbers and one unit: ``20.1–24.9 %``; a line never ends inside."""
    return f"{number(low, unit)}\N{WORD JOINER}–\N{WORD JOINER}{amount(high, unit)}"


def percent(p: float) -> str:
    """A probability in words; certainty is claimed only where every draw agrees."""
    if 0 < p < 0.01:
        return "<1\N{NO-BREAK SPACE}%"
    if 0.99 < p < 1:
        return ">99\N{NO-BREAK SPACE}%"
    return f"{p:.0%}".replace("%", "\N{NO-BREAK SPACE}%")


def said(facts: Facts, fact_id: str, *, natural: tuple[float, float] = (0.0, math.inf)) -> Said:
    """What is known about a fact, in words.

    Parameters
    ----------
    natural
        Bounds that hold for any case and so tell the reader nothing, e.g. 0 to 100 %.
    """
    fact = facts.get(fact_id)
    if fact is None:
        return Said("not known", note="not measured", known=False)
    if isinstance(fact.value, Choice):
        return _said_choice(fact, fact.value)
    low = max(fact.value.low, natural[0])
    high = min(fact.value.high, natural[1])
    quantiles = fact.quantiles()
    if isinstance(best := fact.best, (int, float)):
        rng = _range(fact, quantiles, low, high, natural)
        return Said(amount(best, fact.unit), range=rng, note=fact.note)
    if (low, high) == natural or (low <= natural[0] and math.isinf(high)):
        return Said("not known", note=fact.note, known=False)
    if high >= natural[1]:
        return Said(f"at least {amount(low, fact.unit)}", note=fact.note, known=False)
    if low <= natural[0]:
        return Said(f"at most {amount(high, fact.unit)}", note=fact.note, known=False)
    return Said(span(low, high, fact.unit), range="bounds", note=fact.note)


GROUPS = {
    "flr": "future liver remnants",
    "segment": "all segment volumes",
    "frilling": "Frilling type",
    "debulk": "share removed by each plan",
    "tumor.burden_": "burden of each hemiliver",
    "lesion.count_": "lesions of each hemiliver",
    "lesion.min_distance_": "smallest distances of lesions",
    "treated.": "shares of the liver that treatments would treat",
    "tumor.*_fraction": "shares of the tumor by enhancement",
}
"""What groups of facts are called, by what stands before a star at the end."""


def name_of(fact_id: str) -> str:
    """What a fact is called for people; for a prefix ``liver.*`` the group it stands for."""
    if fact_id.endswith("*"):
        group = fact_id.rstrip("*").rstrip(".")
        return GROUPS.get(group, f"all values of {group.replace('.', ' ').replace('_', ' ').strip()}")
    try:
        text = vocabulary()[fact_id].text
    except RuleError:
        return GROUPS.get(fact_id, fact_id)
    parts = fact_id.split(".")
    if parts[0] == "segment" and parts[1].isdigit() and 1 <= int(parts[1]) <= 8:
        text = text.replace("a Couinaud segment", f"segment {ROMAN[int(parts[1])]}")
    if parts[0] in ("flr", "debulk"):
        text = f"{PLANS.get(parts[1], parts[1].replace('_', ' '))}: {text}"
    return text.split(": lesions /")[0]


def _said_choice(fact: Fact, value: Choice) -> Said:
    if value.is_exact:
        return Said(_option(next(iter(value.options))), note=fact.note)
    if fact.valid and len(value.options) < len(vocabulary()[fact.id].options):
        return Said(" or ".join(_option(o) for o in sorted(value.options)), note=fact.note, known=False)
    return Said("not known", note=fact.note, known=False)


def _option(option: str) -> str:
    return option.replace("_", " ")


def _range(
    fact: Fact,
    quantiles: tuple[float, float, float] | None,
    low: float,
    high: float,
    natural: tuple[float, float],
) -> str:
    """The 90 % range of the draws; without draws the certain bounds, where they say anything."""
    if quantiles is not None:
        if number(quantiles[0], fact.unit) == number(quantiles[2], fact.unit):
            return ""
        return f"90 % range {span(quantiles[0], quantiles[2], fact.unit)}"
    if low == high or (low <= natural[0] and high >= natural[1]):
        return ""
    if high >= natural[1]:
        return f"at least {amount(low, fact.unit)}"
    return f"bounds {span(low, high, fact.unit)}"
