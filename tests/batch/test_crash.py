"""kill -9 of the batch, of its workers and of both, at random moments: nothing lost, nothing twice.

``BURDEN_CRASH_MOMENTS=100`` makes the long campaign of it: a queue of 20 studies, again and again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from .checks import assert_nothing_half, rows_of

MOMENTS = int(os.environ.get("BURDEN_CRASH_MOMENTS", "3"))
VICTIMS = ("worker", "batch", "all")


def test_kill_at_random_moments_loses_and_doubles_nothing(
    queue: Callable[[int], Path], tmp_path: Path
) -> None:
    chance = np.random.default_rng(20)
    studies = 20 if MOMENTS > 20 else 3
    manifest = queue(studies)
    started = time.monotonic()
    command_once(manifest, tmp_path / "whole")
    whole = time.monotonic() - started
    wanted = hashes(tmp_path / "whole")
    assert len(wanted) == studies
    kills: Counter[str] = Counter()
    lives = 0
    while kills.total() < MOMENTS:
        out = tmp_path / f"queue{lives}"
        live_through(manifest, out, chance, kills, longest=min(whole / 3, 20.0))
        assert hashes(out) == wanted
        lives += 1
    print(f"{kills.total()} kills {dict(kills)} over {lives} queues of {studies}, {whole:.0f} s each")


def live_through(
    manifest: Path, out: Path, chance: np.random.Generator, kills: Counter[str], longest: float
) -> None:
    """Start, kill and start again until the queue is done; what is done stays untouched."""
    made: dict[str, str] = {}
    process = start(manifest, out)
    while True:
        victim = VICTIMS[kills.total() % len(VICTIMS)]
        try:
            code = process.wait(chance.uniform(0, longest) if kills.total() < MOMENTS else None)
        except subprocess.TimeoutExpired:
            kill(process, victim)
            kills[victim] += 1
            now = assert_nothing_half(out)
            assert {name: now.get(name) for name in made} == made, "a finished case was done again"
            made = now
            if victim != "worker":
                process = start(manifest, out)
            continue
        if code == 0:
            break
        # A case that lost two workers is given up by that command, with the reason in its row.
        assert code == 7
        reasons = {row["reason"] for row in rows_of(out).values() if row["state"] == "failed"}
        assert all("its worker died 2 times" in reason for reason in reasons)
        process = start(manifest, out)
    now = assert_nothing_half(out)
    assert {name: now.get(name) for name in made} == made
    left = sorted(p.name for p in (out / "cases").iterdir() if p.name.startswith("."))
    assert not left, "half written folders stay behind"


def command_once(manifest: Path, out: Path) -> None:
    assert start(manifest, out).wait() == 0


def start(manifest: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from burden.cli import main; main()", "batch", str(manifest),
               "-o", str(out), "--draws", "0", "--book", "nelm.transplant.milan", "--workers", "2",
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
