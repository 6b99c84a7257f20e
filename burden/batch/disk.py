"""What the batch keeps on disk: atomic files, locks, and what is left by a process that died."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from burden.errors import OutputError, UsageError

try:
    import fcntl
except ImportError:  # Windows: two commands on one OUT are not told apart there
    fcntl = None  # type: ignore[assignment]

PROBE_BYTES = 2**20


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file that appears whole or not at all, and is on the disk afterwards.

    Raises
    ------
    OutputError
        If the system refuses.
    """
    data = content.encode() if isinstance(content, str) else content
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(prefix=f".{path.name[:60]}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except OSError as error:
        if part is not None:
            Path(part).unlink(missing_ok=True)
        raise OutputError(f"cannot be written: {error.strerror}.", where=path) from error


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@contextmanager
def held(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process dies.

    Raises
    ------
    UsageError
        If another process holds it and ``wait`` is false.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("a")
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}.", where=path.parent) from error
    with stream:
        if fcntl is not None:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                hint = "Wait for it, or choose another OUT."
                raise UsageError(
                    "another `burden batch` is at work here.", where=path.parent, hint=hint
                ) from None
            except OSError:  # a file system without locks: go on without
                pass
        yield


def put_away(folder: Path) -> None:
    """Take a folder away so that it is never seen half deleted."""
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)


def sweep_case(folder: Path, name: str) -> None:
    """Remove what a killed process left half written of one case; the case must be held."""
    left = re.compile(re.escape(f".{name}.") + r"\d+\.(?:part|old)")
    _remove(path for path in folder.glob(".*") if left.fullmatch(path.name))


def sweep_all(folder: Path) -> None:
    """Remove everything half written; nobody may be at work. No finished name starts with a dot."""
    _remove(folder.glob(".*"))


def _remove(paths: Iterable[Path]) -> None:
    for path in list(paths):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def has_room(folder: Path) -> bool:
    """Whether a small file can still be written."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(b"\1" * PROBE_BYTES)
        stream.flush()
        os.fsync(stream.fileno())
        return True
    return False
