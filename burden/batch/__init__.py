"""Many studies, unattended: one folder and one row a case, and nothing lost when it is stopped.

``cases`` says what there is to do, ``work`` does one case and keeps its record on disk, ``pool``
and ``cluster`` call it in many processes, ``table`` gathers the rows. Read ``work.py`` first.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from burden.batch.cases import Task, list_tasks
from burden.batch.disk import has_room, held, read_json, sweep_all, write_atomically
from burden.batch.inputs import settings
from burden.batch.pool import default_workers, run_local
from burden.batch.show import shown
from burden.batch.table import has_arrow, result_hash, row_of, write_tables
from burden.batch.work import Record, read_record, why_not_settled
from burden.console import Console
from burden.errors import OutputError, UsageError
from burden.pipeline import Job

__all__ = ["Ended", "Task", "list_tasks", "result_hash", "run_batch"]

SCHEMA = "burden-batch/1"


@dataclass(frozen=True)
class Ended:
    """How a batch ended.

    Parameters
    ----------
    done, failed
        Cases in that state now, in the order of the input.
    before
        How many of them had been settled by an earlier command.
    tables
        The files written.
    """

    out: Path
    done: tuple[str, ...]
    failed: Mapping[str, str]
    before: int
    seconds: float
    tables: tuple[Path, ...]

    def record(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "out": str(self.out),
            "cases": len(self.done) + len(self.failed),
            "done": len(self.done),
            "failed": dict(self.failed),
            "settled_before": self.before,
            "seconds": round(self.seconds, 1),
            "tables": [str(path) for path in self.tables],
        }


def run_batch(
    given: Path,
    base: Job,
    console: Console,
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    retry: bool = False,
) -> Ended:
    """Do all cases of a folder or manifest that are not done yet.

    Parameters
    ----------
    base
        The options for all cases; ``base.out`` is OUT, and ``base.force`` allows options other
        than those of the results that are there: these are then made again.
    workers
        Local processes; as many as the machine bears by default.
    scheduler
        Address of a Dask scheduler to use instead.
    retry
        Try again every case that failed, not only where chance had a part in it.

    Raises
    ------
    UsageError, InputError
        If the cases or options make no sense; nothing has been done then.
    OutputError
        If the disk is full: everything so far is kept, and the same command goes on.
    """
    start = time.monotonic()
    tasks = list_tasks(given, base)
    out = base.out.resolve()
    with held(out / ".lock", wait=False):
        tasks = _ours(tasks, base, out)
        if scheduler is None:  # workers on other machines may still hold a case
            sweep_all(out / "cases")
        reasons = {t.case: why_not_settled(t, read_record(t), retry=retry) for t in tasks}
        to_do = [task for task in tasks if reasons[task.case]]
        _tell(console, reasons)
        try:
            _do(to_do, base, console, scheduler, workers or default_workers(base.device))
        except KeyboardInterrupt:
            console.note("stopped; the same command goes on where it stopped.")
            raise
        finally:
            rows = [row_of(task, read_record(task)) for task in tasks]
            tables = write_tables(rows, out)
    states = {task.case: read_record(task) for task in tasks}
    return Ended(
        out=base.out,
        done=tuple(case for case, one in states.items() if one.state == "done"),
        failed={case: one.reason for case, one in states.items() if one.state == "failed"},
        before=len(tasks) - len(to_do),
        seconds=time.monotonic() - start,
        tables=tables,
    )


def _do(tasks: Sequence[Task], base: Job, console: Console, scheduler: str | None, workers: int) -> None:
    if not tasks:
        return
    out = tasks[0].root
    records: Iterator[Record]
    if scheduler is None:
        records = run_local(tasks, workers, out / "state" / "workers.log")
    else:
        from burden.batch.cluster import run_on_cluster

        marker = out / "batch.json"
        records = run_on_cluster(tasks, scheduler, marker, gpu=base.device != "cpu")
    with closing(records), shown(console, len(tasks)) as tell:  # type: ignore[type-var]
        for record in records:
            tell(record)
            if record.code == OutputError.exit_code and not has_room(out):
                hint = "Make room; the same command goes on where it stopped."
                raise OutputError("the disk is full.", where=out, hint=hint)


def _ours(tasks: Sequence[Task], base: Job, out: Path) -> tuple[Task, ...]:
    """The tasks with their settings, once it is sure that OUT is, or may become, this batch's.

    Raises
    ------
    UsageError
        If OUT was made with other options.
    OutputError
        If OUT holds something else.
    """
    given = all(task.job.liver and task.job.lesions for task in tasks)
    wanted = settings(base, given_masks=given)
    path = out / "batch.json"
    there = read_json(path)
    if not there and (strange := [p.name for p in out.iterdir() if p.name not in (".lock",)]):
        what = f"this folder holds {sorted(strange)[0]}, which no batch wrote."
        raise OutputError(what, where=out, hint="Choose a new OUT.")
    before = there.get("settings", wanted)
    changed = [k for k in wanted | before if wanted.get(k) != before.get(k)]
    if changed and not base.force:
        said = "; ".join(f"{k} was {before.get(k)}, now {wanted.get(k)}" for k in changed)
        hint = "Give the same ones, another OUT, or --force to do all cases again."
        raise UsageError(f"made with other options: {said}.", where=out, hint=hint)
    if there.get("settings") != wanted:
        write_atomically(path, json.dumps({"schema": SCHEMA, "settings": wanted}, indent=1) + "\n")
    digest = _digest(wanted)
    return tuple(
        replace(
            task, settings=digest, job=replace(task.job, out=out / "cases" / task.folder, force=False)
        )
        for task in tasks
    )


def _digest(said: Mapping[str, str]) -> str:
    import hashlib

    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _tell(console: Console, reasons: Mapping[str, str]) -> None:
    """What is to be done and why, before it is done."""
    counted = Counter(reason or "settled already" for reason in reasons.values())
    console.note(f"{len(reasons)} cases: " + ", ".join(f"{n} {why}" for why, n in counted.most_common()))
    for case, why in reasons.items():
        if why in ("input changed", "result is gone"):
            console.note(f"{case}: {why}, done again")
    if not has_arrow():
        console.note("no cases.parquet: pip install 'liver-burden[batch]'; cases.csv is written.")
