"""One case, done in a worker: the same function in a local process and on a cluster.

The state is on disk before and after. ``state/<case>.json`` says ``running``, then ``done`` or
``failed``; ``cases/<case>/`` appears whole or not at all. A worker may be killed anywhere:

- before the folder appears: the record says ``running`` and there is no folder; done again
- between folder and record: ``running``, same inputs, and the folder is there; taken as done
- while an older result is put away: the record still tells of other inputs; done again
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import traceback
import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from burden.batch.cases import Task
from burden.batch.disk import held, put_away, read_json, sweep_case, write_atomically
from burden.batch.inputs import content, stamp
from burden.errors import BurdenError, OutputError

State = Literal["missing", "running", "done", "failed"]
BY_CHANCE = (1, 4, 6)
"""Exit codes of failures that are not the study's own fault: tried again by the next command."""
KILLED = 1
TRIES_ON_CLUSTER = 3
_ONE_AT_A_TIME = threading.Lock()  # a cluster worker may have threads; drawing libraries may not


@dataclass(frozen=True)
class Record:
    """What is on disk about a case."""

    case: str
    state: State = "missing"
    settings: str = ""
    stamp: str = ""
    content: str = ""
    code: int = 0
    reason: str = ""
    seconds: float = 0.0
    attempts: int = 0
    worker: str = ""
    trace: str = ""


def record_file(task: Task) -> Path:
    """Where the record of a case is."""
    return task.root / "state" / f"{task.folder}.json"


def typed_file(task: Task) -> Path:
    """Where the clinical facts of the manifest's columns are put for a case."""
    return task.root / "state" / "facts" / task.folder / "manifest.csv"


def read_record(task: Task) -> Record:
    """The record of a case; state ``missing`` where there is none."""
    found = read_json(record_file(task))
    known = {k: v for k, v in found.items() if k in Record.__dataclass_fields__}
    return Record(**known) if known.get("case") == task.case else Record(task.case)


def write_record(task: Task, record: Record) -> None:
    """Replace the record of a case."""
    write_atomically(record_file(task), json.dumps(asdict(record), indent=1, ensure_ascii=True) + "\n")


def why_not_settled(task: Task, record: Record, *, retry: bool) -> str:
    """Why a case has to be done (again); "" where nothing is left to do.

    Parameters
    ----------
    retry
        Try every failed case again, not only those that failed by chance.
    """
    if record.state in ("missing", "running"):
        return "new" if record.state == "missing" else "was interrupted"
    if record.settings != task.settings:
        return "options changed"
    if record.stamp != stamp(task):
        if record.content != content(task):
            return "input changed"
        write_record(task, replace(record, stamp=stamp(task)))  # copied or touched, but the same
    if record.state == "failed":
        return "failed before" if retry or record.code in BY_CHANCE else ""
    return "" if read_json(task.job.out / "case.json") else "result is gone"


def do_case(task: Task, *, retry: bool = True) -> Record:
    """Do one case, unless it is done; whatever goes wrong with it is in the record.

    Raises
    ------
    OutputError
        Only if the record cannot be written.
    """
    with _ONE_AT_A_TIME, held(task.root / "state" / f".{task.folder}.lock", wait=True):
        before = read_record(task)
        if not why_not_settled(task, before, retry=retry):
            return before
        asked = _asked(task, before)
        if before.state == "running" and _same(before, asked) and read_json(task.job.out / "case.json"):
            record = replace(before, state="done", seconds=_seconds_of(task))
        else:
            put_away(task.job.out)
            sweep_case(task.job.out.parent, task.folder)
            write_record(task, asked)
            record = _attempt(task, asked)
        write_record(task, record)
    return record


def failed(task: Task, code: int, reason: str, attempts: int) -> Record:
    """A case that failed without a word of its own: its worker died."""
    record = replace(
        _asked(task, read_record(task)), state="failed", code=code, reason=reason, attempts=attempts
    )
    write_record(task, record)
    return record


def _asked(task: Task, before: Record) -> Record:
    asked = Record(task.case, "running", task.settings, stamp(task), content(task))
    attempts = before.attempts + 1 if _same(before, asked) else 1
    return replace(asked, attempts=attempts, worker=f"{socket.gethostname()}:{os.getpid()}")


def _same(one: Record, other: Record) -> bool:
    return (one.settings, one.content) == (other.settings, other.content)


def _attempt(task: Task, asked: Record) -> Record:
    from burden.pipeline import run

    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # libraries warn about files; what matters is a finding
            run(_with_typed_facts(task))
    except Exception as error:  # one bad study must not end the batch
        code, reason = reason_of(error)
        trace = "" if isinstance(error, BurdenError) else traceback.format_exc()[-4000:]
        ended = replace(asked, state="failed", code=code, reason=reason, trace=trace)
    else:
        ended = replace(asked, state="done")
    return replace(ended, seconds=round(time.perf_counter() - start, 2))


def _with_typed_facts(task: Task) -> Any:
    """The job, with the clinical facts of the manifest's columns as one more facts file."""
    import csv
    import io

    if not task.typed:
        return task.job
    text = io.StringIO()
    csv.writer(text).writerows((task.typed.keys(), task.typed.values()))
    path = typed_file(task)
    write_atomically(path, text.getvalue())
    return replace(task.job, facts=(*task.job.facts, path))


def reason_of(error: Exception) -> tuple[int, str]:
    """Exit code and one line for what went wrong."""
    if isinstance(error, BurdenError):
        return error.exit_code, str(error)
    if isinstance(error, MemoryError):
        return 3, "not enough memory for this study."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return OutputError.exit_code, f"cannot be written: {error.strerror}."
    place = traceback.extract_tb(error.__traceback__)[-1]
    what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    return 1, f"this is a bug: {what} ({Path(place.filename).name}:{place.lineno})."


def _seconds_of(task: Task) -> float:
    seconds = read_json(task.job.out / "case.json").get("manifest", {}).get("seconds", {})
    return float(round(sum(seconds.values()), 2))
