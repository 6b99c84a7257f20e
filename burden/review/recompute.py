"""Corrected masks through the pipeline again: everything after the model, with the same draws."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden import __version__
from burden.case import Case, Manifest
from burden.findings import Finding
from burden.image import Labels, Segmentation, Volume
from burden.lesions import Lesion
from burden.pipeline import PACKAGES, conclude
from burden.review.base import ENDED_BY_A_READER, Base
from burden.review.masks import Box, wider
from burden.review.state import State

MARGIN_MM = 24.0
"""Nothing further from the liver is looked at: metal is looked for within 20 mm of it."""
_SURE = 50.0  # the logit that stands for certainty; the logistic is exactly 1 there


@dataclass(frozen=True, eq=False)
class Concluded:
    """A case of corrected masks.

    Parameters
    ----------
    case
        Its images are cut to ``box``.
    numbers
        Number in the session of each row of the case's lesion table, by row id.
    segments
        Couinaud segments of the box, uint8, compressed: all that the page needs of the arrays.
    """

    case: Case
    box: Box
    numbers: Mapping[int, int]
    segments: bytes


def recompute(base: Base, state: State, *, whole: bool = False) -> Concluded:
    """Measure, assess and plan again.

    The image is cut to the liver and what can matter around it, which changes no number; with
    ``whole`` it is not, and the images of the case can be written.
    """
    grid = base.volume.grid
    margin = tuple(int(np.ceil(MARGIN_MM / s)) + 1 for s in grid.spacing)
    box = state.masks.window
    box = wider(box, (margin[0], margin[1], margin[2]), grid.shape)
    if whole:
        box = (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
    volume = _cut(base.volume, box)
    found = segmentation(base, state, box)
    old = base.case.manifest
    manifest = replace(old, created=_now(), version=__version__, packages=_packages(old.packages),
                       books={book.id: str(book.version) for book in base.books})  # fmt: skip
    case = conclude(
        volume,
        found,
        base.patient,
        base.books,
        manifest,
        companions=base.companions,
        local=base.local,
    )
    numbers = _numbers(case, found.lesions)
    first = box[grid.slice_axis].start
    rows = tuple(_row(base, state, row, numbers[row.id], first) for row in case.lesions)
    assert case.images is not None  # noqa: S101 - conclude always keeps them
    packed = zlib.compress(case.images.segments.data.astype(np.uint8).tobytes(), 1)
    return Concluded(replace(case, lesions=rows), box, numbers, packed)


def segmentation(base: Base, state: State, box: Box) -> Segmentation:
    """The masks as a segmentation: with the model's errors, until a reader vouches for them."""
    code = state.masks.code[box]
    grid = state.masks.grid.crop([s.start for s in box], [s.stop for s in box])
    model = base.case.manifest.model
    trusted = state.complete is not None or bool(declared_by(base.case.manifest))
    doubtful = bool(model.get("lesions_may_be_false", False)) and not trusted
    ended = ENDED_BY_A_READER if state.complete is not None else ()
    labels = (code >> 1).astype(np.uint16)
    return Segmentation(
        liver=Labels((code > 0).astype(np.uint8), grid, {1: "liver"}),
        lesions=Labels(labels, grid),
        separate=True,
        segments=None if base.segments is None else Labels(base.segments.data[box], grid),
        lesion_probability=_probability(base, state, labels) if doubtful else None,
        lesion_existence=(-_SURE, 2.0 * _SURE, 0.0) if doubtful else None,
        liver_boundary_sd_mm=0.0 if trusted else float(model.get("liver_boundary_sd_mm", 0.0)),
        lesion_boundary_sd_mm=0.0 if trusted else float(model.get("lesion_boundary_sd_mm", 0.0)),
        total_errors=() if trusted else tuple(tuple(row) for row in model.get("total_errors", ())),
        source=_source(base, state),
        findings=tuple(f for f in base.findings if f.code not in ended),
    )


def declared_by(manifest: Manifest) -> str:
    """Who declared the masks complete in an earlier review; "" for nobody."""
    return str((manifest.review.get("complete") or {}).get("who", ""))


def _probability(base: Base, state: State, labels: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A map that is flat over each lesion, from which measuring makes each lesion's chance again.

    What a reader drew or changed is a lesion.
    """
    chances = np.ones(max(int(labels.max(initial=0)), state.next_number) + 1, np.float64)
    for number, chance in base.chances.items():
        if number not in state.edited:
            chances[number] = chance
    low = 1.0 / (1.0 + np.exp(_SURE))
    chances = np.clip(chances, low, 1.0 - 1e-16)
    logit = np.clip(np.log(chances) - np.log1p(-chances), -_SURE, _SURE)
    logit[chances > 1.0 - 1e-12] = _SURE
    return np.asarray(((logit + _SURE) / (2.0 * _SURE))[labels], dtype=np.float32)


def _source(base: Base, state: State) -> str:
    """Whose masks, for the source of every fact."""
    first = base.case.facts["liver.volume"].source.removeprefix("measured: ")
    if state.complete is not None:
        return f"{first}, reviewed by {state.complete.who}"
    names = dict.fromkeys(mark.who for mark in state.edited.values())
    return f"{first}, corrected by {', '.join(names)}" if names else first


def _row(base: Base, state: State, row: Lesion, number: int, first_slice: int) -> Lesion:
    """The row with its place in the whole image, and who is answerable for it."""
    known = {one.id: one.source for one in base.case.lesions}
    source = known.get(number, row.source)
    if number in state.edited:
        source = f"edited by {state.edited[number]}"
    elif state.complete is not None and not source.startswith("edited"):
        source = f"{source}, kept by {state.complete}"
    return replace(row, source=source, recist_slice_index=row.recist_slice_index + first_slice)


def _numbers(case: Case, lesions: Labels) -> dict[int, int]:
    """Session number of each row."""
    assert case.images is not None  # noqa: S101 - conclude always keeps them
    rows = case.images.lesions.data
    at = np.flatnonzero(rows)
    ids, first = np.unique(rows.ravel()[at], return_index=True)
    return {int(i): int(lesions.data.ravel()[at[f]]) for i, f in zip(ids.tolist(), first, strict=True)}


def _cut(volume: Volume, box: Box) -> Volume:
    grid = volume.grid.crop([s.start for s in box], [s.stop for s in box])
    return replace(volume, data=volume.data[box], grid=grid)


def _packages(old: Mapping[str, Any]) -> dict[str, str]:
    """Versions of the packages installed now."""
    found = {str(name): str(number) for name, number in old.items()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _now() -> str:
    from datetime import UTC

    return datetime.now(UTC).isoformat(timespec="seconds")


def review_finding(state: State, edits: int, before: str = "") -> Finding:
    """One line for the reader of the report: who corrected what.

    Parameters
    ----------
    edits
        How many corrections changed a voxel.
    before
        Who had declared the masks complete in an earlier review; "" for nobody.
    """
    names = ", ".join(dict.fromkeys(m.who for m in state.edited.values())) or "a reader"
    done = f"{edits} correction{'' if edits == 1 else 's'}"
    if state.complete is not None:
        text = (
            f"{state.complete.who} looked through the whole liver and declared its outline right and "
            f"all lesions marked ({done})."
        )
        return Finding("reviewed", "info", text)
    if before:
        text = f"Masks corrected by {names} ({done}) after {before} had declared them complete."
        return Finding("reviewed", "info", text)
    text = f"Masks corrected by {names} ({done}); the whole liver was not declared looked through."
    return Finding("review-incomplete", "info", text)
