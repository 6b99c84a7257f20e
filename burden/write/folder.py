"""An output folder that appears whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from burden.errors import OutputError

SCHEMA = "burden-case/1"  # what marks a case.json, and so its folder, as ours
_HARMLESS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # left behind by file browsers
_REASONS = {
    errno.ENOSPC: "the disk is full.",
    errno.EDQUOT: "the disk quota is used up.",
    errno.EROFS: "the file system is read-only.",
    errno.EACCES: "no permission to write here.",
    errno.EPERM: "no permission to write here.",
    errno.ENAMETOOLONG: "the name is too long.",
    errno.ENOTDIR: "a part of this path is a file, not a folder.",
}


def check_out(out: Path, *, force: bool = False) -> None:
    """Refuse, before any work is done, a place that results could not be written to.

    Raises
    ------
    OutputError
        If ``out`` exists and may not be replaced, or its parent cannot be written to.
    """
    try:
        _check_place(out.resolve(), force=force)
    except OSError as error:
        raise _refusal(error, out) from error


def _check_place(out: Path, *, force: bool) -> None:
    if out.is_dir() and not any(out.iterdir()):
        pass  # an empty folder holds nothing to lose
    elif out.is_dir():
        if not force:
            raise OutputError(
                "this folder exists.", where=out, hint="Use --force to replace it, or choose another."
            )
        _check_ours(out)
    elif out.exists():
        raise OutputError("this is a file, not a folder.", where=out, hint="Choose another OUT.")
    anchor = next((p for p in out.parents if p.exists()), out)
    if not anchor.is_dir():
        raise _refusal(NotADirectoryError(errno.ENOTDIR, ""), anchor)
    (anchor / _part_of(out).name).exists()  # this name is longer than that of OUT, and may be too long
    try:  # asking for permissions is not enough: root has them all, even where nothing can be made
        Path(tempfile.mkdtemp(prefix=".burden-", dir=anchor)).rmdir()
    except OSError as error:
        raise _refusal(error, anchor) from error


def _part_of(out: Path) -> Path:
    return out.parent / f".{out.name}.{os.getpid()}.part"


@contextmanager
def whole_or_nothing(out: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary folder beside ``out`` that becomes ``out`` when the block ends well.

    On any exception it is removed again, with the parent folders made for it.

    Raises
    ------
    OutputError
        If ``out`` may not be replaced, or the system refuses to write.
    """
    check_out(out, force=force)
    out = out.resolve()
    made = [p for p in out.parents if not p.exists()]
    part = _part_of(out)
    try:
        part.mkdir(parents=True)
        yield part
        _put_in_place(part, out)
    except OSError as error:
        raise _refusal(error, out) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # not empty: it is the parent of a finished OUT
                folder.rmdir()


def _put_in_place(part: Path, out: Path) -> None:
    """Rename ``part`` to ``out``; a folder already there is kept until that has worked."""
    if not out.exists():
        part.rename(out)
        return
    old = out.parent / f".{out.name}.{os.getpid()}.old"
    out.rename(old)
    try:
        part.rename(out)
    except OSError:
        old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _check_ours(out: Path) -> None:
    """Refuse to replace a folder that holds anything this program did not write."""
    try:
        record = json.loads((out / "case.json").read_text(encoding="utf-8"))
        ours = str(record["schema"]).startswith(SCHEMA)
        listed = set(record["manifest"]["files"]) | {"case.json"}
    except (OSError, ValueError, KeyError, TypeError):
        ours, listed = False, set()
    if not ours:
        raise OutputError(
            "this folder was not written by burden and is not replaced.",
            where=out,
            hint="Choose another OUT.",
        )
    found = (p for p in sorted(out.rglob("*")) if not p.is_dir() and p.name not in _HARMLESS)
    strangers = [name for p in found if (name := p.relative_to(out).as_posix()) not in listed]
    if strangers:
        raise OutputError(
            f"this folder also holds {strangers[0]}, which burden did not write.",
            where=out,
            hint="Move it away, or choose another OUT.",
        )


def _refusal(error: OSError, out: Path) -> OutputError:
    reason = _REASONS.get(error.errno or 0, f"{error.strerror or error}.")
    return OutputError(f"cannot be written: {reason}", where=out, hint="Choose another place for OUT.")
