"""A batch: rows, isolated failures, and a second command that does only what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from burden.batch import list_tasks, result_hash, run_batch
from burden.batch.table import write_tables
from burden.batch.work import do_case, read_record
from burden.console import Console
from burden.errors import BurdenError, OutputError, UsageError
from burden.pipeline import Job, run

from .checks import assert_nothing_half, rows_of

Queue = Callable[[int], Path]
SILENT = Console(quiet=True)


def add_row(manifest: Path, *cells: str) -> None:
    with manifest.open("a") as stream:
        stream.write(",".join(cells) + "\n")


def test_a_bad_study_costs_only_its_own_row_and_the_next_command_does_the_rest(
    queue: Queue, base: Job
) -> None:
    """One life of a batch: run, nothing to do, mended, changed, other options."""
    manifest = queue(2)
    add_row(manifest, "broken", "broken.nii.gz", "liver.nii.gz", "lesions.nii.gz", "CT")
    (manifest.parent / "broken.nii.gz").write_bytes(b"no image")
    out = base.out

    first = run_batch(manifest, base, SILENT, workers=2)
    assert (first.done, set(first.failed), first.before) == (("P00", "P01"), {"broken"}, 0)
    rows = rows_of(out)
    assert (rows["broken"]["state"], rows["broken"]["exit_code"]) == ("failed", "3")
    assert "INPUT" in rows["broken"]["reason"]
    assert str(manifest.parent) not in (out / "cases.csv").read_text()
    made = assert_nothing_half(out)

    second = run_batch(manifest, base, SILENT)
    assert (second.done, second.before) == (first.done, 3)  # a bad file is not tried again
    assert assert_nothing_half(out) == made

    # The same bytes with another date are the same input; other bytes are not.
    os.utime(manifest.parent / "ct0.nii.gz")
    (manifest.parent / "broken.nii.gz").write_bytes((manifest.parent / "ct0.nii.gz").read_bytes())
    third = run_batch(manifest, base, SILENT)
    assert (third.done, third.before) == (("P00", "P01", "broken"), 2)
    again = assert_nothing_half(out)
    assert {k: again[k] for k in made} == made
    assert rows_of(out)["broken"]["result_sha256"] == rows["P00"]["result_sha256"]

    with pytest.raises(UsageError, match="seed was 0, now 1"):
        run_batch(manifest, replace(base, seed=1), SILENT)
    assert assert_nothing_half(out) == again


def test_a_cell_that_no_fact_can_have_is_said_of_the_manifest(tmp_path: Path, base: Job) -> None:
    manifest = tmp_path / "cases.csv"
    manifest.write_text("case,input,patient.age\nP1,x,-5\nP2,x,nan\n")
    ended = run_batch(manifest, base, SILENT, workers=1)
    assert set(ended.failed) == {"P1", "P2"}
    rows = rows_of(base.out)
    assert rows["P1"]["reason"].startswith("MANIFEST: patient.age: -5 year is outside")
    assert "'nan' is not a number" in rows["P2"]["reason"]
    assert str(tmp_path) not in (base.out / "cases.csv").read_text()


@pytest.mark.parametrize("option", ["policy", "readers"])
def test_an_option_that_would_fail_every_case_is_refused_at_once(
    option: str, queue: Queue, base: Job, tmp_path: Path
) -> None:
    (tmp_path / "policy.yaml").write_text("nonsense: 1\n")
    given = {"policy": tmp_path, "readers": tmp_path / "policy.yaml"}[option]
    with pytest.raises(BurdenError, match=r"policy\.yaml"):
        run_batch(queue(1), replace(base, **{option: given}), SILENT, workers=1)
    assert not (base.out / "cases.csv").exists()


def test_a_row_holds_facts_verdicts_findings_and_what_the_manifest_carried(
    queue: Queue, base: Job
) -> None:
    import pyarrow.parquet

    manifest = queue(1)
    heads, row = manifest.read_text().splitlines()
    manifest.write_text(f"{heads},patient.age,died,reader,state\n{row},61,1,=evil(),x\n")
    run_batch(manifest, base, SILENT)
    case = json.loads((base.out / "cases" / "P00" / "case.json").read_text())
    (row,) = pyarrow.parquet.read_table(base.out / "cases.parquet").to_pylist()
    for name, fact in case["facts"].items():
        assert row[name] == fact["value"], name
        if "options" not in fact:
            bounds = (float(fact["low"]), float(fact["high"]))
            assert (row[f"{name}.low"], row[f"{name}.high"]) == bounds
    (one,) = case["assessments"]
    assert row["verdict.nelm.transplant.milan"] == one["answer"]
    assert row["p_met.nelm.transplant.milan"] == one["p_met"]
    assert row["patient.age"] == 61
    assert row["findings"] == ";".join(dict.fromkeys(f["code"] for f in case["findings"]))
    assert (row["died"], row["reader"], row["manifest.state"]) == (1, "=evil()", "x")
    assert row["result_sha256"] == result_hash(case)
    cells = rows_of(base.out)["P00"]
    assert cells["reader"] == "'=evil()"
    assert float(cells["liver.volume"]) == pytest.approx(row["liver.volume"], rel=1e-9)


def test_a_case_of_a_batch_is_what_burden_run_makes(queue: Queue, base: Job, tmp_path: Path) -> None:
    manifest = queue(1)
    run_batch(manifest, base, SILENT)
    (task,) = list_tasks(manifest, base)
    run(replace(task.job, out=tmp_path / "alone"))
    cases = [
        json.loads((p / "case.json").read_text())
        for p in (base.out / "cases" / "P00", tmp_path / "alone")
    ]
    assert cases[0]["manifest"]["created"]
    assert result_hash(cases[0]) == result_hash(cases[1])
    for change in (("facts", "liver.volume", "value"), ("manifest", "files", "lesions.csv")):
        other = json.loads(json.dumps(cases[0]))
        other[change[0]][change[1]] = "other" if len(change) < 3 else {change[2]: "other"}
        assert result_hash(other) != result_hash(cases[0])


def test_a_killed_case_is_taken_up_where_it_stopped(queue: Queue, base: Job) -> None:
    """Each point at which kill -9 can fall, played by hand."""
    from burden.batch.work import Record, write_record

    manifest = queue(1)
    (task,) = list_tasks(manifest, base)
    done = do_case(task)
    assert (done.state, done.attempts) == ("done", 1)
    made = assert_nothing_half(base.out)
    running = replace(done, state="running")

    write_record(task, running)  # killed between folder and record
    assert do_case(task).state == "done"
    assert assert_nothing_half(base.out) == made

    write_record(task, replace(running, content="other"))  # the folder is of another input
    assert do_case(task).state == "done"
    assert assert_nothing_half(base.out) != made

    half = base.out / "cases" / ".P00.12345.part"  # killed while writing
    half.mkdir()
    other = base.out / "cases" / ".P00.x.12345.part"  # another case's, which is being written
    other.mkdir()
    (task.job.out / "case.json").unlink()
    assert do_case(task).state == "done"
    assert not half.exists()
    assert other.exists()
    other.rmdir()
    assert_nothing_half(base.out)

    (base.out / "state" / "P00.json").write_text("{")  # not ours: records appear whole
    assert read_record(task) == Record("P00")
    assert do_case(task).state == "done"


def test_out_of_somebody_else_and_a_second_command_are_refused(
    queue: Queue, base: Job, tmp_path: Path
) -> None:
    from burden.batch.disk import held

    manifest = queue(1)
    (base.out).mkdir()
    (base.out / "thesis.docx").touch()
    with pytest.raises(OutputError, match=r"thesis\.docx"):
        run_batch(manifest, base, SILENT)
    other = replace(base, out=tmp_path / "other")
    with held(other.out / ".lock", wait=False), pytest.raises(UsageError, match="at work here"):
        run_batch(manifest, other, SILENT)


def test_a_full_disk_stops_the_batch_and_the_same_command_goes_on(
    queue: Queue, base: Job, tmp_path: Path
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        if os.environ.get("CI"):
            pytest.fail("no small file system can be mounted here")
        pytest.skip("NOT CHECKED on a full disk: no small file system can be mounted here")
    manifest, job = queue(2), replace(base, out=place / "out")
    try:
        filler = place / "filler"
        filler.write_bytes(b"\1" * int(3.5 * 2**20))
        with pytest.raises(OutputError, match=r"disk is full|No space left"):
            run_batch(manifest, job, SILENT, workers=1)
        assert_nothing_half(job.out)
        filler.unlink()
        ended = run_batch(manifest, job, SILENT, workers=1)
        assert (ended.done, ended.failed) == (("P00", "P01"), {})
        assert_nothing_half(job.out)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_without_pyarrow_there_is_a_csv_and_a_message_that_names_the_extra(
    tmp_path: Path, base: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burden.batch.table.has_arrow", lambda: False)
    tables = write_tables([{"case": "a", "state": "failed"}], tmp_path)
    assert [path.name for path in tables] == ["cases.csv"]
    (tmp_path / "m.parquet").touch()
    with pytest.raises(UsageError, match=r"liver-burden\[batch\]"):
        list_tasks(tmp_path / "m.parquet", base)


def test_the_command_line_ends_with_7_and_json_alone_on_stdout(queue: Queue, tmp_path: Path) -> None:
    manifest = queue(1)
    add_row(manifest, "gone", "gone.nii.gz", "liver.nii.gz", "lesions.nii.gz", "CT")
    command = [sys.executable, "-c", "from burden.cli import main; main()", "batch", str(manifest),
               "-o", str(tmp_path / "o"), "--draws", "0", "--json"]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 7
    said = json.loads(ended.stdout)
    assert (said["cases"], said["done"], list(said["failed"])) == (2, 1, ["gone"])
    assert "2 cases: 2 new" in ended.stderr
    assert "left" in ended.stderr
    assert "1 case failed" in ended.stderr.splitlines()[-1]
    assert rows_of(tmp_path / "o")["P00"]["state"] == "done"


def test_ctrl_c_stops_with_130_and_loses_only_the_case_at_work(queue: Queue, tmp_path: Path) -> None:
    import signal
    import time

    out = tmp_path / "o"
    # A job started in the background ignores Ctrl-C, and so would its children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code += "from burden.cli import main; main()"
    command = [sys.executable, "-c", code, "batch", str(queue(3)),
               "-o", str(out), "--draws", "0", "--book", "milan", "--workers", "1"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (out / "state" / "P00.json").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on" in said
    states = [row["state"] for row in rows_of(out).values()]
    assert len(states) == 3
    assert set(states) & {"running", "missing"}
    assert_nothing_half(out)


@pytest.mark.parametrize(("cores", "gib", "wanted"), [(2, 24, 1), (16, 128, 4), (64, 24, 4), (1, 1, 1)])
def test_default_workers_fit_cores_and_memory(
    cores: int, gib: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from burden.batch import pool

    monkeypatch.setattr(pool, "cores", lambda: cores)
    monkeypatch.setattr(pool.os, "sysconf", lambda name: gib * 2**30 if name == "SC_PHYS_PAGES" else 1)
    assert pool.default_workers("cpu") == wanted
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3,5")
    assert pool.default_workers("auto") == 3
    shares = [pool._environment(n, 3)["CUDA_VISIBLE_DEVICES"] for n in range(3)]
    assert shares == ["0", "3", "5"]
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    threads = int(pool._environment(0, wanted)["OMP_NUM_THREADS"])
    assert threads == max(1, cores // wanted)


def test_time_left_is_said_as_people_say_it() -> None:
    from burden.batch.show import duration

    assert [duration(s) for s in (40.2, 720, 12000)] == ["40 s", "12 min", "3 h 20 min"]
