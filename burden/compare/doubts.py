"""What the reader of a comparison should know before trusting it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from burden.case import Case
from burden.compare.align import Alignment
from burden.compare.match import Match
from burden.compare.response import Response
from burden.facts import Interval
from burden.findings import Finding

POOR_FIT = 0.85
CONSTANT = ("patient.sex", "primary.site")
OTHER_HEIGHT_CM = 10.0
NOT_SEGMENTED = "lesions-not-segmented"


def lesions_known(case: Case) -> bool:
    """Whether the lesions of a study were looked for; an empty table alone does not say so."""
    volume = case.facts.get("tumor.volume")
    if volume is None or not volume.valid or any(f.code == NOT_SEGMENTED for f in case.findings):
        return False
    return not (isinstance(volume.value, Interval) and volume.value.is_unknown and volume.best is None)


def as_seen(one: Case, two: Case, groups: Sequence[Match]) -> tuple[Match, ...]:
    """The matches, lesions taken as unseen rather than gone where only the follow-up lacks contrast."""
    if _blind(one) or not _blind(two):
        return tuple(groups)
    return tuple(replace(m, kind="unseen") if m.kind == "gone" else m for m in groups)


def _blind(case: Case) -> bool:
    return any(f.code == "non-contrast-ct" for f in case.findings)


def of_studies(one: Case, two: Case, aligned: Alignment) -> Iterator[Finding]:
    """What the two studies are, and how they fit."""
    if one.case_id == two.case_id:
        yield Finding("same-image", "warning", "Both studies are of one and the same image.")
    if aligned.dice < POOR_FIT:
        text = f"The livers fit poorly (Dice {aligned.dice:.2f}): resected, cut, or of two patients?"
        yield Finding("poor-fit", "warning", text + " Check the matches.")
    if unlike := tuple(_unlike(one, two)):
        text = f"Of two patients, or in the wrong order? {'; '.join(unlike)}."
        yield Finding("two-patients", "warning", text)
    before, after = one.manifest.input, two.manifest.input
    for what in ("modality", "phase"):
        if before.get(what) and after.get(what) and before[what] != after[what]:
            text = f"{what.capitalize()} differs: {before[what]}, then {after[what]}."
            code = "not-comparable" if what == "modality" else "phase-differs"
            yield Finding(code, "warning", text + " New lesions may have been invisible before.")
    if _blind(one):
        text = "The base study is without contrast: lesions of the follow-up may have been there."
        yield Finding("not-comparable", "warning", text)
    if one.manifest.model != two.manifest.model:
        yield Finding(
            "sources-differ", "warning", "The masks of the two studies come from different sources."
        )
    for case, name in ((one, "base study"), (two, "follow-up")):
        if not lesions_known(case):
            why = next((f.text for f in case.findings if f.code == NOT_SEGMENTED), "")
            text = f"The lesions of the {name} are not known: response and change cannot be told. {why}"
            yield Finding("lesions-not-known", "error", text.rstrip())


def _unlike(one: Case, two: Case) -> Iterator[str]:
    """Facts in which one person does not change so between two studies."""

    def both(name: str) -> tuple[Any, Any]:
        first, second = (case.facts.get(name) for case in (one, two))
        return first and first.best, second and second.best

    for name in CONSTANT:
        before, after = both(name)
        if before and after and before != after:
            yield f"{name}: {before}, then {after}"
    before, after = both("patient.age")
    if before is not None and after is not None and after < before:
        yield f"patient.age: {before:g}, then {after:g}"
    before, after = both("patient.height")
    if before is not None and after is not None and abs(after - before) > OTHER_HEIGHT_CM:
        yield f"patient.height: {before:g}, then {after:g} cm"


def beyond(one: Case, two: Case, groups: Sequence[Match]) -> tuple[str, ...]:
    """The lesions that an image does not show, or not whole, in words."""
    outside, unseen = ([b for m in groups if m.kind == k for b in m.base] for k in ("outside", "unseen"))
    found = {
        "of the base study outside the follow-up image": outside,
        "of the base study not found in the follow-up, which is without contrast": unseen,
        "cut by the edge of the base image": [r.id for r in one.lesions if r.touches_edge],
        "cut by the edge of the follow-up image": [r.id for r in two.lesions if r.touches_edge],
    }
    return tuple(f"{_named(ids)} {where}" for where, ids in found.items() if ids)


def of_matches(
    hidden: Sequence[str], groups: Sequence[Match], responses: Mapping[str, Response | str]
) -> Iterator[Finding]:
    """Why parts of the responses, by their names, cannot be told; ``hidden`` as of `beyond`."""
    if hidden:
        text = "; ".join(hidden) + ": the change of the tumor volume cannot be told."
        yield Finding("lesions-beyond-image", "warning", text[0].upper() + text[1:])
    for name, response in responses.items():
        if isinstance(response, str):
            continue
        ids = set(response.targets)
        for m in groups:
            others = set(m.base) - ids
            if m.follow and others and ids & set(m.base):
                text = (
                    f"{name}: target {_named(ids & set(m.base))} merged with {_named(others)}, which is "
                    "none: the sum of diameters cannot be told; measure it by hand."
                )
                yield Finding("target-merged", "warning", text)
        if response.non_target == "possible PD":
            text = f"{name}: lesions that are no targets have grown: progression? A reader must judge."
            yield Finding("possible-progression", "warning", text)


def _named(ids: Collection[int]) -> str:
    return f"lesion{'s' if len(ids) > 1 else ''} {', '.join(map(str, sorted(ids)))}"
