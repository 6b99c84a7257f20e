"""Truth: the facts and the lesion table of a settled spec, without looking at voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from burden.facts import Choice, Fact, Facts, Interval
from burden.lesions import Lesion
from burden.phantom.blobs import Blob
from burden.phantom.liver import HILUM
from burden.phantom.spec import Spec
from burden.phantom.survey import LEFT, RIGHT, Survey, survey

Floats = NDArray[np.float64]
SOURCE = "phantom truth"
# By construction: the type under the 2024 wording, ENETS 2012 and the original 2009 reading.
READINGS = {
    "none": ("none", "none", "none"),
    "I": ("I", "I", "I"),
    "II": ("II", "II", "II"),
    "III": ("III", "III", "III"),
    "unilobar": ("I", "I", "II"),
}


def lesion_truth(spec: Spec, blobs: tuple[Blob, ...]) -> tuple[Lesion, ...]:
    """Lesion rows, largest first; the row order is the label order of the masks."""
    found = survey(spec.anatomy)
    grid = spec.grid
    rows = [
        _row(n + 1, blob, spec, found, grid.axes[:, grid.slice_axis]) for n, blob in enumerate(blobs)
    ]
    return tuple(rows)


def _row(number: int, blob: Blob, spec: Spec, found: Survey, across: Floats) -> Lesion:
    long, short, ends = blob.recist(across)
    points, ml = blob.interior
    held = np.bincount(found.segment_at(points), weights=ml, minlength=9) / ml.sum()
    shares = {n: float(held[n]) for n in range(1, 9) if held[n] > 0}
    grid = spec.grid
    index = grid.index(ends.mean(axis=0))[grid.slice_axis]
    hilum = np.linalg.norm(blob.surface - np.array(HILUM) * spec.anatomy.scale, axis=1).min()
    e = [(float(q[0]), float(q[1]), float(q[2])) for q in ends]
    c = blob.centroid
    return Lesion(
        id=number,
        volume_ml=blob.volume_ml,
        recist_long_mm=long,
        recist_short_mm=short,
        recist_slice_index=round(float(index)),
        recist_ends_mm=(e[0], e[1], e[2], e[3]),
        feret_3d_mm=blob.feret,
        equivalent_diameter_mm=float(np.cbrt(6000 * blob.volume_ml / np.pi)),
        centroid_mm=(float(c[0]), float(c[1]), float(c[2])),
        segments=shares,
        lobe=lobe_of(shares),
        distance_capsule_mm=float(found.depth_at(blob.surface).min()),
        distance_hilum_mm=float(hilum),
        mean_intensity=None,
        p_lesion=1.0,
        source=SOURCE,
    )


def lobe_of(shares: dict[int, float]) -> str:
    """Lobe by segment shares; segment 1 belongs to neither. ``both`` from 10 % on the lesser side."""
    right, left = (sum(shares.get(n, 0.0) for n in side) for side in (RIGHT, LEFT))
    if right + left < 0.1:
        return "unknown"
    if min(right, left) >= 0.1 * (right + left):
        return "both"
    return "right" if right > left else "left"


def fact_truth(spec: Spec, lesions: tuple[Lesion, ...]) -> Facts:
    """Facts of the whole liver, also where the field of view cuts it."""
    sizes = survey(spec.anatomy).segment_ml
    tumor = {n: sum(row.volume_ml * row.segments.get(n, 0.0) for row in lesions) for n in sizes}
    liver, total = sum(sizes.values()), sum(row.volume_ml for row in lesions)
    numbers: list[tuple[str, float, str, str]] = [
        ("liver.volume", liver, "mL", "integrated over a 2.5 mm lattice"),
        ("tumor.volume", total, "mL", "ellipsoids: closed formula; others integrated"),
        ("tumor.burden", 100 * total / liver, "%", ""),
        ("lesion.count", len(lesions), "1", "joined ellipsoids count as one"),
        ("lesion.largest_diameter", max((row.recist_long_mm for row in lesions), default=0.0), "mm", ""),
        ("segments.involved", sum(v > 0 for v in tumor.values()), "1", ""),
        ("treated.involved", 100 * sum(sizes[n] for n in sizes if tumor[n] > 0) / liver, "%", ""),
    ]
    for name, side in (("right", RIGHT), ("left", LEFT)):
        of_side = sum(tumor[n] for n in side) / sum(sizes[n] for n in side)
        numbers.append((f"tumor.burden_{name}", 100 * of_side, "%", "segment 1 in neither lobe"))
        numbers.append((f"treated.{name}", 100 * sum(sizes[n] for n in side) / liver, "%", ""))
        held = sum(row.lobe in (name, "both") for row in lesions)
        numbers.append((f"lesion.count_{name}", held, "1", "a lesion of both lobes counts in both"))
    for n in sizes:
        numbers.append((f"segment.{n}.volume", sizes[n], "mL", "integrated over a 2.5 mm lattice"))
        numbers.append(
            (f"segment.{n}.tumor_volume", tumor[n], "mL", "integrated over 3,000 points a lesion")
        )
    facts = [
        Fact(i, Interval.exactly(float(v)), unit, SOURCE, note=note) for i, v, unit, note in numbers
    ]
    return Facts([*facts, *_frilling(spec)])


def _frilling(spec: Spec) -> list[Fact]:
    """The type the phantom was built to have; stated lesions say it only for none or one."""
    intent = spec.frilling or {0: "none", 1: "I"}.get(len(spec.lesions), "")
    if not intent:
        return []
    note = "by construction, not measured"
    if intent == "unilobar":
        note = "several lesions in one lobe: the wording of 2024 leaves I or II open"
    ids = ("frilling.type", "frilling.type.enets2012", "frilling.type.frilling2009")
    return [
        Fact(i, Choice.of(v), "", SOURCE, note=note) for i, v in zip(ids, READINGS[intent], strict=True)
    ]
