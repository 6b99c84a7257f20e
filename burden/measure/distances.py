"""Facts of the lesion table: count, largest diameter, distances to surface, hilum and vessels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact
from burden.findings import Finding
from burden.image import Segmentation
from burden.lesions import Lesion
from burden.measure.fact import number, unknown
from burden.measure.scene import Scene
from burden.measure.table import CROSSING
from burden.measure.vessels import CAVA, VESSELS, known_vessels
from burden.measure.volumes import NO_SEGMENTS

VOXEL_SD = 0.3
"""Sd of a distance in voxel diagonals."""
FloatArray = NDArray[np.float64]


def counts(scene: Scene) -> Iterator[Fact]:
    """Number of lesions, also by hemiliver, and the largest diameter."""
    rows, spread = scene.rows, scene.spread
    totals = scene.totals
    draws = None if totals is None else totals.count
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
    draws = None if totals is None else totals.largest_mm
    note = "RECIST 1.1, acquisition plane" if rows else "no lesion"
    yield number("lesion.largest_diameter", "mm", longest, draws, scene.source, note)


def distances(scene: Scene) -> Iterator[Fact]:
    """Smallest distance of any lesion to the liver's surface, the hilum, the cava, any vessel."""
    vessels = ", ".join(n.replace("_", " ") for n in known_vessels(scene.found.structures))
    for name, field, note, why in (
        ("capsule", "distance_capsule_mm", "", "the surface of the liver is not in the image"),
        (
            "hilum",
            "distance_hilum_mm",
            " to the portal bifurcation",
            "the portal vein was not segmented",
        ),
        ("ivc", "distance_ivc_mm", "", "the inferior vena cava was not segmented"),
        ("vessel", "distance_vessel_mm", f" to the nearest of: {vessels}", "no vessel was segmented"),
    ):
        fact_id = f"lesion.min_distance_{name}"
        values = [v for r in scene.rows if (v := getattr(r, field)) is not None]
        if len(values) == len(scene.rows) > 0:
            said = f"from the lesion's surface{note}"
            draws = _nearest(scene, np.array(values), to_liver=name == "capsule")
            yield number(fact_id, "mm", min(values), draws, scene.source, said)
        else:
            yield unknown(fact_id, "mm", why if scene.rows else "no lesion")


def _nearest(scene: Scene, values: FloatArray, *, to_liver: bool) -> FloatArray | None:
    """Smallest distance in every draw: surfaces move, and a voxel's place is open."""
    spread = scene.spread
    if spread is None:
        return None
    moved = values - spread.shift_mm + (spread.liver_shift_mm[:, None] if to_liver else 0.0)
    moved += VOXEL_SD * float(np.linalg.norm(scene.grid.spacing)) * spread.luck[:, None]
    moved = np.where(spread.exists, np.maximum(moved, 0.0), np.inf).min(axis=1)
    return np.asarray(np.where(np.isfinite(moved), moved, values.min()))


def not_measured(found: Segmentation, rows: Sequence[Lesion]) -> Iterator[Finding]:
    """Which distances cannot be measured, and why."""
    missing = [n for n in VESSELS if n not in known_vessels(found.structures)]
    if not rows or not missing:
        return
    names = [n.replace("_", " ") for n in missing]
    text = f"Not segmented: {', '.join(names)}. "
    lost = ["to the hilum"] if "portal_vein" in missing else []
    lost += ["to the vena cava"] if CAVA in missing else []
    lost += ["to vessels"] if len(missing) == len(VESSELS) else []
    text += f"Distances of lesions {', '.join(lost)} cannot be measured." if lost else ""
    text += " A vessel that was not segmented may be nearer than the nearest." if not lost else ""
    yield Finding("vessels-not-segmented", "info", text)
