"""kill -9 of the batch, of its workers and of both, at random moments: nothing lost, nothing twice.

``BURDEN_CRASH_MOMENTS=100`` makes the long campaign of it: a queue of 20 studies, again and again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from burden.batch import list_tasks, result_hash
from burden.batch.disk import read_json
from burden.batch.work import do_case
from burden.pipeline import Job

from .checks import assert_nothing_half, rows_of

MOMENTS = int(os.environ.get("BURDEN_CRASH_MOMENTS", "3"))
VICTIMS = ("worker", "batch", "worker", "all", "worker")
KINDS = {"any": 0.2, "sign of work": 0.4, "a folder being written": 0.4}
"""What the clock of a moment starts at, and how often."""
LONGEST = 12.0
"""Seconds from there; spread over all scales, so that a slow machine gets on too."""


def test_kill_at_random_moments_loses_and_doubles_nothing(
    queue: Callable[[int], Path], base: Job, tmp_path: Path
) -> None:
    chance = np.random.default_rng(20)
    manifest = queue(20 if MOMENTS > 20 else 3)
    wanted = undisturbed(manifest, replace(base, out=tmp_path / "undisturbed"))
    kills: Counter[str] = Counter()
    places: Counter[str] = Counter()
    queues = 0
    while kills.total() < MOMENTS:
        out = tmp_path / f"queue{queues}"
        live_through(manifest, out, chance, kills, places)
        assert hashes(out) == wanted
        queues += 1
        print(f"{kills.total()} kills {dict(kills)}, {dict(places)}, {queues} queues", flush=True)


def undisturbed(manifest: Path, base: Job) -> dict[str, str]:
    """The results as this process makes them, without a batch around them."""
    tasks = list_tasks(manifest, base)
    assert {do_case(task).state for task in tasks} == {"done"}
    return {task.case: result_hash(read_json(task.job.out / "case.json")) for task in tasks}


def live_through(
    manifest: Path, out: Path, chance: np.random.Generator, kills: Counter[str], places: Counter[str]
) -> None:
    """Start, kill and start again until the queue is done; what is done stays untouched."""
    made: dict[str, str] = {}
    process = start(manifest, out, str(chance.integers(1, 3)))
    while True:
        if kills.total() < MOMENTS and wait_for_a_moment(process, out, chance):
            victim = VICTIMS[kills.total() % len(VICTIMS)]
            places[place(out)] += 1
            kill(process, victim)
            kills[victim] += 1
            if kills.total() % 10 == 0:
                print(f"{kills.total()} kills, {len(made)} cases of this queue done", flush=True)
            made = untouched(out, made)
            if victim != "worker":
                process = start(manifest, out, str(chance.integers(1, 3)))
            continue
        code = process.wait()
        if code == 0:
            break
        # A case that lost two workers is given up by that command, with the reason in its row.
        assert code == 7
        reasons = {row["reason"] for row in rows_of(out).values() if row["state"] == "failed"}
        assert all("its worker died 2 times" in reason for reason in reasons)
        process = start(manifest, out, str(chance.integers(1, 3)))
    untouched(out, made)
    left = sorted(p.name for p in (out / "cases").iterdir() if p.name.startswith("."))
    assert not left, "half written folders stay behind"


def untouched(out: Path, made: dict[str, str]) -> dict[str, str]:
    now = assert_nothing_half(out)
    assert {name: now.get(name) for name in made} == made, "a finished case was done again"
    return now


def wait_for_a_moment(process: subprocess.Popen[bytes], out: Path, chance: np.random.Generator) -> bool:
    """Sleep until a random moment; false where the process has ended before it came."""
    later = float(np.exp(chance.uniform(np.log(0.05), np.log(LONGEST))))
    until = time.monotonic() + later
    kind = chance.choice(list(KINDS), p=list(KINDS.values()))
    if kind != "any":
        before = sign_of_work(out)
        while not (sign_of_work(out) != before if kind == "sign of work" else is_writing(out)):
            if process.poll() is not None:
                return False
            time.sleep(0.1)
        until = time.monotonic() + later
    while time.monotonic() < until:
        if process.poll() is not None:
            return False
        time.sleep(0.02)
    return process.poll() is None


def sign_of_work(out: Path) -> int:
    folder = out / "state"
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


def is_writing(out: Path) -> bool:
    """Whether a living process has a half-written folder."""
    writers = [int(p.name.split(".")[-2]) for p in (out / "cases").glob(".P*.part")]
    return any(psutil.pid_exists(pid) for pid in writers)


def place(out: Path) -> str:
    """What the batch is at: for the account of where the kills fell."""
    if is_writing(out):
        return "writing a case"
    records = (json.loads(p.read_text()) for p in (out / "state").glob("[!.]*.json"))
    return "at work on a case" if any(r["state"] == "running" for r in records) else "between cases"


def start(manifest: Path, out: Path, workers: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from burden.cli import main; main()", "batch", str(manifest),
               "-o", str(out), "--draws", "0", "--book", "nelm.transplant.milan", "--workers", workers,
               "--quiet"]  # fmt: skip
    return subprocess.Popen(command, stderr=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes], victim: str) -> None:
    """kill -9, and everything that must die with the victim does."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    if victim == "worker":
        for child in children[-1:]:
            child.kill()
        return
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    if victim == "all":
        for child in children:
            child.kill()
    _, alive = psutil.wait_procs(children, timeout=120)
    assert not alive, "a worker outlives its batch"


def hashes(out: Path) -> dict[str, str]:
    rows = rows_of(out)
    assert {row["state"] for row in rows.values()} == {"done"}
    assert {row["case"]: row["folder"] for row in rows.values()} == {c: f"cases/{c}" for c in rows}
    return {case: row["result_sha256"] for case, row in rows.items()}
