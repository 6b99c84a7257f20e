"""Is this a liver? What a mask and the body around it look like, against what livers look like.

A sign is strong where no liver could show it: a mask inside a skull, in a limb, among the lungs, or of
a density that liver never has. It is weak where a rare liver might: its size, its shape, its side, what
it holds, its volume for the size of the body. Ranges are those of 156 real livers (LiTS, Medical
Decathlon, 3D-IRCADb), 1st to 100th percentile of extent, filling and side, widened by a fifth.
Volume for the body is that of Vauthey 2002, TELV = -794.41 + 1267.28 x BSA mL (S2 uses the same).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from burden.facts import Facts
from burden.grid import reorder
from burden.image import Volume

EXTENT_MM = ((130.0, 350.0), (100.0, 300.0), (100.0, 280.0))
"""Right-left, front-back and head-foot extent of a whole liver."""
FILLING = (0.12, 0.42)
"""Share of its bounding box that a liver fills; an ellipsoid fills 0.52."""
RIGHTWARD_MM = -5.0
"""The bulk of a liver lies 12 to 52 mm to the right of the middle of its box."""
DENSITY_HU = (-30.0, 260.0)
"""Median of a liver, from severe fat to late enhancement and iron."""
GAS_HU, GAS_SHARE = -200.0, 0.03
FAT_HU, FAT_SHARE = -50.0, 0.15
FOR_BODY = (0.5, 2.5)
"""Liver over the volume expected for the body; metastases enlarge it."""
TELV = (-794.41, 1267.28)

_STEP_MM = 5.0
_BODY_HU, _LUNG_HU, _BONE_HU = -300.0, -500.0, 300.0
_TORSO_CM2 = 300.0
_SHELL_MM = 25.0
_RAYS = 36
_ENCLOSED = 0.85
_LUNG_CM2, _AMONG_LUNGS = 150.0, 0.9
_SLICES = 16

Mask = NDArray[np.bool_]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Sign:
    """Something odd about what is called a liver.

    Parameters
    ----------
    strong
        No liver could show it.
    side
        Right and left may be the wrong way round.
    """

    text: str
    strong: bool = False
    side: bool = False


@dataclass(frozen=True, eq=False)
class View:
    """A volume and a mask, coarse, in LPS order: x to the left, y to the back, z to the head.

    Parameters
    ----------
    values : float32 (x, y, z)
    spacing : (3,) mm
    """

    values: NDArray[np.float32]
    mask: Mask
    spacing: FloatArray


def signs(volume: Volume, liver: Mask, *, cut: bool, patient: Facts | None = None) -> tuple[Sign, ...]:
    """Everything odd about a mask that is called liver.

    Parameters
    ----------
    liver : bool (i, j, k)
        On the grid of the volume, lesions included, not empty.
    cut
        It meets the edge of the image, so that its extent and volume say nothing.
    patient
        Height and weight, where known.
    """
    view = _view(volume, liver)
    found = [*_shape(volume, liver)] if not cut else []
    if volume.modality == "CT":
        found += [*_density(view), *_surroundings(view, cut=cut)]
    ml = float(np.count_nonzero(liver)) * volume.grid.voxel_ml
    expected = expected_ml(patient)
    if expected is not None and not cut and not FOR_BODY[0] <= ml / expected <= FOR_BODY[1]:
        found.append(
            Sign(f"its {ml:.0f} mL are {ml / expected:.1f} times what the body size lets expect")
        )
    return tuple(found)


def expected_ml(patient: Facts | None) -> float | None:
    """Liver volume for the size of the body, mL; None where height or weight is not known."""
    if patient is None or "patient.height" not in patient or "patient.weight" not in patient:
        return None
    height, weight = (patient[f"patient.{what}"].best for what in ("height", "weight"))
    if not isinstance(height, int | float) or not isinstance(weight, int | float):
        return None
    bsa = (height * weight / 3600.0) ** 0.5
    expected = TELV[0] + TELV[1] * bsa
    return expected if expected > 200.0 else None


def _view(volume: Volume, liver: Mask) -> View:
    order, flip = volume.grid.to_lps_order()
    spacing = np.array(volume.grid.reorder(order, flip).spacing)
    step = np.maximum(1, np.rint(_STEP_MM / spacing)).astype(int)
    cut = tuple(slice(int(s) // 2, None, int(s)) for s in step)
    values = np.asarray(reorder(volume.data, order, flip)[cut], dtype=np.float32)
    return View(values, np.asarray(reorder(liver, order, flip)[cut], dtype=bool), spacing * step)


def _shape(volume: Volume, liver: Mask) -> Iterator[Sign]:
    """Extent, filling and side of the whole mask, along the patient's axes."""
    order, flip = volume.grid.to_lps_order()
    mask, spacing = reorder(liver, order, flip), volume.grid.reorder(order, flip).spacing
    spans, middles = [], []
    for axis in range(3):
        along = np.asarray(mask.sum(axis=tuple(a for a in range(3) if a != axis)), dtype=np.float64)
        there = np.flatnonzero(along)
        spans.append((there[-1] - there[0] + 1) * spacing[axis])
        centre = float((along * np.arange(along.size)).sum() / along.sum())
        middles.append((centre - (there[0] + there[-1]) / 2) * spacing[axis])
    odd = [
        f"{span:.0f} mm {way}"
        for span, way, (low, high) in zip(
            spans,
            ("from right to left", "from front to back", "from head to foot"),
            EXTENT_MM,
            strict=True,
        )
        if not low <= span <= high
    ]
    filling = float(np.count_nonzero(mask)) * float(np.prod(spacing)) / float(np.prod(spans))
    if not FILLING[0] <= filling <= FILLING[1]:
        odd.append(f"{filling:.0%} of its box filled")
    if odd:
        yield Sign(f"it does not have a liver's shape ({', '.join(odd)})")
    if middles[0] > -RIGHTWARD_MM:
        text = f"its bulk lies {middles[0]:.0f} mm to the left, as in a mirrored image or another organ"
        yield Sign(text, side=True)


def _density(view: View) -> Iterator[Sign]:
    """What the mask holds on CT."""
    inside = view.values[view.mask]
    if not inside.size:
        return
    middle = float(np.median(inside))
    if not DENSITY_HU[0] <= middle <= DENSITY_HU[1]:
        yield Sign(f"its density is {middle:.0f} HU, which liver never has", strong=True)
        return
    gas, fat = float(np.mean(inside < GAS_HU)), float(np.mean(inside < FAT_HU))
    if gas > GAS_SHARE:
        yield Sign(f"{gas:.0%} of it is lung or gas")
    elif fat > FAT_SHARE:
        yield Sign(f"{fat:.0%} of it is as dense as fat around organs")


def _surroundings(view: View, *, cut: bool) -> Iterator[Sign]:
    """The body around the mask on CT: a torso, not a head, a limb or the chest."""
    from scipy.ndimage import binary_fill_holes, label

    levels = np.flatnonzero(view.mask.any(axis=(0, 1)))
    if not levels.size:
        return
    pixel = float(view.spacing[0] * view.spacing[1]) / 100.0
    areas, enclosed, lungs = [], [], []
    for level in levels[:: max(1, levels.size // _SLICES)]:
        whole = np.asarray(binary_fill_holes(view.values[:, :, level] > _BODY_HU))
        parts, count = label(whole)
        if not count:
            continue
        hit = np.bincount(parts[view.mask[:, :, level]], minlength=count + 1)
        hit[0] = 0
        body = parts == int(hit.argmax())
        weight = float(view.mask[:, :, level].sum())
        lung = np.count_nonzero(view.values[:, :, level][body] < _LUNG_HU) * pixel
        lungs.append((weight, lung > _LUNG_CM2))
        if _leaves_room(body):
            areas.append(float(np.count_nonzero(body)) * pixel)
            enclosed.append(_bone_share(view.values[:, :, level], body, view.spacing))
    if areas and 2 * len(areas) >= len(lungs):
        if float(np.median(enclosed)) >= _ENCLOSED:
            yield Sign("it lies inside a skull: this is a head", strong=True)
        elif float(np.median(areas)) < _TORSO_CM2:
            area = float(np.median(areas))
            yield Sign(f"the body is {area:.0f} cm2 there: a limb or a head, no torso", strong=True)
    total = sum(w for w, _ in lungs)
    among = sum(w for w, lies in lungs if lies)
    if not cut and total and among / total > _AMONG_LUNGS:
        yield Sign("it lies wholly between the lungs: this is a chest", strong=True)


def _leaves_room(body: Mask) -> bool:
    """Whether the body is seen whole in this slice: it meets hardly any edge of the image."""
    edge = np.concatenate([body[0], body[-1], body[:, 0], body[:, -1]])
    return float(edge.mean()) < 0.05


def _bone_share(values: NDArray[np.float32], body: Mask, spacing: FloatArray) -> float:
    """Share of directions in which bone lies close under the skin."""
    middle = np.argwhere(body).mean(axis=0)
    reach = np.arange(0.0, 400.0, _STEP_MM / 2)
    found = 0
    for angle in np.arange(_RAYS) * (2 * np.pi / _RAYS):
        way = np.array([np.cos(angle), np.sin(angle)]) / spacing[:2]
        at = np.rint(middle + reach[:, None] * way).astype(int)
        at = at[((at >= 0) & (at < body.shape)).all(axis=1)]
        inside = np.flatnonzero(body[at[:, 0], at[:, 1]])
        if not inside.size:
            continue
        first = max(0, int(inside[-1]) - int(_SHELL_MM / (_STEP_MM / 2)))
        near = at[first : int(inside[-1]) + 1]
        found += bool((values[near[:, 0], near[:, 1]] > _BONE_HU).any())
    return found / _RAYS
