"""The same results on a real Dask cluster, also when one of its workers is killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from burden.batch import run_batch
from burden.console import Console
from burden.errors import UsageError
from burden.pipeline import Job

from .checks import assert_nothing_half, rows_of

SILENT = Console(quiet=True)
STUDIES = int(os.environ.get("BURDEN_BATCH_STUDIES", "4"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0",
                      resources={"GPU": 1}) as cluster:  # fmt: skip
        yield cluster


def test_local_and_cluster_give_the_same_though_a_worker_is_killed(
    queue: Callable[[int], Path], base: Job, cluster: Any, tmp_path: Path
) -> None:
    manifest = queue(STUDIES)
    local = run_batch(manifest, replace(base, out=tmp_path / "local"), SILENT, workers=2)
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_at_work, args=(base.out, killed))
    killer.start()
    ended = run_batch(manifest, base, SILENT, scheduler=cluster.scheduler_address)
    killer.join()
    assert killed, "no worker was killed while it had a case"
    assert (ended.done, ended.failed) == (local.done, {})
    assert_nothing_half(base.out)
    one, other = rows_of(tmp_path / "local"), rows_of(base.out)
    wanted = {case: row["result_sha256"] for case, row in one.items()}
    assert {case: row["result_sha256"] for case, row in other.items()} == wanted
    assert len(set(wanted.values())) == STUDIES
    again = run_batch(manifest, base, SILENT, scheduler=cluster.scheduler_address)
    assert again.before == STUDIES


def kill_one_at_work(out: Path, killed: list[int]) -> None:
    """kill -9 a Dask worker while a record says that it is at work on a case."""
    import json

    until = time.monotonic() + 120
    while not killed and time.monotonic() < until:
        for path in (out / "state").glob("[!.]*.json"):
            record = json.loads(path.read_text())
            if record["state"] == "running":
                pid = int(record["worker"].rpartition(":")[2])
                psutil.Process(pid).kill()
                killed.append(pid)
                return
        time.sleep(0.02)


def test_gpus_that_workers_declare_are_asked_for(cluster: Any, tmp_path: Path) -> None:
    from distributed import Client

    from burden.batch.cluster import _check_workers

    marker = tmp_path / "batch.json"
    marker.touch()
    address = cluster.scheduler_address
    with Client(address, set_as_default=False) as client:
        assert _check_workers(client, address, marker, gpu=True) == {"GPU": 1}
        assert _check_workers(client, address, marker, gpu=False) is None
        with pytest.raises(UsageError, match="does not see"):
            _check_workers(client, address, tmp_path / "elsewhere", gpu=True)


def test_a_scheduler_that_is_not_there_is_one_clear_line(
    queue: Callable[[int], Path], base: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burden.batch.cluster.PATIENCE_SECONDS", 1)
    with pytest.raises(UsageError, match="no Dask scheduler answers"):
        run_batch(queue(1), base, SILENT, scheduler="tcp://127.0.0.1:9")
    assert rows_of(base.out)["P00"]["state"] == "missing"


def test_without_dask_the_message_names_the_extra(
    queue: Callable[[int], Path], base: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("burden.batch.cluster.importlib.util.find_spec", lambda _name: None)
    with pytest.raises(UsageError, match=r"liver-burden\[cluster\]"):
        run_batch(queue(1), base, SILENT, scheduler="tcp://127.0.0.1:9")
