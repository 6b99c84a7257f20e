"""Grade of a neuroendocrine tumor from Ki-67, mitoses and differentiation, as S1 and S2 print it."""

from __future__ import annotations

from itertools import product

from burden.facts import ANYTHING, Choice, Fact, Facts, Interval

_ORDER = ("G1", "G2", "high")
_ALL = frozenset({"G1", "G2", "G3", "NEC"})
# Lower end of G2 of Ki-67 in %, and of mitoses per 2 mm2; above 20 of either is high grade (S2).
_S2_KI67, _S2_MITOSES, _HIGH = 3.0, 2.0, 20.0
_S1_G1_UP_TO = 2.0


def grades(facts: Facts) -> tuple[Fact, ...]:
    """``tumor.grade.s1``, ``tumor.grade.s2`` and what both leave of ``tumor.grade``.

    S1 (Introduction) grades by Ki-67 alone: G1 up to 2 %, G2 3 to 20 %, above that G3 if well
    and NEC if poorly differentiated; it leaves a gap strictly between 2 and 3 %. S2
    (Introduction) has G1 below 3 %, and the higher of Ki-67 and mitoses decides. Where both
    inputs are given and the readings differ, every grade that one of them gives stays possible.
    """
    ki67, mitoses = _interval(facts, "tumor.ki67"), _interval(facts, "tumor.mitoses")
    if ki67.is_unknown and mitoses.is_unknown:
        return ()
    s1 = _with_differentiation(_s1_bands(ki67), facts)
    s2 = _with_differentiation(_s2_bands(ki67, mitoses), facts)
    if ki67.is_unknown:
        left, why = s2, "Ki-67 not given"
    elif mitoses.is_unknown:
        left, why = s1, "mitoses not given"
    else:
        left, why = s1 | s2, "" if s1 == s2 else f"S1 gives {_said(s1)}, S2 gives {_said(s2)}"
    if ki67.high > _S1_G1_UP_TO and ki67.low < _S2_KI67:
        why = "Ki-67 between 2 and 3 %: S1 leaves a gap between G1 and G2, S2 counts it as G1"
    source = "derived: grade from Ki-67, mitoses, differentiation"
    found = [Fact("tumor.grade", Choice(left), "", source, note=why)]
    found += [
        Fact(f"tumor.grade.{key}", Choice(options), "", f"{source}, reading {key.upper()}")
        for key, options in (("s1", s1), ("s2", s2))
    ]
    return tuple(found)


def differentiation(facts: Facts) -> tuple[Fact, ...]:
    """Well for G1 to G3, poor for NEC: that is what the grades mean (S1 Introduction)."""
    if "tumor.grade" not in facts:
        return ()
    value = facts["tumor.grade"].value
    assert isinstance(value, Choice)  # noqa: S101 - the vocabulary has it so
    options = frozenset("poor" if grade == "NEC" else "well" for grade in value.options)
    return (Fact("tumor.differentiation", Choice(options), "", "derived: from the grade"),)


def _interval(facts: Facts, fact_id: str) -> Interval:
    value = facts[fact_id].value if fact_id in facts else ANYTHING
    assert isinstance(value, Interval)  # noqa: S101 - the vocabulary has it so
    return value


def _s1_bands(ki67: Interval) -> frozenset[str]:
    in_gap = ki67.high > _S1_G1_UP_TO and ki67.low < _S2_KI67
    found = {"G1"} if ki67.low <= _S1_G1_UP_TO or in_gap else set()
    if (ki67.high >= _S2_KI67 and ki67.low <= _HIGH) or in_gap:
        found.add("G2")
    if ki67.high > _HIGH:
        found.add("high")
    return frozenset(found)


def _s2_bands(ki67: Interval, mitoses: Interval) -> frozenset[str]:
    pairs = product(_bands(ki67, _S2_KI67), _bands(mitoses, _S2_MITOSES))
    return frozenset(max(pair, key=_ORDER.index) for pair in pairs)


def _bands(value: Interval, g2_from: float) -> frozenset[str]:
    reached = (value.low < g2_from, value.low <= _HIGH and value.high >= g2_from, value.high > _HIGH)
    return frozenset(name for name, inside in zip(_ORDER, reached, strict=True) if inside)


def _with_differentiation(bands: frozenset[str], facts: Facts) -> frozenset[str]:
    known = facts["tumor.differentiation"].value if "tumor.differentiation" in facts else None
    options = known.options if isinstance(known, Choice) else frozenset({"well", "poor"})
    found = set(bands - {"high"})
    if "high" in bands:
        found |= {"G3"} if "well" in options else set()
        found |= {"NEC"} if "poor" in options else set()
    if options == {"poor"}:
        # poorly differentiated with a low index is discordant: neither is taken for granted
        found.add("NEC")
    return frozenset(found) or _ALL


def _said(options: frozenset[str]) -> str:
    return " or ".join(sorted(options))
