"""Facts of contrast uptake: viable volume and burden, kinds of tissue, longest viable diameter."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from burden.facts import Fact
from burden.measure.enhancement import ENHANCING_HU, KINDS, LIMIT_SD_HU, LIMITS_HU, RIM_MM
from burden.measure.fact import number, unknown
from burden.measure.phases import ARTERIAL
from burden.measure.scene import Scene
from burden.measure.volumes import percent

_TEXT = {
    "hyper": "brighter than the liver around",
    "hypo": "enhancing, but darker than the liver around",
    "necrotic": f"below {ENHANCING_HU:.0f} HU",
    "rim": f"brighter than the liver within {RIM_MM:.0f} mm of the lesion's surface",
}


def viable(scene: Scene) -> Iterator[Fact]:
    """Viable volume and burden, kinds of tissue, and the longest viable diameter (mRECIST)."""
    seen, rows = scene.enhancement, scene.rows
    why = seen.why_not
    if not why and any(u is None for u in seen.lesions):
        why = "the arterial image does not show every lesion"
    kinds_why = why or ("" if seen.phase == ARTERIAL else "no arterial phase in the study")
    if not kinds_why and any(not r.uptake for r in rows):
        kinds_why = "no liver outside the lesions to hold them against"
    if why:
        yield unknown("tumor.viable_volume", "mL", why)
        yield unknown("tumor.viable_burden", "%", why)
    else:
        yield from _viable_volume(scene)
    for kind in KINDS:
        if kinds_why or not rows:
            yield unknown(f"tumor.{kind}_fraction", "%", kinds_why or "no lesion")
            continue
        share = sum(r.uptake[kind] * r.volume_ml for r in rows) / sum(r.volume_ml for r in rows)
        note = f"share of the tumor volume {_TEXT[kind]}; arterial phase"
        draws = None
        if scene.spread is not None:
            parts = scene.spread.lesion_ml @ np.array([r.uptake[kind] for r in rows])
            draws = percent(parts, scene.spread.tumor_ml)
        yield number(f"tumor.{kind}_fraction", "%", 100.0 * share, draws, scene.source, note)
    if kinds_why:
        yield unknown("lesion.largest_viable_diameter", "mm", kinds_why)
        return
    longest = max((r.viable_long_mm or 0.0 for r in rows), default=0.0)
    note = "mRECIST: longest viable diameter, arterial phase, acquisition plane" if rows else "no lesion"
    draws = None
    if scene.spread is not None:
        ends = np.array([r.viable_long_mm or 0.0 for r in rows])
        grown = ends + (scene.spread.long_mm - np.array([r.recist_long_mm for r in rows]))
        there = scene.spread.exists & (ends > 0)
        draws = np.where(there, np.maximum(grown, 0.0), 0.0).max(axis=1, initial=0.0)
    yield number("lesion.largest_viable_diameter", "mm", longest, draws, scene.source, note)


def _viable_volume(scene: Scene) -> Iterator[Fact]:
    shares = np.array([u.viable for u in scene.enhancement.lesions if u is not None])
    shares = shares.reshape(-1, len(LIMITS_HU))
    measured = float(sum(r.viable_ml or 0.0 for r in scene.rows))
    phase = scene.enhancement.phase
    note = f"lesion tissue above {ENHANCING_HU:.0f} HU in the {phase} phase"
    if phase != ARTERIAL:
        note += "; no arterial phase in the study"
    draws = burden = None
    if scene.spread is not None:
        limits = ENHANCING_HU + LIMIT_SD_HU * scene.spread.luck
        drawn = np.array([np.interp(limits, LIMITS_HU, share) for share in shares])
        draws = (scene.spread.lesion_ml * drawn.reshape(len(shares), len(limits)).T).sum(1)
        burden = percent(draws, scene.spread.liver_ml)
    yield number("tumor.viable_volume", "mL", measured, draws, scene.source, note)
    liver = float(np.count_nonzero(scene.liver)) * scene.grid.voxel_ml
    note = f"viable tissue / (liver with lesions) x 100; {note}"
    yield number("tumor.viable_burden", "%", 100.0 * measured / liver, burden, scene.source, note)
