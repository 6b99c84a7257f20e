"""Body wall, chest, spine, ribs and the table: what surrounds the abdominal organs."""

from __future__ import annotations

import numpy as np

from burden.phantom.anatomy import Anatomy, cavity, diaphragm, oval, skin
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
        ellipsoid(q, (12, -48, 36), (62, 56, 66)),
        18,
    )
    lung = soft_max(lung, -middle, 4)
    c.paint("visceral_fat", np.maximum(cave, above + np.float32(1.5)), window)
    c.paint("lung", lung, window)
    heart = soft_max(ellipsoid(q, (14, -44, 38), (56, 47, 60)), above + np.float32(3.5), 8)
    c.paint("myocardium", heart, window)
    c.paint("heart", soft_max(ellipsoid(q, (26, -38, 42), (34, 30, 50)), heart + np.float32(4), 5), window)
    c.paint("heart", soft_max(ellipsoid(q, (-22, -36, 34), (19, 30, 46)), heart + np.float32(2), 4), window)
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
    c.paint("disc", soft_max(column + 1, np.broadcast_to(slab - np.float32(17), column.shape), 1), window)
    arch = np.sqrt((q.x / 1.05) ** 2 + (q.y - 97) ** 2)
    arch = np.abs(arch - 12.5) - 3.6
    lamina = soft_max(np.asarray(arch), np.broadcast_to(np.abs(local + 2) - np.float32(11), column.shape), 4)
    spike = np.maximum(np.abs(q.x) - (2.6 + 1.2 * (q.y > 124)), np.maximum(104 - q.y, q.y - 131))
    spike = soft_max(np.asarray(spike, dtype=np.float32), np.broadcast_to(np.abs(local + 7) - np.float32(9.5), column.shape), 3)
    reach = np.abs(np.abs(q.x) - 27) - 16
    side = np.maximum(np.hypot((q.y - 101 - 0.22 * (np.abs(q.x) - 20)), local - 3) - 4.2, reach)
    for part, shell in ((lamina, 1.6), (spike, 1.1), (np.asarray(side), 1.2), (body, 1.0)):
        c.paint("cortical", np.asarray(part, dtype=np.float32), window, 0.75)
        c.paint("bone", np.asarray(part + np.float32(shell), dtype=np.float32), window)
    canal = np.sqrt((q.x / 1.15) ** 2 + (q.y - 97) ** 2) - 8.8
    c.paint("visceral_fat", np.broadcast_to(canal, column.shape), window)
    c.paint("cord", np.broadcast_to(canal + 2.0, column.shape), window)


def _ribs(c: Canvas, q: Points, window: tuple[slice, slice, slice], anatomy: Anatomy) -> None:
    """Ribs slope down from the spine to the front; one distance gives all of them."""
    path = oval(q, 129, 122, 112, 2.35) - np.float32(0.8 * 4.0) * np.cos((q.z + 60) / 85) + np.float32(0.8)
    turn = np.arctan2(np.abs(q.x), q.y)  # 0 at the back, pi in front
    drop = np.interp(turn.ravel(), [0, 0.5, 1.2, 2.0, 2.6, 3.2], [-4, 6, 38, 78, 92, 74]).reshape(turn.shape)
    along = (q.z + drop.astype(np.float32) + 20.0) / np.float32(RIB)
    number = np.round(along)
    dz = (along - number) * np.float32(RIB * 0.82)
    d = np.sqrt((path / np.float32(0.72)) ** 2 + (dz * np.float32(0.85)) ** 2) - np.float32(5.6)
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
    y = 166 - 0.00065 * (p.x**2)
    shell = np.abs(p.y - y - 10) - 1.1
    shell = np.maximum(shell, np.abs(p.x) - 205)
    c.paint("table", np.broadcast_to(np.asarray(shell, dtype=np.float32), p.shape), None, 0.9)
