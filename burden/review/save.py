"""The corrected case as a new folder: the same files as a run, the original untouched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from burden.case import Case
from burden.errors import OutputError, UsageError
from burden.review.base import Base
from burden.review.recompute import declared_by, recompute, review_finding
from burden.review.state import State

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,79}")
_PARTS = ("base", "reader", "complete", "edits", "lesions")


def free_name(folder: Path, out: Path | None = None) -> str:
    """A name that nothing has yet: that of ``out``, or one beside a run's folder."""
    first = out.resolve() if out else folder.resolve().with_name(f"{folder.resolve().name}-reviewed")
    place, n = first, 1
    while place.exists() and (out is None or _taken(place)):
        n += 1
        place = first.with_name(f"{first.name}-{n}")
    return place.name


def place_for(folder: Path, name: str, out: Path | None = None) -> Path:
    """The new folder of that name beside ``out``, or beside a run's folder.

    Raises
    ------
    UsageError
        For anything but a plain name, or the one that was given.
    OutputError
        If there is one already.
    """
    place = (out or folder).resolve().parent / name
    if out is not None and name == out.resolve().name:
        return _free(place)
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise UsageError(
            "this cannot be the name of a folder.", where=name[:80], hint="Letters, digits, - and _."
        )
    return _free(place)


def _free(place: Path) -> Path:
    if _taken(place):
        raise OutputError("this folder exists.", where=place, hint="Choose another name.")
    return place


def _taken(place: Path) -> bool:
    return place.exists() and not (place.is_dir() and not any(place.iterdir()))


def reviewed(base: Base, state: State, edits: Sequence[Mapping[str, Any]], reader: str) -> Case:
    """The case of the corrected masks, with its images and with what was done to them.

    Row ids are new: lesion 1 is the largest again. ``manifest.review.lesions`` tells the number that
    each row had while it was corrected.
    """
    done = recompute(base, state, whole=True)
    old = base.case.manifest
    complete = (
        None if state.complete is None else {"who": state.complete.who, "when": state.complete.when}
    )
    record = {
        "base": {
            "case_sha256": base.sha256,
            "created": old.created,
            "version": old.version,
            "review": {k: v for k, v in old.review.items() if k in _PARTS},
        },
        "reader": reader,
        "complete": complete or old.review.get("complete"),
        "edits": [dict(one) for one in edits],
        "lesions": {str(row): number for row, number in done.numbers.items()},
    }
    case = done.case
    corrections = sum(
        bool(e["lesions"]) or e["liver_ml"]["before"] != e["liver_ml"]["after"] for e in edits
    )
    return replace(
        case,
        findings=(*case.findings, review_finding(state, corrections, declared_by(old))),
        manifest=replace(case.manifest, review=record),
    )


def save(
    base: Base, state: State, edits: Sequence[Mapping[str, Any]], reader: str, out: Path
) -> tuple[Path, Case]:
    """Write the corrected case into the new folder ``out``, whole or not at all.

    Raises
    ------
    OutputError
        If ``out`` exists or cannot be written.
    """
    from burden.write import check_out, write_case

    check_out(out)
    case = reviewed(base, state, edits, reader)
    missing = write_case(case, out)
    return out, replace(case, findings=(*case.findings, *missing))
