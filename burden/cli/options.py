"""What several commands share: kinds of options, ``--json`` and ``--quiet``, refusals of the system."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click

from burden.console import Console
from burden.errors import InputError, OutputError, RuleError

FACTS = "Clinical facts: YAML, FHIR Bundle or TABLE.csv@CASE; may be repeated, the last one holds"
SEED = click.IntRange(0, 2**32 - 1)


class _File(click.Path):
    """Something to read. Whether it is there the command says; click would call it wrong usage."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what may not be read."""
        path = Path(str(super().convert(value, param, ctx)))
        with plain_refusals([], [path]):
            if path.exists() and not os.access(path, os.R_OK):
                raise PermissionError(errno.EACCES, "", str(path))
        return path


FILE = _File(path_type=Path, readable=False)


class _Out(click.Path):
    """A place to write to, so that a refusal of the system there is told from one of an input."""


OUT = _Out(path_type=Path, readable=False)


class Finite(click.FloatRange):
    """A number in a range. NaN lies in every range for click, and infinity in every open one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no finite number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


class _Policy(_File):
    """A folder with a site's own limits; a wrong path is told before any work is done."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no folder with a policy.yaml."""
        folder = super().convert(value, param, ctx)
        hint = "Give the folder that holds policy.yaml."
        with plain_refusals([], [folder]):
            if not folder.exists():
                raise RuleError("no such folder.", where=folder, hint=hint)
            if not folder.is_dir():
                raise RuleError("a file, not a folder.", where=folder, hint=hint)
            if not (folder / "policy.yaml").exists():
                raise RuleError("no policy.yaml in this folder.", where=folder, hint=hint)
            super().convert(folder / "policy.yaml", param, ctx)
        return folder


POLICY = _Policy(path_type=Path, readable=False)


def common(command: Callable[..., Any]) -> Any:
    """Give a command ``--json`` and ``--quiet``; `console_of` takes them out of its options.

    What the system refuses becomes a plain error: of an input (3), or of OUT (6).
    """

    @wraps(command)
    def guarded(*args: Any, **options: Any) -> Any:
        known = click.get_current_context().command.params
        kinds: dict[str | None, bool] = {p.name: isinstance(p.type, _Out) for p in known}
        given = [(n, one) for n, value in options.items() for one in _each(value)]
        written = [Path(one) for n, one in given if kinds.get(n)]
        read = [Path(one) for n, one in given if not kinds.get(n)]
        with plain_refusals(written, read), _no_force_without_it(kinds):
            return command(*args, **options)

    found = click.option("--json", "as_json", is_flag=True, help="Result as JSON, alone on stdout.")(
        guarded
    )
    return click.option("--quiet", "-q", is_flag=True, help="No progress and no messages.")(found)


def console_of(options: dict[str, Any]) -> Console:
    """Take the common options out of a command's own."""
    return Console(json=options.pop("as_json"), quiet=options.pop("quiet"))


def _each(value: Any) -> Iterator[Path | str]:
    for one in value if isinstance(value, (tuple, list)) else (value,):
        if isinstance(one, (Path, str)) and str(one):
            yield one


_ABOUT_PATHS = {
    errno.ENOENT: "no such file or folder.",
    errno.ENOTDIR: "a part of this path is a file, not a folder.",
    errno.EISDIR: "a folder, not a file.",
    errno.ENAMETOOLONG: "the name is too long.",
    errno.EACCES: "no permission to {} here.",
    errno.EPERM: "no permission to {} here.",
    errno.ELOOP: "a link that leads back to itself.",
}


@contextmanager
def plain_refusals(written: list[Path], read: list[Path]) -> Iterator[None]:
    """Refusals of the system at the paths given become errors in words; all else stays as it is.

    Parameters
    ----------
    written, read
        Where results go, and what is read.
    """
    try:
        yield
    except OSError as error:
        reason = _ABOUT_PATHS.get(error.errno or 0)
        name = error.filename if isinstance(error.filename, str | Path) else ""
        if reason is None or not name:
            raise
        if _concerns(name, written):
            hint = "Choose another place for OUT."
            what = f"cannot be written: {reason.format('write')}"
            raise OutputError(what, where=_short(name), hint=hint) from error
        # No file of ours has too long a name, so that one came from the command line or a table.
        if _concerns(name, read) or error.errno == errno.ENAMETOOLONG:
            what = f"cannot be read: {reason.format('read')}"
            raise InputError(what, where=_short(name), hint="Check the path.") from error
        raise


def _concerns(name: str | Path, given: list[Path]) -> bool:
    """Whether a path is one of those given, lies below one, or holds one that could not be made.

    A mask may be given as PATH@LABELS, facts as TABLE.csv@CASE.
    """
    path = Path(name).absolute()
    whole = [Path(str(one).rpartition("@")[0] or one).absolute() for one in given]
    tried = [one.absolute() for one in given] + whole
    return any(path == one or one in path.parents or path in one.parents for one in tried)


def _short(name: str | Path) -> str:
    """A name that fits on a line."""
    text = str(name)
    return text if len(text) <= 200 else f"{text[:120]}...{text[-40:]}"


@contextmanager
def _no_force_without_it(options: Mapping[str | None, bool]) -> Iterator[None]:
    """Nobody is told to use ``--force`` with a command that does not have it."""
    try:
        yield
    except OutputError as error:
        if "force" in options or "--force" not in (error.hint or ""):
            raise
        raise OutputError(error.what, where=error.where, hint="Choose another place.") from error
