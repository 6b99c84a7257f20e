"""How the command line talks: progress and messages on stderr, results on stdout, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from burden.errors import BurdenError, OutputError

_PIPE_WIDTH = 160  # columns where there is no terminal to ask
REPORT_BUGS = "https://github.com/liver-burden/liver-burden/issues"


@dataclass(frozen=True)
class Console:
    """The two switches that every command has.

    Parameters
    ----------
    json
        The machine-readable result alone goes to stdout.
    quiet
        No progress and no messages.
    """

    json: bool = False
    quiet: bool = False

    def result(self, data: Any, text: Any) -> None:
        """Print a result: ``data`` as JSON, or ``text`` (anything rich can print) for people."""
        if self.json:
            sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
        else:
            from rich.console import Console as Rich

            Rich(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(text)

    def note(self, text: str) -> None:
        """Tell the user something in passing."""
        if not self.quiet:
            sys.stderr.write(text + "\n")

    @contextmanager
    def progress(self) -> Iterator[Any]:
        """Show steps as they advance: yields ``progress(step, fraction)``."""
        if self.quiet or not sys.stderr.isatty():
            yield self._plain_progress()
            return
        from rich.console import Console as Rich
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            SpinnerColumn(),
            TextColumn("{task.description:<8}"),
            BarColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Rich(stderr=True), transient=True) as bar:
            tasks: dict[str, Any] = {}

            def advance(step: str, fraction: float) -> None:
                if step not in tasks:
                    tasks[step] = bar.add_task(step, total=1.0)
                bar.update(tasks[step], completed=fraction)

            yield advance

    def _plain_progress(self) -> Any:
        """Where there is no terminal: one line a step, so that a log stays readable."""
        seen: set[str] = set()

        def advance(step: str, _fraction: float) -> None:
            if step not in seen:
                seen.add(step)
                self.note(f"{step} ...")

        return advance


def fail(error: BaseException, *, as_json: bool) -> int:
    """Print one clear line for an error and give the exit code it deserves."""
    if isinstance(error, OSError) and error.errno is not None:
        error = _from_os_error(error)
    if isinstance(error, BurdenError):
        code, message = error.exit_code, str(error)
    elif isinstance(error, MemoryError):
        code, message = 3, "not enough memory for this study."
    else:
        place = _where(error)
        code = 1
        what = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        message = f"this is a bug: {what} ({place}). Please report it: {REPORT_BUGS}"
    if as_json:
        sys.stdout.write(json.dumps({"error": {"code": code, "message": message}}) + "\n")
    sys.stderr.write("burden: " + " ".join(message.split()) + "\n")
    return code


def _from_os_error(error: OSError) -> BaseException:
    """Full disks and missing rights are not bugs."""
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
        return OutputError(f"{error.strerror}.", where=error.filename or "output")
    return error


def _where(error: BaseException) -> str:
    """File and line at which a bug showed."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "no traceback"
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}"
