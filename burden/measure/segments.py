"""Which source the segments come from: the mask given, else landmarks and shape, else none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.findings import Finding
from burden.grid import Grid
from burden.image import Segmentation
from burden.measure.anatomy import Anatomy, given_anatomy, nearest_segment, unknown_anatomy
from burden.measure.couinaud import coarse_liver, shape_model, to_native
from burden.measure.tissue import Tissue

FEWEST = 400
"""Points of the 5 mm grid (50 mL) from which a liver has a shape."""
STRANGE = 0.1
"""A liver with more than this share of outlying descriptors is unlike those the model knows.

Of the 156 livers and 30 of other sources none has more than 0.06; a ball has 0.14, a liver turned
upside down or left for right 0.19 and 0.22, spleens 0.22 and more.
"""
LANDMARK_SD_MM = 8.0
"""Standard deviation assumed for Cantlie's plane from gallbladder and IVC.

No livers with both landmarks and true segments were at hand. On 23 abdominal CTs with drawn landmarks
the points that the plane and the shape model put on different sides lie 5 mm from the plane in the mean.
"""
LEAST_ML = 2.0
"""A landmark smaller than this is not believed."""
APART_MM = 25.0
"""Landmarks this far from where the liver's shape puts the plane are not believed."""

Mask = NDArray[np.bool_]
Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """Cantlie's plane: ``normal`` points to the right of the patient."""

    point: Vector
    normal: Vector

    def right_of(self, points: Vector) -> Vector:
        """Signed distance of points (n, 3), mm, positive on the right."""
        return np.asarray((points - self.point) @ self.normal)


def find_anatomy(
    found: Segmentation, tissue: Tissue, window: tuple[slice, slice, slice], *, complete: bool
) -> Anatomy:
    """Segments of the liver in its box, from the best source there is."""
    if found.segments is not None and (found.segments.data[window] > 0).any():
        return given_anatomy(found.segments.data[window], tissue.liver, tissue.grid)
    if not complete:
        return unknown_anatomy(tissue.liver.shape, "the liver is cut by the edge of the image")
    small, coarse = coarse_liver(tissue.liver, tissue.grid)
    model, why = shape_model(), ""
    if np.count_nonzero(small) < FEWEST:
        why = "the liver is too small to predict segments from its shape"
    elif model.strangeness(small) > STRANGE:
        why = "the liver's shape is unlike those the segments are predicted from"
    if why:
        said = Finding("segments-unknown", "warning", f"No Couinaud segments: {why}.")
        return Anatomy(np.zeros(tissue.liver.shape, np.uint8), why, known=False, findings=(said,))
    chance = model.probabilities(small)
    sds = dict(model.border_sd_mm)
    plane = cantlie_plane(found, tissue)
    source = "segments predicted from the liver's shape"
    if plane is not None:
        side = plane.right_of(coarse.world(np.argwhere(small)))
        if _apart_mm(chance, side) < APART_MM:
            chance = _cut_by(chance, side)
            sds["cantlie"] = LANDMARK_SD_MM
            source = "right/left by gallbladder and IVC, segments from the liver's shape"
    segments = to_native(chance, small, coarse, tissue.liver, tissue.grid)
    bare = tissue.liver & (segments == 0)
    if bare.any():
        segments[bare] = nearest_segment(segments, bare, tissue.grid)
    text = (
        f"Couinaud {source}: the border between right and left is uncertain by about "
        f"{sds['cantlie']:.0f} mm (1 sd). Burden by lobe, remnants and Frilling type carry this error."
    )
    return Anatomy(segments, source, sds, findings=(Finding("segments-source", "warning", text),))


def cantlie_plane(found: Segmentation, tissue: Tissue) -> Plane | None:
    """The plane through the gallbladder and along the IVC behind the liver, if both are known."""
    if found.structures is None:
        return None
    gallbladder = found.structures.named("gallbladder")
    cava = found.structures.named("inferior_vena_cava")
    grid = found.structures.grid
    sizes = [0.0 if m is None else np.count_nonzero(m) * grid.voxel_ml for m in (gallbladder, cava)]
    if gallbladder is None or cava is None or min(sizes) < LEAST_ML:
        return None
    vein = grid.world(np.argwhere(cava))
    low, high = _heights(tissue.liver, tissue.grid)
    vein = vein[(vein[:, 2] >= low) & (vein[:, 2] <= high)]
    if len(vein) < 10:
        return None
    middle = vein.mean(0)
    along = np.linalg.eigh(np.cov((vein - middle).T))[1][:, -1]
    if abs(along[2]) < 0.7:  # a short or ragged piece has no direction of its own
        along = np.array([0.0, 0.0, 1.0])
    across = np.cross(along, grid.world(np.argwhere(gallbladder)).mean(0) - middle)
    length = float(np.linalg.norm(across))
    if length < 1.0:
        return None
    normal = across / length
    return Plane(middle, normal if normal[0] < 0 else -normal)  # LPS: the patient's right is -x


def _heights(liver: Mask, grid: Grid) -> tuple[float, float]:
    corners = np.argwhere(np.ones((2, 2, 2))) * (np.array(liver.shape) - 1)
    heights = grid.world(corners)[:, 2]
    return float(heights.min()), float(heights.max())


def _apart_mm(chance: Vector, side: Vector) -> float:
    """Mean distance from the plane of points that it and the shape model put on other sides."""
    right, left = chance[:, 4:].sum(1), chance[:, 1:4].sum(1)
    differ = (right > left) != (side > 0)
    differ &= chance[:, 0] < 0.5
    return float(np.abs(side[differ]).mean()) if differ.any() else 0.0


def _cut_by(chance: Vector, side: Vector) -> Vector:
    """Probabilities with everything right of the plane in 5-8 and left of it in 2-4, but 1."""
    here = np.where(side[:, None] > 0, [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0, 0, 0])
    kept = (chance + 1e-9) * here
    kept *= (1.0 - chance[:, :1]) / kept.sum(1, keepdims=True)
    kept[:, 0] = chance[:, 0]
    return np.asarray(kept)
