"""The threshold lab as its user has it: tables in, a page and figures out."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from burden.assess import Criterion, assess, load_books
from burden.cohort import Asked, run_cohort
from burden.cohort.data import read_tables
from burden.cohort.eligibility import fact_tables, limits_in, move_limit, with_limit
from burden.cohort.study import UNORDERED
from burden.errors import BurdenError, InputError, OutputError, UsageError
from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

MILAN = "nelm.transplant.milan"
HEADS = ("case", "state", "tumor.burden", "tumor.burden.low", "tumor.burden.high", "lesion.count",
         "patient.age", "tumor.grade", "primary.resected", "frilling.type", "reader_burden",
         "reader_type", "months", "dead", "responded")  # fmt: skip


def rows(n: int = 60, seed: int = 0) -> list[list[object]]:
    chance = np.random.default_rng(seed)
    made: list[list[object]] = []
    for k in range(n):
        burden = float(np.round(np.exp(chance.normal(3, 0.9)).clip(0.5, 90), 1))
        time, end = chance.exponential(60 / (1 + burden / 30)), chance.uniform(10, 80)
        made.append([
            f"P{k}", "done", burden, round(burden * 0.9, 2), min(100.0, round(burden * 1.1, 2)),
            int(chance.poisson(5)) + 1, int(chance.integers(30, 80)),
            chance.choice(["G1", "G2", "G3", ""]), chance.choice(["yes", "no", ""]),
            chance.choice(["I", "II", "III"]), round(burden * chance.uniform(0.8, 1.2), 1),
            chance.choice(["I", "II", "III", ""]), round(min(time, end), 1), int(time <= end),
            "yes" if chance.random() < 0.3 + burden / 200 else "no",
        ])  # fmt: skip
    return made


def table(path: Path, body: list[list[object]], heads: tuple[str, ...] = HEADS) -> Path:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows((heads, *body))
    return path


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    return Asked(
        tables=(table(tmp_path / "cohort.csv", rows()),), outcomes=("responded",), time="months",
        event="dead", readers=("tumor.burden=reader_burden", "frilling.type=reader_type"),
        books=(MILAN,), bootstrap=100,
    )  # fmt: skip


def test_a_study_writes_a_whole_folder_that_says_the_same_in_all_files(
    asked: Asked, tmp_path: Path
) -> None:
    record = run_cohort(asked, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "cohort.json").read_text()) == record
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "cohort.json", "cohort.html", "binary.csv", "survival.csv", "eligibility.csv", "agreement.csv",
    }  # fmt: skip
    with (tmp_path / "out" / "binary.csv").open(newline="") as stream:
        lines = [row for row in csv.DictReader(stream) if row["fact"] == "tumor.burden"]
    (one,) = [b for b in record["binary"] if b["fact"] == "tumor.burden"]
    assert [float(row["sensitivity"]) for row in lines] == [t["sensitivity"] for t in one["thresholds"]]
    assert 50.0 in {t["threshold"] for t in one["thresholds"]}, "the published limit is a threshold"
    page = (tmp_path / "out" / "cohort.html").read_text()
    assert page.count("<svg") == page.count('role="img"') == 2 * 2 + 2 * 2 + 2 + moving(record)
    assert "Research use only" in page
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "https://matplotlib.org", "").replace("http://creativecommons.org", "")  # fmt: skip
    assert any("was chosen on these same patients" in text for text in record["warnings"])
    with pytest.raises(OutputError):
        run_cohort(asked, tmp_path / "out")
    assert run_cohort(asked) == record, "the same table and seed give the same figures"


def moving(record: dict[str, list[dict[str, list[dict[str, float]]]]]) -> int:
    """Limits of which a plot shows something: verdicts change as they move."""
    shares = [{(t["yes"], t["no"]) for t in one["thresholds"]} for one in record["eligibility"]]
    assert any(len(s) > 1 for s in shares)
    return sum(len(s) > 1 for s in shares)


def test_shares_of_eligible_are_what_assess_says_of_each_patient_alone(tmp_path: Path) -> None:
    """The whole-table rules against one patient after the other, at the published limit and others."""
    body = rows(25)
    data = read_tables([table(tmp_path / "t.csv", body)])
    bounded, exact = fact_tables(data)
    (book,) = load_books([MILAN])
    for _, path, leaf in limits_in((book,), "tumor.burden"):
        moved = move_limit(book, path, leaf, np.array([10.0, 35.0, 50.0]), bounded, exact)
        for k, limit in enumerate(moved.thresholds):
            other = with_limit(book, leaf, float(limit))
            said = [assess(one_patient(row), (other,))[0].answer.value for row in body]
            for answer in ("yes", "no", "unknown"):
                assert moved.figures[answer][k] == pytest.approx(said.count(answer) / 25), (
                    limit,
                    answer,
                )
            at_best = [assess(one_patient(row, best=True), (other,))[0].answer.value for row in body]
            open_by_error = sum(a == "unknown" != b for a, b in zip(said, at_best, strict=True))
            assert moved.figures["within_error"][k] == open_by_error
            across = sum(float(row[3]) < limit <= float(row[4]) for row in body)  # type: ignore[arg-type]
            assert moved.figures["straddling"][k] == across
        assert with_limit(book, leaf, leaf.limit) == book  # type: ignore[arg-type]
        assert moved.limit == leaf.limit


def one_patient(row: list[object], *, best: bool = False) -> Facts:
    said = dict(zip(HEADS, row, strict=True))
    facts = []
    for name in ("lesion.count", "patient.age"):
        facts.append(Fact(name, Interval.exactly(float(said[name])), vocabulary()[name].unit, "t"))  # type: ignore[arg-type]
    low, high = (float(said[f"tumor.burden{e}"]) for e in (("", "") if best else (".low", ".high")))  # type: ignore[arg-type]
    facts.append(Fact("tumor.burden", Interval(low, high), "%", "t"))
    for name in ("tumor.grade", "primary.resected", "frilling.type"):
        if said[name]:
            facts.append(Fact(name, Choice.of(str(said[name])), "", "t"))
    return Facts(facts)


def test_moving_a_limit_moves_only_that_limit() -> None:
    for book in load_books():
        for _, leaf in [(p, n) for _, p, n in book.rows() if isinstance(n, Criterion)]:
            if isinstance(leaf.limit, frozenset):
                continue
            other = with_limit(book, leaf, -12345.0)
            before, after = (
                [n.limit for _, _, n in b.rows() if isinstance(n, Criterion)] for b in (book, other)
            )
            if leaf in [n for k, _, n in book.rows() if k == "advisory"]:
                continue
            assert sum(a != b for a, b in zip(before, after, strict=True)) == 1
            break


def test_rows_that_are_not_done_and_cells_that_are_missing_are_counted(
    asked: Asked, tmp_path: Path
) -> None:
    body = rows()
    body[0][1] = "failed"
    body[1][2] = body[1][3] = body[1][4] = ""
    body[2][14] = ""
    path = table(tmp_path / "gaps.csv", body)
    record = run_cohort(replace(asked, tables=(path,), time=None, event=None, readers=()))
    assert (record["patients"], record["left_out"]) == (59, {"cases that are not done": 1})
    burden = next(b for b in record["binary"] if b["fact"] == "tumor.burden")
    assert burden["patients"] == 57
    assert any("2 of 59 patients are left out" in text for text in record["warnings"])


def test_an_outcome_table_is_joined_by_case(asked: Asked, tmp_path: Path) -> None:
    body = rows()
    at = HEADS.index("responded")
    measured = table(tmp_path / "m.csv", [r[:at] for r in body], HEADS[:at])
    outcomes = [[r[0], r[at]] for r in reversed(body)]
    joined = table(tmp_path / "o.csv", outcomes, ("case", "responded"))
    one = run_cohort(replace(asked, tables=(measured, joined)))
    assert one == run_cohort(asked)
    short = table(tmp_path / "s.csv", outcomes[:-1], ("case", "responded"))
    record = run_cohort(replace(asked, tables=(measured, short)))
    assert list(record["left_out"].values()) == [1]
    foreign = table(tmp_path / "f.csv", [["X", "yes"]], ("case", "responded"))
    with pytest.raises(UsageError, match="no case of this table"):
        run_cohort(replace(asked, tables=(measured, foreign)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcomes": ("respnded",)}, "Is it responded"),
        ({"outcomes": ("tumor.grade",)}, "Say which cells count as yes"),
        ({"outcomes": ("tumor.grade=G9",)}, "both yes and no"),
        ({"facts": ("tumor.grade",)}, "which is no number"),
        ({"event": None}, "needs both"),
        ({"readers": ("tumor.burden",)}, "FACT=COLUMN"),
        ({"readers": ("frilling.type=dead",)}, "no option"),
        ({"marks": ("tumor.burden",)}, "FACT=NUMBER"),
        ({"marks": ("tumor.burden=nan",)}, "FACT=NUMBER"),
        ({"marks": ("tumor.burdn=20",)}, "no threshold moves over"),
        ({"event": "dead=7"}, "had the event"),
        ({"books": ("nonsense",)}, "no such rule book"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_clear_line(
    asked: Asked, change: dict[str, object], said: str
) -> None:
    with pytest.raises(BurdenError, match=said):
        run_cohort(replace(asked, **change))  # type: ignore[arg-type]


def test_broken_tables_are_refused(asked: Asked, tmp_path: Path) -> None:
    for name, text, said in [
        ("none.csv", None, "no such table"),
        ("empty.csv", "case\n", "no row"),
        ("twice.csv", "a,a\n1,2\n", "there twice"),
        ("ragged.csv", "a,b\n1\n", "another number of cells"),
        ("crossed.csv", "tumor.burden,tumor.burden.low,tumor.burden.high\n5,9,1\n", "is above"),
    ]:
        path = tmp_path / name
        if text is not None:
            path.write_text(text)
        with pytest.raises((InputError, UsageError), match=said):
            run_cohort(Asked(tables=(path,), outcomes=("x",)))


def test_a_case_that_is_there_twice_is_refused_in_the_first_table_too(
    asked: Asked, tmp_path: Path
) -> None:
    path = table(tmp_path / "twice.csv", [*rows(), rows()[0]])
    with pytest.raises(UsageError, match="twice"):
        run_cohort(replace(asked, tables=(path,)))


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("tumor.burden", "-5", "outside the plausible range"),
        ("tumor.burden", "250", "outside the plausible range"),
        ("tumor.burden", "inf", "only bounds"),
        ("tumor.grade", "NET G2", "no option"),
        ("primary.resected", "perhaps", "no option"),
    ],
)
def test_what_a_fact_cannot_be_is_refused_and_not_taken_for_missing(
    asked: Asked, tmp_path: Path, column: str, cell: str, said: str
) -> None:
    body = rows()
    body[3][HEADS.index(column)] = cell
    with pytest.raises(UsageError, match=said):
        run_cohort(replace(asked, tables=(table(tmp_path / "odd.csv", body),)))


def test_options_are_read_however_they_are_spelt(tmp_path: Path) -> None:
    """1, TRUE and g1 mean something; `none` is an option of the distribution, not a gap."""
    cells = [("g1", "1", "none"), ("G2 ", "TRUE", "i"), ("-", "0", "I|II"), ("", "No", "Unknown")]
    path = table(tmp_path / "o.csv", [[20.0, *c] for c in cells],
                 ("tumor.burden", "tumor.grade", "primary.resected", "frilling.type"))  # fmt: skip
    data = read_tables([path])
    said = [data.words(n, vocabulary()[n].options) for n in list(data.columns)[1:]]
    assert said == [("G1", "G2", "", ""), ("yes", "yes", "no", "no"), ("none", "I", "", "")]


def test_all_values_that_mean_yes_are_taken_and_all_that_mean_no_are_told(
    asked: Asked, tmp_path: Path
) -> None:
    """A complete response is no failure, and "-" is no answer."""
    words = ("CR", "PR", "SD", "PD", "none", "-", ".", "NA", "missing", "")
    body = [[*row[:-1], words[k % 10]] for k, row in enumerate(rows())]
    path = table(tmp_path / "r.csv", body)
    record = run_cohort(
        replace(asked, tables=(path,), outcomes=("responded=CR, PR",), time=None, event=None, readers=())
    )
    burden = record["binary"][0]
    assert (burden["patients"], burden["positives"]) == (30, 12)
    assert "responded: PD, SD, none count as not CR, PR." in record["warnings"]


def test_a_cohort_in_which_all_have_died_has_a_survival(asked: Asked, tmp_path: Path) -> None:
    body = rows()
    for row in body:
        row[13] = 1
    record = run_cohort(replace(asked, tables=(table(tmp_path / "d.csv", body),), outcomes=()))
    assert record["survival"][0]["events"] == 60


def test_a_usual_number_that_nobody_has_is_left_out_and_told(asked: Asked, tmp_path: Path) -> None:
    body = rows()
    for row in body:
        row[5] = ""
    empty = replace(asked, tables=(table(tmp_path / "e.csv", body),))
    record = run_cohort(empty)
    assert {one["fact"] for one in record["binary"]} == {"tumor.burden"}
    assert "lesion.count: only 0 of 60 patients have one; left out." in record["warnings"]
    with pytest.raises(UsageError, match="At least 5"):
        run_cohort(replace(empty, facts=("lesion.count",)))


def test_shares_in_place_of_percentages_are_noticed(asked: Asked, tmp_path: Path) -> None:
    body = rows()
    for row in body:
        row[2], row[3], row[4] = float(row[2]) / 100, "", ""  # type: ignore[arg-type]
    record = run_cohort(replace(asked, tables=(table(tmp_path / "s.csv", body),)))
    assert [w for w in record["warnings"] if "shares" in w] == [
        "tumor.burden: no value is above 1. The unit is %; are these shares (0.3 for 30 %)?"
    ]
    assert not any("shares" in w for w in run_cohort(asked)["warnings"])


def test_classes_without_an_order_have_no_weighted_kappa(asked: Asked, tmp_path: Path) -> None:
    """mild, none, severe: the alphabet is no scale."""
    heads = ("tumor.burden", "one", "other", "frilling.type", "again")
    words, types = ("none", "mild", "severe"), ("none", "I", "II")
    body = [[k, words[k % 3], words[k % 4 % 3], types[k % 3], types[k % 4 % 3]] for k in range(24)]
    path = table(tmp_path / "c.csv", body, heads)  # type: ignore[arg-type]
    both = Asked(tables=(path,), readers=("one=other", "frilling.type=again"), bootstrap=30)
    free, graded = run_cohort(both, tmp_path / "out")["agreement"]
    assert free["patients"] == graded["patients"] == 24, "none is a class, not a gap"
    assert free["kappa"]["value"] == graded["kappa"]["value"]
    assert "kappa_quadratic" not in free
    assert "kappa_quadratic" in graded
    choices = {e.id for e in vocabulary().entries.values() if len(e.options) > 2}
    ordered = {i for i in choices if i.startswith(("frilling.type", "tumor.grade", "symptoms."))}
    assert choices - ordered == UNORDERED


def test_a_test_that_points_the_wrong_way_is_told(asked: Asked, tmp_path: Path) -> None:
    body = rows()
    for row in body:
        row[14] = "yes" if float(row[2]) < 20 else "no"  # type: ignore[arg-type]
    path = table(tmp_path / "w.csv", body)
    record = run_cohort(replace(asked, tables=(path,), facts=("tumor.burden",)))
    assert any("give --below" in text for text in record["warnings"])
    assert not any("wrong way" in t for t in run_cohort(replace(asked, tables=(path,), below=True,
                   facts=("tumor.burden",)))["warnings"])  # fmt: skip


def test_a_heading_with_dollar_signs_is_no_formula(asked: Asked, tmp_path: Path) -> None:
    heads = tuple("a$\\bad$" if h == "tumor.burden" else h for h in HEADS)
    path = table(tmp_path / "d.csv", rows(), heads)
    run_cohort(replace(asked, tables=(path,), facts=("a$\\bad$",), readers=()), tmp_path / "o")
    assert "a$\\bad$" in (tmp_path / "o" / "cohort.html").read_text()


def test_names_in_the_table_cannot_become_markup(asked: Asked, tmp_path: Path) -> None:
    heads = tuple("<script>alert(1)</script>" if h == "responded" else h for h in HEADS)
    path = table(tmp_path / "evil.csv", rows(), heads)
    run_cohort(replace(asked, tables=(path,), outcomes=("<script>alert(1)</script>",)), tmp_path / "o")
    assert "<script" not in (tmp_path / "o" / "cohort.html").read_text()


def test_the_command_takes_the_table_of_a_batch(tmp_path: Path) -> None:
    """Parquet as a batch writes it, through the command line, JSON alone on stdout."""
    from burden.batch.table import write_tables

    body = [dict(zip(HEADS, row, strict=True)) for row in rows(30)]
    for row in body:
        row |= {k: (v if isinstance(v, float | int) else str(v) or None) for k, v in row.items()}
    write_tables(body, tmp_path)  # type: ignore[arg-type]
    ended = subprocess.run(
        [sys.executable, "-c", "from burden.cli import main; main()", "cohort",
         str(tmp_path / "cases.parquet"), "--outcome", "responded", "--book", MILAN,
         "--bootstrap", "50", "--json"], capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    record = json.loads(ended.stdout)
    assert record["patients"] == 30
    assert {one["fact"] for one in record["binary"]} == {"tumor.burden", "lesion.count"}
