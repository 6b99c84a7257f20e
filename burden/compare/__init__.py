"""Compare two finished studies of one patient: lesions, response, burden, growth, eligibility."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from burden.case import RESEARCH_USE, Case
from burden.compare.align import align
from burden.compare.doubts import as_seen, beyond, lesions_known, of_matches, of_studies
from burden.compare.growth import remnant_growth
from burden.compare.match import Match, match
from burden.compare.response import Response, not_told, respond, respond_viable
from burden.compare.studies import Finished, open_finished
from burden.compare.volume import percent, volume_change
from burden.errors import UsageError
from burden.facts import Choice

__all__ = ["Finished", "compare", "compare_all", "open_finished", "write_comparison"]

SCHEMA = "burden-compare/1.1"
LIVER_ALONE = "RECIST 1.1 on the liver alone, two targets at most; disease elsewhere is not seen."
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
    cleared: bool = False,
    viable_cleared: bool = False,
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
    cleared, viable_cleared
        Whether a study between them showed a complete response.
    """
    aligned = align(
        base.liver.data > 0, base.liver.grid, follow.liver.data > 0, follow.liver.grid
    )  # fmt: skip
    one, two = base.case, follow.case
    known = lesions_known(one), lesions_known(two)
    # A lesion that nobody looked for is neither gone nor new.
    groups = (
        as_seen(one, two, match(one.lesions, two.lesions, base.lesions, follow.lesions, aligned.to_base))
        if all(known)
        else ()
    )
    if not any(f"flr.{remnant}.volume" in case.facts for case in (one, two)):
        names = sorted({i.split(".")[1] for i in one.facts if i.startswith("flr.")})
        raise UsageError(f"no such remnant: {remnant}.", hint=f"There are: {', '.join(names)}.")
    findings = list(of_studies(one, two, aligned))
    comparable = not any(f.code == "not-comparable" for f in findings)
    response, viable = _responses(
        base,
        follow,
        groups,
        known=known,
        comparable=comparable,
        nadirs=(nadir_mm, viable_nadir_mm),
        cleared=(cleared, viable_cleared),
    )
    hidden = beyond(one, two, groups)
    findings += of_matches(hidden, groups, {"RECIST 1.1": response, "mRECIST": viable})
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
        "volume": volume_change(one, two, weeks, known=known, whole=not hidden),
        "months_stable": _months(response, weeks),
        "facts": [_change(one, two, name) for name in CHANGES],
        "growth": None if growth is None else asdict(growth),
        "eligibility": list(_trajectory(one, two)),
        "findings": [asdict(f) | {"invalidates": list(f.invalidates)} for f in findings],
    }


def _responses(
    base: Finished,
    follow: Finished,
    groups: Sequence[Match],
    *,
    known: tuple[bool, bool],
    comparable: bool,
    nadirs: tuple[float | None, float | None],
    cleared: tuple[bool, bool],
) -> tuple[Response, Response | str]:
    """RECIST 1.1 and mRECIST; the pairs ``nadirs`` and ``cleared`` are of the one and the other."""
    one, two, slice_mm = base.case.lesions, follow.case.lesions, base.slice_mm
    if not all(known):
        told = not_told(one if known[0] else None, slice_mm)
        return told, "the lesions of both studies must be known"
    return (
        respond(
            one,
            two,
            groups,
            slice_mm=slice_mm,
            nadir_mm=nadirs[0],
            comparable=comparable,
            cleared=cleared[0],
        ),
        respond_viable(
            one,
            two,
            groups,
            slice_mm=slice_mm,
            nadir_mm=nadirs[1],
            comparable=comparable,
            cleared=cleared[1],
        ),
    )


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
    cleared = viable_cleared = False
    for k, study in enumerate(studies[1:]):
        pair = compare(
            studies[0],
            study,
            weeks=weeks[k] if weeks else None,
            remnant=remnant,
            nadir_mm=lowest,
            viable_nadir_mm=viable,
            cleared=cleared,
            viable_cleared=viable_cleared,
        )
        lowest = _least(lowest, pair["recist"]["follow_mm"])
        viable = _least(viable, pair["mrecist"].get("follow_mm"))
        cleared |= pair["recist"]["overall"] == "CR"
        viable_cleared |= pair["mrecist"]["overall"] == "CR"
        pairs.append(pair)
    last = pairs[-1] | {"trajectory": list(_course(studies, pairs, weeks)), "between": pairs[:-1]}
    if any(p["recist"]["overall"] == "PD" or p["recist"]["non_target"] == "possible PD" for p in pairs):
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
        known = lesions_known(case)
        burden = case.facts.get("tumor.burden")
        shown = None
        if burden is not None and burden.valid and burden.best is not None:
            low, _, high = burden.quantiles() or (None, None, None)
            shown = {"value": burden.best, "p05": low, "p95": high}
        yield {
            "case_id": case.case_id,
            "weeks": (0.0, *weeks)[k] if weeks else None,
            "burden": shown,
            "lesions": len(case.lesions) if known else None,
            "tumor_ml": sum(r.volume_ml for r in case.lesions) if known else None,
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


def _match(m: Match, one: Case, two: Case) -> Json:
    before = [r for r in one.lesions if r.id in m.base]
    after = [r for r in two.lesions if r.id in m.follow]
    ml = sum(r.volume_ml for r in before), sum(r.volume_ml for r in after)
    whole = not m.hidden and not any(r.touches_edge for r in (*before, *after))
    return {
        "kind": m.kind,
        "base": list(m.base),
        "follow_up": list(m.follow),
        "base_ml": ml[0],
        "follow_up_ml": None if m.hidden else ml[1],
        "change_percent": percent(*ml) if before and whole else None,
        "base_mm": [r.recist_long_mm for r in before],
        "follow_up_mm": [r.recist_long_mm for r in after],
    }


def _response(r: Response) -> Json:
    return asdict(r) | {
        "base_mm": None if np.isnan(r.base_mm) else r.base_mm,
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
