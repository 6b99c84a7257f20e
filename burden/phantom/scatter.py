"""Placing lesions: stated ones by segment, and whole patterns with a known distribution.

A pattern is built to be of its type and never measured to find out: type II has a bulk of at
least 80 % of the tumor in one lobe and one to four satellites, each at most a third as wide as
the largest lesion, in the other; type III has six or more lesions over both lobes with at
least 30 % of the tumor in the lesser one; type I is one lesion in one lobe; ``unilobar`` is
several in one lobe. Every lesion lies wholly in one lobe (segments 5-8 or 2-4).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from burden.errors import InputError
from burden.phantom.anatomy import Anatomy
from burden.phantom.blobs import Blob
from burden.phantom.spec import LOOKS, LesionSpec, Spec
from burden.phantom.survey import LEFT, RIGHT, Survey, distance_inside, survey

Floats = NDArray[np.float64]
MARGIN = 2.0  # mm that every lesion keeps from the liver surface and the lobe border
GAP = 4.0  # mm between lesions that are not joined
PATTERN_KEYS = {"burden", "count", "largest", "lesser", "confluent"}


def settle(spec: Spec) -> Spec:
    """The same spec with every lesion's place stated.

    Raises
    ------
    InputError
        If a lesion does not fit into the liver or runs into another.
    """
    if spec.pattern or (spec.frilling not in ("", "none") and not spec.lesions):
        spec = replace(spec, lesions=_pattern(spec), pattern={})
    found = survey(spec.anatomy)
    placed: list[LesionSpec] = []
    blobs: list[Blob] = []
    for n, lesion in enumerate(spec.lesions):
        where = f"phantom spec, lesions[{n}]"
        lesion = (
            lesion
            if lesion.centre is not None
            else _in_segment(lesion, found, spec.seed + n, blobs, where)
        )
        blob = Blob.of(lesion, spec.seed + n)
        _fits(blob, blobs, found, where)
        placed.append(lesion)
        blobs.append(blob)
    return replace(spec, lesions=tuple(placed))


def _fits(blob: Blob, others: list[Blob], found: Survey, where: str) -> None:
    if found.depth_at(blob.surface[::8]).min() <= 0:
        raise InputError(
            "the lesion reaches outside the liver.", where=where, hint="Move it or make it smaller."
        )
    for n, other in enumerate(others):
        apart = (blob.box[0] > other.box[1]).any() or (other.box[0] > blob.box[1]).any()
        if not apart and _inside(other, blob.surface[::4]):
            raise InputError(
                f"it runs into lesion {n}.", where=where, hint="Use `parts` for joined lesions."
            )


def _inside(blob: Blob, points: Floats) -> bool:
    for c, r in zip(blob.centres, blob.radii, strict=True):
        q = (points - c) @ blob.axes / (r * (1 + blob.bump))
        if ((q * q).sum(axis=1) < 1).any():
            return True
    return False


def _in_segment(
    lesion: LesionSpec, found: Survey, seed: int, others: list[Blob], where: str
) -> LesionSpec:
    """The lesion at a random place of its segment where it fits."""
    rng = np.random.default_rng([seed, 3])
    room = found.depth - np.float32(MARGIN)
    here = np.argwhere((found.segment == lesion.segment) & (room > 0))
    spare = room[tuple(here.T)]
    reach = max(lesion.diameters) / 2 * (1 + 1.3 * lesion.bump)
    best = np.argsort(-(np.minimum(spare, reach * 1.15) + 0.01 * rng.random(len(spare))))
    for cell in here[best[:200]]:
        trial = replace(lesion, centre=_point(found.grid.world(cell)))
        blob = Blob.of(trial, seed)
        try:
            _fits(blob, others, found, where)
        except InputError:
            continue
        return trial
    raise InputError(
        f"a lesion of {max(lesion.diameters):g} mm does not fit into segment {lesion.segment}.",
        where=where,
        hint="Make it smaller or choose another segment.",
    )


def _point(world: Floats) -> tuple[float, float, float]:
    return (round(float(world[0]), 2), round(float(world[1]), 2), round(float(world[2]), 2))


# --- whole patterns ---------------------------------------------------------------------------


@dataclass
class _Lobe:
    """One lobe while it is being filled: room left per cell, and the balls placed so far."""

    found: Survey
    depth: NDArray[np.float32]
    taken: NDArray[np.bool_]
    balls: list[tuple[Floats, float]] = field(default_factory=list)

    @property
    def filled_ml(self) -> float:
        return float(self.taken.sum()) * self.found.grid.voxel_ml

    def put(self, centre: Floats, radius: float) -> None:
        self.balls.append((centre, radius))
        reach = np.ceil(radius / self.found.grid.spacing[0]).astype(int) + 1
        cell = np.rint(self.found.grid.index(centre)).astype(int)
        low, high = np.maximum(cell - reach, 0), np.minimum(cell + reach + 1, self.taken.shape)
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        index = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), axis=-1)
        near = np.linalg.norm(self.found.grid.world(index) - centre, axis=-1) <= radius
        self.taken[box] |= near


def _fill(
    lobe: _Lobe, rng: np.random.Generator, target_ml: float, largest: float, count: int, joined: bool
) -> None:
    """Place balls until the target volume is reached (count = 0) or exactly ``count`` of them."""
    cells = np.argwhere(lobe.depth > MARGIN + 1.5)
    cells = cells[rng.permutation(len(cells))[:12000]]
    places = lobe.found.grid.world(cells)
    clear = lobe.depth[tuple(cells.T)].astype(np.float64) - MARGIN
    for c, r in lobe.balls:  # what is there already stays apart
        clear = np.minimum(clear, np.linalg.norm(places - c, axis=1) - r - GAP)
    failed = 0
    while failed < (600 if joined else 250):
        left = target_ml - lobe.filled_ml
        if (count and len(lobe.balls) >= count) or (not count and left < 0.02 * target_ml):
            return
        share = left / max(count - len(lobe.balls), 1) if count else left
        wish = min(largest / 2, float(np.cbrt(max(share, 0.02) * 1000 * 3 / (4 * np.pi))))
        if not count:
            wish = min(
                wish * 1.02, largest / 2 * float(rng.uniform(0.5, 1.0)) * max(1 - failed / 60, 0.2)
            )
        fit = np.flatnonzero(clear >= wish)
        if not len(fit):
            fit = np.flatnonzero(clear >= 0.93 * clear.max())
        pick = int(rng.choice(fit))
        radius = float(min(wish, clear[pick]))
        if joined:
            radius = _apart_or_joined(places[pick], radius, lobe.balls)
        if radius < (5.0 if joined else 2.0):
            failed += 1
            continue
        lobe.put(places[pick], radius)
        gap = np.linalg.norm(places - places[pick], axis=1) - radius
        clear = np.where(gap > -0.3 * radius, clear, 0) if joined else np.minimum(clear, gap - GAP)
    if count or lobe.filled_ml < 0.95 * target_ml:
        raise InputError(
            "so much tumor does not fit.", where="phantom spec, pattern", hint="Lower burden or count."
        )


def _apart_or_joined(place: Floats, radius: float, balls: list[tuple[Floats, float]]) -> float:
    """Shrink until every other lesion is either GAP away or overlaps well; 0 where neither works."""
    if not balls:
        return radius
    radii = np.array([r for _, r in balls])
    lesion = np.zeros(len(balls), dtype=int)
    for n, group in enumerate(_groups(balls)):
        lesion[group] = n
    reach = np.linalg.norm(np.array([c for c, _ in balls]) - place, axis=1) - radii
    for _ in range(8):
        gap = reach - radius
        into = lesion[gap < -0.15 * np.minimum(radii, radius) - 0.6]
        if np.isin(lesion[gap < GAP], into).all():
            return radius
        radius *= 0.88
    return 0.0


def _pattern(spec: Spec) -> tuple[LesionSpec, ...]:
    wish = _checked(spec.pattern)
    found = survey(spec.anatomy)
    rng = np.random.default_rng([spec.seed, 9])
    mask = found.cover > 0.5
    lobes = [
        _Lobe(
            found,
            distance_inside(mask & np.isin(found.segment, s), found.grid),
            np.zeros(mask.shape, dtype=bool),
        )
        for s in (RIGHT, LEFT)
    ]
    liver_ml = float(found.cover.sum()) * found.grid.voxel_ml
    shorter = 1.0 if wish["confluent"] else 0.875  # what drawing shorter axes leaves of a ball
    target = wish["burden"] / 100 * liver_ml / shorter
    build = {"I": _type_1, "II": _type_2, "III": _type_3, "unilobar": _one_lobe}
    if spec.frilling not in build:
        raise InputError(
            "a pattern needs frilling I, II, III or unilobar.", where="phantom spec, frilling"
        )
    build[spec.frilling](rng, lobes, target, wish)
    joined = bool(wish["confluent"])
    return tuple(lesion for lobe in lobes for lesion in _as_lesions(lobe.balls, rng, joined))


def _checked(pattern: Mapping[str, float]) -> dict[str, float]:
    unknown = sorted(set(pattern) - PATTERN_KEYS)
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}.", where="phantom spec, pattern")
    full = {"burden": 5.0, "count": 0.0, "largest": 60.0, "lesser": 0.38, "confluent": 0.0} | dict(
        pattern
    )
    if not 0.01 <= full["burden"] <= 75:
        raise InputError("0.01 to 75 (percent).", where="phantom spec, pattern.burden")
    return full


def _type_1(rng: np.random.Generator, lobes: list[_Lobe], target: float, wish: dict[str, float]) -> None:
    lobe = lobes[int(rng.random() < 0.35 and target < 40)]
    _fill(lobe, rng, target, 200.0, 1, False)
    if lobe.filled_ml < 0.7 * target:
        raise InputError(
            "one lesion of that size does not fit.",
            where="phantom spec, pattern.burden",
            hint="Lower it.",
        )


def _one_lobe(
    rng: np.random.Generator, lobes: list[_Lobe], target: float, wish: dict[str, float]
) -> None:
    lobe = lobes[int(rng.random() < 0.35)]
    _fill(lobe, rng, target, wish["largest"], int(wish["count"]) or int(rng.integers(2, 6)), False)


def _type_2(rng: np.random.Generator, lobes: list[_Lobe], target: float, wish: dict[str, float]) -> None:
    main, other = lobes if target > 150 or rng.random() < 0.65 else lobes[::-1]
    satellites = int(rng.integers(1, 5))
    bulk = max(1, int(wish["count"]) - satellites) if wish["count"] else int(rng.integers(1, 5))
    if target > 80 and not wish["count"]:
        bulk = 0  # as many as it takes
    share = float(rng.uniform(0.86, 0.96))
    _fill(main, rng, target * share, wish["largest"], bulk, bool(wish["confluent"]))
    widest = 2 * max(r for _, r in main.balls)
    limit = min(
        0.32 * widest, 2 * float(np.cbrt(0.18 * main.filled_ml / satellites * 1000 * 3 / (4 * np.pi)))
    )
    _fill(other, rng, target * (1 - share), max(limit, 3.0), satellites, False)


def _type_3(rng: np.random.Generator, lobes: list[_Lobe], target: float, wish: dict[str, float]) -> None:
    lesser = max(wish["lesser"], 0.33)
    count = int(wish["count"])
    for lobe, share in zip(lobes, (1 - lesser, lesser), strict=True):
        n = max(3, round(count * share)) if count else 0
        if wish["confluent"]:  # some lesions stay by themselves
            _fill(lobe, rng, 0.04 * target * share, 26.0, 5, False)
        largest = (
            wish["largest"]
            if count
            else min(wish["largest"], 2 * float(np.cbrt(target * share / 3 * 1000 * 0.2387)))
        )
        _fill(lobe, rng, target * share, largest, n, bool(wish["confluent"]))


def _groups(balls: list[tuple[Floats, float]]) -> list[list[int]]:
    """Numbers of the balls that overlap, group by group."""
    from scipy.sparse.csgraph import connected_components

    if not balls:
        return []
    centres, radii = np.array([c for c, _ in balls]), np.array([r for _, r in balls])
    touch = np.linalg.norm(centres[:, None] - centres[None], axis=2) < radii[:, None] + radii[None]
    _, group = connected_components(touch, directed=False)
    return [np.flatnonzero(group == n).tolist() for n in range(group.max() + 1)]


def _as_lesions(
    balls: list[tuple[Floats, float]], rng: np.random.Generator, joined: bool
) -> list[LesionSpec]:
    """Lesions of the balls; overlapping ones become the parts of one confluent lesion."""
    groups = _groups(balls)
    looks = ("hypo", "hyper_arterial", "rim", "necrotic", "calcified")
    main = str(rng.choice(looks, p=(0.5, 0.14, 0.16, 0.15, 0.05)))
    out = []
    for group in groups:
        group.sort(key=lambda m: -balls[m][1])
        c, r = balls[group[0]]
        parts = tuple((_point(balls[m][0] - c), (round(2 * balls[m][1], 2),) * 3) for m in group[1:])
        look = "confluent" if parts else ("miliary" if 2 * r < 7 else main)
        axes = np.ones(3) if parts or joined else np.array([1.0, *rng.uniform(0.88, 0.99, 2)])
        sizes = tuple(round(float(2 * r * a), 2) for a in axes)
        angles = (0.0, 0.0, 0.0) if parts else tuple(round(float(a), 1) for a in rng.uniform(-90, 90, 3))
        out.append(LesionSpec(look, _point(c), 0, sizes, angles, 0.0, parts))  # type: ignore[arg-type]
    return out


def random_spec(
    seed: int,
    *,
    frilling: str = "",
    burden: tuple[float, float] = (1.0, 20.0),
    modality: str = "CT",
    phase: str = "",
    shape: tuple[int, int, int] = (96, 88, 72),
    spacing: tuple[float, float, float] = (3.5, 3.5, 3.5),
    detail: str = "plain",
    noise: float = 1.0,
    oblique: bool = False,
    any_order: bool = False,
) -> Spec:
    """Draw a patient and a disease.

    Parameters
    ----------
    frilling
        none, I, II, III or unilobar; "" draws I, II or III.
    burden
        Range of the tumor burden to draw from, %; type I keeps to what one lesion can fill.
    phase
        "" draws portal venous CT, or one of the T1 phases for MR.
    oblique, any_order
        Draw a rotation of up to 20 degrees; draw the order and direction of the array axes.
    """
    rng = np.random.default_rng([seed, 1])
    kind = frilling or str(rng.choice(["I", "II", "III"]))
    low, high = burden
    high = min(high, 8.0) if kind == "I" else high
    low = min(low, high)
    share = float(np.exp(rng.uniform(np.log(max(low, 0.05)), np.log(max(high, 0.06)))))
    size = rng.uniform(0.93, 1.07, 3)
    anatomy = Anatomy(
        scale=_point(size),
        fat_mm=round(float(rng.uniform(6, 22)), 1),
        left_lobe=round(float(rng.uniform(0.85, 1.25)), 2),
        depth=round(float(rng.uniform(0.9, 1.15)), 2),
        spleen=round(float(rng.uniform(0.9, 1.12)), 2),
        seed=int(rng.integers(0, 1000)),
    )
    order = "".join(
        rng.permutation(["LR"[rng.integers(2)], "PA"[rng.integers(2)], "SI"[rng.integers(2)]])
    )
    turn = _point(rng.uniform(-20, 20, 3))
    phases = (
        ("t1_pre", "t1_arterial", "t1_portal", "t1_hepatobiliary") if modality == "MR" else ("portal",)
    )
    return Spec(
        name=f"random-{seed}",
        seed=seed,
        modality=modality,
        phase=phase or str(rng.choice(phases)),
        shape=shape,
        spacing=spacing,
        detail=detail,
        noise=noise,
        anatomy=anatomy,
        frilling=kind,
        rotation=turn if oblique else (0.0, 0.0, 0.0),
        order=order if any_order else "LPS",
        pattern={} if kind == "none" else {"burden": round(share, 3), "largest": 70.0},
    )


__all__ = ["LOOKS", "random_spec", "settle"]
