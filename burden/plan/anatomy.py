"""Which unions of Couinaud segments can be taken out, and what stays alive.

A union may be removed where all of this holds (this program's rule; no source prints one):

- it is at most two pieces, each connected over segments with a common border, so that single
  segments, bisegmentectomies, sectionectomies, hemihepatectomies and their extensions are in it;
- **outflow**: every segment that stays keeps a hepatic vein. The trunk of a vein runs between
  two segments near the vena cava and is taken for lost where both are removed: the right vein
  between 7 and 8, the middle one between 4 and 8, the left one between 2 and 4. Segments 2 and 3
  drain to the left vein, 6 and 7 to the right one, 4 to the left or middle one, 5 and 8 to the
  middle or right one, 1 to the vena cava itself. This leaves out 7 + 8 with 6 kept, which needs an
  inferior right hepatic vein that is not known here;
- **inflow**: pedicles branch on their way out, so that taking a segment spares the stems of the
  others; but something must be left that lives on its own: two segments with a common border,
  other than the caudate.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import combinations

Segments = frozenset[int]

ALL: Segments = frozenset(range(1, 9))
ADJACENT: frozenset[Segments] = frozenset(
    frozenset(p)
    for p in (
        *((1, 2), (1, 4), (1, 7), (1, 8), (2, 3), (2, 4), (3, 4)),
        *((4, 5), (4, 8), (5, 6), (5, 8), (6, 7), (7, 8)),
    )
)
"""Segments with a common border, as in the Frilling types."""
STANDARD: dict[str, Segments] = {
    "right_hepatectomy": frozenset((5, 6, 7, 8)),
    "left_hepatectomy": frozenset((2, 3, 4)),
    "extended_right": frozenset((4, 5, 6, 7, 8)),
    "extended_left": frozenset((2, 3, 4, 5, 8)),
    "left_lateral": frozenset((2, 3)),
    "right_posterior": frozenset((6, 7)),
    "central": frozenset((4, 5, 8)),
}
"""The hepatectomies that have facts of their own (``flr.<plan>...``)."""
MOST_PIECES = 2

_TRUNKS = {"right": (7, 8), "middle": (4, 8), "left": (2, 4)}
_DRAINS: dict[int, tuple[str, ...]] = {
    2: ("left",),
    3: ("left",),
    4: ("left", "middle"),
    5: ("middle", "right"),
    6: ("right",),
    7: ("right",),
    8: ("middle", "right"),
}


@cache
def unions() -> tuple[Segments, ...]:
    """Every union that may be removed, nothing at all first, then by number of segments."""
    every = (frozenset(c) for n in range(8) for c in combinations(sorted(ALL), n))
    return tuple(u for u in every if removable(u))


def removable(removed: Segments) -> bool:
    """Whether a union may be removed by the rule of this module."""
    return (
        len(pieces(removed)) <= MOST_PIECES
        and all(_drained(segment, removed) for segment in ALL - removed)
        and any(len(piece) >= 2 for piece in pieces(ALL - removed - {1}))
    )


def pieces(segments: Iterable[int]) -> tuple[Segments, ...]:
    """Connected parts of a union of segments."""
    left, found = set(segments), []
    while left:
        piece = {left.pop()}
        while more := {s for s in left if any(frozenset((s, p)) in ADJACENT for p in piece)}:
            piece |= more
            left -= more
        found.append(frozenset(piece))
    return tuple(sorted(found, key=sorted))


def named(removed: Segments) -> str:
    """Name of a standard hepatectomy, or ``segments 2, 3, 6``."""
    known = [name for name, segments in STANDARD.items() if segments == removed]
    if known:
        return known[0].replace("_", " ")
    text = ", ".join(map(str, sorted(removed)))
    return f"segment{'s' if len(removed) > 1 else ''} {text}" if removed else "no segment"


def _drained(segment: int, removed: Segments) -> bool:
    if segment not in _DRAINS:
        return True
    return any(not removed.issuperset(_TRUNKS[vein]) for vein in _DRAINS[segment])
