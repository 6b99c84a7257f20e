"""The process that holds the model: one study after another, told on stdin, answered on stdout.

It is a process of its own so that a crash in a native library costs one try of one study, and
it ends with the node however that ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burden.errors import BurdenError, OutputError, UsageError
from burden.node.folders import sync_tree
from burden.node.settings import Work

_PR_SET_PDEATHSIG = 1
_BAD_INPUT = {2, 3, 5}  # exit codes that a further try would give again


@dataclass(frozen=True)
class Answer:
    """How a study went.

    Parameters
    ----------
    error
        Name of the error's class; "" when it went well.
    detail
        The error's text. It may hold identifiers: it stays in the study's folder.
    final
        A further try would fail in the same way.
    """

    error: str = ""
    detail: str = ""
    final: bool = False
    seconds: float = 0.0


def do(images: Path, out: Path, work: Work, keep_open: tuple[int, ...] = ()) -> Answer:
    """Run one study; ``out`` is whole and on the disk when the answer has no error."""
    start = time.monotonic()
    try:
        if work.command:
            _command(images, out, work.command, keep_open)
        else:
            _built_in(images, out, work)
        sync_tree(out)
        answer = Answer()
    except BurdenError as error:
        answer = Answer(type(error).__name__, str(error), error.exit_code in _BAD_INPUT)
    except Exception as error:  # one study must not end the node
        answer = Answer(type(error).__name__, f"{error}"[:500], False)
    return Answer(answer.error, answer.detail, answer.final, round(time.monotonic() - start, 2))


def _built_in(images: Path, out: Path, work: Work) -> None:
    from burden.pipeline import Job, run

    run(
        Job(
            input=images,
            out=out,
            facts=(work.facts,) if work.facts else (),
            model=work.model,
            device=work.device,
            policy=work.policy,
            books=work.books,
            draws=work.draws,
            strict=work.strict,
        )
    )


def _command(images: Path, out: Path, command: tuple[str, ...], keep_open: tuple[int, ...]) -> None:
    """Run the site's own program; its exit code says how it went, as that of `burden run`."""
    parts = [p.replace("{images}", str(images)).replace("{out}", str(out)) for p in command]
    try:
        done = subprocess.run(  # noqa: S603 - the settings name the program, no shell
            parts,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_parent,
            pass_fds=keep_open,
            check=False,
        )
    except OSError as error:
        raise UsageError(f"cannot be started: {error.strerror}.", where=parts[0]) from error
    if done.returncode == 0 and not out.is_dir():
        raise OutputError("the command made no folder.", where=parts[0])
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-500:]
        failed = BurdenError(f"the command ended with {done.returncode}: {said}", where=parts[0])
        failed.exit_code = done.returncode
        raise failed


def die_with_parent() -> None:
    """Linux ends this process when the one that started it ends; elsewhere stdin closing does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Read jobs until stdin ends."""
    die_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT):  # the node decides when a study is cut off
        signal.signal(number, signal.SIG_IGN)
    keep_open = tuple(int(one) for one in sys.argv[1:])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever libraries print is no answer
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        job = json.loads(line)
        answer = do(Path(job["images"]), Path(job["out"]), _work(job["work"]), keep_open)
        answers.write(json.dumps(answer.__dict__) + "\n")
        answers.flush()
    return 0


def _work(given: dict[str, Any]) -> Work:
    for name in ("facts", "policy"):
        given[name] = Path(given[name]) if given[name] else None
    return Work(**given | {"command": tuple(given["command"]), "books": tuple(given["books"])})


if __name__ == "__main__":
    sys.exit(main())
