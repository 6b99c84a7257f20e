"""Vessel trees of the liver and the trunks of the abdomen.

A tree starts from anatomical trunks and grows towards random points of the liver: each point is
joined to the nearest branch, and radii add up towards the root (Murray's law).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from burden.phantom.anatomy import Anatomy
from burden.phantom.shapes import Tube
from burden.phantom.survey import survey

Floats = NDArray[np.float64]

AORTA = Tube.through(
    [(12, 40, 60), (9, 40, -40), (6, 35, -110), (3, 32, -180), (2, 31, -270)], [12, 11.5, 10.5, 9.5, 9]
)
PORTAL_TRUNK = Tube.through(
    [(6, -18, -128), (-8, -22, -113), (-23, -26, -102), (-36, -26, -93)], [6.5, 7.2, 7, 6.8]
)
SPLENIC = Tube.through(
    [(4, -19, -124), (22, -16, -112), (48, 6, -96), (70, 24, -86), (84, 30, -80)],
    [4.6, 4.4, 4.2, 3.8, 3],
)
MESENTERIC = Tube.through(
    [(6, -18, -128), (8, -22, -160), (4, -34, -200), (2, -40, -260)], [6, 5.5, 5, 4]
)

# trunks of the trees: knots and radii, unscaled mm
_PORTAL = (
    ([(-36, -26, -93), (-50, -20, -88), (-60, -14, -84)], [6.5, 5.8, 5.2]),
    ([(-60, -14, -84), (-74, -30, -76), (-80, -44, -60)], [4.6, 4.0, 3.0]),
    ([(-60, -14, -84), (-78, 6, -86), (-90, 18, -96)], [4.6, 3.8, 2.8]),
    (
        [(-36, -26, -93), (-22, -34, -84), (-6, -44, -78), (4, -58, -76), (7, -76, -78)],
        [5.2, 4.4, 3.9, 3.5, 2.6],
    ),
)
_HEPATIC = (
    ([(-30, -6, -34), (-52, -6, -40), (-82, 0, -60), (-100, 4, -84)], [5.6, 5, 4, 2.8]),
    ([(-28, -12, -32), (-38, -34, -42), (-50, -58, -62), (-60, -76, -84)], [5, 4.6, 3.8, 2.6]),
    ([(-24, -14, -30), (-6, -34, -36), (18, -54, -48), (40, -66, -58)], [4.8, 4.2, 3.2, 2.2]),
)


@dataclass(frozen=True, eq=False)
class Tree:
    """Straight pieces of a vessel tree: ends (n, 3) and radii (n,), unscaled mm."""

    start: Floats
    end: Floats
    radius: Floats
    trunks: tuple[Tube, ...]


@lru_cache(maxsize=8)
def trees(anatomy: Anatomy, targets: int = 150) -> tuple[Tree, Tree]:
    """Portal and hepatic vein trees of an anatomy."""
    return _grow(_PORTAL, anatomy, targets, 1), _grow(_HEPATIC, anatomy, targets * 4 // 5, 2)


def trunks() -> tuple[tuple[Tube, ...], tuple[Tube, ...]]:
    """The named portal branches and hepatic veins alone."""
    return tuple(Tube.through(k, r) for k, r in _PORTAL), tuple(Tube.through(k, r) for k, r in _HEPATIC)


def _grow(
    stems: tuple[tuple[list[tuple[int, int, int]], list[float]], ...], anatomy: Anatomy, n: int, key: int
) -> Tree:
    rng = np.random.default_rng([anatomy.seed, key, 5])
    tubes = tuple(Tube.through(k, r) for k, r in stems)
    nodes = [p for t in tubes for p in t.line]
    parent, fixed = [-1] * len(nodes), len(nodes)
    found = survey(anatomy)
    deep = np.argwhere(found.depth > 5)
    goals = found.grid.world(deep[rng.choice(len(deep), n, replace=False)]) / anatomy.scale
    gaps = np.linalg.norm(goals[:, None] - np.array(nodes)[None], axis=2).min(axis=1)
    for goal in goals[np.argsort(gaps)]:
        known = np.array(nodes)
        near = int(np.linalg.norm(known - goal, axis=1).argmin())
        length = float(np.linalg.norm(goal - known[near]))
        if length < 6:
            continue
        steps = max(2, int(length / 7))
        sway = rng.normal(size=3) * 0.10 * length
        for s in np.linspace(0, 1, steps + 1)[1:]:
            nodes.append(known[near] + s * (goal - known[near]) + np.sin(np.pi * s) * sway)
            parent.append(near if s * steps < 1.5 else len(nodes) - 2)
    return _with_radii(np.array(nodes), parent, fixed, tubes)


def _with_radii(nodes: Floats, parent: list[int], fixed: int, tubes: tuple[Tube, ...]) -> Tree:
    power = 2.9
    flow = np.zeros(len(nodes))
    leaf = np.ones(len(nodes), dtype=bool)
    leaf[[p for p in parent if p >= 0]] = False
    flow[leaf] = 0.95**power
    for n in range(len(nodes) - 1, fixed - 1, -1):  # children come after their parents
        flow[parent[n]] += flow[n]
    own = np.arange(fixed, len(nodes))
    up = np.array([parent[n] for n in own], dtype=int)
    radius = np.minimum(flow[own] ** (1 / power), 3.8)
    return Tree(nodes[up], nodes[own], radius, tubes)
