"""What a user meets at the command line: one clear line, the right exit code, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

COMMANDS = [
    *("run", "series", "assess", "rules", "models", "doctor", "phantom", "train", "facts"),
    *("plan", "compare"),
]


def burden(*args: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    code = "from burden.cli import main; main()"
    env = os.environ | {"COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, args)], capture_output=True, text=True, cwd=cwd, env=env
    )


def one_line(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The error as the user sees it: exit code, no traceback, a single line."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("burden: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = burden(command, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_wrong_path_says_which(tmp_path: Path) -> None:
    line = one_line(burden("run", tmp_path / "nowhere", "-o", tmp_path / "out", "-q"), 3)
    assert "nowhere" in line


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    one_line(burden("run", tmp_path / "empty", "-o", tmp_path / "out", "-q"), 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"),
        ("notes.txt", b"not an image"),
        ("scan.nii.gz", b"\x1f\x8b\x08\x00garbage that is no gzip"),
        ("scan.nii", b"\x00" * 400),
        ("scan.dcm", b"\x00" * 128 + b"DICM" + b"\xff" * 64),
        ("scan.zip", b"PK\x03\x04 broken"),
        ("nothing.dcm", b""),
    ],
)
def test_a_file_that_is_no_image(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    line = one_line(burden("run", tmp_path / name, "-o", tmp_path / "out", "-q"), 3)
    assert name in line
    assert not (tmp_path / "out").exists()


def test_no_arguments_is_usage() -> None:
    assert burden("run").returncode == 2
    assert burden("run", "x").returncode == 2
    assert burden("nonsense").returncode == 2


def test_assess_says_why_there_are_no_verdicts(tmp_path: Path) -> None:
    """Without lesions, found or supposed, an answer is withdrawn: not "no answer changes"."""
    facts = tmp_path / "facts.yaml"
    for count, more in (("0", ()), ("3", ("--what-if", "lesion.count=0"))):
        facts.write_text(f"lesion.count: {count}\n", encoding="utf-8")
        said = burden("assess", "--facts", facts, *more)
        assert said.returncode == 0
        assert "Without a lesion no verdict is given" in said.stdout
        assert "no answer changes" not in said.stdout


def test_assess_needs_something() -> None:
    one_line(burden("assess"), 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tumor.kI67: 3", "tumor.kI67"),
        ("patient.age: 430", "430"),
        ("primary.resected: perhaps", "primary.resected"),
        ("a: [", "facts.yaml"),
    ],
)
def test_bad_facts_are_named(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "facts.yaml").write_text(text)
    assert expected in one_line(burden("assess", "--facts", tmp_path / "facts.yaml", "-q"), 5)


def test_errors_come_as_json_too(tmp_path: Path) -> None:
    done = burden("run", tmp_path / "nowhere", "-o", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["error"]["code"] == 3


def test_unknown_model(tmp_path: Path) -> None:
    path = small_image(tmp_path)
    assert "no_such_model" in one_line(
        burden("run", path, "-o", tmp_path / "out", "--model", "no_such_model", "-q"), 4
    )


def test_out_that_cannot_be_written(tmp_path: Path) -> None:
    path = small_image(tmp_path)
    one_line(burden("run", path, "-o", "/proc/nothing/out", "-q"), 6)


def test_out_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    path = small_image(tmp_path)
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.txt").write_text("years of work")
    for extra in ([], ["--force"]):
        one_line(burden("run", path, "-o", out, "-q", *extra), 6)
        assert (out / "chapter1.txt").read_text() == "years of work"


def test_facts_template_is_a_valid_facts_file(tmp_path: Path) -> None:
    (tmp_path / "facts.yaml").write_text(burden("facts").stdout)
    done = burden("assess", "--facts", tmp_path / "facts.yaml", "--json")
    assert done.returncode == 0, done.stderr
    answers = {a["answer"] for a in json.loads(done.stdout)["assessments"]}
    assert answers == {"unknown"}, "nothing is known, so nothing is decided"


def small_image(folder: Path) -> Path:
    data = np.full((40, 40, 20), -1000, np.int16)
    data[10:30, 10:30, 4:16] = 60
    path = folder / "box.nii.gz"
    nib.save(nib.Nifti1Image(data, np.diag([-4.0, -4.0, 5.0, 1.0])), path)
    return path
