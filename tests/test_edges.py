"""Odd paths, numbers and files at the command line: the right exit code and one plain sentence."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from burden.case import Case, Manifest
from burden.cli import main
from burden.facts import Fact, Facts, Interval
from burden.write import write_case

LONG = "x" * 300
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def burden(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Run a command in ``tmp_path``: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["burden", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished case with one fact and its draws."""
    draws = np.array([9.0, 10.0, 11.5])
    fact = Fact("tumor.burden", Interval(9.0, 11.5), "%", "measured: test", draws)
    manifest = Manifest("2026-01-01T00:00:00+00:00", "0", {}, {}, {}, {}, {"draws": 3, "seed": 0})
    case = Case("case-1", Facts([fact]), (), (), (), manifest)
    write_case(case, tmp_path / "done", writers=["record"])
    return tmp_path / "done" / "case.json"


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("assess --facts {long}.yaml", 3),
        ("assess --facts {long}.csv@a", 3),
        ("assess --case {long}", 3),
        ("series {long}", 3),
        ("plan {long}", 3),
        ("compare {long} {long}", 3),
        ("review {long}", 3),
        ("cohort {long}.csv", 3),
        ("phantom {long} -o out", 3),
        ("phantom healthy -o {long}", 6),
        ("rules check {long}", 3),
        ("run {long} -o out", 3),
        ("run nothing -o {long}", 6),
        ("run nothing -o " + "x" * 250, 6),  # the folder it is written to first has a longer name
        ("run nothing -o file/out", 6),
        ("batch {long} -o out", 3),
        ("batch folder -o {long}", 6),
        ("train {long} -o out", 3),
        ("evaluate {long} {long}", 3),
        ("rules show milan --html {long}", 6),
        ("rules show milan --html folder", 6),
        ("assess --facts file/facts.yaml", 3),
    ],
)
def test_names_that_no_file_can_have(burden: Call, tmp_path: Path, command: str, code: int) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.nii").touch()
    found, _, told = burden(*command.format(long=LONG).split(), "-q")
    assert found == code, told
    assert "bug" not in told


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("plan x --min-flr nan", "finite"),
        ("plan x --max-ablation-mm inf", "finite"),
        ("compare x y --weeks nan", "finite"),
        ("compare x y --weeks inf", "finite"),
        ("compare x y --nadir-mm inf", "finite"),
        ("evaluate x y --tolerance-mm inf", "finite"),
        ("evaluate x y --overlap nan", "finite"),
        ("train x -o y --minutes inf", "finite"),
        ("evaluate x y --seed -1", "--seed"),
        ("run x -o y --seed -1", "--seed"),
        ("cohort x --seed -1", "--seed"),
        ("train x -o y --seed -1", "--seed"),
        ("assess --facts facts.yaml --what-if tumor.burden=300", "0 to 100"),
        ("assess --facts facts.yaml --what-if liver.volume=-5", "mL"),
        ("assess --facts facts.yaml --what-if lesion.count=2.5", "whole number"),
        ("assess --facts facts.yaml --what-if flr.frobnicate.percent=40", "no such fact"),
        ("run x -o y --deidentify --key folder", "no readable text"),
        ("run x -o y --deidentify --key binary", "no readable text"),
        ("batch folder -o y --deidentify --key binary", "no readable text"),
        ("train folder -o y --config binary", "settings"),
        ("node -c folder", "a folder, not a settings file"),
        ("rules --json check", "last"),
    ],
)
@pytest.mark.parametrize("switch", ["-q", "--json"])
def test_usage(burden: Call, tmp_path: Path, command: str, says: str, switch: str) -> None:
    (tmp_path / "facts.yaml").write_text("tumor.burden: 20\n")
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)))
    (tmp_path / "folder").mkdir()
    code, out, told = burden(*command.split(), switch)
    assert (code, says in told) == (2, True), told
    assert switch == "-q" or json.loads(out)["error"]["code"] == 2
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("assess --facts facts.yaml --policy nope", 5, "nope: no such folder"),
        ("assess --facts facts.yaml --policy facts.yaml", 5, "a file, not a folder"),
        ("assess --facts facts.yaml --policy folder", 5, "no policy.yaml"),
        ("phantom nope -o y", 3, "one of: bilobar_type2, diffuse_type3, healthy"),
        ("cohort folder", 3, "a folder, not a table"),
        ("batch nope -o y", 3, "no such folder or table"),
        ("batch folder -o facts.yaml", 6, "a file, not a folder"),
        ("train folder -o facts.yaml", 6, "a file, not a folder"),
        ("train folder -o y", 3, "beside it"),
        ("train damaged.npz -o y", 3, "not a readable pack"),
        ("train empty.npz -o y", 3, "holds no case"),
        ("evaluate facts.yaml facts.yaml -o folder2", 6, "Choose another place"),
        ("cohort facts.yaml -o folder2", 6, "Choose another place"),
        ("compare folder2 folder2 -o folder2", 6, "Choose another place"),
        ("review folder2 --save-to folder2", 6, "Choose another place"),
        ("run facts.yaml -o folder2", 6, "--force"),
        ("rules check folder", 5, "no rule books here"),
    ],
)
def test_the_reason_is_the_true_one(
    burden: Call, tmp_path: Path, command: str, code: int, says: str
) -> None:
    (tmp_path / "facts.yaml").write_text("tumor.burden: 20\n")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 broken")
    np.savez(tmp_path / "empty.npz", a=np.zeros(1))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder2").mkdir()
    (tmp_path / "folder2" / "mine.txt").touch()
    found, _, told = burden(*command.split(), "-q")
    assert (found, says in told) == (code, True), told


@pytest.mark.parametrize(("place", "code"), [("facts.yaml", 3), ("out", 6)])
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR])
def test_what_the_system_refuses(
    burden: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, code: int, number: int
) -> None:
    """Whoever runs the tests may be root, who is refused nothing."""
    (tmp_path / "facts.yaml").write_text("case,tumor.burden\nA,20\n")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, "refused", str(tmp_path / place / "inside" if code == 6 else place))

    monkeypatch.setattr("burden.cohort.run_cohort", refuse)
    found, _, told = burden("cohort", "facts.yaml", "-o", tmp_path / "out")
    assert (found, place in told) == (code, True), told


@pytest.mark.parametrize(
    "command",
    ["series x", "assess --facts x", "cohort x", "rules check x", "train x -o y", "node -c x"],
)
def test_what_may_not_be_read(
    burden: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "x").mkdir()
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    code, _, told = burden(*command.split())
    assert (code, "x: cannot be read: no permission" in told) == (3, True), told


def test_a_bug_stays_a_bug(burden: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "not there", "/opt/liver-burden/ours.yaml")

    monkeypatch.setattr("burden.cohort.run_cohort", lose)
    assert burden("cohort", "facts.csv")[0] == 1


def test_no_key_is_made_for_a_run_that_cannot_be_written(burden: Call, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert burden("run", "x", "-o", "file", "--deidentify", "--key", "new.key", "-q")[0] == 6
    assert not (tmp_path / "new.key").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: record["facts"]["tumor.burden"].update(low=40.0),
        lambda record: record["draws"]["tumor.burden"].__setitem__(1, "many"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "assess --case"])
def test_a_record_that_contradicts_itself(
    burden: Call, finished: Path, command: str, damage: Callable[[dict], None]
) -> None:
    assert burden(*command.split(), finished, "-q")[0] == 0
    record = json.loads(finished.read_text())
    damage(record)
    finished.write_text(json.dumps(record))
    code, _, told = burden(*command.split(), finished, "-q")
    assert (code, "case.json" in told) == (3, True), told


def test_a_broken_check_leaves_one_json(burden: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [{"what": "disk", "state": "broken", "detail": "gone"}]
    monkeypatch.setattr("burden.doctor.check_all", lambda: checks)
    code, out, told = burden("doctor", "--json")
    assert (code, json.loads(out)) == (4, checks)
    assert "disk" in told


def test_bare_groups(burden: Call) -> None:
    code, out, told = burden()
    assert (code, told) == (0, "")
    assert "\n  assess " in out
    assert burden("rules") == burden("rules", "list")
    listed = burden("rules", "--json")
    assert json.loads(listed[1])
    assert listed == burden("rules", "list", "--json")


def test_the_problem_of_a_book_is_named_when_quiet_too(burden: Call, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.yaml").write_text("book: nonsense\n")
    for switch in ("-q", "--json"):
        code, _, told = burden("rules", "check", "books", switch)
        assert (code, "a.yaml" in told, "above" in told) == (5, True, False)


def test_doctor_works_where_memory_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from burden.doctor import _memory

    monkeypatch.delattr("os.sysconf")  # as on Windows
    assert _memory()["state"] == "absent"
