"""lesions.csv opens in csv and numpy without options, in the order of the contract."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from burden.case import Case
from burden.write.table import COLUMNS, write_table


def test_csv_reads_back(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("bilobar")
    write_table(case, tmp_path)
    with (tmp_path / "lesions.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == COLUMNS
    assert [int(r["id"]) for r in rows] == [one.id for one in case.lesions]
    for row, one in zip(rows, case.lesions, strict=True):
        assert float(row["volume_ml"]) == pytest.approx(one.volume_ml, rel=1e-5)
        centroid = [float(row[f"centroid_{axis}_mm"]) for axis in "xyz"]
        assert centroid == pytest.approx(one.centroid_mm, rel=1e-5)
        shares = dict(part.split(":") for part in row["segments"].split(";"))
        assert {int(n): float(s) for n, s in shares.items()} == pytest.approx(one.segments, abs=1e-3)
        assert row["note"].startswith("research use only")
    assert rows[1]["distance_hilum_mm"] == "", "not known is an empty cell, never 0"


def test_numpy_reads_it(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("diffuse")
    write_table(case, tmp_path)
    table = np.genfromtxt(
        tmp_path / "lesions.csv", delimiter=",", names=True, dtype=None, encoding="utf-8"
    )
    assert table.dtype.names == COLUMNS
    assert table["volume_ml"].sum() == pytest.approx(sum(x.volume_ml for x in case.lesions), rel=1e-4)
    assert np.isnan(table["distance_hilum_mm"][1])


def test_no_lesion_gives_the_header_alone(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    write_table(case_of("healthy"), tmp_path)
    assert (tmp_path / "lesions.csv").read_text().splitlines() == [",".join(COLUMNS)]


@pytest.mark.parametrize("source", ["edited by A, B at 9:00", "=cmd()", "two\nlines", 'say "x"', "# no"])
def test_no_word_breaks_a_reader(source: str, case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("solitary")
    write_table(replace(case, lesions=(replace(case.lesions[0], source=source),) * 2), tmp_path)
    text = (tmp_path / "lesions.csv").read_text()
    assert '"' not in text
    table = np.genfromtxt(
        tmp_path / "lesions.csv", delimiter=",", names=True, dtype=None, encoding="utf-8"
    )
    assert len(table) == 2
    assert not str(table["source"][0]).startswith("=")


def test_a_cut_lesion_says_so(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    case = case_of("solitary")
    write_table(replace(case, lesions=(replace(case.lesions[0], touches_edge=True),)), tmp_path)
    assert "lower bounds" in (tmp_path / "lesions.csv").read_text()
