"""What the page can ask for: a name and plain values in, an edit of the state out.

Points come in voxel indices of the array order; every value is checked here, whoever sent it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from burden.errors import UsageError
from burden.image import Volume
from burden.review import brush, edits
from burden.review.grow import Grown, grow
from burden.review.masks import MAX_LABEL, Patch
from burden.review.session import Edit
from burden.review.state import Mark, State

Asked = Mapping[str, Any]
Action = Callable[[State, Asked, Volume, Mark], tuple[str, State, Patch | None]]
MOST_POINTS = 2000


def action(name: str, asked: Asked, volume: Volume, mark: Mark) -> Edit:
    """The edit that does an action.

    Raises
    ------
    UsageError
        If there is no such action; the edit itself where it cannot be done to the masks.
    """
    if name not in ACTIONS:
        raise UsageError(f"no such action: {name[:40]}.")
    return lambda state: ACTIONS[name](state, asked, volume, mark)


def preview(asked: Asked, volume: Volume, state: State) -> Grown:
    """What a click would add."""
    return grow(
        state.masks,
        volume.data,
        _point(asked, "at"),
        edge=_number(asked, "edge", 0.1, 0.9),
        size=_number(asked, "size", 2.0, 300.0),
    )


def _delete(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    number = _lesion(state, asked)
    patch = edits.delete(state.masks, number)
    deleted = {**state.deleted, number: patch}
    after = replace(state, masks=patch.forward(state.masks), deleted=deleted)
    return f"Deleted lesion {number}", after, patch


def _restore(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    number = _whole(asked, "lesion", 1, MAX_LABEL)
    if number not in state.deleted:
        raise UsageError(f"lesion {number} was not deleted.")
    patch = edits.restore(state.masks, number, state.deleted[number])
    deleted = {n: p for n, p in state.deleted.items() if n != number}
    after = replace(state, masks=patch.forward(state.masks), deleted=deleted)
    if int(np.count_nonzero(patch.new() == edits.code_of(number))) != int(
        np.count_nonzero(state.deleted[number].old() == edits.code_of(number))
    ):  # another lesion had taken a part of its place
        after = replace(after, edited={**state.edited, number: mark})
    return f"Restored lesion {number}", after, patch


def _merge(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    keep, other = _lesion(state, asked), _lesion(state, asked, "other")
    return _touched(
        f"Merged lesion {other} into {keep}", state, edits.merge(state.masks, keep, other), mark
    )


def _grow(state: State, asked: Asked, volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    found, number = preview(asked, volume, state), state.next_number
    patch = edits.add(state.masks, found.box, found.region, number)
    return _touched(f"Added lesion {number} by a click", state, patch, mark)


def _paint(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    stroke, radius, flat = _stroke(asked)
    new = asked.get("lesion") is None
    number = state.next_number if new else _lesion(state, asked)
    patch = brush.paint(state.masks, number, stroke, radius, flat)
    return _touched(f"{'Drew' if new else 'Painted'} lesion {number}", state, patch, mark)


def _erase(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    stroke, radius, flat = _stroke(asked)
    number = None if asked.get("lesion") is None else _lesion(state, asked)
    patch = brush.erase(state.masks, number, stroke, radius, flat, state.next_number)
    return _touched(f"Erased {_named(patch)}", state, patch, mark)


def _paint_liver(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    return _touched("Added to the liver", state, brush.paint_liver(state.masks, *_stroke(asked)), mark)


def _erase_liver(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    return _touched("Took off the liver", state, brush.erase_liver(state.masks, *_stroke(asked)), mark)


def _split_line(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    number = _lesion(state, asked)
    start, end = _point(asked, "start"), _point(asked, "end")
    across = _whole(asked, "across", 0, 2)
    patch = edits.split_line(state.masks, number, start, end, across, state.next_number)
    return _touched(f"Split lesion {number} by a line", state, patch, mark)


def _split_seeds(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, Patch]:
    number, seeds = _lesion(state, asked), _points(asked, "seeds")
    if len(seeds) > 20:
        raise UsageError("at most 20 seeds.")
    new = range(state.next_number, state.next_number + len(seeds) - 1)
    patch = edits.split_seeds(state.masks, number, seeds, new)
    return _touched(f"Split lesion {number} by {len(seeds)} seeds", state, patch, mark)


def _complete(state: State, asked: Asked, _volume: Volume, mark: Mark) -> tuple[str, State, None]:
    if asked.get("complete"):
        what = "Declared: outline right, all lesions marked"
        return what, replace(state, complete=mark), None
    return "Took the declaration back", replace(state, complete=None), None


ACTIONS: dict[str, Action] = {
    "delete": _delete,
    "restore": _restore,
    "merge": _merge,
    "grow": _grow,
    "paint": _paint,
    "erase": _erase,
    "paint_liver": _paint_liver,
    "erase_liver": _erase_liver,
    "split_line": _split_line,
    "split_seeds": _split_seeds,
    "complete": _complete,
}
"""Everything that can be undone. A new one is a function here, and a button in the page."""


def _touched(what: str, state: State, patch: Patch, mark: Mark) -> tuple[str, State, Patch]:
    """The state after a patch; every lesion whose voxels changed is marked."""
    codes = np.unique(
        np.concatenate([c[patch.old() != patch.new()] for c in (patch.old(), patch.new())])
    )
    numbers = [int(c) // 2 for c in codes if c > 1]
    masks = patch.forward(state.masks)
    if max(numbers, default=0) >= MAX_LABEL:
        raise UsageError("too many lesions for one session: save, and go on from there.")
    there = set(masks.numbers)
    edited = {n: m for n, m in state.edited.items() if n in there or n in state.deleted}
    edited |= {n: mark for n in numbers if n in there}
    top = max([state.next_number, *(n + 1 for n in numbers)])
    return what, replace(state, masks=masks, edited=edited, next_number=top), patch


def _named(patch: Patch) -> str:
    codes = np.unique(patch.old()[patch.old() != patch.new()])
    numbers = [int(c) // 2 for c in codes if c > 1]
    return f"lesion {numbers[0]}" if len(numbers) == 1 else f"{len(numbers)} lesions"


def _stroke(asked: Asked) -> tuple[list[list[float]], float, int | None]:
    flat = None if asked.get("flat") is None else _whole(asked, "flat", 0, 2)
    return _points(asked, "stroke"), _number(asked, "radius", 0.1, 100.0), flat


def _lesion(state: State, asked: Asked, key: str = "lesion") -> int:
    number = _whole(asked, key, 1, MAX_LABEL)
    if state.masks.ml(number) == 0.0:
        raise UsageError(f"there is no lesion {number}.")
    return number


def _points(asked: Asked, key: str) -> list[list[float]]:
    given = asked.get(key)
    if not isinstance(given, list) or not 0 < len(given) <= MOST_POINTS:
        raise UsageError(f"`{key}` must be a list of 1 to {MOST_POINTS} points.")
    return [_point({"p": one}, "p") for one in given]


def _point(asked: Asked, key: str) -> list[float]:
    given = asked.get(key)
    if not isinstance(given, list) or len(given) != 3:
        raise UsageError(f"`{key}` must be a point of three numbers.")
    return [_number({"x": x}, "x", -1e5, 1e5) for x in given]


def _number(asked: Asked, key: str, low: float, high: float) -> float:
    given = asked.get(key)
    number = isinstance(given, (int, float)) and not isinstance(given, bool)
    if not number or not math.isfinite(given) or not low <= given <= high:  # type: ignore[arg-type,operator]
        raise UsageError(f"`{key}` must be a number from {low:g} to {high:g}.")
    return float(given)  # type: ignore[arg-type]


def _whole(asked: Asked, key: str, low: int, high: int) -> int:
    value = _number(asked, key, low, high)
    if value != int(value):
        raise UsageError(f"`{key}` must be a whole number.")
    return int(value)
