"""RECIST 1.1 and mRECIST where a simple sum of diameters would mislead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from burden.compare.doubts import of_matches
from burden.compare.match import Match, match
from burden.compare.response import Response, respond, respond_viable
from burden.grid import Grid
from burden.image import Labels
from burden.lesions import Lesion

POINT = (0.0, 0.0, 0.0)


def row(k: int, mm: float, *, edge: bool = False, viable: float | None = None) -> Lesion:
    ml = np.pi / 6000.0 * mm**3
    return Lesion(
        k, ml, mm, mm, 0, (POINT,) * 4, mm, mm, POINT, {}, "unknown", None, None, None, 1.0, "",
        touches_edge=edge, viable_long_mm=viable,
    )  # fmt: skip


def rows(*mm: float) -> list[Lesion]:
    return [row(k, d) for k, d in enumerate(mm, 1)]


def same(n: int) -> list[Match]:
    return [Match("same", (k,), (k,)) for k in range(1, n + 1)]


def test_a_target_cut_in_the_follow_up_has_not_shrunk() -> None:
    got = respond(rows(50.0), [row(1, 20.0, edge=True)], same(1), slice_mm=2.0)
    assert got.overall == "NE"
    assert np.isnan(got.follow_mm), "a lower bound is no nadir"
    assert got.change_percent is None


def test_what_is_seen_of_a_cut_target_can_suffice_for_progression() -> None:
    grown = respond(rows(50.0, 20.0), [row(1, 64.0, edge=True), row(2, 20.0)], same(2), slice_mm=2.0)
    assert grown.overall == "PD"
    assert np.isnan(grown.follow_mm)
    missing = [Match("outside", (1,), ()), Match("same", (2,), (2,))]
    assert respond(rows(50.0, 20.0), [row(2, 90.0)], missing, slice_mm=2.0).overall == "PD"
    assert respond(rows(50.0, 20.0), [row(2, 60.0)], missing, slice_mm=2.0).overall == "NE"


@pytest.mark.parametrize(
    ("base", "follow", "non_target", "overall"),
    [
        ((40.0, 39.0, 38.0), (40.0, 39.0, 120.0), "PD", "PD"),
        ((40.0, 39.0, 38.0), (40.0, 39.0, 50.0), "PD", "PD"),  # +39 % of all
        ((9.0,), (80.0,), "PD", "PD"),
        ((9.0,), (13.0,), "non-CR/non-PD", "non-CR/non-PD"),  # +44 % but 4 mm
        ((40.0, 39.0, 38.0), (40.0, 39.0, 44.0), "non-CR/non-PD", "SD"),  # +16 %, 6 mm
        ((40.0, 39.0, 20.0), (40.0, 39.0, 26.0), "possible PD", "NE"),  # +7 % of all
        ((80.0, 80.0, 38.0), (40.0, 40.0, 60.0), "possible PD", "NE"),  # all together shrink
        ((40.0, 39.0, 38.0), (20.0, 20.0, 42.0), "non-CR/non-PD", "PR"),
        ((40.0, 39.0, 20.0), (60.0, 39.0, 26.0), "PD", "PD"),
    ],
)
def test_progression_of_non_targets(
    base: tuple[float, ...], follow: tuple[float, ...], non_target: str, overall: str
) -> None:
    got = respond(rows(*base), rows(*follow), same(len(base)), slice_mm=2.0)
    assert (got.non_target, got.overall) == (non_target, overall)


def test_non_targets_that_merge_or_were_cut_have_not_grown() -> None:
    base = [*rows(40.0, 39.0, 15.0, 15.0)]
    merged = [*same(2), Match("merged", (3, 4), (3,))]
    assert respond(base, rows(40.0, 39.0, 35.5), merged, slice_mm=2.0).overall == "SD"
    cut = [*rows(40.0, 39.0), row(3, 15.0, edge=True)]
    assert respond(cut, rows(40.0, 39.0, 60.0), same(3), slice_mm=2.0).overall == "SD"


def test_any_sum_above_a_nadir_of_zero_is_progression() -> None:
    assert respond(rows(40.0), rows(4.0), same(1), slice_mm=2.0, nadir_mm=0.0).overall == "PD"
    gone = [Match("gone", (1,), ())]
    assert respond(rows(40.0), [], gone, slice_mm=2.0, nadir_mm=0.0).overall == "CR"


def test_a_non_target_is_back_after_a_complete_response() -> None:
    base, groups = rows(40.0, 39.0, 20.0), [Match("gone", (k,), ()) for k in (1, 2)]
    back = respond(base, [row(1, 6.0)], [*groups, Match("same", (3,), (1,))], slice_mm=2.0, cleared=True)
    assert (back.target, back.non_target, back.overall) == ("CR", "PD", "PD")
    none = [*groups, Match("gone", (3,), ())]
    assert respond(base, [], none, slice_mm=2.0, cleared=True).overall == "CR"


def viable(base: list[Lesion], follow: list[Lesion], groups: list[Match]) -> Response:
    got = respond_viable(base, follow, groups, slice_mm=2.0)
    assert isinstance(got, Response)
    return got


def test_necrosis_of_every_lesion_is_a_complete_response_by_mrecist() -> None:
    base = [replace(r, viable_long_mm=r.recist_long_mm) for r in rows(40.0, 30.0, 20.0)]
    dead = [replace(r, viable_long_mm=0.0) for r in base]
    got = viable(base, dead, same(3))
    assert (got.target, got.non_target, got.overall) == ("CR", "CR", "CR")
    living = [*dead[:2], replace(dead[2], viable_long_mm=8.0)]
    assert viable(base, living, same(3)).overall == "PR"
    cut = [*dead[:2], replace(dead[2], touches_edge=True)]
    assert viable(base, cut, same(3)).overall == "PR", "it may live beyond the image"


def test_a_lesion_dead_from_the_first_does_not_count_for_mrecist() -> None:
    base = [row(1, 40.0, viable=40.0), row(2, 30.0, viable=0.0)]
    dead = [row(1, 38.0, viable=0.0), row(2, 30.0, viable=0.0)]
    assert viable(base, dead, same(2)).overall == "CR"
    again = [row(1, 38.0, viable=0.0), row(2, 30.0, viable=25.0)]
    assert viable(base, again, same(2)).overall != "CR", "living tissue where none was"


def test_a_target_that_took_in_a_non_target_has_no_sum() -> None:
    """30, 29, 28; the first and third merge to 58, the second is as it was: 59 was, 87 is no growth."""
    base, groups = rows(30.0, 29.0, 28.0), [Match("merged", (1, 3), (1,)), Match("same", (2,), (2,))]
    got = respond(base, rows(58.0, 29.0), groups, slice_mm=2.0)
    assert got.targets == (1, 2)
    assert (got.target, got.overall) == ("NE", "NE")
    assert np.isnan(got.follow_mm)
    said = list(of_matches((), groups, {"RECIST 1.1": got, "mRECIST": "no arterial phase"}))
    assert [f.code for f in said] == ["target-merged"]
    assert "target lesion 1 merged with lesion 3" in said[0].text
    more = respond(base, rows(90.0, 29.0), groups, slice_mm=2.0)
    assert more.overall == "PD", "longer than both were and the limit"
    both = [Match("merged", (1, 2), (1,)), Match("same", (3,), (2,))]
    assert respond(base, rows(58.0, 28.0), both, slice_mm=2.0).overall == "SD", "two targets: one sum"


def lone(mm: float, x: float) -> tuple[tuple[Lesion, ...], Labels]:
    grid = Grid.from_axes((60, 40, 40), (2.0, 2.0, 2.0), np.array([-50.0, -40.0, -40.0]), np.eye(3))
    world = grid.world(np.moveaxis(np.indices(grid.shape), 0, -1))
    inside = np.linalg.norm(world - np.array([x, 0.0, 0.0]), axis=-1) <= mm / 2
    return (replace(row(1, mm), centroid_mm=(x, 0.0, 0.0)),), Labels(inside.astype(np.uint8), grid)


@pytest.mark.parametrize(
    ("mm", "x", "kinds"),
    [
        ((60.0, 10.0), 34.0, {"gone", "new"}),  # at the rim of one that is gone
        ((60.0, 10.0), 20.0, {"same"}),  # what is left of it
        ((6.0, 6.0), 7.5, {"same"}),  # the liver moved
        ((20.0, 16.0), 15.0, {"same"}),
        ((10.0, 60.0), 34.0, {"gone", "new"}),
    ],
)
def test_a_large_lesion_takes_in_no_new_one(mm: tuple, x: float, kinds: set[str]) -> None:
    (base, one), (follow, two) = lone(mm[0], 0.0), lone(mm[1], x)
    assert {m.kind for m in match(base, follow, one, two, np.eye(4))} == kinds
