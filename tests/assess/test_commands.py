"""`burden assess` and `burden rules` as they are called, in this process."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from burden.assess import elsewhere, load_books
from burden.cli import cli
from burden.errors import OutputError, RuleError

ROWS = Path(__file__).resolve().parent.parent / "rulebooks"
SHIPPED = ROWS.parent.parent / "configs" / "rulebooks"
FACTS = """
patient.age: 48
tumor.ki67: 6
tumor.differentiation: well
tumor.grade_confirmed: yes
primary.site: pancreas
primary.resected: yes
extrahepatic.resected: yes
disease.months_stable: 8
tumor.burden: 53.2
tumor.functional: yes
tumor.refractory_symptoms: yes
debulk.best.percent: 82
"""


def burden(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in args])


@pytest.fixture
def facts(tmp_path: Path) -> Path:
    path = tmp_path / "facts.yaml"
    path.write_text(FACTS, encoding="utf-8")
    return path


def words(result: Result) -> str:
    return " ".join(result.output.split())


def test_assess_shows_the_options_side_by_side(facts: Path) -> None:
    done = burden("assess", "--facts", facts)
    assert done.exit_code == 0, done.exception
    said = words(done)
    order = ["Published criteria side by side", "Resection Curative resection", "Transplantation Milan",
             "Debulking Debulking surgery eligible", "Ablation Thermal ablation",
             "Embolization TAE / TACE", "Systemic PRRT", "Published, of other patients",
             "Most worth finding out", "Research use only"]  # fmt: skip
    assert [said.find(w) for w in order] == sorted(said.find(w) for w in order)
    assert said.find(order[0]) >= 0
    assert "readings differ" in said
    assert "not from imaging" in said
    assert "5-year survival" in said
    assert "S1 Table 1" in said


def test_assess_says_which_readings_differ_and_how_the_grid_grades(tmp_path: Path) -> None:
    """Debulking by 82 %, and two scenarios of the grid that grade the treatments for and against."""
    path = tmp_path / "facts.yaml"
    more = "tumor.sstr_positive: yes\ndisease.liver_dominant: yes\ndisease.progressing_on_ssa: yes\n"
    path.write_text(FACTS + more + "surgery.whipple: yes\n", encoding="utf-8")
    said = words(burden("assess", "--facts", path))
    differ = said[said.index("Where the readings differ") : said.index("Published, of other patients")]
    assert "Debulking surgery: Enough of the tumor volume is removed: At least 70 %: yes; " in differ
    assert "At least 90 %: no; " in differ
    assert "This book goes by: At least 70 %." in differ
    else_ = said[said.index("What else applies") :]
    assert "progressing under SSA: TAE/TACE +++, TARE -" in else_
    assert "TAE/TACE: scenarios that apply differ." in else_
    assert "Bulky disease mainly in one lobe" not in else_  # a scenario that does not apply
    assert "present: Earlier Whipple procedure" in said


def test_assess_as_json_holds_what_the_report_holds(facts: Path) -> None:
    done = burden("assess", "--facts", facts, "--json", "--what-if", "tumor.burden=48")
    found: dict[str, Any] = json.loads(done.output)
    states = {o["book"]: o["state"] for o in found["pathway"]["options"]}
    assert states["nelm.transplant.milan"] == "ruled out"
    assert states["nelm.resection.debulking"] == "eligible"
    assert {"book": "nelm.transplant.milan", "now": "no", "then": "yes"} in found["what_if"]
    changes = [s for o in found["pathway"]["options"] for s in o["what_if"]]
    assert not [s for s in changes if s.startswith("No single change") or "known to be yes" in s]
    first = found["pathway"]["questions"][0]
    assert first["decides"] or first["may_decide"]
    assert found["pathway"]["published"]["resection"]["arms"][0]["where"] == "Table 1"


def test_every_book_is_shown_with_its_sources_and_outcomes() -> None:
    said = words(burden("rules", "show", "B1"))
    assert "S1, Isolated surgical resection" in said
    assert "5-year survival 41 to 100 %" in said
    assert "Mayo 2010, n 339 (S1 Table 1): 1-year survival, % 92" in said
    assert "no table of outcomes in these papers" in words(burden("rules", "show", "C1"))
    for book in load_books():
        done = burden("rules", "show", book.id)
        assert done.exit_code == 0
        assert "source" in done.output


def test_a_row_of_the_inventory_may_stand_for_several_books() -> None:
    said = burden("rules", "show", "E8").output  # in the book of TAE and TACE and in that of TARE
    assert said.count("\nversion: ") == 2
    assert len(json.loads(burden("rules", "show", "E8", "--json").output)) == 2


def test_a_book_becomes_a_page_of_its_own(tmp_path: Path) -> None:
    page = tmp_path / "book.html"
    assert burden("rules", "show", "milan", "--html", page).exit_code == 0
    html = page.read_text(encoding="utf-8")
    (milan,) = load_books(["milan"])
    for _, path, node in milan.rows():
        assert node.text.replace("&", "&amp;") in html, path
    assert "tumor.burden &lt; 50 %" in html
    assert "S1, Table 2, Milan" in html
    assert "<script" not in html
    assert "http-equiv" in html
    assert (
        burden("rules", "show", "milan", "--html", tmp_path / "no" / "x.html").exception.__class__
        is OutputError
    )


def test_list_names_every_row_of_the_inventory() -> None:
    said = burden("rules", "list").output
    for book in load_books():
        assert book.id in said
    listed = {row for line in said.splitlines() for row in re.findall(r"\b[A-I]\d*\b", line)}
    wanted = {row for book in load_books() for row in book.inventory} | set(elsewhere())
    assert wanted <= listed
    assert len(wanted) == 54, "A1-5, B1-10, C1-5, D1-6, E1-11, F1-7, G1-6, H1-3 and I"


def test_check_finds_nothing_wrong_with_the_shipped_books_and_their_rows() -> None:
    done = burden("rules", "check", SHIPPED, "--tests", ROWS)
    assert done.exit_code == 0, done.output
    assert "no problems" in done.output


def test_check_names_file_and_line_of_a_missing_row(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.mkdir()
    for path in ROWS.glob("*.yaml"):
        shutil.copy(path, rows)
    text = (rows / "milan.yaml").read_text(encoding="utf-8").splitlines()
    gone = next(line for line in text if "row: age, case: outside" in line)
    text.remove(gone)
    text.append("  - {row: agee, case: inside, facts: {patient.age: 50}, criterion: yes, book: yes}")
    (rows / "milan.yaml").write_text("\n".join(text), encoding="utf-8")
    done = burden("rules", "check", SHIPPED, "--tests", rows)
    assert isinstance(done.exception, RuleError)
    book = SHIPPED / "nelm" / "c1-milan.yaml"
    line = 1 + next(
        n for n, text in enumerate(book.read_text(encoding="utf-8").splitlines()) if "id: age" in text
    )
    assert f"{book}:{line}: no test row of `age` in {rows} for: outside." in done.output
    assert (
        f"{rows / 'milan.yaml'}:{len(text)}: nelm.transplant.milan has no criterion `agee`."
        in done.output
    )
    assert "2 problems, named above" in str(done.exception)
    as_json = burden("rules", "check", SHIPPED, "--tests", rows, "--json")
    assert "c1-milan.yaml" in str(as_json.exception)


def test_check_without_any_rows_says_so(tmp_path: Path) -> None:
    done = burden("rules", "check", SHIPPED, "--tests", tmp_path)
    assert f"{tmp_path}: no test rows here." in done.output
