"""The abdominal organs around and inside the liver, painted in order."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from burden.phantom.anatomy import Anatomy, cavity, diaphragm
from burden.phantom.canvas import Canvas
from burden.phantom.liver import BOX, CAVA, GALLBLADDER, LEFT_KIDNEY, RIGHT_KIDNEY, liver
from burden.phantom.shapes import Array, Points, Tube, ellipsoid, soft_max
from burden.phantom.spec import turned
from burden.phantom.vessels import AORTA, MESENTERIC, PORTAL_TRUNK, SPLENIC, Tree, trees, trunks

STOMACH = Tube.through(
    [
        (50, 26, -40),
        (62, 0, -58),
        (66, -32, -82),
        (50, -62, -106),
        (18, -72, -118),
        (-14, -60, -118),
        (-30, -50, -114),
    ],
    [20, 31, 29, 25, 21, 16, 10],
    steps=5,
)
DUODENUM = Tube.through(
    [
        (-30, -50, -114),
        (-46, -34, -122),
        (-48, -14, -150),
        (-40, -8, -178),
        (-8, -8, -186),
        (22, -12, -172),
    ],
    11,
)
PANCREAS = Tube.through(
    [(-32, -26, -140), (-20, -32, -124), (6, -42, -112), (36, -22, -102), (66, 14, -92), (88, 26, -84)],
    [14, 15, 10, 10.5, 10, 7],
)
SPLEEN_BOX = ((30.0, -60.0, -145.0), (140.0, 110.0, 5.0))
_TILT = {1: (6.0, 8.0, -12.0), -1: (6.0, -8.0, 12.0)}


def spleen(p: Points, anatomy: Anatomy) -> Array:
    """Spleen: under the left dome, hollowed by stomach and kidney."""
    size = anatomy.spleen
    d = ellipsoid(p, (93, 34, -66), np.array((42, 60, 50)) * size, turned((-20, 0, 10)))
    d = soft_max(d, -ellipsoid(p, (56, 4, -76), (44, 60, 60)), 8)
    d = soft_max(d, -ellipsoid(p, LEFT_KIDNEY[0], np.array(LEFT_KIDNEY[1]) + 7), 6)
    return soft_max(d, np.maximum(diaphragm(p) + np.float32(2.0), cavity(p) + np.float32(3.0)), 5)


def kidney(p: Points, side: int) -> Array:
    """Kidney on the patient's right (-1) or left (1), with its sinus cut out."""
    centre, radii = RIGHT_KIDNEY if side < 0 else LEFT_KIDNEY
    d = ellipsoid(p, centre, radii, turned(_TILT[side]))
    sinus = ellipsoid(
        p, (centre[0] - side * 20, centre[1] - 9, centre[2]), (19, 12, 24), turned(_TILT[side])
    )
    return soft_max(d, -sinus, 5)


def _kidneys(c: Canvas) -> None:
    for side, (centre, radii) in ((-1, RIGHT_KIDNEY), (1, LEFT_KIDNEY)):
        reach = np.array(radii) + 14
        window = c.points.window(np.array(centre) - reach, np.array(centre) + reach)
        if window is None:
            continue
        q = c.points.at(window)
        c.paint("kidney_cortex", kidney(q, side), window)
        x, y, z = (a - np.float32(b) for a, b in zip((q.x, q.y, q.z), centre, strict=True))
        columns = 2.4 * np.sin(z / 6.5 + 1.3 * np.sin(y / 9)) * np.cos(np.arctan2(y, x * side + 6) * 4.0)
        inner = ellipsoid(q, centre, np.array(radii) - 7.0, turned(_TILT[side])) + columns.astype(
            np.float32
        )
        hollow = ellipsoid(
            q, (centre[0] - side * 12, centre[1] - 6, centre[2]), (15, 11, 25), turned(_TILT[side])
        )
        c.paint("kidney_medulla", soft_max(inner, -hollow, 3), window)
        c.paint(
            "kidney_sinus",
            soft_max(hollow, ellipsoid(q, centre, np.array(radii) - 4.0, turned(_TILT[side])), 3),
            window,
        )


def _stomach(c: Canvas) -> None:
    window = c.points.window(*STOMACH.box(8))
    if window is None:
        return
    q = c.points.at(window)
    folds = 1.6 * np.sin(q.x / 5 + np.sin(q.z / 7)) * np.sin(q.z / 6.0 + q.y / 8)
    d = soft_max(STOMACH.distance(q, 8), diaphragm(q) + np.float32(3), 6)
    d = soft_max(d, np.asarray(cavity(q) + np.float32(4)), 5)
    c.paint("gut_wall", d, window)
    inner = d + np.float32(4.2) + folds.astype(np.float32)
    c.paint("gut_content", inner, window)
    c.paint(
        "gut_fluid",
        np.maximum(inner, np.asarray(-q.y - 52 + 3 * np.sin(q.x / 9), dtype=np.float32)),
        window,
        0.6,
    )
    c.paint("gut_air", np.maximum(inner, np.asarray(q.y + 66, dtype=np.float32)), window)


@lru_cache(maxsize=8)
def loops(seed: int) -> tuple[tuple[Tube, str], ...]:
    """Colon and small bowel: tubes and what is in them."""
    rng = np.random.default_rng([seed, 21])

    def jitter(
        knots: list[tuple[float, float, float]], by: float
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        return np.array(knots) + rng.normal(size=(len(knots), 3)) * by

    made = [
        (
            jitter(
                [(-92, -2, -262), (-96, -4, -225), (-88, -12, -198), (-70, -40, -186), (-62, -74, -176)],
                4,
            ),
            21.0,
            "gut_faeces",
        ),
        (
            jitter(
                [
                    (-62, -74, -176),
                    (-30, -92, -172),
                    (5, -96, -160),
                    (45, -92, -146),
                    (78, -76, -118),
                    (100, -52, -84),
                    (108, -26, -66),
                ],
                4,
            ),
            17.0,
            "gut_faeces",
        ),
        (
            jitter(
                [(108, -26, -66), (113, -8, -100), (108, 22, -150), (106, 30, -200), (102, 24, -262)], 3
            ),
            14.0,
            "gut_faeces",
        ),
    ]
    for _ in range(30):
        start = np.array([rng.uniform(-58, 94), rng.uniform(-90, 8), rng.uniform(-258, -132)])
        steps = rng.normal(size=(5, 3)) * (24, 17, 13)
        line = np.clip(start + np.cumsum(steps, axis=0), (-78, -94, -262), (104, 14, -128))
        made.append(
            (
                line,
                float(rng.uniform(8, 12.5)),
                str(rng.choice(["gut_content", "gut_fluid", "gut_wall"])),
            )
        )
    out = []
    for knots, radius, inside in made:
        radii = radius * rng.uniform(0.78, 1.2, len(knots))
        out.append((Tube.through(knots, radii, 6), inside))
    return tuple(out)


def _bowel(c: Canvas, anatomy: Anatomy) -> None:
    for n, (tube, inside) in enumerate(loops(anatomy.seed)):
        window = c.points.window(*tube.box(5))
        if window is None:
            continue
        q = c.points.at(window)
        haustra = 2.2 * np.sin(q.x / 5.5 + n) * np.sin(q.z / 6.0) * np.cos(q.y / 6.0)
        d = np.maximum(tube.distance(q, 5) + haustra.astype(np.float32), cavity(q) + np.float32(5))
        if n < 3:
            level = -np.float32(2.0) - (q.y - np.float32(tube.line[:, 1].mean()))
            c.paint("gut_wall", d, window)
            c.paint(inside, d + np.float32(2.0), window)
            air = np.maximum(
                d + np.float32(3.5), np.asarray(-level + 3 * np.sin(q.x / 7 + q.z / 9), dtype=np.float32)
            )
            c.paint("gut_air", air, window)
        else:
            c.paint("gut_wall", d, window)
            c.paint(inside, d + np.float32(2.6), window)


@lru_cache(maxsize=8)
def _twigs(seed: int) -> tuple[Tube, ...]:
    """Small vessels in the fat of the abdomen."""
    rng = np.random.default_rng([seed, 31])
    tubes = []
    for _ in range(260):
        a = np.array([rng.uniform(-60, 80), rng.uniform(-85, 25), rng.uniform(-262, -95)])
        b = a + rng.normal(size=3) * (22, 18, 22)
        tubes.append(
            Tube.through(
                [a, (a + b) / 2 + rng.normal(size=3) * 4, b], [rng.uniform(1.0, 2.6), 1.3, 0.7], 2
            )
        )
    return tuple(tubes)


def paint_organs(c: Canvas, anatomy: Anatomy, detail: bool) -> None:
    """All organs below the diaphragm except lesions, in painting order."""
    if detail:
        for tube in _twigs(anatomy.seed):
            c.tube("cava", tube, 0.75)
        psoas(c)
        _crura(c)
        _bowel(c, anatomy)
        c.tube("gut_wall", DUODENUM)
        _lobed(c, "pancreas", PANCREAS)
        c.tube("aorta", MESENTERIC_ARTERY)
        c.tube("aorta", COELIAC)
        for side in (-1, 1):
            c.tube("adrenal", Tube.through([(side * 34, 26, -58), (side * 42, 34, -74)], [2.5, 3.5]))
        c.tube(
            "gut_wall",
            Tube.through([(4, 22, 60), (8, 16, -10), (26, 16, -34), (46, 18, -42)], [9, 9, 8, 9]),
        )
    _stomach(c)
    window = c.points.window(*SPLEEN_BOX)
    if window is not None:
        c.paint("spleen", spleen(c.points.at(window), anatomy), window)
    _kidneys(c)
    if detail:
        c.tube("cava", Tube.through([(-24, 18, -128), (10, 14, -124), (46, 40, -120)], [5, 4.5, 5]))
        c.tube("cava", Tube.through([(-27, 22, -134), (-46, 42, -132)], [5, 5]))
    c.tube("portal_vein", SPLENIC)
    c.tube("portal_vein", MESENTERIC)
    c.tube("aorta", AORTA)
    _liver(c, anatomy, detail)


MESENTERIC_ARTERY = Tube.through(
    [(5, 24, -104), (5, 4, -122), (8, -8, -160), (6, -16, -260)], [4, 3.8, 3.2, 2.4]
)
COELIAC = Tube.through(
    [(5, 26, -94), (3, 6, -92), (-12, -12, -98), (-30, -28, -102)], [3.6, 3.2, 2.6, 2.2]
)


def psoas(c: Canvas) -> None:
    """The muscles beside the lumbar spine."""
    for side in (-1, 1):
        c.tube(
            "muscle",
            Tube.through(
                [(side * 24, 66, -90), (side * 34, 66, -160), (side * 46, 58, -265)], [8, 15, 22]
            ),
        )
        c.tube(
            "muscle",
            Tube.through(
                [(side * 52, 92, -128), (side * 58, 90, -190), (side * 62, 88, -265)], [6, 12, 15]
            ),
        )


def _crura(c: Canvas) -> None:
    """The legs of the diaphragm beside the aorta."""
    for side in (-1, 1):
        window = c.points.window((-40, 5, -165), (40, 85, 6))
        if window is not None:
            q = c.points.at(window)
            bend = q.x * side - (17 - 0.006 * (q.y - 52) ** 2 + 1.2 * np.sin(q.z / 9))
            sheet = np.hypot(bend / 0.9, np.maximum(np.abs(q.y - 43 - 0.10 * (q.z + 60)) - 15, 0)) - (
                3.4 + 0.008 * (q.z + 60)
            )
            c.paint(
                "muscle",
                soft_max(
                    np.asarray(sheet, dtype=np.float32), np.asarray(-130 - q.z, dtype=np.float32), 8
                ),
                window,
            )


def _lobed(c: Canvas, tissue: str, tube: Tube) -> None:
    window = c.points.window(*tube.box(4))
    if window is None:
        return
    q = c.points.at(window)
    bumps = 1.5 * np.sin(q.x / 2.6) * np.sin(q.y / 2.9) * np.sin(q.z / 3.1)
    c.paint(tissue, tube.distance(q, 4) + bumps.astype(np.float32), window)


def _liver(c: Canvas, anatomy: Anatomy, detail: bool) -> None:
    window = c.points.window(*BOX)
    if window is not None:
        d = liver(c.points.at(window), anatomy)
        c.paint("visceral_fat", d - np.float32(1.0), window, 0.5)
        c.paint("liver", d, window)
    c.tube("cava", CAVA)
    c.tube("gallbladder_wall", Tube(GALLBLADDER.line, GALLBLADDER.radii + 1.2))
    c.tube("gallbladder", GALLBLADDER)
    c.tube("portal_vein", PORTAL_TRUNK)
    if not detail:
        for tissue, tubes in zip(("portal_vein", "hepatic_vein"), trunks(), strict=True):
            for tube in tubes:
                c.tube(tissue, tube)
        return
    for tissue, tree in zip(("hepatic_vein", "portal_vein"), reversed(trees(anatomy)), strict=True):
        _tree(c, tissue, tree, anatomy)
    c.tube(
        "hepatic_artery",
        Tube.through([(-30, -28, -102), (-42, -28, -92), (-56, -24, -82)], [2.2, 1.8, 1.2]),
    )


def _tree(c: Canvas, tissue: str, tree: Tree, anatomy: Anatomy) -> None:
    for tube in tree.trunks:
        c.tube(tissue, tube)
    for a, b, r in zip(tree.start, tree.end, tree.radius, strict=True):
        c.tube(tissue, Tube(np.array([a, b]), np.array([r, r])))
