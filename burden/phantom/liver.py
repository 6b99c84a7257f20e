"""The liver and its Couinaud segments as functions of position.

The liver fills the right dome of the diaphragm and is cut away below by a visceral surface
(a table of heights), by the kidney, the stomach side, the gallbladder bed, the caval groove,
the hilum and the fissures of the round ligament. The segments are bounded by the planes that
surgeons use: Cantlie's plane from the gallbladder bed to the cava (middle hepatic vein), the
right hepatic vein plane, the umbilical fissure, the left hepatic vein plane, the level of the
portal bifurcation; segment 1 lies between cava and ligamentum venosum.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from burden.phantom.anatomy import Anatomy, cavity, diaphragm
from burden.phantom.shapes import Array, Points, Tube, ellipsoid, soft_max

CAVA = Tube.through(
    [
        (-27, 30, -260),
        (-27, 24, -170),
        (-29, 12, -105),
        (-27, 1, -62),
        (-23, -8, -30),
        (-14, -22, 4),
        (-5, -38, 22),
    ],
    [11, 11.5, 12, 12.5, 13, 13, 15],
)
GALLBLADDER = Tube.through(
    [(-40, -36, -98), (-46, -46, -106), (-58, -66, -121), (-70, -88, -137)], [3.5, 8, 14.5, 11], steps=5
)
RIGHT_KIDNEY = ((-62.0, 50.0, -134.0), (27.0, 25.0, 54.0))
LEFT_KIDNEY = ((66.0, 48.0, -118.0), (28.0, 25.0, 56.0))

# Height of the visceral surface over x, at y = -20
_X = np.array([-150, -125, -105, -88, -72, -58, -45, -25, 0, 25, 50, 75, 100, 150], dtype=float)
_Z = np.array([-178, -177, -172, -161, -143, -122, -107, -98, -93, -83, -71, -59, -48, -30], dtype=float)

HILUM = (-34.0, -26.0, -96.0)
BOX = ((-135.0, -125.0, -225.0), (125.0, 100.0, 6.0))


def _visceral(p: Points, anatomy: Anatomy) -> Array:
    """Height of the lower surface, mm, over each x and y."""
    fine = np.linspace(-150, 150, 601)
    smooth = np.convolve(
        np.pad(np.interp(fine, _X, _Z), 30, mode="edge"), np.hanning(61) / 30.0, mode="valid"
    )
    smooth = np.where(fine < -50, -104 + (smooth + 104) * anatomy.depth, smooth)
    base = np.interp(p.x.ravel(), fine, smooth).astype(np.float32).reshape(p.x.shape)
    behind = np.maximum(p.y - 5, 0) * (0.42 + 0.25 / (1 + np.exp((-88 - p.x) / 10)))
    front = np.maximum(-45 - p.y, 0) * np.float32(0.16)
    right = 1 / (1 + np.exp((p.x + 95) / 12))  # the edge along the flank turns up in front
    wavy = 6 * np.sin(p.y / 23.0 + 0.6)  # colon and kidney press on it
    return np.asarray(base + wavy + behind - front * (1 - 2.4 * right), dtype=np.float32)


def liver(p: Points, anatomy: Anatomy) -> Array:
    """Signed distance to the liver surface; vessels inside belong to the liver."""
    d = soft_max(diaphragm(p) + np.float32(1.5), cavity(p) + np.float32(2.5), 8)
    below = (_visceral(p, anatomy) - p.z) * np.float32(0.78)
    d = soft_max(d, below, 12)
    # left lobe: tapers to the left and gives way to the stomach behind
    reach = np.float32(72.0 * anatomy.left_lobe)
    tip = (
        (p.x - reach) * np.float32(0.86) - (p.z + 45) * np.float32(0.38) + (p.y + 70) * np.float32(0.12)
    )
    d = soft_max(d, np.asarray(tip, dtype=np.float32), 16)
    wavy = 6 * np.sin(p.x / 17.0 + 0.8)
    stomach = (p.y - 14 + 0.62 * (p.x + 8) - 1.15 * (p.z + 52) + wavy) * 0.57 + 2 * np.minimum(
        p.x + 38, 0
    )
    d = soft_max(d, np.asarray(stomach, dtype=np.float32), 12)
    return _hollow(p, d)


def _hollow(p: Points, d: Array) -> Array:
    """Cut the beds of gallbladder, cava, kidney, hilum and ligaments out of the liver."""
    cuts = (
        (GALLBLADDER.distance(p, 8) - np.float32(1.5), 5.0),
        (CAVA.distance(p, 8) + np.float32(0.6), 4.0),
        (ellipsoid(p, RIGHT_KIDNEY[0], (36.0, 33.0, 62.0)), 8.0),
        (ellipsoid(p, (-34, -26, -104), (17, 12, 11)), 5.0),
        (ellipsoid(p, (7, -84, -96), (3.6, 31, 24), _turn(12)), 6.0),  # round ligament
        (ellipsoid(p, (2, -22, -82), (20, 2.6, 26), _turn(24)), 3.0),  # ligamentum venosum
        (ellipsoid(p, (-5, 30, -40), (20, 26, 60)), 8.0),  # crus and oesophagus
    )
    for cut, blend in cuts:
        d = soft_max(d, -cut, blend)
    return d


def _turn(degrees: float) -> NDArray[np.float64]:
    """Axes turned about the head-foot axis."""
    a = np.deg2rad(degrees)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1.0]])


def segments(p: Points) -> NDArray[np.uint8]:
    """Couinaud segment 1..8 of every point, whether or not it is in the liver."""
    x, y, z = p.x, p.y, p.z
    # Cantlie: through the cava (-26, -4) and the gallbladder bed (-64, -78), upright
    right = (x + 26) * 78 - (y + 4) * 38 < 0
    # right hepatic vein: from the cava to the flank, leaning with height
    behind = (y + 5) - 0.07 * (x + 26) + 0.10 * (z + 85) > 0
    # portal bifurcation, rising slightly to the right
    above = z + 78 + 0.10 * (x + 60) > 0
    # umbilical fissure: from the cava to the round ligament (9, -100)
    lateral = (x + 22) * 96 + (y + 4) * 31 > 0
    # left hepatic vein: between segments 2 (behind and above) and 3
    upper = (z + 55) + 0.5 * (y + 62) > 0
    caudate = (((x + 8) / 25) ** 2 + ((y + 2) / 24) ** 2 + ((z + 72) / 38) ** 2 < 1) & (
        y - 0.45 * (x - 2) + 20 > 0
    )
    out = np.where(
        right,
        np.where(behind, np.where(above, 7, 6), np.where(above, 8, 5)),
        np.where(lateral, np.where(upper, 2, 3), 4),
    )
    return np.broadcast_to(np.where(caudate, 1, out), p.shape).astype(np.uint8)
