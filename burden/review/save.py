"""The corrected case as a new folder: the same files as a run, the original untouched."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from burden.case import Case
from burden.errors import UsageError
from burden.review.base import Base
from burden.review.recompute import recompute, review_finding
from burden.review.state import State

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,79}")
_PARTS = ("base", "reader", "complete", "edits", "lesions")


def free_name(folder: Path) -> str:
    """A name beside a run's folder that nothing has yet."""
    name, n = f"{folder.resolve().name}-reviewed", 1
    while (folder.resolve().parent / name).exists():
        n += 1
        name = f"{folder.resolve().name}-reviewed-{n}"
    return name


def place_for(folder: Path, name: str) -> Path:
    """The new folder of that name beside a run's folder.

    Raises
    ------
    UsageError
        For anything but a plain name.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", " ")):
        raise UsageError(
            "this cannot be the name of a folder.", where=name[:80], hint="Letters, digits, - and _."
        )
    return folder.resolve().parent / name


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
    return replace(
        case,
        findings=(*case.findings, review_finding(state, len(edits))),
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
