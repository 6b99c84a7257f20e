"""Measure: a volume and its masks in, facts and the lesion table out. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError
from burden.facts import Fact, Facts
from burden.findings import Finding
from burden.image import Labels, Segmentation, Volume
from burden.lesions import Lesion
from burden.measure import check
from burden.measure.anatomy import Anatomy
from burden.measure.components import separate
from burden.measure.distances import counts, distances, not_measured
from burden.measure.enhancement import enhancement, patterns, with_uptake
from burden.measure.fact import at_least_seen, invalid
from burden.measure.frilling import OPTIONS, frilling_types
from burden.measure.hilum import hilum_point
from burden.measure.phases import arterial_phase
from burden.measure.readers import Errors, errors_of, usual_readers
from burden.measure.remnant import remnants
from burden.measure.scene import Scene
from burden.measure.segments import find_anatomy
from burden.measure.table import lesion_rows
from burden.measure.thickness import not_measurable
from burden.measure.tissue import Tissue
from burden.measure.uncertainty import draw
from burden.measure.vessels import vessel_distances
from burden.measure.viable import viable
from burden.measure.volumes import by_anatomy, organs, whole

MEASUREMENTS: dict[str, Callable[[Scene], Iterable[Fact]]] = {
    "whole": whole,
    "counts": counts,
    "anatomy": by_anatomy,
    "frilling": frilling_types,
    "remnants": remnants,
    "distances": distances,
    "organs": organs,
    "viable": viable,
}
"""Every measurement: facts of a scene. Each entry passes the contract in tests/measure."""

_SEEN = (
    "liver.volume",
    "tumor.volume",
    "lesion.count",
    "lesion.largest_diameter",
    "segments.involved",
    "tumor.viable_volume",
    "lesion.largest_viable_diameter",
)
_SHARES = ("tumor.burden", "tumor.viable_burden", "treated.involved")
_TOTALS = ("tumor.volume", "tumor.burden", "lesion.count", "lesion.largest_diameter")
Window = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured.

    Parameters
    ----------
    liver
        The liver with every lesion counted.
    lesion_labels
        1..n as in ``lesions``.
    segments
        Couinaud 1..8; 0 where unknown.
    """

    facts: Facts
    lesions: tuple[Lesion, ...]
    liver: Labels
    lesion_labels: Labels
    segments: Labels
    findings: tuple[Finding, ...]


def measure(
    volume: Volume,
    found: Segmentation,
    patient: Facts,
    *,
    draws: int = 256,
    seed: int = 0,
    split: bool = True,
    companions: tuple[Volume, ...] = (),
    readers: Errors | None = None,
) -> Measured:
    """Measure everything in :data:`MEASUREMENTS` on the native grid.

    Parameters
    ----------
    split
        Tell touching lesions apart where the masks do not (see :mod:`burden.measure.touching`).
    companions
        Other phases of the same study on the same frame of reference, each on its own grid.
    readers
        Errors of masks that people drew; None for those of ``configs/readers.yaml``.
    draws
        Joint draws of the measurement error; 0 takes the masks at their word, and every
        measured value is then one exact number.

    Raises
    ------
    NotALiverError
        Where there is no liver to measure.
    GeometryError
        Where the masks are not on the grid of the volume.
    """
    if not found.liver.grid.same_as(volume.grid):
        raise GeometryError("the masks are not on the grid of the image.", where=found.source)
    scene, notes = prepare(
        volume,
        found,
        patient,
        draws=draws,
        seed=seed,
        split=split,
        companions=companions,
        readers=readers,
    )
    facts = [fact for measurement in MEASUREMENTS.values() for fact in measurement(scene)]
    cut = check.cut_area_mm2(_whole_grid(scene.liver, scene.window, volume, {}).data > 0, volume.grid)
    liver_ml = float(np.count_nonzero(scene.liver)) * volume.grid.voxel_ml
    said = (*found.findings, *notes)
    known = {f.code for f in found.findings}  # reading may have said that slices are thick
    about = check.findings(volume, found, liver_ml, cut, len(scene.rows), patient=patient)
    said += tuple(f for f in about if f.code not in known)
    said += tuple(not_measurable(volume, scene.rows))
    said += tuple(not_measured(found, scene.rows))
    return Measured(
        # How far off totals are is known of images in which the model found something.
        facts=Facts(_withdraw(facts, said, has_errors=bool(found.total_errors and scene.rows))),
        lesions=scene.rows,
        liver=_whole_grid(scene.liver, scene.window, volume, {1: "liver"}),
        lesion_labels=_whole_grid(scene.lesions, scene.window, volume, {}),
        segments=_whole_grid(scene.anatomy.segments, scene.window, volume, {}),
        findings=said,
    )


def prepare(
    volume: Volume,
    found: Segmentation,
    patient: Facts,
    *,
    draws: int,
    seed: int,
    split: bool = True,
    companions: tuple[Volume, ...] = (),
    readers: Errors | None = None,
) -> tuple[Scene, tuple[Finding, ...]]:
    """Cut to the liver, tell lesions apart, find segments, fill the table, draw."""
    liver = _liver(found)
    check.require_liver(liver, volume.grid, given=found.liver_is_given, where=volume.origin.path)
    window = _window(liver | (found.lesions.data > 0))
    grid = volume.grid.crop([w.start for w in window], [w.stop for w in window])
    parts = separate(
        found.lesions.data[window],
        liver[window],
        given=found.separate,
        keep_all=found.lesions_are_given,
        voxel_ml=grid.voxel_ml,
        world=grid.affine,
        split=split,
    )
    tissue = Tissue(grid, parts.liver, parts.labels, parts.boxes, parts.component)
    # A liver mask may leave lesions out, and a lesion may be all that meets the edge of the image.
    liver[window] |= parts.liver
    complete = check.cut_area_mm2(liver, volume.grid) < check.CUT_MM2
    anatomy = find_anatomy(found, tissue, window, complete=complete)
    rows = _rows(volume, found, tissue, anatomy, window)
    arterial, said = None, tuple[Finding, ...]()
    if rows:
        arterial, said = arterial_phase(volume, companions, grid)
    uptake = enhancement(volume, volume.data[window], tissue, arterial)
    rows = tuple(
        with_uptake(r, u) for r, u in zip(rows, uptake.lesions or (None,) * len(rows), strict=True)
    )
    spread = None
    if draws:
        errors = errors_of(found, readers or usual_readers())
        spread = draw(tissue, rows, anatomy, errors, draws=draws, seed=seed)
    scene = Scene(volume, found, patient, tissue, window, anatomy, rows, spread, complete, uptake)
    return scene, (*parts.findings, *anatomy.findings, *said)


def _rows(
    volume: Volume, found: Segmentation, tissue: Tissue, anatomy: Anatomy, window: Window
) -> tuple[Lesion, ...]:
    """The lesion table, without what needs another phase."""
    image, chance = volume.data[window], found.lesion_probability
    portal = None if found.structures is None else found.structures.named("portal_vein")
    shape = np.array(volume.grid.shape)
    rows = lesion_rows(
        tissue,
        anatomy,
        found,
        image,
        None if chance is None else chance[window],
        hilum_point(portal, _liver(found), volume.grid),
        (np.array([w.start for w in window]) == 0, np.array([w.stop for w in window]) == shape),
        window[volume.grid.slice_axis].start,
    )
    means = np.array([row.mean_intensity for row in rows], dtype=float)
    words = patterns(volume.phase, volume.modality, image, tissue, means)
    cava, vessel = vessel_distances(tissue, found.structures)
    return tuple(
        replace(
            row,
            enhancement=words[k],
            distance_ivc_mm=float(cava[k]) if np.isfinite(cava[k]) else None,
            distance_vessel_mm=float(vessel[k]) if np.isfinite(vessel[k]) else None,
        )
        for k, row in enumerate(rows)
    )


def _liver(found: Segmentation) -> NDArray[np.bool_]:
    return np.asarray(found.liver.data > 0)


def _window(mask: NDArray[np.bool_]) -> Window:
    """Bounding box, one voxel wider where the image allows."""
    spans = []
    for axis in range(3):
        seen = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append(slice(max(int(seen[0]) - 1, 0), min(int(seen[-1]) + 2, mask.shape[axis])))
    return spans[0], spans[1], spans[2]


def _withdraw(
    facts: Iterable[Fact], said: tuple[Finding, ...], *, has_errors: bool = False
) -> Iterable[Fact]:
    """Facts as the findings leave them: taken back, or turned into lower bounds."""
    codes = {f.code: _brief(f.text) for f in said}
    has_errors = has_errors and check.BLIND_CODE not in codes
    hiding = next((codes[c] for c in check.HIDING_CODES if c in codes), None)
    for fact in facts:
        against = next((f for f in said if _names(f.invalidates, fact.id)), None)
        if against is not None:
            yield invalid(fact, _brief(against.text), OPTIONS if fact.id.startswith("frilling.") else ())
        elif check.CUT_CODE in codes and fact.id in _SEEN:
            yield at_least_seen(fact, codes[check.CUT_CODE])
        elif hiding is not None and fact.id in (*_SEEN[1:], *_SHARES):
            ceiling = 100.0 if fact.id in _SHARES else np.inf
            told = at_least_seen(fact, hiding, ceiling)
            # The answer stays open, but the range and P(met) know how far off such totals are.
            known = has_errors and fact.id in _TOTALS
            yield replace(told, draws=fact.draws, estimate=fact.estimate) if known else told
        else:
            yield fact


def _brief(text: str) -> str:
    """What a finding says before its colon: a note beside every number need not say it all."""
    return text.split(": ")[0].rstrip(".")


def _names(patterns: tuple[str, ...], fact_id: str) -> bool:
    return any(fact_id.startswith(p[:-1]) if p.endswith("*") else fact_id == p for p in patterns)


def _whole_grid(
    part: NDArray[np.generic], window: Window, volume: Volume, names: dict[int, str]
) -> Labels:
    """Labels of the box, back on the grid of the image."""
    top = int(part.max(initial=0))
    data = np.zeros(volume.grid.shape, np.uint8 if top < 256 else np.uint16)
    data[window] = part
    return Labels(data, volume.grid, names)
