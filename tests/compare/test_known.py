"""What a comparison must not say: response, change and stable months of lesions not seen whole."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burden.case import Case, Manifest
from burden.compare import Finished, compare, compare_all, write_comparison
from burden.facts import ANYTHING, Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels
from burden.lesions import Lesion

POINT = (0.0, 0.0, 0.0)
GRID = Grid.from_axes((60, 50, 50), (4.0, 4.0, 4.0), np.array([-118.0, -98.0, -98.0]), np.eye(3))
WORLD = GRID.world(np.moveaxis(np.indices(GRID.shape), 0, -1))
AT = ((-50.0, 0.0, 0.0), (30.0, 10.0, 0.0), (-10.0, -10.0, 40.0))
NOT_SEGMENTED = Finding("lesions-not-segmented", "error", "This model knows no lesions.", ("tumor.*",))


def study(name: str, spheres: dict[int, float], top: int = 50, **changes: Any) -> Finished:
    """A liver with spheres of these diameters, by place; the image ends at slice ``top``."""
    grid = GRID.crop((0, 0, 0), (*GRID.shape[:2], top))
    world = WORLD[:, :, :top]
    liver = ((world / np.array((105.0, 70.0, 80.0))) ** 2).sum(-1) <= 1
    labels = np.zeros(grid.shape, np.uint8)
    rows = []
    for k, (place, mm) in enumerate(spheres.items(), 1):
        labels[np.linalg.norm(world - np.array(AT[place]), axis=-1) <= mm / 2] = k
        ml = np.pi / 6000.0 * mm**3
        rows.append(
            Lesion(k, ml, mm, mm, 0, (POINT,) * 4, mm, mm, AT[place], {}, "unknown", None, None, None,
                   1.0, "")
        )  # fmt: skip
    total = sum(r.volume_ml for r in rows)
    facts = Facts(
        [
            Fact("tumor.volume", Interval.exactly(total), "mL", "measured"),
            Fact("flr.right_hepatectomy.volume", Interval.exactly(500.0), "mL", "measured"),
        ]
    )
    case = Case(name, facts, tuple(rows), (), (), Manifest("", "", {}, {}, {}, {}, {}))
    return Finished(replace(case, **changes), Labels(liver.astype(np.uint8), grid), Labels(labels, grid))


def without_lesions(name: str, how: str) -> Finished:
    """A study of which nobody knows the lesions; its table is empty."""
    empty = study(name, {})
    if how == "said":
        return replace(empty, case=replace(empty.case, findings=(NOT_SEGMENTED,)))
    value = Interval.exactly(0.0) if how == "invalid" else ANYTHING
    volume = Fact("tumor.volume", value, "mL", "measured", valid=how != "invalid")
    rest = [f for f in empty.case.facts.values() if f.id != "tumor.volume"]
    facts = Facts(rest if how == "absent" else [*rest, volume])
    return replace(empty, case=replace(empty.case, facts=facts))


def codes(record: dict[str, Any]) -> set[str]:
    return {f["code"] for f in record["findings"]}


@pytest.mark.parametrize("how", ["said", "invalid", "unknown", "absent"])
def test_lesions_that_nobody_looked_for_are_not_gone(how: str, tmp_path: Path) -> None:
    base = study("base", {0: 40.0, 1: 30.0})
    record = compare_all([base, without_lesions("follow", how)], weeks=(26.0,))
    assert record["recist"]["overall"] == record["mrecist"]["overall"] == "NE"
    assert (record["recist"]["base_mm"], record["recist"]["follow_mm"]) == (70.0, None)
    volume = record["volume"]
    assert (volume["response"], volume["change_percent"], volume["follow_up_ml"]) == ("NE", None, None)
    assert record["months_stable"] is None
    assert record["matches"] == []
    assert [s["tumor_ml"] is None for s in record["trajectory"]] == [False, True]
    said = next(f for f in record["findings"] if f["code"] == "lesions-not-known")
    assert "follow-up" in said["text"]
    write_comparison(record, tmp_path / "c")
    assert not (tmp_path / "c" / "stable.yaml").exists()
    assert json.loads((tmp_path / "c" / "compare.json").read_text())["recist"]["overall"] == "NE"


def test_lesions_that_nobody_looked_for_at_base_are_not_new() -> None:
    record = compare(without_lesions("base", "said"), study("follow", {0: 40.0}), weeks=26.0)
    assert record["recist"]["overall"] == "NE"
    assert record["recist"]["base_mm"] is None
    assert record["recist"]["new"] == []
    assert record["volume"]["response"] == "NE"
    assert record["volume"]["base_ml"] is None
    said = next(f for f in record["findings"] if f["code"] == "lesions-not-known")
    assert "base study" in said["text"]
    assert "knows no lesions" in said["text"]


def test_a_study_in_between_that_is_not_known_sets_no_nadir() -> None:
    one = study("one", {0: 40.0})
    record = compare_all([one, without_lesions("two", "said"), study("three", {0: 40.0})])
    assert record["recist"]["overall"] == "SD"
    assert [s["sum_mm"] for s in record["trajectory"]] == [40.0, None, 40.0]


def test_a_liver_truly_without_lesions_is_a_complete_response() -> None:
    record = compare(study("base", {0: 40.0}), study("follow", {}), weeks=26.0)
    assert (record["recist"]["overall"], record["volume"]["response"]) == ("CR", "CR")
    assert record["months_stable"] > 5
    assert not codes(record) & {"lesions-not-known", "lesions-beyond-image"}


def test_a_lesion_above_the_follow_up_makes_no_change_of_volume() -> None:
    base, follow = study("base", {0: 20.0, 2: 24.0}), study("follow", {0: 20.0}, top=30)
    record = compare(base, follow, weeks=26.0)
    assert "outside" in [m["kind"] for m in record["matches"]]
    volume = record["volume"]
    told = (volume["change_percent"], volume["response"], volume["doubling_days"], volume["change_p05"])
    assert told == (None, "NE", None, None)
    assert record["recist"]["overall"] == "NE"
    assert "lesions-beyond-image" in codes(record)


@pytest.mark.parametrize("which", [0, 1])
def test_a_lesion_cut_by_the_edge_has_no_change_of_volume(which: int) -> None:
    studies = [study("base", {0: 50.0}), study("follow", {0: 20.0})]
    case = studies[which].case
    cut = tuple(replace(r, touches_edge=True) for r in case.lesions)
    studies[which] = replace(studies[which], case=replace(case, lesions=cut))
    record = compare(studies[0], studies[1], weeks=26.0)
    assert record["volume"]["change_percent"] is None
    assert record["volume"]["doubling_days"] is None
    assert record["volume"]["response"] == "NE"
    assert record["matches"][0]["change_percent"] is None
    said = next(f for f in record["findings"] if f["code"] == "lesions-beyond-image")
    assert ("base image", "follow-up image")[which] in said["text"]


def test_what_is_back_after_a_complete_response_has_progressed() -> None:
    """Targets, and lesions of which none was long enough to be a target."""
    for mm in (40.0, 9.0):
        one, none, back = study("one", {0: mm}), study("two", {}), study("three", {0: mm})
        record = compare_all([one, none, back], weeks=(10.0, 20.0))
        assert record["between"][0]["recist"]["overall"] == "CR"
        assert record["recist"]["overall"] == "PD", mm
        assert record["months_stable"] is None
    still = compare_all([study("one", {0: 40.0}), study("two", {}), study("three", {})])
    assert still["recist"]["overall"] == "CR"


def test_possible_progression_of_non_targets_is_no_stable_month() -> None:
    """Targets 40 and 38 unchanged; the third from 20 to 26: half its length, 7 % of all."""
    base = study("base", {0: 40.0, 1: 38.0, 2: 20.0})
    record = compare(base, study("follow", {0: 40.0, 1: 38.0, 2: 26.0}), weeks=26.0)
    assert record["recist"]["non_target"] == "possible PD"
    assert record["recist"]["overall"] == "NE"
    assert record["months_stable"] is None
    assert "possible-progression" in codes(record)
    after = compare_all([base, study("follow", {0: 40.0, 1: 38.0, 2: 26.0}), base], weeks=(8.0, 16.0))
    assert after["recist"]["overall"] == "SD"
    assert after["months_stable"] is None, "a reader has not judged the study between"


def test_two_patients_or_studies_in_the_wrong_order_are_noticed() -> None:
    """Two livers may fit although their owners differ."""

    def told(**values: tuple[Any, Any]) -> str:
        pair = []
        for k in (0, 1):
            one = study(str(k), {0: 40.0})
            more = []
            for name, both in values.items():
                number = not isinstance(both[k], str)
                known = Interval.exactly(both[k]) if number else Choice.of(both[k])
                more.append(Fact(name.replace("_", ".", 1), known, "", "t"))
            case = replace(one.case, facts=one.case.facts | Facts(more))
            pair.append(replace(one, case=case))
        found = [f["text"] for f in compare(*pair)["findings"] if f["code"] == "two-patients"]
        return " ".join(found)

    assert not told(
        patient_sex=("male", "male"), patient_age=(60.0, 61.0), patient_height=(170.0, 169.0)
    )
    said = told(patient_sex=("male", "female"), patient_age=(61.0, 48.0), patient_height=(178.0, 166.0))
    assert "patient.sex: male, then female; patient.age: 61, then 48; patient.height: 178, then" in said


def test_a_sum_that_cannot_be_told_is_not_left_blank() -> None:
    from rich.console import Console

    from burden.summary import comparison_page

    console = Console(width=200, record=True, file=io.StringIO())
    console.print(comparison_page(compare(study("b", {0: 40.0}), without_lesions("f", "said"))))
    text = console.export_text()
    assert "targets 40 mm, now not known\n" in text.replace(" \n", "\n")
    assert "( %)" not in text


def test_a_change_that_is_not_known_is_no_change_of_zero_in_the_picture() -> None:
    from matplotlib.figure import Figure

    from burden.compare.plot import _waterfall

    rows = [
        {"kind": kind, "base": base, "follow_up": [1], "change_percent": change}
        for kind, base, change in (("outside", [1], None), ("same", [2], 40.0), ("new", [], None))
    ]
    axes = Figure().subplots()
    _waterfall(axes, rows)
    assert [(t.get_text(), t.get_position()[0]) for t in axes.texts] == [("?", 2)]
    assert "new, or more: 300" in axes.get_ylabel()


def test_what_a_scan_without_contrast_does_not_show_is_not_gone() -> None:
    blind = (Finding("non-contrast-ct", "warning", "CT without contrast medium."),)
    base, follow = study("base", {0: 40.0, 2: 24.0}), study("follow", {0: 40.0}, findings=blind)
    record = compare(base, follow, weeks=26.0)
    assert [m["kind"] for m in record["matches"]] == ["same", "unseen"]
    assert record["recist"]["overall"] == "NE"
    assert record["volume"]["change_percent"] is None
    assert record["months_stable"] is None
    said = next(f["text"] for f in record["findings"] if f["code"] == "lesions-beyond-image")
    assert "without contrast" in said
    alike = compare(study("base", {0: 40.0, 2: 24.0}, findings=blind), follow, weeks=26.0)
    assert [m["kind"] for m in alike["matches"]] == ["same", "gone"], "both were looked at alike"
