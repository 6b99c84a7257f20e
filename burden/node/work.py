"""The node's side of the worker process: start it, give it a study, ask how it went."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from burden.node.settings import Work
from burden.node.worker import Answer


class Worker:
    """A worker process, started when first needed and again whenever it has died."""

    def __init__(self, work: Work, lock: int) -> None:
        self._work, self._lock = work, lock
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""
        self.starts = 0

    def give(self, images: Path, out: Path) -> None:
        """Hand over a study. The worker must be idle."""
        if self._process is None or self._process.poll() is not None:
            self._start()
        settings = asdict(self._work)
        job = {"images": str(images), "out": str(out), "work": settings}
        assert self._process is not None  # noqa: S101 - just started
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        self._process.stdin.write(json.dumps(job, default=str).encode() + b"\n")
        self._process.stdin.flush()

    def ask(self) -> Answer | None:
        """The answer to the study given, None while there is none yet."""
        process = self._process
        if process is None:
            return Answer("WorkerDied", "it could not be started")
        assert process.stdout is not None  # noqa: S101 - a pipe
        with suppress(BlockingIOError):
            self._said += os.read(process.stdout.fileno(), 2**16)
        if b"\n" in self._said:
            line, _, self._said = self._said.partition(b"\n")
            return Answer(**json.loads(line))
        code = process.poll()
        if code is None:
            return None
        self.kill()
        return Answer("WorkerDied", f"the process ended with {code}")

    def kill(self) -> None:
        """End the process at once; what it was doing is left half done."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
        self._process, self._said = None, b""

    def _start(self) -> None:
        self.kill()
        # It inherits the lock on the folder: no other node begins while a worker still writes.
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "burden.node.worker", str(self._lock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries quote headers in their warnings
            pass_fds=(self._lock,),
        )
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        os.set_blocking(self._process.stdout.fileno(), False)
        self.starts += 1
