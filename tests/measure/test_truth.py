"""Random livers on fine oblique grids with 1 to 5 mm slices: measured against the formulas.

Six livers by default; ``BURDEN_CAMPAIGN=300`` runs as many and prints the figures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from burden.facts import Facts
from burden.image import Origin, Volume
from burden.measure import measure
from burden.phantom import random_spec
from burden.phantom.blobs import Blob
from burden.phantom.make import masks
from burden.phantom.scatter import settle
from burden.phantom.truth import fact_truth, lesion_truth

LIVERS = int(os.environ.get("BURDEN_CAMPAIGN", "6"))
READINGS = ("frilling.type", "frilling.type.enets2012", "frilling.type.frilling2009")


@dataclass(frozen=True)
class Off:
    """How far one lesion is off: volume in %, lengths in voxel diagonals."""

    ml: float
    slice_mm: float
    volume: float
    recist: float
    in_plane: float
    capsule: float
    hilum: float


def offs(seed: int) -> tuple[list[Off], dict[str, float], bool]:
    """Every lesion of one random liver; relative errors of whole-liver facts; Frilling right?"""
    rng = np.random.default_rng([seed, 5])
    pixel, thick = float(rng.uniform(1.0, 1.6)), float(rng.uniform(1.0, 5.0))
    kind = ("I", "II", "III", "unilobar")[seed % 4]
    spec = random_spec(seed, frilling=kind, oblique=True, any_order=seed % 2 == 0)
    shape = tuple(
        int(np.ceil(n * 3.5 / s)) for n, s in zip(spec.shape, (pixel, pixel, thick), strict=True)
    )
    spec = settle(replace(spec, shape=shape, spacing=(pixel, pixel, thick)))
    blobs = [Blob.of(lesion, spec.seed + n) for n, lesion in enumerate(spec.lesions)]
    ordered = tuple(sorted(blobs, key=lambda b: -b.volume_ml))
    truth = lesion_truth(spec, ordered)
    facts = fact_truth(spec, truth)
    volume = Volume(np.zeros(spec.grid.shape, np.int16), spec.grid, "CT", Origin("phantom", "x"))
    result = measure(volume, masks(spec, ordered), Facts(), draws=0)
    spacing = np.array(spec.grid.spacing)
    voxel = float(np.linalg.norm(spacing))
    flat = float(np.linalg.norm(np.delete(spacing, spec.grid.slice_axis)))
    found = []
    for row in result.lesions:
        same = min(
            truth, key=lambda t: float(np.linalg.norm(np.subtract(t.centroid_mm, row.centroid_mm)))
        )
        long = abs(row.recist_long_mm - same.recist_long_mm)
        assert row.distance_capsule_mm is not None
        assert same.distance_capsule_mm is not None
        hilum = abs((row.distance_hilum_mm or 0.0) - (same.distance_hilum_mm or 0.0))
        found.append(
            Off(
                same.volume_ml,
                float(spacing[spec.grid.slice_axis]),
                100.0 * (row.volume_ml / same.volume_ml - 1.0),
                long / voxel,
                long / flat,
                abs(row.distance_capsule_mm - same.distance_capsule_mm) / voxel,
                hilum / voxel,
            )
        )
    whole = {}
    for name in ("liver.volume", "tumor.volume", "tumor.burden"):
        one, two = result.facts[name].best, facts[name].best
        assert isinstance(one, float)
        assert isinstance(two, float)
        whole[name] = 100.0 * (one / two - 1.0)
    same_types = all(result.facts[r].best == facts[r].best for r in READINGS if r in facts)
    return found, whole, same_types and len(result.lesions) == len(truth)


def test_random_livers_on_fine_oblique_grids() -> None:
    lesions: list[Off] = []
    wholes: list[dict[str, float]] = []
    wrong = []
    for seed in range(1000, 1000 + LIVERS):
        found, whole, right = offs(seed)
        lesions += found
        wholes.append(whole)
        wrong += [] if right else [seed]
    large = [o for o in lesions if o.ml >= 1.0]
    volume = np.abs([o.volume for o in large])
    print(f"\n{LIVERS} livers, {len(lesions)} lesions, {len(large)} of 1 mL or more")
    print(f"types or counts wrong: {wrong}")
    for low, high in ((1, 3), (3, 10), (10, 1e6)):
        for thin, thick in ((1.0, 2.5), (2.5, 5.0)):
            part = [abs(o.volume) for o in lesions if low <= o.ml < high and thin <= o.slice_mm < thick]
            if part:
                print(f"volume, {low}-{high:g} mL, {thin}-{thick} mm slices: n {len(part)}, "
                      f"mean {np.mean(part):.2f} %, 95th {np.quantile(part, 0.95):.2f}, "
                      f"within 2 %: {np.mean(np.array(part) <= 2):.1%}")  # fmt: skip
    print(f"volume >= 1 mL within 2 %: {np.mean(volume <= 2):.1%}, mean signed "
          f"{np.mean([o.volume for o in large]):+.2f} %")  # fmt: skip
    for what in ("recist", "in_plane", "capsule", "hilum"):
        away = np.array([getattr(o, what) for o in lesions])
        print(f"{what}: within one diagonal {np.mean(away <= 1):.2%}, 99th {np.quantile(away, 0.99):.2f}"
              f", worst {away.max():.2f}")  # fmt: skip
    for name in wholes[0]:
        away = np.abs([w[name] for w in wholes])
        print(f"{name}: mean {away.mean():.2f} %, worst {away.max():.2f} %")
    assert not wrong, "types and counts are those the livers were built to have"
    assert np.mean([o.recist <= 1.0 for o in lesions]) >= 0.99
    assert np.mean([o.capsule <= 1.0 for o in lesions]) >= 0.99
    assert np.mean(volume <= 2.0) >= 0.85
    assert np.quantile([abs(o.volume) for o in large if o.ml >= 10.0] or [0.0], 0.99) <= 2.0
    assert max(abs(w["liver.volume"]) for w in wholes) <= 1.0
