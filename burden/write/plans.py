"""The resection plans of a case in words, and as points of a picture: tumor cleared, liver left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from burden.case import Case
from burden.write.words import PLANS, number, percent

_LABEL = 0.035  # half the room that a number takes, as a share of the picture's side
_AROUND = tuple(
    (math.cos(math.radians(a)), math.sin(math.radians(a))) for a in (45, 0, 90, 315, 135, 270, 180, 225)
)

_LIVERS = {
    "normal": "for a normal liver",
    "chemotherapy": "after chemotherapy",
    "cirrhosis": "in cirrhosis",
}
_REACHED = {"yes": "Left by", "unknown": "not sure", "no": "not left by"}

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
    notes: tuple[str, ...]


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
    answers = tuple(_answer(one, plans, least) for one in case.planned.get("answers", ()))
    notes = (*_caveats(plans), *_staged(case), *_minima(case), note)
    return Plans(answers, rows, _points(plans), tuple(front), least / 100, notes)


def why_no_plans(case: Case) -> str:
    """Why there are none; "" where there are some, or nobody has looked."""
    return "" if case.plans else str(case.planned.get("why_not", ""))


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


def _answer(answer: Mapping[str, Any], plans: Sequence[Plan], least: float) -> tuple[str, str, str]:
    """What the search itself answered, with the figures of the plan where it is listed."""
    question = _question(answer["target_percent"], least)
    if answer["plan"] is None:
        seen = " of what was seen" if answer["answer"] == "unknown" else ""
        return question, answer["answer"], f"no plan clears that much{seen}"
    told = str(answer["plan"])
    if listed := next((p for p in plans if p["name"] == answer["plan"]), None):
        told += f": {_percent(listed['debulked_percent'])}, FLR {_percent(listed['flr_percent'])}"
    return (
        question,
        answer["answer"],
        told + ("" if answer["p"] is None else f", P {percent(answer['p'])}"),
    )


def _question(target: float, least: float) -> str:
    return f"Clear at least {target:g} % of the tumor and keep at least {least:g} % of the liver?"


def _caveats(plans: Sequence[Plan]) -> list[str]:
    """What is not known of lesions that a plan would ablate or wedge, and in which plans."""
    by: dict[str, list[str]] = {}
    for n, plan in enumerate(plans, start=1):
        if plan.get("caveat"):
            by.setdefault(plan["caveat"], []).append(str(n))
    return [
        f"Plan{'s' if len(n) > 1 else ''} {', '.join(n)}: {text}; close to it nothing is ablated."
        for text, n in by.items()
    ]


def _staged(case: Case) -> list[str]:
    """Plans that clear more once the remnant has grown."""
    return [
        f"In two stages: {one['plan']} clears {_percent(one['debulked_percent'])} after {_growth(one)}."
        for one in case.planned.get("staged", ())
    ]


def _minima(case: Case) -> list[str]:
    """Which hepatectomies leave what is printed as the least for such a liver."""
    background = case.facts.get("liver.background")
    known = background.best if background is not None else None
    kind = str(known) if known in _LIVERS else "normal"
    rows = case.planned.get("minima", ())
    for measure, words in (("sflr", "sFLR"), ("flr", "FLR")):
        judged = [(PLANS.get(r["plan"], r["plan"]), r["reaches"][kind]) for r in rows if
                  r["measure"] == measure and kind in r["reaches"]]  # fmt: skip
        if not judged:
            continue
        by = {a: ", ".join(n for n, r in judged if r["answer"] == a) for a in ("yes", "unknown", "no")}
        told = [f"{word}: {by[a]}" for a, word in _REACHED.items() if by[a]]
        least = judged[0][1]["minimum"]
        return [
            f"{words} of at least {least:g} %, the published minimum {_LIVERS[kind]}. {'; '.join(told)}."
        ]
    return []


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
