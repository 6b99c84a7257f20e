"""Volumes and burden: whole liver, hemilivers, segments, and other organs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from burden.facts import Fact
from burden.measure.anatomy import LEFT, RIGHT
from burden.measure.fact import number, unknown
from burden.measure.scene import Scene
from burden.measure.table import CROSSING

BURDEN_IS = "lesions / (liver with lesions) x 100"
ROUGHLY = 1.4
"""Surface of a spleen against that of a ball of its volume."""
SIDES = {"right": RIGHT, "left": LEFT}
NO_SEGMENTS = "the Couinaud segments are not known"

Mask = NDArray[np.bool_]


def whole(scene: Scene) -> Iterator[Fact]:
    """Liver and tumor volume and percent hepatic replacement (LiTS definition, S1 Table 2)."""
    voxel = scene.grid.voxel_ml
    liver = float(np.count_nonzero(scene.liver)) * voxel
    tumor = float(np.count_nonzero(scene.lesions)) * voxel
    spread = scene.spread
    yield number("liver.volume", "mL", liver, None if spread is None else spread.liver_ml, scene.source)
    totals = scene.totals
    yield number("tumor.volume", "mL", tumor, None if totals is None else totals.tumor_ml, scene.source)
    draws = None
    if totals is not None and spread is not None:
        draws = percent(totals.tumor_ml, spread.liver_ml)
    yield number("tumor.burden", "%", 100.0 * tumor / liver, draws, scene.source, BURDEN_IS)


def by_anatomy(scene: Scene) -> Iterator[Fact]:
    """Burden of each hemiliver; volume and tumor volume of each segment; segments involved; shares."""
    if not scene.anatomy.known:
        ids = {f"{what}{side}": "%" for what in ("tumor.burden_", "treated.") for side in SIDES}
        ids |= {f"segment.{n}.{what}": "mL" for n in range(1, 9) for what in ("volume", "tumor_volume")}
        ids |= {"segments.involved": "1", "treated.involved": "%"}
        yield from (unknown(i, unit, NO_SEGMENTS) for i, unit in ids.items())
        return
    note, spread = scene.anatomy.source, scene.spread
    for side, group in SIDES.items():
        liver, tumor = scene.segment_ml[group].sum(), scene.segment_tumor_ml[group].sum()
        if liver <= 0:
            for what in ("tumor.burden_", "treated."):
                yield unknown(f"{what}{side}", "%", f"no {side} hemiliver in the mask")
            continue
        draws = None
        if spread is not None:
            draws = percent(spread.segment_tumor_ml[:, group].sum(1), spread.segment_ml[:, group].sum(1))
        yield number(f"tumor.burden_{side}", "%", 100.0 * tumor / liver, draws, scene.source, note)
        chosen = np.isin(np.arange(9), group)
        yield _treated(scene, f"treated.{side}", chosen, None if spread is None else chosen[None])
    for n in range(1, 9):
        draws = None if spread is None else spread.segment_ml[:, n]
        yield number(f"segment.{n}.volume", "mL", scene.segment_ml[n], draws, scene.source, note)
        draws = None if spread is None else spread.segment_tumor_ml[:, n]
        yield number(
            f"segment.{n}.tumor_volume", "mL", scene.segment_tumor_ml[n], draws, scene.source, note
        )
    held = np.array([[r.segments.get(n, 0.0) >= CROSSING for n in range(1, 9)] for r in scene.rows])
    held = np.pad(held.reshape(-1, 8), ((0, 0), (1, 0)))
    drawn = None if spread is None else np.array([held[here].any(0) for here in spread.exists])
    draws = None if drawn is None else drawn.sum(1).astype(float)
    note = f"hold {CROSSING:.0%} or more of some lesion; {note}"
    yield number("segments.involved", "1", float(held.any(0).sum()), draws, scene.source, note)
    yield _treated(scene, "treated.involved", np.asarray(held.any(0)), drawn)


def _treated(scene: Scene, fact: str, chosen: Mask, drawn: Mask | None) -> Fact:
    """Share of the liver in the segments chosen, (9,) with 0 for none; draw by draw, (draws or 1, 9)."""
    draws = None
    if scene.spread is not None and drawn is not None:
        sizes = scene.spread.segment_ml
        draws = percent((sizes * drawn).sum(1), sizes.sum(1))
    part = 100.0 * scene.segment_ml[chosen].sum() / scene.segment_ml.sum()
    return number(fact, "%", float(part), draws, scene.source, scene.anatomy.source)


def organs(scene: Scene) -> Iterator[Fact]:
    """Volume of the spleen, where it was segmented and is whole."""
    structures = scene.found.structures
    spleen = None if structures is None else structures.named("spleen")
    if spleen is None or not spleen.any():
        yield unknown("spleen.volume", "mL", "the spleen was not segmented")
    elif touches_edge(spleen):
        yield unknown("spleen.volume", "mL", "the spleen is cut by the edge of the image")
    else:
        ml = float(np.count_nonzero(spleen)) * scene.volume.grid.voxel_ml
        draws = None
        if scene.spread is not None:  # its edge is drawn as well as the liver's; an area as of a ball
            area = ROUGHLY * (36.0 * np.pi * (1000.0 * ml) ** 2) ** (1.0 / 3.0)
            draws = np.maximum(ml + area * scene.spread.liver_shift_mm / 1000.0, 0.0)
        yield number("spleen.volume", "mL", ml, draws, scene.source)


def touches_edge(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask reaches a face of its array."""
    return any(bool(face.any()) for axis in range(3) for face in np.moveaxis(mask, axis, 0)[[0, -1]])


def percent(part: NDArray[np.floating], whole_ml: NDArray[np.floating]) -> NDArray[np.float64]:
    """Draw by draw ``part / whole x 100``, kept within 0 and 100."""
    return np.asarray(np.clip(100.0 * part / np.maximum(whole_ml, 1e-9), 0.0, 100.0))
