"""With the real model: it is loaded once a process, and a batch gives what a run gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from burden import pipeline
from burden.batch import list_tasks, result_hash, run_batch
from burden.batch.disk import read_json
from burden.batch.work import do_case
from burden.console import Console
from burden.pipeline import Job

from .checks import rows_of


def test_one_model_load_a_worker_and_the_same_results_in_every_worker(
    queue: Callable[[int], Path], base: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = queue(2)
    lines = [line.split(",") for line in manifest.read_text().splitlines()]
    manifest.write_text("".join(f"{c[0]},{c[1]},{c[4]}\n" for c in lines))  # no masks
    here = replace(base, out=tmp_path / "here")
    pipeline._loaded.cache_clear()
    for task in list_tasks(manifest, here):
        assert do_case(task).reason == ""
    assert (pipeline._loaded.cache_info().misses, pipeline._loaded.cache_info().hits) == (1, 1)
    manifest.write_text("\n".join(manifest.read_text().splitlines()[:2]) + "\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a worker may have fewer threads than this process
    run_batch(manifest, base, Console(quiet=True), workers=1)
    rows = rows_of(base.out)
    assert {row["state"] for row in rows.values()} == {"done"}
    for case, row in rows.items():
        assert row["result_sha256"] == result_hash(read_json(here.out / "cases" / case / "case.json"))
