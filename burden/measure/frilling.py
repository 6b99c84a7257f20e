"""Frilling distribution type, each reading as a function of the lesion table's numbers.

No source prints a threshold; these are this program's operational definitions, written down
here and nowhere else (rules inventory A2).

A lesion *is in* a hemiliver that holds 10 % or more of it (right = segments 5-8, left = 2-4;
segment 1 counts to neither). *Both lobes* means that each hemiliver has a lesion in it.
One lobe is *predominant* where the other holds less than 25 % of the tumor volume, and no
lesion that lies mostly in the other is longer than half of the longest lesion.

====================  ==============  ================  ================
lesions               2024 wording    ENETS 2012        original 2009
====================  ==============  ================  ================
none                  none            none              none
one                   I               I                 I
several, one lobe     I               I                 II
several, within two   by lobes        I                 by lobes
adjacent segments
both, predominant     II              II                II
both, not so          III             III               III
====================  ==============  ================  ================

Sources: S3 2.2 (2024 wording: I is a single, one-lobe lesion), S1 Fig. 1, ENETS 2012 (I:
confined to one lobe or two adjacent segments), Frilling 2009 (I: a single metastasis of any
size; II: an isolated bulk with smaller deposits; III: disseminated).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact
from burden.measure.anatomy import LEFT, RIGHT
from burden.measure.fact import TAIL, choice, unknown
from burden.measure.scene import Scene
from burden.measure.table import CROSSING

OPTIONS = ("none", "I", "II", "III")
ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII")
LESSER_SHARE = 0.25
SATELLITE = 0.5
READINGS = {"": "2024", ".enets2012": "enets", ".frilling2009": "2009"}

ADJACENT = frozenset(
    frozenset(p)
    for p in ((1, 2), (1, 4), (1, 7), (1, 8), (2, 3), (2, 4), (3, 4), (4, 5), (4, 8), (5, 6), (5, 8))
) | {frozenset((6, 7)), frozenset((7, 8))}
"""Couinaud segments with a common border."""


@dataclass(frozen=True)
class Spreading:
    """Where the tumor of one liver lies, in numbers.

    Parameters
    ----------
    count
        Lesions.
    sides
        Hemilivers with a lesion in them: ``right``, ``left``, ``both``, ``caudate`` where it is in
        segment 1 alone, ``unknown`` without segments.
    segments
        Couinaud segments with 10 % or more of some lesion.
    lesser_share
        Share of the tumor volume in the hemiliver with less of it.
    satellite_ratio
        Longest lesion lying mostly in the lesser hemiliver over the longest of all; 0 without.
    longest_mm
        Longest lesion.
    largest_share
        Share of the tumor volume in the largest lesion.
    lesser_right
        Whether the hemiliver with less of the tumor is the right one.
    """

    count: int
    sides: str
    segments: frozenset[int]
    lesser_share: float
    satellite_ratio: float
    longest_mm: float = 0.0
    largest_share: float = 0.0
    lesser_right: bool = False

    @property
    def predominant(self) -> bool:
        """Whether one hemiliver clearly carries the disease."""
        return self.lesser_share < LESSER_SHARE and self.satellite_ratio <= SATELLITE


Numbers = NDArray[np.float64]


def spreading(
    ml: Numbers, long_mm: Numbers, right: Numbers, left: Numbers, by_segment: Numbers
) -> Spreading:
    """Summarise a lesion table; arrays of one value a lesion, shares of ``by_segment`` (n, 9)."""
    if len(ml) == 0:
        return Spreading(0, "unknown", frozenset(), 0.0, 0.0)
    in_right, in_left = bool((right >= CROSSING).any()), bool((left >= CROSSING).any())
    sides = {(True, True): "both", (True, False): "right", (False, True): "left"}.get(
        (in_right, in_left), "caudate" if by_segment.any() else "unknown"
    )
    volumes = float(ml @ right), float(ml @ left)
    lesser = 0 if volumes[0] < volumes[1] else 1
    mostly = (right > left) if lesser == 0 else (left > right)
    longest = float(long_mm.max())
    ratio = float(long_mm[mostly].max()) / longest if mostly.any() and longest > 0 else 0.0
    held = np.flatnonzero((by_segment[:, 1:] >= CROSSING).any(0)) + 1
    return Spreading(
        count=len(ml),
        sides=sides,
        segments=frozenset(int(n) for n in held),
        lesser_share=volumes[lesser] / max(sum(volumes), 1e-12),
        satellite_ratio=ratio,
        longest_mm=longest,
        largest_share=float(ml.max()) / max(float(ml.sum()), 1e-12),
        lesser_right=lesser == 0,
    )


def type_2024(s: Spreading) -> str:
    """Type in the wording of the 2024 review; several lesions in one lobe read as I."""
    if s.count == 0:
        return "none"
    if s.count == 1 or s.sides != "both":
        return "I"
    return "II" if s.predominant else "III"


def type_enets2012(s: Spreading) -> str:
    """Type as ENETS 2012 reads it: I is confined to one lobe or two adjacent segments."""
    if s.count and (len(s.segments) <= 1 or s.segments in ADJACENT):
        return "I"
    return type_2024(s)


def type_2009(s: Spreading) -> str:
    """Type of the 2009 paper: I is a single metastasis, whatever its size and lobe."""
    if s.count > 1 and s.sides != "both":
        return "II"
    return type_2024(s)


RULES = {"2024": type_2024, "enets": type_enets2012, "2009": type_2009}


def frilling_types(scene: Scene) -> Iterator[Fact]:
    """The type under each reading, with its numbers and the sentence to dictate."""
    rows = scene.rows
    if len(rows) > 1 and not scene.anatomy.known:
        least = len(rows)  # that there are; where some may be none, fewer
        if scene.spread is not None:
            least = int(np.quantile(scene.spread.exists.sum(1), TAIL))
        for suffix in READINGS:
            left_over = OPTIONS[min(least, 2 if suffix == ".frilling2009" else 1) :]
            why = "several lesions, and no segments to tell the lobes"
            yield unknown(f"frilling.type{suffix}", "", why, left_over)
        return
    numbers = [(r.volume_ml, r.recist_long_mm, *_sides(r.segments)) for r in rows]
    table = np.array(numbers).reshape(-1, 4)
    shares = np.array([[r.segments.get(n, 0.0) for n in range(9)] for r in rows]).reshape(-1, 9)
    seen = spreading(table[:, 0], table[:, 1], table[:, 2], table[:, 3], shares)
    drawn = _drawn(scene, shares)
    types = {reading: rule(seen) for reading, rule in RULES.items()}
    for suffix, reading in READINGS.items():
        rule = RULES[reading]
        draws = None if drawn is None else np.array([rule(s) for s in drawn])
        note = dictated(seen, types, reading, _spared(scene, seen), draws)
        yield choice(f"frilling.type{suffix}", types[reading], draws, scene.source, note)


WHERE = {
    "right": "the right lobe",
    "left": "the left lobe",
    "caudate": "the caudate lobe",
    "unknown": "the liver (lobe not known)",
}
WORDING = {"2024": "2024 wording", "enets": "ENETS 2012", "2009": "original 2009 paper"}


def dictated(
    s: Spreading,
    types: dict[str, str],
    reading: str,
    spared: str = "",
    draws: NDArray[np.str_] | None = None,
) -> str:
    """The sentence to dictate under one reading, how sure it is, and where readings differ."""
    if s.count == 0:
        return "No liver lesion."
    text = f"Frilling type {types[reading]} ({WORDING[reading]}): {sentence(s)}{spared}"
    if draws is not None:
        names, counts = np.unique(draws, return_counts=True)
        shares = sorted(zip(counts / draws.size, names, strict=True), reverse=True)
        text += f" P(type): {', '.join(f'{name} {share:.0%}' for share, name in shares)}."
    if len(set(types.values())) > 1:
        text += (
            f" Readings differ: type {types['2024']} in the 2024 wording, {types['enets']} by ENETS "
            f"2012, {types['2009']} by the 2009 paper."
        )
    return text


def sentence(s: Spreading) -> str:
    """What a radiologist would dictate, with the numbers behind it."""
    if s.count == 0:
        return "No liver lesion."
    size = f"of {s.longest_mm:.0f} mm"
    if s.count == 1 and s.sides == "both":
        return f"solitary liver lesion {size} across both lobes."
    if s.count == 1:
        return f"solitary liver lesion {size} in {WHERE[s.sides]}."
    largest = f"the largest, {s.longest_mm:.0f} mm long, is {s.largest_share:.0%} of the tumor volume"
    if s.sides != "both":
        return f"{s.count} liver lesions, confined to {WHERE[s.sides]}; {largest}."
    more, less = ("left", "right") if s.lesser_right else ("right", "left")
    kind = f"the {more} lobe predominant" if s.predominant else "neither lobe predominant"
    rest = f"no lesion mostly in the {less} lobe"
    if s.satellite_ratio > 0:
        rest = f"the longest of the {less} lobe is {s.satellite_ratio:.0%} as long as the longest of all"
    return (
        f"{s.count} liver lesions in both lobes, {kind}, with {1 - s.lesser_share:.0%} of the tumor "
        f"volume in the {more} and {s.lesser_share:.0%} in the {less} lobe; {largest}; {rest}."
    )


def _spared(scene: Scene, s: Spreading) -> str:
    """Segments without tumor, and how much of the liver they are."""
    if not scene.anatomy.known:
        return ""
    free = [n for n in range(1, 9) if n not in s.segments and scene.segment_ml[n] > 0]
    if not free:
        return " No segment is free of tumor."
    share = scene.segment_ml[free].sum() / max(scene.segment_ml.sum(), 1e-9)
    names = ", ".join(ROMAN[n] for n in free)
    start = f"Segment {names} is" if len(free) == 1 else f"Segments {names} are"
    return f" {start} spared ({share:.0%} of the liver)."


def _sides(segments: dict[int, float]) -> tuple[float, float]:
    return sum(segments.get(n, 0.0) for n in RIGHT), sum(segments.get(n, 0.0) for n in LEFT)


def _drawn(scene: Scene, shares: Numbers) -> list[Spreading] | None:
    spread = scene.spread
    if spread is None:
        return None
    found = []
    for k in range(len(spread.liver_ml)):
        here = spread.exists[k]
        found.append(
            spreading(
                spread.lesion_ml[k, here],
                spread.long_mm[k, here],
                spread.right_share[k, here],
                spread.left_share[k, here],
                shares[here],
            )
        )
    return found
