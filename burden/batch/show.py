"""Progress of a batch on stderr: a bar with the time left, or a line a case where nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from burden.batch.work import Record
from burden.console import Console


@contextmanager
def shown(console: Console, total: int) -> Iterator[Callable[[Record], None]]:
    """Yields a function to be told of every case that has ended."""
    start, ended, failures = time.monotonic(), 0, 0

    def left() -> str:
        return duration((time.monotonic() - start) / ended * (total - ended)) if ended else "?"

    def count(record: Record) -> None:
        nonlocal ended, failures
        ended += 1
        failures += record.state == "failed"

    if console.quiet or not sys.stderr.isatty():

        def tell(record: Record) -> None:
            count(record)
            what = f": {record.reason}" if record.reason else ""
            text = f"{ended}/{total} {record.case} {record.state} ({record.seconds:.0f} s){what}"
            console.note(f"{text} - {left()} left" if ended < total else text)

        yield tell
        return
    from rich.console import Console as Rich
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("cases"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failures]} failed"),
        TimeElapsedColumn(),
        TextColumn("about {task.fields[left]} left"),
    )
    with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
        row = bar.add_task("cases", total=total, failures=0, left="?")

        def advance(record: Record) -> None:
            count(record)
            bar.update(row, completed=ended, failures=failures, left=left())
            if record.state == "failed":
                bar.console.print(f"{record.case}: {record.reason}", markup=False, highlight=False)

        yield advance


def duration(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
