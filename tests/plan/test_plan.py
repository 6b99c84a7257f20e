"""Plan search against brute force, the anatomy's known answers, and the clock."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from rich.console import Console, Group

from burden.errors import UsageError
from burden.facts import ANYTHING, Fact, Facts, Interval
from burden.lesions import Lesion
from burden.measure.frilling import ADJACENT as FRILLING_ADJACENT
from burden.measure.remnant import PLANS
from burden.plan import Options, Planned, make_plans, plan_case
from burden.plan.anatomy import ADJACENT, STANDARD, pieces, removable, unions
from burden.plan.choose import choose, clearable, flr_percent, front, p_enough
from burden.plan.custom import parse_segments, remnant_without
from burden.plan.search import MARGIN_MM, search
from burden.plan.table import table_of
from burden.summary import remnant_page

POINT = (0.0, 0.0, 0.0)
HEALTHY = [40.0, 120.0, 130.0, 200.0, 220.0, 200.0, 230.0, 260.0]


def lesion(
    k: int,
    ml: float,
    segments: dict[int, float],
    *,
    capsule: float = 20.0,
    hilum: float | None = 40.0,
    feret: float = 0.0,
) -> Lesion:
    size = float(np.cbrt(6000 * ml / np.pi))
    return Lesion(
        k, ml, size, size, 0, (POINT,) * 4, feret or size, size, POINT, segments, "unknown", capsule,
        hilum, None, 1.0, "masks",
    )  # fmt: skip


def facts_of(
    rows: list[Lesion], healthy: list[float] = HEALTHY, noise: float = 0.0, draws: int = 200
) -> Facts:
    """Segment facts of a liver whose tumor-free volumes are ``healthy``."""
    rng = np.random.default_rng(7)
    found = []
    for n in range(1, 9):
        tumor = sum(r.volume_ml * r.segments.get(n, 0.0) for r in rows)
        for name, ml in (("volume", healthy[n - 1] + tumor), ("tumor_volume", tumor)):
            drawn = None
            if noise:
                drawn = (
                    np.full(draws, ml) if name == "tumor_volume" else ml + noise * rng.normal(size=draws)
                )
            found.append(
                Fact(f"segment.{n}.{name}", Interval.exactly(ml), "mL", "measured: test", drawn)
            )
    return Facts(found)


def random_rows(seed: int, count: int) -> list[Lesion]:
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(count):
        where = rng.choice(np.arange(1, 9), size=int(rng.integers(1, 3)), replace=False)
        share = rng.dirichlet(np.ones(len(where)))
        segments = {int(n): float(s) for n, s in zip(where, share, strict=True)}
        rows.append(
            lesion(k + 1, float(rng.uniform(0.1, 40)), segments, capsule=float(rng.uniform(0, 15)),
                   hilum=float(rng.uniform(5, 80)))
        )  # fmt: skip
    return rows


def test_the_shared_anatomy_is_the_same_everywhere() -> None:
    assert {k: frozenset(v) for k, v in PLANS.items()} == STANDARD
    assert ADJACENT == FRILLING_ADJACENT


def test_what_may_be_removed() -> None:
    assert set(STANDARD.values()) <= set(unions())
    assert {frozenset({n}) for n in range(1, 9)} <= set(unions())
    for yes in ({1, 5, 6, 7, 8}, {5, 6}, {4, 5}, {2, 6}, {2, 3, 6, 7}):
        assert removable(frozenset(yes)), yes
    for no in (
        {7, 8},  # the right vein is gone and 6 stays
        {2, 4},  # the left vein is gone and 3 stays
        {2, 5, 7},  # three pieces
        {2, 3, 4, 5, 6, 7, 8},  # only the caudate
        {2, 3, 5, 6, 7, 8},  # only 4 and the caudate
    ):
        assert not removable(frozenset(no)), no
    assert pieces({2, 3, 6}) == (frozenset({2, 3}), frozenset({6}))


def oracle(rows: list[Lesion], options: Options) -> dict[tuple[int, ...], tuple[float, float]]:
    """Best debulking of every union, and FLR, by trying every subset of the lesions to treat."""
    total = sum(r.volume_ml for r in rows)
    found = {}
    for n in range(8):
        for removed in combinations(range(1, 9), n):
            if not removable(frozenset(removed)):
                continue
            left = []
            for r in rows:
                gone = sum(r.segments.get(s, 0.0) for s in removed)
                left.append(0.0 if gone >= 0.9 else r.volume_ml * (1 - gone))
            best = 0.0
            ids = [i for i in range(len(rows)) if left[i] > 0 and (rows[i].distance_hilum_mm or 0) >= 10]
            for size in range(options.ablations + options.wedges + 1):
                for treated in combinations(ids, size):
                    deep = [i for i in treated if rows[i].distance_capsule_mm >= 5]  # type: ignore[operator]
                    flat = [i for i in treated if i not in deep]
                    fits = len(deep) <= options.ablations and len(flat) <= options.wedges
                    fits &= all(rows[i].recist_long_mm <= options.max_ablation_mm for i in deep)
                    fits &= all(rows[i].recist_long_mm <= options.max_wedge_mm for i in flat)
                    if fits:
                        kept = sum(left[i] for i in range(len(rows)) if i not in treated)
                        best = max(best, 100 * (1 - kept / total))
            flr = 100 * sum(HEALTHY[s - 1] for s in range(1, 9) if s not in removed) / sum(HEALTHY)
            found[removed] = (best, flr)
    return found


@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_what_brute_force_finds(seed: int) -> None:
    rows, options = random_rows(seed, 6), Options(ablations=2, wedges=2)
    table = table_of(facts_of(rows), rows)
    plans = search(table, options)
    truth = oracle(rows, options)
    assert len(unions()) == len(truth)
    for k, union in enumerate(unions()):
        mine = plans.union == k
        best, flr = truth[tuple(sorted(union))]
        assert plans.debulked[mine].max() == pytest.approx(best, abs=1e-9)
        bare = mine & (plans.ablated == 0) & (plans.wedged == 0)
        assert flr_percent(table, plans)[bare] == pytest.approx(flr)


@pytest.mark.parametrize("seed", range(3))
def test_the_front_is_what_nothing_dominates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, f, e = rng.integers(0, 6, 80) * 1.0, rng.integers(0, 6, 80) * 1.0, rng.integers(0, 4, 80)
    points = {(d[i], f[i], e[i]) for i in range(80)}
    best = {
        p for p in points
        if not any(q != p and q[0] >= p[0] and q[1] >= p[1] and q[2] <= p[2] for q in points)
    }  # fmt: skip
    mine = front(d, f, e)
    assert {(d[i], f[i], e[i]) for i in np.flatnonzero(mine)} == best
    assert mine.sum() == len(best), "one of equals"


def test_a_right_sided_disease_with_one_deep_left_lesion() -> None:
    rows = [
        lesion(1, 100.0, {6: 0.5, 7: 0.5}),
        lesion(2, 60.0, {5: 0.5, 8: 0.5}),
        lesion(3, 2.0, {3: 1.0}),
    ]
    made = make_plans(facts_of(rows), rows)
    best = next(p for p in made.plans if "best" in p["roles"])
    assert best["removed_segments"] == [5, 6, 7, 8]
    assert best["ablated_lesions"] == [3]
    assert best["debulked_percent"] == 100.0
    assert best["residual_lesions"] == 0
    size = np.cbrt(6000 * 2.0 / np.pi)
    rim = np.pi / 6000 * ((size + 2 * MARGIN_MM) ** 3 - size**3)
    left = sum(HEALTHY[:4]) - rim
    assert best["flr_percent"] == pytest.approx(100 * left / sum(HEALTHY), abs=0.01)
    assert [a["answer"] for a in made.answers] == ["yes", "yes"]
    assert len(made.plans) <= 12


def test_what_a_small_remnant_needs() -> None:
    rows = [lesion(1, 300.0, {4: 0.2, 5: 0.2, 6: 0.2, 7: 0.2, 8: 0.2})]
    made = make_plans(facts_of(rows), rows)
    assert [a["answer"] for a in made.answers] == ["yes", "no"]
    staged = next(p for p in made.plans if "staged" in p["roles"])
    assert staged["removed_segments"] == [4, 5, 6, 7, 8]
    percent = 100 * sum(HEALTHY[:3]) / sum(HEALTHY)
    assert staged["growth"]["factor"] == pytest.approx(30 / percent, abs=0.01)
    assert staged["growth"]["weeks_at_2_percent"] == pytest.approx((30 - percent) / 2, abs=0.1)


def test_limits_of_ablation_are_the_users() -> None:
    rows = [lesion(1, 10.0, {3: 1.0})]  # 26.7 mm
    nothing = [p for p in make_plans(facts_of(rows), rows).plans if not p["removed_segments"]]
    assert nothing[0]["ablated_lesions"] == [1]
    made = make_plans(facts_of(rows), rows, Options(max_ablation_mm=20.0))
    assert not any(p["ablated_lesions"] for p in made.plans)
    near = [lesion(1, 10.0, {3: 1.0}, hilum=4.0)]
    assert not any(p["ablated_lesions"] for p in make_plans(facts_of(near), near).plans)
    shallow = [lesion(1, 10.0, {3: 1.0}, capsule=1.0)]
    assert any(p["wedged_lesions"] == [1] for p in make_plans(facts_of(shallow), shallow).plans)


def test_a_lesion_is_as_long_as_it_is_in_any_direction() -> None:
    """Limits of ablation and wedge hold for it along the body too, not only within a slice."""
    for capsule in (20.0, 1.0):
        rows = [lesion(1, 4.8, {3: 1.0}, capsule=capsule, feret=61.0)]  # 21 mm in its plane
        made = make_plans(facts_of(rows), rows)
        assert not any(p["ablated_lesions"] or p["wedged_lesions"] for p in made.plans)
        made = make_plans(facts_of(rows), rows, Options(max_ablation_mm=61.0, max_wedge_mm=61.0))
        assert any(p["ablated_lesions"] or p["wedged_lesions"] for p in made.plans)


@pytest.mark.parametrize("noise", [0.0, 10.0])
def test_an_unknown_distance_to_the_hilum_leaves_open_what_ablation_clears(noise: float) -> None:
    def cleared(hilum: float | None) -> tuple[Planned, Fact]:
        rows = [
            lesion(1, 100.0, {5: 0.25, 6: 0.25, 7: 0.25, 8: 0.25}),
            lesion(2, 8.0, {3: 1.0}, hilum=hilum),
        ]
        planned, found = plan_case(facts_of(rows, noise=noise), rows)
        return planned, found["debulk.with_ablation.percent"]

    _, near = cleared(3.0)
    far_plans, far = cleared(40.0)
    open_plans, fact = cleared(None)
    assert near.best == pytest.approx(100 * 100 / 108)
    assert far.best == 100.0
    assert isinstance(near.value, Interval)
    assert isinstance(far.value, Interval)
    assert fact.value == Interval(near.value.low, far.value.high)
    assert (fact.best, fact.draws) == (None, None), "which end it is nobody knows"
    assert "lesion 2 to the hilum is not known" in fact.note
    best = next(p for p in open_plans.plans if "best" in p["roles"])
    assert best["ablated_lesions"] == [2], "it is still a plan"
    assert "lesion 2 to the hilum is not known" in best["caveat"]
    assert not any(p["caveat"] for p in far_plans.plans)
    assert not any(p["caveat"] for p in open_plans.plans if p["ablated_lesions"] != [2])
    assert [a["answer"] for a in open_plans.answers] == ["yes", "yes"], "both reached without it"


def test_a_target_that_hangs_on_an_unknown_distance_is_open() -> None:
    rows = [lesion(1, 8.0, {4: 1.0}, hilum=None), lesion(2, 6.0, {7: 1.0}, hilum=None)]
    rows.append(lesion(3, 40.0, dict.fromkeys(range(1, 9), 0.125)))
    far = [replace(r, distance_hilum_mm=40.0) for r in rows]
    options = Options(max_ablation_mm=45.0, min_flr=90.0)
    assert [a["answer"] for a in make_plans(facts_of(far), far, options).answers] == ["yes", "yes"]
    made = make_plans(facts_of(rows), rows, options)
    assert [a["answer"] for a in made.answers] == ["yes", "unknown"]
    assert made.answers[0]["caveat"] == ""
    assert "lesions 1, 2 to the hilum are not known" in made.answers[1]["caveat"]


def test_of_plans_that_clear_alike_the_one_without_doubt_is_best() -> None:
    rows = [lesion(1, 8.0, {4: 1.0}, hilum=None), lesion(2, 2.0, {3: 1.0})]
    planned, found = plan_case(facts_of(rows), rows)
    best = next(p for p in planned.plans if "best" in p["roles"])
    assert (best["removed_segments"], best["ablated_lesions"], best["caveat"]) == ([4], [2], "")
    assert any(p["ablated_lesions"] == [1, 2] and p["caveat"] for p in planned.plans)
    assert found["debulk.with_ablation.percent"].value == Interval.exactly(100.0)


def test_what_is_surely_treatable_may_take_the_place_of_what_is_not() -> None:
    """Three largest of four are ablated; where the first may not be, the fourth is."""
    rows = [lesion(k, 9.0 - k, {3: 1.0}, hilum=None if k == 1 else 40.0) for k in range(1, 5)]
    _, found = plan_case(facts_of(rows), rows, Options(min_flr=95.0))
    value = found["debulk.with_ablation.percent"].value
    assert isinstance(value, Interval)
    assert [value.low, value.high] == pytest.approx([100 * 18 / 26, 100 * 21 / 26])


def test_draws_give_the_probability_and_an_open_answer() -> None:
    rows = [lesion(1, 100.0, {5: 0.25, 6: 0.25, 7: 0.25, 8: 0.25})]
    healthy = [30.0, 120.0, 120.0, 330.0, 300.0, 400.0, 300.0, 400.0]  # 30.0 % without 5 to 8
    facts = facts_of(rows, healthy, noise=20.0, draws=4000)
    table = table_of(facts, rows)
    plans = choose(table, Options()).plans
    p = p_enough(table, plans, 30.0)
    assert p is not None
    right = unions().index(frozenset({5, 6, 7, 8}))
    row = int(np.flatnonzero((plans.union == right) & (plans.ablated == 0))[0])
    assert p[row] == pytest.approx(0.5, abs=0.04)
    made = make_plans(facts, rows)
    assert made.answers[1]["answer"] == "unknown"
    assert 0.4 < made.answers[1]["p"] < 0.6


def test_without_tumor_or_segments_there_is_a_reason() -> None:
    rows = [lesion(1, 10.0, {3: 1.0})]
    assert make_plans(facts_of([]), []).why_not == "no tumor to remove"
    assert "segments" in make_plans(Facts(), rows).why_not
    assert not make_plans(Facts(), rows).plans


def test_tumor_that_was_not_all_seen_decides_nothing() -> None:
    rows = [lesion(1, 10.0, {3: 1.0})]
    seen = Fact("tumor.volume", Interval(10.0, np.inf), "mL", "measured: test")
    made = make_plans(facts_of(rows) | Facts([seen]), rows)
    assert {a["answer"] for a in made.answers} == {"unknown"}


def test_three_hundred_lesions_take_less_than_a_second() -> None:
    rows = random_rows(1, 300)
    facts = facts_of(rows, noise=5.0, draws=256)
    start = time.process_time()
    made = make_plans(facts, rows)
    assert time.process_time() - start < 1.0
    assert made.searched > 1000
    assert len(made.plans) <= 12


def test_what_the_search_tells_the_rules() -> None:
    rows = [lesion(1, 100.0, {6: 0.5, 7: 0.5}), lesion(2, 2.0, {3: 1.0})]
    planned, found = plan_case(facts_of(rows, noise=10.0), rows)
    fact = found["debulk.with_ablation.percent"]
    best = next(p for p in planned.plans if "best" in p["roles"])
    assert fact.best == pytest.approx(best["debulked_percent"], abs=0.01)
    assert planned.best == best["name"]
    assert planned.best is not None
    assert planned.best in fact.note
    assert fact.draws is not None
    assert fact.draws.shape == (200,)
    entered = Fact("debulk.with_ablation.percent", Interval.exactly(40.0), "%", "facts.yaml")
    assert not plan_case(facts_of(rows) | Facts([entered]), rows)[1], "what was entered stays"
    seen = Fact("tumor.volume", Interval(10.0, np.inf), "mL", "measured: test")
    assert not plan_case(facts_of(rows) | Facts([seen]), rows)[1], "not all tumor was seen"


def test_clearable_draw_by_draw_is_the_best_allowed_plan() -> None:
    rows = [lesion(1, 100.0, {5: 0.25, 6: 0.25, 7: 0.25, 8: 0.25})]
    healthy = [30.0, 120.0, 120.0, 330.0, 300.0, 400.0, 300.0, 400.0]
    table = table_of(facts_of(rows, healthy, noise=20.0, draws=50), rows)
    plans = search(table, Options())
    drawn = clearable(table, plans, 30.0)
    assert drawn is not None
    assert table.drawn_ml is not None
    for k in range(0, 50, 7):
        functioning = table.drawn_ml[k]
        best = 0.0
        for row in range(len(plans.union)):
            stays = [n for n in range(1, 9) if n not in unions()[plans.union[row]]]
            left = functioning[stays].sum() - plans.margin_ml[row]
            if left >= 0.3 * functioning.sum():
                best = max(best, float(plans.debulked[row]))
        assert drawn[k] == pytest.approx(best)
    assert len(set(drawn.tolist())) > 1, "the remnant's error decides here"


def test_what_needs_growth_first_is_listed() -> None:
    rows = [lesion(1, 300.0, {4: 0.2, 5: 0.2, 6: 0.2, 7: 0.2, 8: 0.2})]
    planned = make_plans(facts_of(rows), rows)
    assert planned.staged
    for one in planned.staged:
        assert one["factor"] > 1
        assert one["method"]
    assert "plans" not in planned.answers_alone


def test_no_share_is_cleared_of_tumor_that_was_not_all_seen() -> None:
    rows = [lesion(1, 100.0, {6: 0.5, 7: 0.5}), lesion(2, 4.6, {3: 1.0})]
    why = "This model overlooks lesions"
    lost = Fact("debulk.right_hepatectomy.percent", ANYTHING, "%", "measured", valid=False, note=why)
    left = remnant_without(facts_of(rows) | Facts([lost]), rows, frozenset({5, 6, 7, 8}))
    assert (left["debulked_percent"], left["residual_lesions"]) == (None, None)
    assert left["why_not"] == why == make_plans(facts_of(rows) | Facts([lost]), rows).why_not
    assert left["flr_percent"] == pytest.approx(100 * sum(HEALTHY[:4]) / sum(HEALTHY), abs=0.01)


def printed(page: Group) -> str:
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(page)
    return console.export_text()


def test_a_page_says_what_is_known_of_a_remnant_and_why_the_rest_is_not() -> None:
    rows = [lesion(1, 20.0, {5: 1.0})]
    facts = facts_of(rows)
    known = remnant_without(facts, rows, frozenset({5, 6, 7, 8}))
    assert f"cleared {known['debulked_percent']:.1f} %" in printed(remnant_page(known))
    open_ended = known | {"debulked_percent": None, "residual_lesions": None, "why_not": "overlooked"}
    page = printed(remnant_page(open_ended))
    assert "what is cleared is not known: overlooked" in page
    assert f"FLR {known['flr_ml']:.0f} mL" in page
    assert "Not known: " in printed(remnant_page(remnant_without(Facts(), rows, frozenset({7}))))


def test_the_remnant_of_any_set_of_segments() -> None:
    rows = [lesion(1, 100.0, {6: 0.5, 7: 0.5}), lesion(2, 20.0, {3: 1.0})]
    facts = facts_of(rows, noise=10.0)
    left = remnant_without(facts, rows, frozenset({5, 6, 7, 8}))
    assert left["flr_percent"] == pytest.approx(100 * sum(HEALTHY[:4]) / sum(HEALTHY), abs=0.01)
    assert left["debulked_percent"] == pytest.approx(100 * 100 / 120, abs=0.01)
    assert left["residual_lesions"] == 1
    assert left["name"] == "right hepatectomy"
    assert left["flr_percent_90"][0] < left["flr_percent"] < left["flr_percent_90"][1]
    odd = remnant_without(facts, rows, frozenset({7, 8}))
    assert not odd["anatomical"]
    assert "segments" in remnant_without(Facts(), rows, frozenset({7}))["why_not"]
    assert parse_segments(" 5, 6") == {5, 6}
    for wrong in ("9", "a", "", "1,2,3,4,5,6,7,8"):
        with pytest.raises(UsageError):
            parse_segments(wrong)
