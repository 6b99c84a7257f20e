"""Facts of the lesion table: count, largest diameter, distances to liver surface and hilum."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact
from burden.grid import Grid
from burden.lesions import Point
from burden.measure.fact import number, unknown
from burden.measure.scene import Scene
from burden.measure.table import CROSSING
from burden.measure.volumes import NO_SEGMENTS

HILUM_MM = 10.0
"""The hilum is the middle of the portal vein within this distance of its most central point."""


def counts(scene: Scene) -> Iterator[Fact]:
    """Number of lesions, also by hemiliver, and the largest diameter."""
    rows, spread = scene.rows, scene.spread
    draws = None if spread is None else spread.exists.sum(1).astype(float)
    yield number("lesion.count", "1", float(len(rows)), draws, scene.source)
    for side in ("right", "left"):
        fact_id = f"lesion.count_{side}"
        if not scene.anatomy.known:
            yield unknown(fact_id, "1", NO_SEGMENTS)
            continue
        measured = float(sum(r.lobe in (side, "both") for r in rows))
        draws = None
        if spread is not None:
            share = spread.right_share if side == "right" else spread.left_share
            draws = (spread.exists & (share >= CROSSING)).sum(1).astype(float)
        note = f"{CROSSING:.0%} or more of the lesion in it; {scene.anatomy.source}"
        yield number(fact_id, "1", measured, draws, scene.source, note)
    longest = max((r.recist_long_mm for r in rows), default=0.0)
    draws = None if spread is None else spread.long_mm.max(axis=1, initial=0.0)
    note = "RECIST 1.1, acquisition plane" if rows else "no lesion"
    yield number("lesion.largest_diameter", "mm", longest, draws, scene.source, note)


def distances(scene: Scene) -> Iterator[Fact]:
    """Smallest distance of any lesion to the liver's surface and to the hilum."""
    capsule = [r.distance_capsule_mm for r in scene.rows if r.distance_capsule_mm is not None]
    hilum = [r.distance_hilum_mm for r in scene.rows if r.distance_hilum_mm is not None]
    for name, values, why in (
        ("capsule", capsule, "the surface of the liver is not in the image"),
        ("hilum", hilum, "the portal vein was not segmented"),
    ):
        fact_id = f"lesion.min_distance_{name}"
        if values:
            yield number(fact_id, "mm", min(values), None, scene.source, "from the lesion's surface")
        else:
            yield unknown(fact_id, "mm", why if scene.rows else "no lesion")


def hilum_point(portal: NDArray[np.bool_] | None, liver: NDArray[np.bool_], grid: Grid) -> Point | None:
    """Where the portal vein is most central in the liver, LPS mm; None without a portal vein."""
    if portal is None or not portal.any():
        return None
    spacing = np.array(grid.spacing)
    vein = np.argwhere(portal) * spacing
    middle = np.array([_median(liver.sum(axis=tuple(b for b in range(3) if b != a))) for a in range(3)])
    start = vein[np.argmin(((vein - middle * spacing) ** 2).sum(1))]
    near = vein[((vein - start) ** 2).sum(1) <= HILUM_MM**2]
    x, y, z = grid.world(near.mean(0) / spacing)
    return float(x), float(y), float(z)


def _median(profile: NDArray[np.intp]) -> float:
    return float(np.searchsorted(np.cumsum(profile), profile.sum() / 2.0))
