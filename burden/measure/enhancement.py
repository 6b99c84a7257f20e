"""How lesions take up contrast: viable tissue, and its kinds in the arterial phase.

CT only: an MR signal has no unit to set a limit in. Tissue is judged after smoothing by 1.5 mm
within the lesion. *Viable* is what reaches 40 HU, since dead tissue and fluid stay below it in a
contrast phase; how sure that limit is (30 to 50 HU) is carried by the draws. Arterial kinds are
held against the liver around: *hyper* and *hypo* by more than 10 HU, *necrotic* below the limit of
viable tissue; *rim* is hyper tissue within 4 mm of a lesion's surface. The four are this program's
definitions. mRECIST (Lencioni 2010) measures the longest diameter of viable tissue in the arterial
phase that no larger piece of necrosis interrupts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from burden.image import Volume
from burden.lesions import Lesion
from burden.measure.phases import ARTERIAL, Phase
from burden.measure.run import longest_run
from burden.measure.tissue import Box, Tissue

CONTRAST = ("arterial", "portal")
ENHANCING_HU = 40.0
LIMITS_HU = (30.0, 35.0, 40.0, 45.0, 50.0)
LIMIT_SD_HU = 5.0
"""Dead tissue and fluid stay below the limit in a contrast phase; the sd says how sure that is."""
SMOOTH_MM = 1.5
DIFFERENCE_HU = 10.0
RIM_MM = 4.0
RIM_SHARES = (0.5, 0.25)
"""A rim: at least this share of the outer shell is hyper, and at most that of what lies inside."""
KINDS = ("hyper", "hypo", "necrotic", "rim")
SEEN = 0.95
"""Share of a lesion that the arterial image has to show."""

FloatArray = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Uptake:
    """Uptake of one lesion.

    Parameters
    ----------
    viable
        Share that reaches each of :data:`LIMITS_HU`.
    kinds
        Share of each of :data:`KINDS`; empty outside the arterial phase.
    long_mm
        Longest viable diameter; None outside the arterial phase.
    """

    viable: FloatArray
    kinds: dict[str, float]
    long_mm: float | None


@dataclass(frozen=True, eq=False)
class Enhancement:
    """Uptake of every lesion, None for one that the image does not show; or why there is none."""

    phase: str
    lesions: tuple[Uptake | None, ...]
    why_not: str = ""


def enhancement(
    volume: Volume, image: NDArray[np.generic], tissue: Tissue, arterial: Phase | None
) -> Enhancement:
    """Judge every lesion in the arterial image, else in the measured one where that is portal."""
    if volume.modality != "CT":
        return Enhancement("", (), "needs CT: an MR signal has no unit to set a limit in")
    if arterial is None and volume.phase not in CONTRAST:
        return Enhancement("", (), "needs CT in a known arterial or portal phase")
    phase = ARTERIAL if arterial is not None else volume.phase
    own = arterial is None or arterial.own
    liver = _liver_hu(image, tissue, None if own else arterial)
    found = []
    for k, box in enumerate(tissue.boxes):
        wide = _wider(box, tissue.lesions.shape, tissue.grid.spacing)
        values = image[wide].astype(np.float32)
        if arterial is not None and not own:
            values = arterial.values(tissue.grid, wide)
        mine = tissue.lesions[wide] == k + 1
        found.append(_uptake(values, mine, tissue, None if phase != ARTERIAL else liver))
    return Enhancement(phase, tuple(found))


def _liver_hu(image: NDArray[np.generic], tissue: Tissue, other: Phase | None) -> float | None:
    """Median of the liver outside lesions, from some of its voxels."""
    at = np.argwhere(tissue.liver & (tissue.lesions == 0))
    if not len(at):
        return None
    at = at[:: max(1, len(at) // 20000)]
    if other is None:
        return float(np.median(image[tuple(at.T)].astype(np.float32)))
    values = other.at(tissue.grid.world(at.astype(np.float64)))
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else None


def _wider(box: Box, shape: tuple[int, ...], spacing: tuple[float, ...]) -> Box:
    room = [int(np.ceil(3.0 * SMOOTH_MM / s)) for s in spacing]
    a, b, c = (
        slice(max(x.start - r, 0), min(x.stop + r, n)) for x, r, n in zip(box, room, shape, strict=True)
    )
    return a, b, c


def _uptake(
    values: NDArray[np.float32], mine: Mask, tissue: Tissue, liver: float | None
) -> Uptake | None:
    there = np.isfinite(values)
    if np.count_nonzero(there & mine) < SEEN * np.count_nonzero(mine):
        return None
    spacing = tissue.grid.spacing
    filled = np.where(there, values, np.median(values[there & mine]))
    # Within the lesion alone: bright liver beside it would lend dead tissue a viable edge.
    weight = gaussian_filter(mine.astype(np.float32), SMOOTH_MM / np.array(spacing))
    soft = gaussian_filter(filled * mine, SMOOTH_MM / np.array(spacing)) / np.maximum(weight, 1e-6)
    inside = soft[mine]
    viable = np.array([np.mean(inside >= limit) for limit in LIMITS_HU])
    if liver is None:
        return Uptake(viable, {}, None)
    deep = edt.edt(np.pad(mine, 1), anisotropy=spacing)[1:-1, 1:-1, 1:-1][mine]
    shell, hyper = deep <= RIM_MM, inside > liver + DIFFERENCE_HU
    kinds = {
        "hyper": float(hyper.mean()),
        "hypo": float(((inside >= ENHANCING_HU) & (inside < liver - DIFFERENCE_HU)).mean()),
        "necrotic": float((inside < ENHANCING_HU).mean()),
        "rim": float((hyper & shell).mean()) if _is_rim(hyper, shell) else 0.0,
    }
    long_mm = longest_run(mine & (soft >= ENHANCING_HU), spacing, tissue.grid.slice_axis)
    return Uptake(viable, kinds, long_mm)


def _is_rim(hyper: Mask, shell: Mask) -> bool:
    if not shell.any() or shell.all():
        return False
    return bool(hyper[shell].mean() >= RIM_SHARES[0] and hyper[~shell].mean() <= RIM_SHARES[1])


def with_uptake(row: Lesion, uptake: Uptake | None) -> Lesion:
    """A row with its viable part and kinds of tissue."""
    if uptake is None:
        return row
    long_mm = None if uptake.long_mm is None else min(uptake.long_mm, row.recist_long_mm)
    return replace(
        row,
        viable_ml=float(uptake.viable[LIMITS_HU.index(ENHANCING_HU)]) * row.volume_ml,
        viable_long_mm=long_mm,
        uptake=dict(uptake.kinds),
        enhancement=_pattern(uptake.kinds) or row.enhancement,
    )


def _pattern(kinds: dict[str, float]) -> str:
    """One word for a lesion in the arterial phase."""
    if not kinds:
        return ""
    if kinds["rim"] > 0:
        return "rim"
    largest = max(("hyper", "hypo", "necrotic"), key=lambda k: kinds[k])
    return largest if kinds[largest] >= 0.5 else "mixed" if kinds[largest] >= 0.25 else "iso"


def patterns(
    phase: str, modality: str, image: NDArray[np.generic], tissue: Tissue, means: FloatArray
) -> list[str]:
    """``hyper``, ``hypo`` or ``iso`` to the liver around, for CT in a known contrast phase."""
    plain = tissue.liver & (tissue.lesions == 0)
    if modality != "CT" or phase not in CONTRAST or not plain.any():
        return [""] * len(means)
    liver = float(np.median(image[plain][::7]))
    names = np.select(
        [means > liver + DIFFERENCE_HU, means < liver - DIFFERENCE_HU], ["hyper", "hypo"], "iso"
    )
    return [str(n) for n in names]
