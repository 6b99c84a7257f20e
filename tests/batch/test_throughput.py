"""Throughput and memory of one worker and of two; needs a quiet machine, so it runs only when asked.

``BURDEN_BATCH_STUDIES=40`` runs it (and `test_cluster.py` with as many studies).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from .checks import assert_nothing_half, rows_of

STUDIES = int(os.environ.get("BURDEN_BATCH_STUDIES", "0"))


@pytest.mark.skipif(STUDIES < 10, reason="a campaign: set BURDEN_BATCH_STUDIES=40")
def test_two_workers_against_one(queue: Callable[[int], Path], tmp_path: Path) -> None:
    manifest = queue(STUDIES)
    seconds, results = {}, {}
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        seconds[workers], most, each = timed(manifest, out, workers)
        assert_nothing_half(out)
        results[workers] = {case: row["result_sha256"] for case, row in rows_of(out).items()}
        print(
            f"{workers} workers: {STUDIES} studies in {seconds[workers]:.0f} s; most memory "
            f"{most / 2**20:.0f} MiB together, {each / 2**20:.0f} MiB one process",
            flush=True,
        )
    assert results[1] == results[2]
    assert len(set(results[1].values())) == STUDIES
    print(f"throughput of 2 workers against 1: {seconds[1] / seconds[2]:.2f}")


def timed(manifest: Path, out: Path, workers: int) -> tuple[float, int, int]:
    """Seconds, and the most memory (RSS) of all processes together and of any one."""
    command = [sys.executable, "-c", "from burden.cli import main; main()", "batch", str(manifest),
               "-o", str(out), "--workers", str(workers), "--draws", "0",
               "--book", "nelm.transplant.milan", "-q"]  # fmt: skip
    start = time.monotonic()
    process = subprocess.Popen(command)
    most = [0, 0]

    def watch() -> None:
        while process.poll() is None:
            sizes = []
            try:
                batch = psutil.Process(process.pid)
                for one in (batch, *batch.children(recursive=True)):
                    sizes.append(one.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
            most[0], most[1] = max(most[0], sum(sizes)), max(most[1], *sizes)
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert process.wait() == 0
    watcher.join()
    return time.monotonic() - start, most[0], most[1]
