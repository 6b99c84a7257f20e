"""Body wall, chest, spine, ribs and the table: what surrounds the abdominal organs."""

from __future__ import annotations

import numpy as np

from burden.phantom.anatomy import Anatomy, bulge, cavity, diaphragm, oval, shape, skin
from burden.phantom.canvas import Canvas
from burden.phantom.shapes import FAR, Array, Points, Tube, ellipsoid, soft_max, soft_min

VERTEBRA = 33.0  # height of a vertebra with its disc, mm
RIB = 27.0  # distance of neighbouring ribs, mm


def paint_torso(c: Canvas, anatomy: Anatomy, detail: bool) -> None:
    """Skin, fat, muscle, cavity fat, lungs, mediastinum."""
    p, full = c.points, c.value.shape
    d = np.broadcast_to(skin(p, anatomy), full)
    inner = cavity(p)
    c.paint("skin", d)
    c.paint("fat", d + np.float32(2.0))
    c.paint("muscle", np.broadcast_to(wall(p, inner, d), full))
    if detail:
        _septa(c, inner)
    c.paint("visceral_fat", np.broadcast_to(inner, full))
    _chest(c, anatomy, detail)


def wall(p: Points, inner: Array, outer: Array) -> Array:
    """Muscles of the trunk: a sheet around the cavity and the long muscles of the back."""
    flank = np.abs(p.x) / 120
    sheet = 9.0 + 5.0 * np.clip(p.y / 70, 0, 1) * np.clip(flank, 0, 1)
    front = np.exp(-(((np.abs(p.x) - 36) / 26) ** 2)) * (p.y < -40)  # rectus
    linea = np.exp(-((p.x / 5.0) ** 2)) * (p.y < -40) * (p.z < -70)
    d = inner - (sheet - 3.5 * (p.y < -40) + 4.5 * front - 5 * linea).astype(np.float32)
    for side in (-1.0, 1.0):
        back = ellipsoid(p, (side * 34, 109, p_mid(p)), (31, 23, 1e4))
        d = soft_min(d, back, 6)
    return soft_max(d, np.asarray(outer + np.float32(5), dtype=np.float32), 3)


def _septa(c: Canvas, inner: Array) -> None:
    """Thin fat between the muscle sheets of the flank and between the bundles of the back."""
    p, full = c.points, c.value.shape
    flank = (np.abs(p.x) > 62) & (p.y < 75) & (p.z < -100)
    for level, share in ((3.4, 0.55), (6.3, 0.65)):
        sheet = np.abs(inner - np.float32(level)) - np.float32(0.35)
        c.paint(
            "fat", np.broadcast_to(np.where(flank, sheet, FAR), full).astype(np.float32), None, share
        )
    wave = np.sin(p.x / 4.2 + 1.7 * np.sin(p.y / 6.0) + 0.6 * np.sin(p.z / 17)) * 3.2
    bundle = np.maximum(np.abs(p.y - 113 - wave) - 0.45, np.abs(np.abs(p.x) - 36) - 24)
    cleft = np.maximum(np.abs(np.abs(p.x) - 33 - 2.4 * np.sin(p.y / 5)) - 0.5, np.abs(p.y - 112) - 17)
    for gap in (bundle, cleft):
        c.paint("fat", np.broadcast_to(np.asarray(gap, dtype=np.float32), full), None, 0.5)


def p_mid(p: Points) -> float:
    """Any height of the points: for shapes that are the same in all slices."""
    return float(p.z.mean())


def _chest(c: Canvas, anatomy: Anatomy, detail: bool) -> None:
    p = c.points
    window = p.window((-150, -150, -125), (150, 150, 400))
    if window is None:
        return
    q = p.at(window)
    cave = cavity(q)
    above = -diaphragm(q)
    c.paint("muscle", np.maximum(cave, above - np.float32(1.0)), window)
    lung = soft_max(cave + np.float32(1.0), above + np.float32(1.6), 3)
    middle = soft_min(
        ellipsoid(q, (4, 40, 20), (30, 42, 400)),
        ellipsoid(q, (14, -50, 26), (68, 60, 70)),
        18,
    )
    lung = soft_max(lung, -middle, 4)
    c.paint("visceral_fat", np.maximum(cave, above + np.float32(1.5)), window)
    c.paint("lung", lung, window)
    heart = soft_max(ellipsoid(q, (16, -46, 26), (60, 49, 62)), above + np.float32(3.5), 8)
    c.paint("myocardium", heart, window)
    c.paint(
        "heart", soft_max(ellipsoid(q, (28, -40, 28), (37, 32, 50)), heart + np.float32(4), 5), window
    )
    c.paint(
        "heart", soft_max(ellipsoid(q, (-22, -38, 24), (20, 32, 48)), heart + np.float32(2), 4), window
    )
    if detail:
        _lung_vessels(c, anatomy)


def _lung_vessels(c: Canvas, anatomy: Anatomy) -> None:
    rng = np.random.default_rng([anatomy.seed, 11])
    for side in (-1.0, 1.0):
        for _ in range(46):
            a = np.array([side * rng.uniform(28, 50), rng.uniform(-20, 60), rng.uniform(10, 60)])
            b = np.array([side * rng.uniform(45, 112), rng.uniform(-75, 88), rng.uniform(-60, 30)])
            b = a + (b - a) * rng.uniform(0.5, 1.0)
            mid = (a + b) / 2 + rng.normal(size=3) * 7
            tube = Tube.through([a, mid, b], [rng.uniform(1.4, 2.6), 1.3, 0.6], 3)
            window = c.points.window(*tube.box(2))
            if window is not None:
                q = c.points.at(window)
                inside = np.maximum(-diaphragm(q) + np.float32(5), cavity(q) + np.float32(3))
                c.paint("lung_vessel", np.maximum(tube.distance(q, 2), inside), window)


def paint_bones(c: Canvas, anatomy: Anatomy) -> None:
    """Vertebrae with discs, canal and processes; ribs and their cartilage."""
    window = c.points.window((-62, 44, -500), (62, 142, 400))
    if window is not None:
        _spine(c, c.points.at(window), window)
    window = c.points.window((-160, -160, -190), (160, 150, 400))
    if window is not None:
        _ribs(c, c.points.at(window), window, anatomy)


def _spine(c: Canvas, q: Points, window: tuple[slice, slice, slice]) -> None:
    phase = (q.z + 8.0) / VERTEBRA
    local = ((phase - np.round(phase)) * VERTEBRA).astype(np.float32)  # -16.5..16.5, 0 mid-body
    waist = 1.5 * (local / 12.0) ** 2 - 1.5
    column = np.sqrt((q.x / 1.28) ** 2 + (q.y - 72) ** 2) - 17.0
    column = soft_max(np.asarray(column - waist), np.asarray(57 - q.y), 5)
    slab = np.abs(local)
    body = soft_max(column, np.broadcast_to(slab - np.float32(12.6), column.shape), 3)
    c.paint(
        "disc", soft_max(column + 1, np.broadcast_to(slab - np.float32(17), column.shape), 1), window
    )
    roof = np.sqrt((q.x / 1.15) ** 2 + ((q.y - 95 - 0.35 * np.abs(q.x)) / 1.0) ** 2)
    arch = np.abs(roof - 11.6) - (1.3 + 1.5 * np.exp(-(((np.abs(q.x) - 12) / 4.0) ** 2)))
    lamina = soft_max(
        np.asarray(arch), np.broadcast_to(np.abs(local + 2) - np.float32(11), column.shape), 4
    )
    spike = np.maximum(np.abs(q.x) - (2.6 + 1.2 * (q.y > 124)), np.maximum(104 - q.y, q.y - 131))
    spike = soft_max(
        np.asarray(spike, dtype=np.float32),
        np.broadcast_to(np.abs(local + 7) - np.float32(9.5), column.shape),
        3,
    )
    reach = np.abs(np.abs(q.x) - 25) - 13
    side = np.maximum(np.hypot((q.y - 101 - 0.22 * (np.abs(q.x) - 20)), local - 3) - 4.2, reach)
    for part, shell in ((lamina, 1.6), (spike, 1.1), (np.asarray(side), 1.2), (body, 1.0)):
        c.paint("cortical", np.asarray(part, dtype=np.float32), window, 0.75)
        c.paint("bone", np.asarray(part + np.float32(shell), dtype=np.float32), window)
    canal = np.sqrt((q.x / 1.25) ** 2 + (q.y - 96 - 0.2 * np.abs(q.x)) ** 2) - 8.6
    c.paint("visceral_fat", np.broadcast_to(canal, column.shape), window)
    c.paint("cord", np.broadcast_to(canal + 1.0, column.shape), window)


def _ribs(c: Canvas, q: Points, window: tuple[slice, slice, slice], anatomy: Anatomy) -> None:
    """Ribs slope down from the spine to the front; one distance gives all of them."""
    path = oval(q, 129, 122, 112, 2.2) - np.float32(0.8) * bulge(q) - shape(q)
    turn = np.arctan2(np.abs(q.x), q.y)  # 0 at the back, pi in front
    drop = np.interp(turn.ravel(), [0, 0.5, 1.2, 2.0, 2.6, 3.2], [-6, 4, 48, 104, 122, 100]).reshape(
        turn.shape
    )
    along = (q.z + drop.astype(np.float32) + 26.0) / np.float32(RIB)
    number = np.round(along)
    dz = (along - number) * np.float32(RIB * 0.82)
    d = np.sqrt((path / np.float32(0.72)) ** 2 + (dz * np.float32(0.85)) ** 2) - np.float32(4.7)
    lowest = number < -5.5  # below the 12th rib
    end = np.clip(2.35 + 0.16 * number, 0.75, 2.35)  # where bone turns into cartilage
    tip = np.clip(2.95 + 0.22 * number, 0.75, 3.05)
    hidden = lowest | (turn > tip) | (turn < 0.33)
    d = np.where(hidden, FAR, d).astype(np.float32)
    bony = np.where(turn > end, FAR, d).astype(np.float32)
    c.paint("cartilage", d + np.float32(0.6), window)
    c.paint("cortical", bony, window, 0.9)
    c.paint("bone", bony + np.float32(1.5), window)


def paint_table(c: Canvas) -> None:
    """The curved couch under the back (CT only)."""
    p = c.points
    y = 158 - 0.0006 * (p.x**2)
    shell = np.abs(p.y - y - 10) - 1.1
    shell = np.maximum(shell, np.abs(p.x) - 205)
    c.paint("table", np.broadcast_to(np.asarray(shell, dtype=np.float32), p.shape), None, 0.9)
