"""Make: a spec to an image, its masks and its truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from burden.facts import Facts
from burden.grid import Grid
from burden.image import Labels, Modality, Origin, Segmentation, Volume
from burden.lesions import Lesion
from burden.phantom.blobs import Blob
from burden.phantom.liver import BOX, CAVA, GALLBLADDER, liver, segments
from burden.phantom.organs import SPLEEN_BOX, kidney, spleen
from burden.phantom.render import render
from burden.phantom.scatter import settle
from burden.phantom.shapes import Array, Points, Window
from burden.phantom.spec import Spec
from burden.phantom.survey import survey
from burden.phantom.truth import SOURCE, fact_truth, lesion_truth
from burden.phantom.vessels import AORTA, PORTAL_TRUNK, SPLENIC, trunks

STRUCTURES = (
    "inferior_vena_cava",
    "portal_vein",
    "gallbladder",
    "spleen",
    "aorta",
    "kidneys",
    "hepatic_veins",
)
_PHASE = {
    "t1_pre": "non-contrast",
    "t1_arterial": "arterial",
    "t1_portal": "portal",
    "t1_hepatobiliary": "hepatobiliary",
    "t2": "",
    "dwi": "",
}


@dataclass(frozen=True, eq=False)
class Phantom:
    """A phantom and everything known about it.

    Parameters
    ----------
    spec
        The spec with every lesion's place stated, in the order it was asked for.
    volume
        The image.
    truth
        Masks on its grid: a voxel belongs where its centre lies.
    facts, lesions
        The truth from formulas and fine integration, of the whole liver even where the image
        cuts it; lesions are ordered by volume, largest first, as in the masks.
    whole
        Whether the whole liver lies inside the image.
    """

    spec: Spec
    volume: Volume
    truth: Segmentation
    facts: Facts
    lesions: tuple[Lesion, ...]
    whole: bool


def make(spec: Spec) -> Phantom:
    """Make a phantom. Equal specs give equal results.

    Raises
    ------
    InputError
        If lesions do not fit into the liver or run into one another.
    """
    settled = settle(spec)
    blobs = [Blob.of(lesion, spec.seed + n) for n, lesion in enumerate(settled.lesions)]
    rank = sorted(range(len(blobs)), key=lambda n: -blobs[n].volume_ml)
    ordered = tuple(blobs[n] for n in rank)
    data = render(settled, ordered)
    rows = lesion_truth(settled, ordered)
    truth = masks(settled, ordered)
    grid = settled.grid
    modality: Modality = "CT" if spec.modality == "CT" else "MR"
    origin = Origin(kind="phantom", path=spec.name, sha256=hashlib.sha256(data.tobytes()).hexdigest())
    phase = _PHASE.get(spec.phase, spec.phase)
    volume = Volume(data, grid, modality, replace(origin, description=f"phantom {spec.name}"), phase)
    return Phantom(settled, volume, truth, fact_truth(settled, rows), rows, _whole(settled))


def _whole(spec: Spec) -> bool:
    """Whether every point of the liver lies within the image."""
    found = survey(spec.anatomy)
    index = spec.grid.index(found.grid.world(np.argwhere((found.cover > 0) & (found.depth < 3))))
    return bool((index > -0.5).all() and (index < np.array(spec.grid.shape) - 0.5).all())


def masks(spec: Spec, blobs: tuple[Blob, ...]) -> Segmentation:
    """Masks of a settled spec on its grid."""
    grid = spec.grid
    points, world = Points.of(grid, spec.anatomy.scale), Points.of(grid)
    inside = np.zeros(grid.shape, dtype=np.uint8)
    couinaud = np.zeros(grid.shape, dtype=np.uint8)
    window = points.window(*BOX)
    if window is not None:
        q = points.at(window)
        inside[window] = liver(q, spec.anatomy) < 0
        couinaud[window] = segments(q) * inside[window]
    marks = np.zeros(grid.shape, dtype=np.uint16)
    for n, blob in enumerate(blobs):
        box = world.window(*blob.box)
        if box is not None:
            marks[box][blob.distance(world.at(box)) < 0] = n + 1
    marks *= inside
    names = {n: f"segment {n}" for n in range(1, 9)}
    return Segmentation(
        liver=Labels(inside, grid, {1: "liver"}),
        lesions=Labels(marks, grid, {n + 1: f"lesion {n + 1}" for n in range(len(blobs))}),
        source=SOURCE,
        separate=True,
        segments=Labels(couinaud, grid, names),
        structures=_structures(spec, points, inside, grid),
    )


def _structures(spec: Spec, points: Points, inside: NDArray[np.uint8], grid: Grid) -> Labels:
    """Other organs and the trunks of the vessels; vessels in the liver overlap with it."""
    out = np.zeros(grid.shape, dtype=np.uint8)
    portal, hepatic = trunks()
    tubes = {
        "inferior_vena_cava": (CAVA,),
        "portal_vein": (PORTAL_TRUNK, SPLENIC, *portal),
        "gallbladder": (GALLBLADDER,),
        "aorta": (AORTA,),
        "hepatic_veins": hepatic,
    }
    boxes = {
        "spleen": [SPLEEN_BOX],
        "kidneys": [
            ((-110.0, 10.0, -200.0), (-20.0, 95.0, -65.0)),
            ((20.0, 10.0, -190.0), (115.0, 95.0, -45.0)),
        ],
    }

    def mark(name: str, window: Window, distance: Array) -> None:
        view = out[window]
        view[(distance < 0) & (view == 0)] = STRUCTURES.index(name) + 1

    for name, parts in tubes.items():
        for tube in parts:
            window = points.window(*tube.box(1.0))
            if window is not None:
                mark(name, window, tube.distance(points.at(window), 1.0))
    for name, places in boxes.items():
        for low, high in places:
            window = points.window(low, high)
            if window is not None:
                q = points.at(window)
                side = -1 if low[0] < 0 else 1
                mark(name, window, spleen(q, spec.anatomy) if name == "spleen" else kidney(q, side))
    return Labels(out, grid, {n + 1: name for n, name in enumerate(STRUCTURES)})
