"""Random livers against their formulas, and every lesion of theirs again on fine oblique grids.

The whole liver is measured at 3.5 mm (types, counts, lobes, liver volume, distances); each lesion
once more in a block of tissue of its own on a turned grid of 0.6 to 1.0 mm pixels and 1 to 5 mm
slices (volume, RECIST). 12 livers by default; ``BURDEN_CAMPAIGN=300`` runs as many and prints the
figures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from burden.facts import Facts
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.lesions import Lesion
from burden.measure import measure
from burden.phantom import random_spec
from burden.phantom.blobs import Blob
from burden.phantom.make import masks
from burden.phantom.scatter import settle
from burden.phantom.shapes import Points
from burden.phantom.truth import fact_truth, lesion_truth

LIVERS = int(os.environ.get("BURDEN_CAMPAIGN", "12"))
READINGS = ("frilling.type", "frilling.type.enets2012", "frilling.type.frilling2009")


@dataclass(frozen=True)
class Off:
    """How far one lesion is off: volume in %, lengths in voxel diagonals."""

    ml: float
    slice_mm: float
    volume: float
    corrected: float
    recist: float
    in_plane: float
    capsule: float
    hilum: float


def again(blob: Blob, rng: np.random.Generator) -> tuple[Lesion, float, float, np.ndarray, np.ndarray]:
    """One lesion measured on a grid of its own; its true long axis there, slices, grid and axes."""
    spacing = np.array([*[rng.uniform(0.6, 1.0)] * 2, rng.uniform(1.0, 5.0)])
    axes = Rotation.from_rotvec(np.deg2rad(rng.uniform(-20, 20, 3))).as_matrix()
    low, high = blob.box
    reach = float(np.linalg.norm(high - low)) / 2 + 6.0
    shape = tuple(int(n) for n in np.ceil(2 * reach / spacing))
    middle = (low + high) / 2 + rng.uniform(-0.5, 0.5, 3) * spacing
    corner = middle - axes @ (spacing * (np.array(shape) - 1) / 2)
    grid = Grid.from_axes(shape, tuple(spacing), corner, axes)
    points = grid.world(np.indices(shape).reshape(3, -1).T)
    mark = (blob.distance(Points.scattered(points)) < 0).reshape(shape)
    block = np.ones(shape, np.uint8)
    found = Segmentation(Labels(block, grid), Labels(mark.astype(np.uint8), grid), "block")
    volume = Volume(np.zeros(shape, np.int16), grid, "CT", Origin("phantom", "x"))
    rows = measure(volume, found, Facts(), draws=0).lesions
    long, _, _ = blob.recist(grid.axes[:, grid.slice_axis])
    return rows[0], long, float(spacing[grid.slice_axis]), spacing, np.delete(spacing, grid.slice_axis)


def offs(seed: int) -> tuple[list[Off], dict[str, float], bool]:
    """Every lesion of one random liver; relative errors of whole-liver facts; types right?"""
    rng = np.random.default_rng([seed, 5])
    kind = ("I", "II", "III", "unilobar")[seed % 4]
    room = (112, 104, 88)  # for the whole liver, however the image is turned
    spec = settle(random_spec(seed, frilling=kind, shape=room, oblique=True, any_order=seed % 2 == 0))
    blobs = [Blob.of(lesion, spec.seed + n) for n, lesion in enumerate(spec.lesions)]
    ordered = tuple(sorted(blobs, key=lambda b: -b.volume_ml))
    truth = lesion_truth(spec, ordered)
    facts = fact_truth(spec, truth)
    volume = Volume(np.zeros(spec.grid.shape, np.int16), spec.grid, "CT", Origin("phantom", "x"))
    result = measure(volume, masks(spec, ordered), Facts(), draws=0)
    coarse = float(np.linalg.norm(spec.grid.spacing))
    found = []
    right = len(result.lesions) == len(truth)
    for row in result.lesions:
        place = [float(np.linalg.norm(np.subtract(t.centroid_mm, row.centroid_mm))) for t in truth]
        same, blob = truth[int(np.argmin(place))], ordered[int(np.argmin(place))]
        right &= row.lobe == same.lobe
        fine, long, thick, spacing, flat = again(blob, rng)
        assert row.distance_capsule_mm is not None
        assert same.distance_capsule_mm is not None
        away = abs(fine.recist_long_mm - long)
        hilum = abs((row.distance_hilum_mm or 0.0) - (same.distance_hilum_mm or 0.0))
        found.append(
            Off(
                same.volume_ml,
                thick,
                100.0 * (fine.volume_ml / same.volume_ml - 1.0),
                100.0 * (fine.volume_corrected_ml / same.volume_ml - 1.0),
                away / float(np.linalg.norm(spacing)),
                away / float(np.linalg.norm(flat)),
                abs(row.distance_capsule_mm - same.distance_capsule_mm) / coarse,
                hilum / coarse,
            )
        )
    one, two = result.facts["liver.volume"].best, facts["liver.volume"].best
    assert isinstance(one, float)
    assert isinstance(two, float)
    right &= all(result.facts[r].best == facts[r].best for r in READINGS if r in facts)
    return found, {"liver.volume": 100.0 * (one / two - 1.0)}, right


def test_random_livers_against_their_formulas() -> None:
    lesions: list[Off] = []
    wholes: list[dict[str, float]] = []
    wrong = []
    for seed in range(1000, 1000 + LIVERS):
        found, whole, right = offs(seed)
        lesions += found
        wholes.append(whole)
        wrong += [] if right else [seed]
    large = [o for o in lesions if o.ml >= 1.0]
    counted, corrected = (np.abs([getattr(o, k) for o in large]) for k in ("volume", "corrected"))
    print(f"\n{LIVERS} livers, {len(lesions)} lesions, {len(large)} of 1 mL or more")
    print(f"types or counts wrong: {wrong}")
    bands = [(*ml, *mm) for ml in ((1, 3), (3, 10), (10, 1e6)) for mm in ((1.0, 2.5), (2.5, 5.0))]
    for low, high, thin, thick in bands:
        part = [o for o in lesions if low <= o.ml < high and thin <= o.slice_mm < thick]
        for what in ("volume", "corrected") if part else ():
            off = np.abs([getattr(o, what) for o in part])
            print(f"{what}, {low}-{high:g} mL, {thin}-{thick} mm slices: n {len(part)}, "
                  f"mean {off.mean():.2f} %, worst {off.max():.2f}, "
                  f"within 2 %: {np.mean(off <= 2):.1%}")  # fmt: skip
    print(f"of 1 mL and more within 2 %: counted {np.mean(counted <= 2):.1%}, corrected "
          f"{np.mean(corrected <= 2):.1%}")  # fmt: skip
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
    assert np.mean([o.hilum <= 1.0 for o in lesions]) >= 0.99
    assert np.mean(counted <= 2.0) >= 0.85
    assert np.mean(corrected <= 2.0) >= 0.99
    assert np.quantile([abs(o.volume) for o in large if o.ml >= 10.0] or [0.0], 0.99) <= 2.0
    assert max(abs(w["liver.volume"]) for w in wholes) <= 1.0
