"""Facts of several files at the command line, and both spellings of the template."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from burden.cli import cli


@pytest.fixture
def burden():
    def call(*args: object) -> str:
        done = CliRunner().invoke(cli, [str(a) for a in args], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.output

    return call


def test_both_spellings_print_the_template(burden):
    assert burden("facts") == burden("facts", "template")
    assert "patient.age: null" in burden("facts", "template")


def test_several_files_the_last_one_holds_and_says_so(burden, tmp_path):
    (tmp_path / "a.yaml").write_text("patient.age: 61\ntumor.grade: G1\n")
    (tmp_path / "b.csv").write_text("case,patient.age,tumor.grade\nX,52,\nY,40,G3\n")
    out = burden(
        "assess", "--json", "--facts", tmp_path / "a.yaml", "--facts", f"{tmp_path / 'b.csv'}@X"
    )
    (finding,) = json.loads(out)["findings"]
    assert finding["code"] == "facts-disagree"
    assert finding["text"] == "patient.age: a.yaml 61 year, b.csv 52 year; the latter holds."
    shown = burden("assess", "--facts", tmp_path / "a.yaml", "--facts", f"{tmp_path / 'b.csv'}@X")
    assert "warning: patient.age: a.yaml 61 year" in shown
