"""The table of published outcomes, read against the text of the papers it comes from."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from burden.assess import evidence_for, load_books
from burden.assess.evidence import evidence, published, published_key
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
    ("S1", "Supplementary Table 1"): (
        *("n", "treatment", "tumor_type", "symptom_response_pct"),
        *("imaging_cr_pr_pct", "imaging_sd_pct", "pfs_months", "os_months"),
    ),
    ("S1", "Supplementary Table 2"): (
        *("n", "treatment", "design", "tumor_type"),
        *("imaging_cr_pr_pct", "imaging_sd_pct", "pfs_months", "os_months"),
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
# Counted by eye.
ARMS = {"Supplementary Table 1": 23, "Supplementary Table 2": 16}
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
        if len(cells) == 1 and re.match(r"\**(Supplementary )?Table \d", line) and "Cont" not in line:
            break
        if len(cells) == 8:  # those of the supplement, where two columns share a cell: ORR/SD
            cells[5:6] = cells[5].split("/") if "/" in cells[5] else [cells[5]] * 2
        elif len(cells) <= 10:
            continue
        named = re.search(r"\[\d+\]$", cells[0]) and not cells[0].startswith("Author")
        below = found and not cells[0] and any(cell.isdigit() for cell in cells[2:5])
        if named or below:
            found.append(cells)
    return found


def _bare(cell: str) -> str:
    """Without raised figures being marked as such and without the gaps this leaves: 177Lu."""
    return re.sub(r"\s", "", re.sub(r"</?sup>", "", cell)) if "Lu" in cell or "Y" in cell else cell


@pytest.mark.parametrize(("paper", "table"), PRINTED)
def test_every_cell_is_as_printed(paper: str, table: str) -> None:
    names = PRINTED[paper, table]
    rows = [row for row in evidence() if (row["paper"], row["table"]) == (paper, table)]
    arms = _arms(paper, table)
    assert len(rows) == len(arms) >= 11
    assert len(rows) == ARMS.get(table, len(rows))
    compared = 0
    for row, cells in zip(rows, arms, strict=True):
        if cells[0]:
            assert cells[0].removeprefix("# ").startswith(row["author"])
            assert row["year"] in cells[0] + cells[1]
            assert f"[{row['reference'].removeprefix('Suppl. ')}]" in cells[0]
            assert row["reference"].startswith("Suppl. ") is table.startswith("Suppl")
        for name, cell in zip(names, cells[-len(names) :], strict=True):
            if cell or name not in ("treatment", "tumor_type"):  # these hold for the rows below
                assert _bare(row[name]) == _bare(cell), (row["author"], name)
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


def test_figures_of_the_supplement_that_were_read_by_eye() -> None:
    rows = {(r["table"][-1], r["author"], r["year"]): r for r in evidence() if r["table"][0] == "S"}
    assert len(rows) == 23 + 16
    assert rows["1", "Bloomston", "2017"]["treatment"] == "TACE (doxorubicin, mitomycin, cisplatin)"
    assert rows["1", "Egger", "2020"]["imaging_sd_pct"] == "92"
    assert rows["1", "Ho", "2007"]["imaging_sd_pct"] == "32-45"
    assert rows["1", "Kim", "1999"]["imaging_cr_pr_pct"] == "25 to 50"
    assert rows["1", "Loewe", "2003"]["os_months"] == "69"
    assert rows["2", "Bodei", "2011"]["imaging_cr_pr_pct"] == "32.6"
    assert rows["2", "Sabet", "2015"]["os_months"] == "61"
    assert rows["2", "Valkema", "2006"]["treatment"] == "90Y-DOTA0, Tyr3] Octreotide"
    assert rows["2", "Del Prete", "2019"]["os_months"] == "Not reached"


def test_rows_for_the_books() -> None:
    modalities = {book.modality for book in load_books()}
    given = {row["modality"] for row in evidence()}
    assert given - modalities == {"none", "primary resection"}
    assert [r["treatment"] for r in evidence_for("ablation")] == ["Ablation"]
    assert evidence_for("safety") == ()
    assert all(row["paper"] in references() for row in evidence())


def test_debulking_is_not_shown_what_complete_resection_reaches() -> None:
    rows = evidence_for("debulking")
    assert [r["author"] for r in rows if r["modality"] == "resection"] == ["Mayo", "Saxena", "Reddy"]
    assert {r["author"] for r in rows if r["modality"] == "debulking"} == {
        *("Ejaz", "Graff-Baker", "Maxwell", "McEntee", "Morgan", "Osborne", "Scott"),
    }
    (r2,) = (r for r in rows if r["author"] == "Ejaz")
    assert (r2["os_5y_pct"], r2["n"], r2["table"]) == ("60.7", "179", "Debulking surgery")
    *_, survival, scope = published("debulking").summary
    assert survival == (
        "5-year survival 59 to 88 % (7 study arms, S1 Table 1, S1 Debulking surgery, S2 Table 1)"
    )
    assert scope.startswith("of debulking, and of resections of which some left tumor")


def test_the_share_of_r2_resections_stands_in_the_text() -> None:
    text = " ".join(_paper("S1").split())
    assert "179 patients who underwent R2/cytoreductive surgery mainly for symptomatic disease" in text
    assert "showed a median 5-year OS of 60.7% months [51]" in text


def test_no_arm_with_drug_eluting_beads_for_the_book_that_leaves_them_out() -> None:
    key = published_key("nelm.embolization.tae_tace", "embolization")
    told = published(key)
    assert not [a for a in told.arms if "DEB" in a.treatment or "eluting" in a.treatment]
    assert {"cTACE", "TAE", "TACE", "TAE/TACE"} <= {a.treatment for a in told.arms}
    (survival,) = (s for s in told.summary if s.startswith("5-year survival"))
    assert survival.startswith("5-year survival 13 to 48 %")  # 10 % were with the beads
    assert told.summary[-1] == "arms with drug-eluting beads left out"


def test_a_study_counts_once_however_many_tables_print_it() -> None:
    """Of the 19 resections with a plain figure Mayo 2010 and Sarmiento stand in S1 and in S2."""
    rows = [r for r in evidence_for("resection") if r["os_5y_pct"].isdigit() or "." in r["os_5y_pct"]]
    sure = [r for r in rows if "doubt" not in r["note"]]
    assert len(sure) == 19
    twice = [(r["author"], r["year"]) for r in sure if r["paper"] == "S1"]
    assert [k for k in twice if k in {(r["author"], r["year"]) for r in sure if r["paper"] == "S2"}] == [
        ("Mayo", "2010"),
        ("Sarmiento", "2003"),
    ]
    assert "5-year survival 41 to 100 % (17 study arms, S1 Table 1, S2 Table 1)" in (
        published("resection").summary
    )


def test_prrt_shows_pfs_and_survival() -> None:
    """Cells such as 33/- of S2 Table 4, and the supplement of S1."""
    told = published("systemic").summary
    assert [s for s in told if s.startswith("progression-free 14 to 52 months (18 study arms")]
    assert [s for s in told if s.startswith("survival 18.9 to 134 months (10 study arms")]
    assert told[-1].startswith("of PRRT; PFS and OS where one cell holds")
    shown = [cell for arm in published("systemic").arms for cell in arm.outcomes.values()]
    assert "33/-" in shown
    assert not {"Not reached", "-/-", "nr/-", "-/nr"} & set(shown)


def test_what_looks_displaced_or_impossible_is_marked() -> None:
    doubtful = {(r["author"], r["year"], r["treatment"]) for r in evidence() if "doubt" in r["note"]}
    assert doubtful == {
        ("Maire", "2012", "TACE"),
        ("Fiore", "2014", "TAE"),
        ("Fiore", "2014", "TACE"),
        ("Kaemmerer", "2021", "No PT resection"),
        ("Sahara", "2019", ""),
        ("Ezziddin", "2011", "-"),
        ("Bodei", "2011", "-"),
        ("Ruutiainen", "2007", "TACE"),
        ("Osborne", "2006", "TAE"),
        ("Scott", "2019", "-"),
        ("Bloomston", "2017", "TACE (doxorubicin, mitomycin, cisplatin)"),
        ("De Baere", "2008", "TACE (drug-eluting bead)"),
        ("Egger", "2020", "TACE (doxorubicin, mitomycin, cisplatin)"),
        ("Kim", "1999", "TACE (cisplatin, doxorubicin, 5FU, streptozotocin)"),
        ("Marrache", "2007", "TACE (doxorubicin, streptozotocin)"),
        ("Therasse", "1993", "TACE (doxorubicin)"),
    }
    (bone,) = (r for r in evidence() if r["author"] == "Ezziddin" and "doubt" in r["note"])
    assert bone["reference"] == "83"


def test_nothing_impossible_is_left_unmarked() -> None:
    """Shares of one arm that make more than 102 %, and a median PFS beyond the median OS."""
    for row in evidence():
        if "doubt" in row["note"]:
            continue
        cells = [row[name].split("/")[0].split(" ")[0] for name in (*IMAGING, "pfs_months", "os_months")]
        *shares, pfs, overall = (float(c) if re.fullmatch(r"[\d.]+", c) else None for c in cells)
        assert sum(share or 0 for share in shares) <= 102, row
        assert pfs is None or overall is None or pfs <= overall, row
