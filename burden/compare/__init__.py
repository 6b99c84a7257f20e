"""Compare two finished studies of one patient: lesions, response, burden, growth, eligibility."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from burden.case import RESEARCH_USE, Case
from burden.compare.align import Alignment, align
from burden.compare.growth import remnant_growth
from burden.compare.match import Match, match
from burden.compare.response import Response, by_volume, respond
from burden.compare.studies import Finished, open_finished
from burden.errors import UsageError
from burden.facts import Choice
from burden.findings import Finding

__all__ = ["Finished", "compare", "open_finished", "write_comparison"]

SCHEMA = "burden-compare/1.0"
POOR_FIT = 0.85
WEEKS_A_MONTH = 365.25 / 12.0 / 7.0
CHANGES = (
    "liver.volume",
    "tumor.volume",
    "tumor.burden",
    "tumor.burden_right",
    "tumor.burden_left",
    "lesion.count",
    "lesion.largest_diameter",
    "frilling.type",
)
Json = dict[str, Any]


def compare(
    base: Finished,
    follow: Finished,
    *,
    weeks: float | None = None,
    remnant: str = "right_hepatectomy",
    nadir_mm: float | None = None,
) -> Json:
    """Everything that changed from one study to the other, as plain values.

    Parameters
    ----------
    weeks
        Time between them; without it there are no rates.
    remnant
        Plan whose remnant is followed (``flr.<plan>...``).
    nadir_mm
        Smallest sum of diameters of the same targets so far, if studies lie between.
    """
    aligned = align(
        base.liver.data > 0, base.liver.grid, follow.liver.data > 0, follow.liver.grid
    )  # fmt: skip
    one, two = base.case, follow.case
    groups = match(one.lesions, two.lesions, base.lesions, follow.lesions, aligned.to_base)
    if not any(f"flr.{remnant}.volume" in case.facts for case in (one, two)):
        known = sorted({i.split(".")[1] for i in one.facts if i.startswith("flr.")})
        raise UsageError(f"no such remnant: {remnant}.", hint=f"There are: {', '.join(known)}.")
    findings = tuple(_findings(one, two, aligned))
    comparable = not any(f.code == "not-comparable" for f in findings)
    response = respond(
        one.lesions,
        two.lesions,
        groups,
        slice_mm=base.slice_mm,
        nadir_mm=nadir_mm,
        comparable=comparable,
    )
    growth = remnant_growth(one.facts, two.facts, remnant, weeks)
    return {
        "schema": SCHEMA,
        "research_use": RESEARCH_USE,
        "base": one.case_id,
        "follow_up": two.case_id,
        "weeks": weeks,
        "alignment": asdict(aligned) | {"to_base": aligned.to_base.round(6).tolist()},
        "matches": [_match(m, one, two) for m in groups],
        "recist": _response(response),
        "volume": _volume(one, two, weeks),
        "months_stable": _months(response, weeks),
        "facts": [_change(one, two, name) for name in CHANGES],
        "growth": None if growth is None else asdict(growth),
        "eligibility": list(_trajectory(one, two)),
        "findings": [asdict(f) | {"invalidates": list(f.invalidates)} for f in findings],
    }


def write_comparison(record: Json, out: Path) -> None:
    """Write ``compare.json`` into the new folder ``out``.

    Raises
    ------
    OutputError
        If it exists or cannot be written.
    """
    import json

    from burden.write.folder import whole_or_nothing

    with whole_or_nothing(out) as folder:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "compare.json").write_text(text + "\n", encoding="utf-8")


def _findings(one: Case, two: Case, aligned: Alignment) -> Iterator[Finding]:
    if one.case_id == two.case_id:
        yield Finding("same-image", "warning", "Both studies are of one and the same image.")
    if aligned.dice < POOR_FIT:
        text = f"The livers fit poorly (Dice {aligned.dice:.2f}): resected, cut, or of two patients?"
        yield Finding("poor-fit", "warning", text + " Check the matches.")
    before, after = one.manifest.input, two.manifest.input
    blind = any(f.code == "non-contrast-ct" for f in one.findings)
    for what in ("modality", "phase"):
        if before.get(what) and after.get(what) and before[what] != after[what]:
            text = f"{what.capitalize()} differs: {before[what]}, then {after[what]}."
            code = "not-comparable" if what == "modality" else "phase-differs"
            yield Finding(code, "warning", text + " New lesions may have been invisible before.")
    if blind:
        text = "The base study is without contrast: lesions of the follow-up may have been there."
        yield Finding("not-comparable", "warning", text)
    if one.manifest.model != two.manifest.model:
        yield Finding(
            "sources-differ", "warning", "The masks of the two studies come from different sources."
        )


def _match(m: Match, one: Case, two: Case) -> Json:
    before = [r for r in one.lesions if r.id in m.base]
    after = [r for r in two.lesions if r.id in m.follow]
    ml = sum(r.volume_ml for r in before), sum(r.volume_ml for r in after)
    return {
        "kind": m.kind,
        "base": list(m.base),
        "follow_up": list(m.follow),
        "base_ml": ml[0],
        "follow_up_ml": None if m.kind == "outside" else ml[1],
        "change_percent": _percent(*ml) if before and m.kind != "outside" else None,
        "base_mm": [r.recist_long_mm for r in before],
        "follow_up_mm": [r.recist_long_mm for r in after],
    }


def _response(r: Response) -> Json:
    return asdict(r) | {
        "follow_mm": None if np.isnan(r.follow_mm) else r.follow_mm,
        "targets": list(r.targets),
        "new": list(r.new),
        "equivocal": list(r.equivocal),
        "change_percent": r.change_percent,
        "note": "RECIST 1.1 on the liver alone, two targets at most; disease elsewhere is not seen.",
    }


def _volume(one: Case, two: Case, weeks: float | None) -> Json:
    before, after = (sum(r.volume_ml for r in case.lesions) for case in (one, two))
    change = _percent(before, after)
    rate = log(after / before) if before > 0 and after > 0 else 0.0
    return {
        "base_ml": before,
        "follow_up_ml": after,
        "change_percent": change,
        "response": None if change is None else by_volume(change),
        "doubling_days": weeks * 7 * log(2) / rate if weeks and abs(rate) > 1e-9 else None,
        "note": "limits of RECIST carried over to spheres: -65.7 % and +72.8 %; a negative doubling "
        "time is a halving time",
    }


def _percent(before: float, after: float) -> float | None:
    return 100.0 * (after / before - 1.0) if before > 0 else None


def _months(response: Response, weeks: float | None) -> float | None:
    """Months without progression that these two studies show (a fact of transplantation)."""
    good = response.overall in ("CR", "PR", "SD", "non-CR/non-PD")
    return round(weeks / WEEKS_A_MONTH, 2) if weeks and good else None


def _change(one: Case, two: Case, name: str) -> Json:
    before, after = (_shown(case, name) for case in (one, two))
    numbers = [x for x in (before, after) if isinstance(x, float | int)]
    return {
        "fact": name,
        "base": before,
        "follow_up": after,
        "change": numbers[1] - numbers[0] if len(numbers) == 2 else None,
        "unit": next((c.facts[name].unit for c in (one, two) if name in c.facts), ""),
    }


def _shown(case: Case, name: str) -> float | str | None:
    fact = case.facts.get(name)
    if fact is None or not fact.valid:
        return None
    if isinstance(fact.value, Choice) and fact.best is None:
        return " or ".join(sorted(fact.value.options))
    return fact.best


def _trajectory(one: Case, two: Case) -> Iterator[Json]:
    """Answers of the rule books applied in both studies, side by side."""
    later = {a.book: a for a in two.assessments}
    for before in one.assessments:
        after = later.get(before.book)
        if after is None:
            continue
        yield {
            "book": before.book,
            "title": before.title,
            "base": before.answer.value,
            "follow_up": after.answer.value,
            "base_p": before.p_met,
            "follow_up_p": after.p_met,
            "changed": _changed(before.criteria, after.criteria),
        }


def _changed(before: Sequence[Any], after: Sequence[Any]) -> list[str]:
    """Criteria whose answer is another one now."""
    later = {c.id: c for c in after}
    return [
        f"{c.text}: {c.answer.value}, now {later[c.id].answer.value}"
        for c in before
        if c.id in later and later[c.id].answer is not c.answer
    ]
