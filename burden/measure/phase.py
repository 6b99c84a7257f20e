"""The contrast phase of a CT by its pixels: how bright vessels and organs are beside each other.

After the injection the aorta brightens first (25 to 40 s), then spleen and kidneys, then the
portal vein and the liver (60 to 80 s); later the vessels fade to the level of the liver and
the kidneys stay bright. The table gives the usual attenuation of each in each phase with its
spread between people, doses and tube voltages. The numbers are rounded and our own, no table of
others, and are checked on studies unlike them (tests/measure/test_phase.py). The course of
enhancement that they follow is described in:

Bae KT. Intravenous contrast medium administration and scan timing at CT: considerations and
approaches. Radiology 2010; 256: 32-61 (aorta, liver and portal vein over time, dose, weight).
Foley WD et al. Multiphase hepatic CT with a multirow detector CT scanner. AJR 2000; 175:
679-685 (aorta, portal vein, liver and spleen in early arterial, late arterial, portal phase).
Boll DT, Merkle EM. Diffuse liver disease: strategies for hepatic CT and MR imaging.
Radiographics 2009; 29: 1591-1614 (liver and spleen without contrast medium).

A phase is as likely as the measured values are near to its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion

from burden.findings import Finding
from burden.image import Segmentation, Volume

PHASES = ("non-contrast", "arterial", "portal", "delayed")
USUAL_HU: dict[str, tuple[tuple[float, float], ...]] = {
    "aorta": ((42, 10), (285, 75), (152, 25), (118, 14)),
    "portal_vein": ((42, 10), (95, 50), (165, 25), (120, 14)),
    "spleen": ((48, 8), (120, 30), (122, 18), (98, 12)),
    "kidneys": ((32, 8), (125, 35), (165, 30), (150, 30)),
    "liver": ((57, 10), (68, 12), (108, 16), (94, 12)),
    "aorta - portal_vein": ((0, 8), (180, 80), (-12, 18), (0, 10)),
    "aorta - liver": ((-15, 12), (215, 75), (44, 20), (24, 12)),
}
"""Mean and standard deviation of HU in each of :data:`PHASES`."""
INDEPENDENT = 2.5
"""The values rise and fall together: however many there are, they count as about so many."""
SURE = 0.8
"""From this confidence on the pixels say something; below it they leave the phase open."""
CONTRADICTS = 0.9
FAR = 3.0
"""Mean distance, in spreads, above which the image fits no phase at all."""
MIN_VOXELS = 30
MOST_PLACES = 5000
"""Voxels of a mask that are looked up in an image on another grid."""
_VESSELS = ("aorta", "portal_vein")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Guess:
    """A phase, or "" where the pixels do not say; its confidence; the HU it comes from."""

    phase: str
    confidence: float
    values: Mapping[str, float]


def phase_of(volume: Volume, found: Segmentation) -> Guess:
    """Contrast phase of a CT by the structures found in it.

    Parameters
    ----------
    found
        Needs the aorta or the portal vein among its structures; the more, the surer.

    Returns
    -------
    Guess
        Without a phase for MR, where no vessel is known, and where no phase is likely.
    """
    values = _values(volume, found) if volume.modality == "CT" else {}
    return _guessed(values)


def companion_disagrees(companion: Volume, found: Segmentation) -> tuple[Finding, ...]:
    """What to say where the pixels of another phase, on a grid of its own, contradict its name."""
    if companion.modality != "CT":
        return ()
    guess = _guessed(_values(companion, found, elsewhere=True))
    if not guess.phase or guess.phase == companion.phase or guess.confidence < CONTRADICTS:
        return ()
    text = (
        f"The series used as {companion.phase} phase is, by its pixels, {_told(guess)}: check which "
        "series this is."
    )
    return (Finding("phase-disagrees", "warning", text, ("tumor.viable_volume",)),)


def _guessed(values: dict[str, float]) -> Guess:
    """The phase nearest to the values of a CT."""
    if not set(values) & set(_VESSELS):
        return Guess("", 0.0, values)
    for pair in ("aorta - portal_vein", "aorta - liver"):
        a, b = pair.split(" - ")
        if a in values and b in values:
            values[pair] = values[a] - values[b]
    usual = np.array([USUAL_HU[name] for name in values])
    seen = np.array(list(values.values()))[:, None]
    away = (seen - usual[..., 0]) / usual[..., 1]
    # Heavy tails: one odd organ must not decide against all the others.
    log = -np.log(usual[..., 1]) - 2.0 * np.log1p(away**2 / 3.0)
    log = log.mean(axis=0) * min(INDEPENDENT, len(values))
    chance = np.exp(log - log.max())
    chance /= chance.sum()
    best = int(chance.argmax())
    near = float(np.abs(away[:, best]).mean()) <= FAR
    sure = near and chance[best] >= SURE
    return Guess(PHASES[best] if sure else "", float(chance[best]) if near else 0.0, values)


def with_phase(volume: Volume, found: Segmentation) -> tuple[Volume, tuple[Finding, ...]]:
    """The volume with the phase of its pixels where its tags say none, and what that means."""
    guess = phase_of(volume, found)
    if not guess.phase or guess.phase == volume.phase:
        return volume, ()
    how = _told(guess)
    if not volume.phase:
        text = f"The tags name no contrast phase; by the pixels it is {how}."
        return replace(volume, phase=guess.phase), (Finding("phase-from-pixels", "info", text),)
    if guess.confidence < CONTRADICTS:
        return volume, ()
    text = f"The tags say {volume.phase} phase, the pixels {how}: check which series this is."
    return volume, (Finding("phase-disagrees", "warning", text, ("tumor.viable_volume",)),)


def _told(guess: Guess) -> str:
    seen = ", ".join(f"{n.replace('_', ' ')} {v:.0f}" for n, v in guess.values.items() if " - " not in n)
    return f"{guess.phase}, {guess.confidence:.0%} sure (HU: {seen})"


def _values(volume: Volume, found: Segmentation, *, elsewhere: bool = False) -> dict[str, float]:
    """Median HU inside each structure that is there; ``elsewhere``: the image has its own grid."""
    masks = {"liver": (found.liver.data > 0) & (found.lesions.data == 0)}
    if found.structures is not None:
        named = {name: found.structures.named(name) for name in USUAL_HU if " - " not in name}
        masks = {name: mask for name, mask in named.items() if mask is not None} | masks
    values = {
        name: _median_there(volume, found, mask) if elsewhere else _inner_median(volume.data, mask)
        for name, mask in masks.items()
    }
    return {name: value for name, value in values.items() if value is not None}


def _median_there(volume: Volume, found: Segmentation, mask: Mask) -> float | None:
    """Median of another image at the places of a mask; None where they share too little."""
    places = np.argwhere(mask)
    places = places[:: len(places) // MOST_PLACES + 1]
    if not len(places):
        return None
    index = np.rint(volume.grid.index(found.liver.grid.world(places))).astype(int)
    index = index[((index >= 0) & (index < volume.grid.shape)).all(axis=1)]
    if len(index) < MIN_VOXELS:
        return None
    return float(np.median(volume.data[tuple(index.T)]))


def _inner_median(image: NDArray[np.generic], mask: Mask) -> float | None:
    """Median one voxel inside the outline, where partial volume ends; None where too little."""
    spans = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        if not len(there):
            return None
        spans.append(slice(int(there[0]), int(there[-1]) + 1))
    box = (spans[0], spans[1], spans[2])
    inner = binary_erosion(mask[box])
    chosen = inner if np.count_nonzero(inner) >= MIN_VOXELS else mask[box]
    if np.count_nonzero(chosen) < MIN_VOXELS:
        return None
    return float(np.median(image[box][chosen]))
