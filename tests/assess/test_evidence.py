"""The table of published outcomes, read against the text of the papers it comes from."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from burden.assess import evidence_for, load_books
from burden.assess.evidence import evidence
from burden.assess.load import references

# The columns behind author and year, in printed order.
IMAGING = ("imaging_cr_pr_pct", "imaging_sd_pct", "imaging_pd_pct")
OUTCOME = ("morbidity_pct", "mortality_pct", "pfs_months", "os_months", "os_5y_pct")
ARM = ("n", "n_pnet", "treatment", "symptom_response_pct")
PRINTED = {
    ("S1", "Table 1"): (
        *("design", "n", "well_differentiated_pct", "gi_pct", "pancreas_pct", "other_pct", "r0_r1_pct"),
        *("os_1y_pct", "os_3y_pct", "os_5y_pct", "dfs_1y_pct", "dfs_3y_pct", "dfs_5y_pct"),
    ),
    ("S2", "Table 1"): (
        *(*ARM, "biochemical_response_pct", "morbidity_pct", "mortality_pct"),
        *("os_months", "pfs_months", "os_5y_pct"),
    ),
    ("S2", "Table 2"): ("tumor_type", *ARM, "biochemical_response_pct", *IMAGING, *OUTCOME),
    ("S2", "Table 3"): (
        *(*ARM, *IMAGING, "pfs_months", "os_months", "os_1y_pct", "os_5y_pct"),
        *("morbidity_pct", "mortality_pct"),
    ),
    ("S2", "Table 4"): ("tumor_type", *ARM, "biochemical_response_pct", *IMAGING, *OUTCOME),
}
FILES = {"S1": "000_*.txt", "S2": "001_*.txt"}


def _paper(key: str) -> str:
    beside = Path(__file__).resolve().parents[3] / "shared" / "seeds"
    folder = Path(os.environ.get("BURDEN_SEEDS", beside))
    found = sorted(folder.glob(FILES[key]))
    if not found:
        pytest.skip(f"NOT CHECKED against the papers: set BURDEN_SEEDS (looked in {folder})")
    return found[0].read_text(encoding="utf-8")


def _arms(paper: str, table: str) -> list[list[str]]:
    """Rows of a printed table from the first cell that names a study, one list of cells a row."""
    lines = _paper(paper).split("\n")
    start = next(i for i, x in enumerate(lines) if re.match(rf"\**{table}\W", x) and "Cont." not in x)
    found: list[list[str]] = []
    for line in lines[start + 1 :]:
        cells = line.split("\t")
        if len(cells) == 1 and re.match(r"\**Table \d", line) and "Cont" not in line:
            break
        if len(cells) <= 10:
            continue
        named = re.search(r"\[\d+\]$", cells[0]) and not cells[0].startswith("Author")
        below = found and not cells[0] and any(cell.isdigit() for cell in cells[2:5])
        if named or below:
            found.append(cells)
    return found


@pytest.mark.parametrize(("paper", "table"), PRINTED)
def test_every_cell_is_as_printed(paper: str, table: str) -> None:
    names = PRINTED[paper, table]
    rows = [row for row in evidence() if (row["paper"], row["table"]) == (paper, table)]
    arms = _arms(paper, table)
    assert len(rows) == len(arms) >= 11
    compared = 0
    for row, cells in zip(rows, arms, strict=True):
        if cells[0]:
            assert cells[0].removeprefix("# ").startswith(row["author"])
            assert row["year"] in cells[0] + cells[1]
            assert f"[{row['reference']}]" in cells[0]
        for name, cell in zip(names, cells[-len(names) :], strict=True):
            if cell or name not in ("treatment", "tumor_type"):  # these hold for the rows below
                assert row[name] == cell, (row["author"], name)
                compared += 1
        others = {k for k in row if k.endswith(("_pct", "_months"))} - set(names)
        assert all(row[name] == "" for name in others)
    assert compared > 40


def test_figures_that_were_read_by_eye() -> None:
    """Without the papers at hand: some cells, so that a column that slips is noticed."""
    rows = {(r["table"], r["author"], r["treatment"]): r for r in evidence() if r["paper"] == "S2"}
    assert rows["Table 1", "Osborne", "cytoreduction"]["os_months"] == "43 *"
    assert rows["Table 2", "Strosberg", "TAE"]["os_months"] == "36"
    assert rows["Table 2", "Dhir", "TACE"]["os_5y_pct"] == "41"
    assert rows["Table 3", "Kennedy", "TARE"]["imaging_cr_pr_pct"] == "63"
    assert rows["Table 3", "Do Minh", "cTACE"]["os_5y_pct"] == "28"
    assert rows["Table 4", "Carlsen", "-"]["os_months"] == "29/-"


def test_rows_for_the_books() -> None:
    modalities = {book.modality for book in load_books()}
    given = {row["modality"] for row in evidence()}
    assert given - modalities == {"none", "primary resection"}
    assert {r["modality"] for r in evidence_for("debulking")} == {"debulking", "resection"}
    assert [r["treatment"] for r in evidence_for("ablation")] == ["Ablation"]
    assert evidence_for("safety") == ()
    assert all(row["paper"] in references() for row in evidence())


def test_what_looks_displaced_is_marked() -> None:
    doubtful = {(r["author"], r["treatment"]) for r in evidence() if "doubt" in r["note"]}
    assert doubtful == {
        ("Maire", "TACE"),
        ("Fiore", "TAE"),
        ("Fiore", "TACE"),
        ("Kaemmerer", "No PT resection"),
    }
