"""The resection plans of a case in words, and as points of a picture: tumor cleared, liver left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burden.case import Case
from burden.facts import Facts, Interval
from burden.write.words import number, percent

TARGETS = (70.0, 90.0)  # debulking: liberal and traditional (B5: S1, S2)
_SURE = 0.99
_LABEL = 0.035  # half the room that a number takes, as a share of the picture's side
_AROUND = tuple(
    (math.cos(math.radians(a)), math.sin(math.radians(a))) for a in (45, 0, 90, 315, 135, 270, 180, 225)
)

Plan = Mapping[str, Any]


@dataclass(frozen=True)
class PlanRow:
    """One plan in words; ``number`` is its number in the picture."""

    number: int
    name: str
    why: str
    cleared: str
    residual: str
    flr: str
    sflr: str
    p: str
    growth: str
    enough: bool


@dataclass(frozen=True)
class Point:
    """A plan in the picture: x tumor cleared, y liver left, both 0..1; where its number stands."""

    number: int
    x: float
    y: float
    label_x: float
    label_y: float
    front: bool
    best: bool
    enough: bool


@dataclass(frozen=True)
class Plans:
    """What the report says of resection plans; ``points`` draw the picture."""

    answers: tuple[tuple[str, str, str], ...]  # question, answer, which plan
    rows: tuple[PlanRow, ...]
    points: tuple[Point, ...]
    front: tuple[tuple[float, float], ...]
    least_flr: float
    note: str


def plans_of(case: Case) -> Plans | None:
    """The plans of a case; None where there are none."""
    plans = case.plans
    if not plans:
        return None
    least = float(plans[0]["min_flr_percent"])
    rows = tuple(_row(n, plan) for n, plan in enumerate(plans, start=1))
    front = sorted(_place(p) for p in plans if "front" in p["roles"])
    note = (
        f"Plans are unions of Couinaud segments with wedges and ablations; at least {least:g} % of the "
        "liver without tumor is to stay. Anatomy, vessels and the patient are for the surgeon to judge."
    )
    answers = tuple(_answer(case.facts, plans, target, least) for target in TARGETS)
    return Plans(answers, rows, _points(plans), tuple(front), least / 100, note)


def _row(n: int, plan: Plan) -> PlanRow:
    growth, sflr, p = plan["growth"], plan["sflr_percent"], plan["p_flr_enough"]
    return PlanRow(
        number=n,
        name=plan["name"][:1].upper() + plan["name"][1:],
        why=_why(plan["roles"]),
        cleared=_percent(plan["debulked_percent"]),
        residual="none" if plan["residual_lesions"] == 0 else str(plan["residual_lesions"]),
        flr=_percent(plan["flr_percent"]),
        sflr="" if sflr is None else _percent(sflr),
        p="" if p is None else percent(p),
        growth="" if growth is None else _growth(growth),
        enough=plan["flr_percent"] >= plan["min_flr_percent"],
    )


def _why(roles: Sequence[str]) -> str:
    """Why the plan is listed, without names that its own name repeats."""
    words = {"best": "clears most", "front": "best trade-off", "staged": "two stages"}
    told = [words.get(role, role) for role in roles if role in words or role.startswith("least")]
    return ", ".join(told) or "standard"


def _growth(growth: Mapping[str, Any]) -> str:
    weeks = growth["weeks_at_2_percent"]
    return f"+{number(growth['points'], '%')} points: {weeks:g} weeks at 2 a week; {growth['method']}"


def _answer(facts: Facts, plans: Sequence[Plan], target: float, least: float) -> tuple[str, str, str]:
    """Whether a share of the tumor can be cleared with enough liver left, and by which plan."""
    question = f"Clear at least {target:g} % of the tumor and keep at least {least:g} % of the liver?"
    volume = facts.get("tumor.volume")
    if volume is not None and isinstance(volume.value, Interval) and math.isinf(volume.value.high):
        return question, "unknown", "not all of the tumor was seen"
    able = [p for p in plans if p["debulked_percent"] >= target]
    if not able:
        most = max(p["debulked_percent"] for p in plans)
        return question, "no", f"no plan clears more than {_percent(most)}"
    sure = max(able, key=lambda p: (_chance(p), p["flr_percent"]))
    chance = _chance(sure)
    answer = "yes" if chance >= _SURE else "no" if chance <= 1 - _SURE else "unknown"
    told = f"{sure['name']}: {_percent(sure['debulked_percent'])}, FLR {_percent(sure['flr_percent'])}"
    return question, answer, told + ("" if sure["p_flr_enough"] is None else f", P {percent(chance)}")


def _chance(plan: Plan) -> float:
    """Probability that enough liver stays; by the best value where there are no draws."""
    p = plan["p_flr_enough"]
    return float(plan["flr_percent"] >= plan["min_flr_percent"]) if p is None else float(p)


def _percent(value: float) -> str:
    return f"{number(value, '%')}\N{NO-BREAK SPACE}%"


def _place(plan: Plan) -> tuple[float, float]:
    return plan["debulked_percent"] / 100, min(1.0, plan["flr_percent"] / 100)


def _points(plans: Sequence[Plan]) -> tuple[Point, ...]:
    places = [_place(plan) for plan in plans]
    taken: list[tuple[float, float]] = []
    found = []
    for n, (plan, (x, y)) in enumerate(zip(plans, places, strict=True), start=1):
        spots = [(x + 0.045 * dx, y + 0.06 * dy) for dx, dy in _AROUND]
        label = max(spots, key=lambda s: _room(s, [*places, *taken]))
        taken.append(label)
        roles = plan["roles"]
        enough = plan["flr_percent"] >= plan["min_flr_percent"]
        found.append(Point(n, x, y, *label, "front" in roles, "best" in roles, enough))
    return tuple(found)


def _room(spot: tuple[float, float], others: Sequence[tuple[float, float]]) -> float:
    """How free a place for a number is; little room is told apart, plenty is not."""
    x, y = spot
    if not (-0.01 <= x <= 1.03 and 0.02 <= y <= 1.0):
        return -1.0
    gap = min(math.hypot((x - a), (y - b)) for a, b in others)
    return min(gap, 2 * _LABEL)
