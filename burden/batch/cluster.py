"""The same tasks on a Dask cluster that sees the same files."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from burden import __version__
from burden.batch.cases import Task
from burden.batch.work import KILLED, TRIES_ON_CLUSTER, Record, do_case, failed
from burden.errors import PartialBatchError, UsageError

PATIENCE_SECONDS = 30


def run_on_cluster(
    tasks: Sequence[Task], scheduler: str, marker: Path, *, gpu: bool
) -> Iterator[Record]:
    """Do the tasks on the workers of a Dask scheduler and tell of each as it ends, in no order.

    Parameters
    ----------
    marker
        A file under OUT: a worker that cannot see it does not share our disk.
    gpu
        Ask for ``resources={"GPU": 1}`` a case, if any worker declares that it has some.

    Raises
    ------
    UsageError
        If there is no such scheduler, or its workers cannot do the work.
    PartialBatchError
        If the scheduler is lost on the way.
    """
    if importlib.util.find_spec("distributed") is None:
        hint = "Install it: pip install 'liver-burden[cluster]'."
        raise UsageError("--scheduler needs Dask, which is not installed.", hint=hint)
    from distributed import Client, as_completed

    try:
        client: Any = Client(scheduler, timeout=PATIENCE_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            "no Dask scheduler answers here.",
            where=scheduler,
            hint="Start it, or leave --scheduler out.",
        ) from error
    with client:
        resources = _check_workers(client, scheduler, marker, gpu)
        futures = {
            client.submit(
                do_case, task, key=f"burden-{task.settings[:12]}-{task.folder}", pure=False,
                resources=resources,
            ): task
            for task in tasks
        }  # fmt: skip
        try:
            for future in as_completed(futures, loop=client.loop):
                yield _ended(future, futures[future], client)
        finally:
            if client.status == "running":
                client.cancel(list(futures), force=True)


def _check_workers(client: Any, scheduler: str, marker: Path, gpu: bool) -> dict[str, int] | None:
    """Refuse workers that would fail every case; the resources to ask for."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    except TimeoutError:
        raise UsageError("this scheduler has no workers.", where=scheduler) from None
    try:
        said = client.run(_probe, str(marker))
    except Exception as error:  # whatever a worker without burden answers
        what = f"a worker cannot run burden ({type(error).__name__})."
        raise UsageError(what, where=scheduler, hint="Install it there too.") from error
    for worker, (version, sees) in said.items():
        if version != __version__:
            raise UsageError(f"it runs burden {version}, not {__version__}.", where=worker)
        if not sees:
            hint = "OUT and the studies must be at the same path on every worker."
            raise UsageError(f"it does not see {marker.parent}.", where=worker, hint=hint)
    declared = client.scheduler_info(n_workers=-1)["workers"].values()
    return {"GPU": 1} if gpu and any(w.get("resources", {}).get("GPU") for w in declared) else None


def _probe(marker: str) -> tuple[str, bool]:
    return __version__, Path(marker).is_file()


def _ended(future: Any, task: Task, client: Any) -> Record:
    if future.status == "finished":
        record: Record = future.result()
        return record
    if client.status != "running" or future.status in ("cancelled", "lost"):
        hint = "The same command goes on where it stopped."
        raise PartialBatchError("the Dask scheduler was lost.", hint=hint)
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return failed(task, KILLED, "the workers that ran it died.", TRIES_ON_CLUSTER)
    raise error
