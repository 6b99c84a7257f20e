"""Compare two finished studies of one patient: lesions, response, burden, growth, eligibility."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from burden.case import RESEARCH_USE, Case
from burden.compare.align import Alignment, align
from burden.compare.growth import remnant_growth
from burden.compare.match import Match, match
from burden.compare.response import Response, by_volume, respond, respond_viable
from burden.compare.studies import Finished, open_finished
from burden.errors import UsageError
from burden.facts import Choice
from burden.findings import Finding

__all__ = ["Finished", "compare", "compare_all", "open_finished", "write_comparison"]

SCHEMA = "burden-compare/1.0"
LIVER_ALONE = "RECIST 1.1 on the liver alone, two targets at most; disease elsewhere is not seen."
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
    viable_nadir_mm: float | None = None,
) -> Json:
    """Everything that changed from one study to the other, as plain values.

    Parameters
    ----------
    weeks
        Time between them; without it there are no rates.
    remnant
        Plan whose remnant is followed (``flr.<plan>...``).
    nadir_mm, viable_nadir_mm
        Smallest sum of diameters of the same targets so far, if studies lie between; the latter
        of viable diameters.
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
    viable = respond_viable(
        one.lesions,
        two.lesions,
        groups,
        slice_mm=base.slice_mm,
        nadir_mm=viable_nadir_mm,
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
        "recist": _response(response) | {"note": LIVER_ALONE},
        "mrecist": _viable(viable),
        "volume": _volume(one, two, weeks),
        "months_stable": _months(response, weeks),
        "facts": [_change(one, two, name) for name in CHANGES],
        "growth": None if growth is None else asdict(growth),
        "eligibility": list(_trajectory(one, two)),
        "findings": [asdict(f) | {"invalidates": list(f.invalidates)} for f in findings],
    }


def compare_all(
    studies: Sequence[Finished],
    *,
    weeks: Sequence[float] = (),
    remnant: str = "right_hepatectomy",
    nadir_mm: float | None = None,
) -> Json:
    """Two or more studies in order of time: the last against the first, and the course of all.

    The smallest sum of diameters in between is the nadir from which progression is counted.

    Parameters
    ----------
    weeks
        Time of each study after the first one, or nothing.
    nadir_mm
        Smallest sum so far, where a study between them is not given.

    Raises
    ------
    UsageError
        For fewer than two studies, or times that do not fit them.
    """
    if len(studies) < 2:
        raise UsageError("at least two studies are needed.")
    if weeks and (len(weeks) != len(studies) - 1 or any(b <= a for a, b in pairwise(weeks))):
        raise UsageError(
            f"{len(weeks)} times for {len(studies)} studies.",
            hint="One --weeks for each study after the first, in order, counted from the first.",
        )
    pairs: list[Json] = []
    lowest, viable = nadir_mm, None
    for k, study in enumerate(studies[1:]):
        pair = compare(
            studies[0],
            study,
            weeks=weeks[k] if weeks else None,
            remnant=remnant,
            nadir_mm=lowest,
            viable_nadir_mm=viable,
        )
        lowest = _least(lowest, pair["recist"]["follow_mm"])
        viable = _least(viable, pair["mrecist"].get("follow_mm"))
        pairs.append(pair)
    last = pairs[-1] | {"trajectory": list(_course(studies, pairs, weeks)), "between": pairs[:-1]}
    if any(p["recist"]["overall"] == "PD" for p in pairs):
        last["months_stable"] = None  # not since the first study
    return last


def _least(one: float | None, two: float | None) -> float | None:
    known = [x for x in (one, two) if x is not None]
    return min(known) if known else None


def _course(
    studies: Sequence[Finished], pairs: Sequence[Json], weeks: Sequence[float]
) -> Iterator[Json]:
    """What each study says on its own, and of the targets chosen in the first."""
    sums = [pairs[0]["recist"]["base_mm"], *(p["recist"]["follow_mm"] for p in pairs)]
    for k, study in enumerate(studies):
        case = study.case
        burden = case.facts.get("tumor.burden")
        shown = None
        if burden is not None and burden.valid and burden.best is not None:
            low, _, high = burden.quantiles() or (None, None, None)
            shown = {"value": burden.best, "p05": low, "p95": high}
        yield {
            "case_id": case.case_id,
            "weeks": (0.0, *weeks)[k] if weeks else None,
            "burden": shown,
            "lesions": len(case.lesions),
            "tumor_ml": sum(r.volume_ml for r in case.lesions),
            "sum_mm": sums[k] if pairs[0]["recist"]["targets"] else None,
            "answers": {a.book: a.answer.value for a in case.assessments},
        }


def write_comparison(record: Json, out: Path) -> None:
    """Write ``compare.json`` and ``compare.png`` into the new folder ``out``.

    Where the disease was stable, ``stable.yaml`` holds the months of that as a fact for
    ``burden run --facts`` and ``burden assess --facts``.

    Raises
    ------
    OutputError
        If it exists or cannot be written.
    """
    import json

    from burden.compare.plot import write_plot
    from burden.write.folder import whole_or_nothing

    with whole_or_nothing(out) as folder:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "compare.json").write_text(text + "\n", encoding="utf-8")
        write_plot(record, folder / "compare.png")
        if record["months_stable"]:
            told = f"# RECIST 1.1: {record['recist']['overall']}. {LIVER_ALONE}\n"
            told += f"disease.months_stable: {record['months_stable']}\n"
            (folder / "stable.yaml").write_text(told, encoding="utf-8")


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
    }


def _viable(r: Response | str) -> Json:
    if isinstance(r, str):
        return {"overall": "NE", "why_not": r}
    return _response(r) | {
        "note": "mRECIST on the liver alone: longest viable diameters in the arterial phase, with the "
        "limits of RECIST 1.1",
    }


def _volume(one: Case, two: Case, weeks: float | None) -> Json:
    before, after = (sum(r.volume_ml for r in case.lesions) for case in (one, two))
    change = _percent(before, after)
    rate = log(after / before) if before > 0 and after > 0 else 0.0
    low, high = _open(one, two)
    return {
        "base_ml": before,
        "follow_up_ml": after,
        "change_percent": change,
        "change_p05": low,
        "change_p95": high,
        "response": None if change is None else by_volume(change),
        "doubling_days": weeks * 7 * log(2) / rate if weeks and abs(rate) > 1e-9 else None,
        "note": "limits of RECIST carried over to spheres: -65.7 % and +72.8 %; a negative doubling "
        "time is a halving time; p05 and p95 as if both masks erred independently",
    }


def _open(one: Case, two: Case) -> tuple[float | None, float | None]:
    """90 % range of the change of the tumor volume, %; None without draws in both studies.

    All pairs of draws: two masks by one hand have errors in common, which makes the range too wide.
    """
    drawn = [c.facts["tumor.volume"].draws if "tumor.volume" in c.facts else None for c in (one, two)]
    if drawn[0] is None or drawn[1] is None:
        return None, None
    before, after = (d.astype(np.float64) for d in drawn if d is not None)
    if not (before > 0).all():
        return None, None
    low, high = np.quantile(100.0 * (after[None] / before[:, None] - 1.0), (0.05, 0.95))
    return float(low), float(high)


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
