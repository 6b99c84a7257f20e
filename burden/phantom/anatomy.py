"""The standard patient: body wall, cavity and diaphragm, and how patients differ.

All shapes live in the standard frame: LPS mm, x = 0 the midline, z = 0 the top of the right
dome of the diaphragm, y = 0 the middle of the trunk. A patient is this frame stretched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from burden.phantom.shapes import Array, Points, soft_max, soft_min


@dataclass(frozen=True)
class Anatomy:
    """What makes one patient differ from the standard one.

    Parameters
    ----------
    scale
        Size along L, P, S (1 = standard).
    fat_mm
        Thickness of the subcutaneous fat at the flank.
    left_lobe
        Reach of the left lobe to the left (1 = standard; 0.7 small, 1.25 reaching the spleen).
    depth
        Reach of the right lobe downwards (1 = standard; above 1.2 a Riedel lobe).
    spleen
        Size of the spleen (1 = standard).
    seed
        Chooses vessel branches and bowel loops.
    """

    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fat_mm: float = 9.0
    left_lobe: float = 1.0
    depth: float = 1.0
    spleen: float = 1.0
    seed: int = 0


def oval(p: Points, wide: float, front: float, back: float, power: float, y0: float = 0.0) -> Array:
    """Distance to a trunk-like cross-section, the same in all slices."""
    y = p.y - np.float32(y0)
    n = np.float32(power)
    a = np.abs(p.x) / np.float32(wide)
    b = np.abs(y) / np.where(y < 0, np.float32(front), np.float32(back))
    rho = np.maximum((a**n + b**n) ** (1 / n), np.float32(1e-3))
    gx = (a / rho) ** (n - 1) / np.float32(wide)
    gy = (b / rho) ** (n - 1) / np.where(y < 0, np.float32(front), np.float32(back))
    return np.asarray((rho - 1) / np.sqrt(gx**2 + gy**2 + np.float32(1e-8)))


def bulge(p: Points) -> Array:
    """How far the trunk is wider than standard at each height, mm (waist and chest)."""
    return np.asarray(4.0 * np.cos((p.z + 60.0) / 85.0) - 1.0, dtype=np.float32)


def shape(p: Points) -> Array:
    """How far the wall stands out from the oval, mm: broad behind, flat at the back, not quite even."""
    turn = np.arctan2(p.x, p.y)  # 0 at the back, positive on the left
    broad = 3.0 * np.cos(2 * (np.abs(turn) - 1.3)) - 1.0 * np.cos(turn * 4) + 1.2 * np.sin(turn + 0.4)
    return np.asarray(broad - 1.0 + 1.1 * np.sin(3 * turn + 1), dtype=np.float32)


def skin(p: Points, anatomy: Anatomy) -> Array:
    """Outer surface of the body."""
    more = anatomy.fat_mm - 9.0
    outline = oval(p, 142 + more, 136 + 1.4 * more, 138 + more, 2.2) - shape(p)
    groove = 5.0 * np.exp(-((p.x / 14.0) ** 2)) * (p.y > 60)  # the furrow along the back
    return np.asarray(outline + groove.astype(np.float32) - bulge(p))


def cavity(p: Points) -> Array:
    """Inside of the body wall: chest and abdomen, without the spine."""
    inner = oval(p, 123, 117, 104, 2.2) - np.float32(0.8) * bulge(p) - shape(p)
    spine = np.sqrt(p.x**2 + (p.y - 88) ** 2) - 33
    return soft_max(inner, np.asarray(-spine, dtype=np.float32), 14)


_DOMES = (  # centre x, y, z; radii x, y, height: right, left, central tendon
    ((-62.0, -24.0, -95.0), (78.0, 110.0, 95.0)),
    ((64.0, -14.0, -95.0), (76.0, 106.0, 82.0)),
    ((0.0, -48.0, -95.0), (74.0, 90.0, 66.0)),
)


def diaphragm(p: Points) -> Array:
    """Under the diaphragm is inside; domes with walls straight down below their centres."""
    domes = []
    for (cx, cy, cz), (rx, ry, rz) in _DOMES:
        flat = ((p.x - cx) / rx) ** 2 + ((p.y - cy) / ry) ** 2
        up = (np.maximum(p.z - cz, 0) / rz) ** 2
        rho = np.sqrt((flat + up).astype(np.float32))
        domes.append(np.asarray((rho - 1) * np.float32(88.0)))
    return soft_min(soft_min(domes[0], domes[2], 24), domes[1], 24)
