"""Local worker processes that may die: a dead one is replaced, its case is tried once more."""

from __future__ import annotations

import multiprocessing as mp
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from burden.batch.cases import Task
from burden.batch.work import KILLED, Record, do_case, failed
from burden.errors import BurdenError, OutputError

TRIES = 2
"""How often a case may take its worker with it."""
_MAX_STILLBORN = 3
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
_GIB = 2**30
_READY = "ready"


@dataclass(eq=False)
class _Worker:
    process: SpawnProcess
    pipe: Connection
    number: int
    ready: bool = False
    task: Task | None = None


def default_workers(device: str) -> int:
    """One worker a GPU; without one as many as leave each 4 cores and 6 GiB of memory."""
    if device != "cpu" and (gpus := len(visible_gpus())):
        return gpus
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 8 * _GIB
    return max(1, min(cores() // 4, int(memory // (6 * _GIB))))


def cores() -> int:
    """Cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Names of the NVIDIA GPUs as CUDA_VISIBLE_DEVICES would say them, without loading torch."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [part for part in said.split(",") if part.strip() not in ("", "-1")]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(n) for n, _ in enumerate(folder.iterdir())] if folder.is_dir() else []


def run_local(tasks: Sequence[Task], workers: int, log: Path) -> Iterator[Record]:
    """Do the tasks in worker processes and tell of each as it ends, in no order.

    Parameters
    ----------
    log
        File for whatever libraries print.

    Raises
    ------
    OutputError
        If a record cannot be written: what is not settled stays to be done.
    BurdenError
        If workers die before they have begun anything.
    """
    queue = deque(tasks)
    log.parent.mkdir(parents=True, exist_ok=True)
    deaths: dict[str, int] = {}
    stillborn = 0  # deaths in a row before a worker was ready
    crew = [_hire(n, workers, log) for n in range(min(workers, len(tasks)))]
    try:
        while queue or any(w.task for w in crew):
            for worker in crew:
                if worker.ready and worker.task is None and queue:
                    _give(worker, queue)
            for worker in _ready(crew):
                answer = _answer(worker)
                if isinstance(answer, Exception):
                    raise answer
                if answer == _READY:
                    worker.ready, stillborn = True, 0
                    continue
                if isinstance(answer, Record):
                    worker.task = None
                    yield answer
                    continue
                # Nothing but the end of the pipe: the worker is dead.
                task, how = worker.task, _how(worker.process)
                crew[crew.index(worker)] = _hire(worker.number, workers, log)
                if task is None:
                    stillborn += not worker.ready
                    if stillborn >= _MAX_STILLBORN:
                        raise BurdenError(f"worker processes die at once ({how}).", where=log)
                    continue
                deaths[task.case] = deaths.get(task.case, 0) + 1
                if deaths[task.case] < TRIES:
                    queue.append(task)
                else:
                    yield failed(task, KILLED, f"its worker died {TRIES} times ({how}).", TRIES)
    finally:
        for worker in crew:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()


def _hire(number: int, workers: int, log: Path) -> _Worker:
    context = mp.get_context("spawn")
    ours, theirs = context.Pipe()
    args = (theirs, str(log), _environment(number, workers))
    process = context.Process(target=_work, args=args, daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, number)


def _environment(number: int, workers: int) -> dict[str, str]:
    """Threads and GPUs divided among the workers; what the user has set stays."""
    share = str(max(1, cores() // workers))
    said = {name: share for name in _THREADS if name not in os.environ}
    gpus = visible_gpus()
    return said | {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else said


def _give(worker: _Worker, queue: deque[Task]) -> None:
    task = queue.popleft()
    try:
        worker.pipe.send(task)
        worker.task = task
    except OSError:  # it died idle; it is replaced when its end is seen
        queue.appendleft(task)


def _ready(crew: list[_Worker]) -> list[_Worker]:
    pipes = wait([worker.pipe for worker in crew])
    return [worker for worker in crew if worker.pipe in pipes]


def _answer(worker: _Worker) -> Record | Exception | str | None:
    try:
        found: Record | Exception | str = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join()
        worker.pipe.close()
        return None
    return found


def _how(process: SpawnProcess) -> str:
    code = process.exitcode
    if code == -9:
        return "killed, perhaps for want of memory"
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(pipe: Connection, log: str, environment: dict[str, str]) -> None:
    """Life of a worker: a task in, a record out, until the pipe or the parent ends."""
    import faulthandler
    import logging
    import signal

    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    with Path(log).open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pipe.send(_READY)
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(do_case(task))
        except OutputError as error:
            pipe.send(error)


def _end_with_parent() -> None:
    """A parent that is killed cannot stop its workers; they watch it themselves."""
    parent: Any = mp.parent_process()
    parent.join()
    os._exit(1)
