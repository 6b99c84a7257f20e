"""What a result was made from, in short: whether inputs or options have changed since."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from burden import __version__
from burden.batch.cases import Task
from burden.pipeline import Job

PER_CASE = ("input", "out", "facts", "liver", "lesions", "segments", "series", "modality", "force")
"""Fields of a job that may differ from case to case."""
_CHUNK = 2**20
Digest = Callable[[Path], str]


def settings(base: Job, *, given_masks: bool) -> dict[str, str]:
    """Everything that is the same for all cases and shapes the results, as plain words.

    Parameters
    ----------
    given_masks
        Whether every case brings its liver and lesions, so that no model is used.

    Raises
    ------
    BurdenError
        If one of them cannot be used: it would fail every case.
    """
    from burden.assess import load_books, load_policy
    from burden.measure.readers import load_readers

    said = {f.name: getattr(base, f.name) for f in fields(base) if f.name not in PER_CASE}
    said["policy"] = _tree(base.policy, _content) if base.policy else None
    books = load_books(base.books or None)
    if base.policy:
        load_policy(base.policy, books)
    if base.readers:  # what it says, not where it lies
        said["readers"] = load_readers(base.readers)
    said["rule books"] = _short(sorted((book.id, str(book.version)) for book in books))
    said["version of burden"] = __version__
    said["model"] = "given masks" if given_masks else _model(base.model)
    return {name: str(value) for name, value in said.items()}


def stamp(task: Task) -> str:
    """SHA-256 over names, sizes and times of the input files: quick, and changes when in doubt."""
    return _over(task, _times)


def content(task: Task) -> str:
    """SHA-256 over the bytes of the input files."""
    return _over(task, _content)


def _over(task: Task, digest: Digest) -> str:
    job = task.job
    parts: list[Any] = [_tree(job.input, digest), job.series, job.modality, sorted(task.typed.items())]
    for mask in (job.liver, job.lesions, job.segments):
        path, _, labels = (mask or "").rpartition("@")
        whole = Path(mask) if mask and (not path or Path(mask).exists()) else None
        parts.append(mask and (_tree(whole, digest) if whole else [_tree(Path(path), digest), labels]))
    parts += [_facts(path, digest) for path in job.facts]
    return _short(parts)


def _facts(path: Path, digest: Digest) -> str:
    """A facts file; of a table only the row of the case, so that other rows may change."""
    row = re.fullmatch(r"(.+\.csv)@(.+)", str(path), re.IGNORECASE)
    if not row or path.exists():
        return _tree(path, digest)
    try:
        with Path(row[1]).open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream))
    except (OSError, ValueError, csv.Error):
        return _tree(Path(row[1]), digest)
    return _short([lines[:1], [cells for cells in lines if row[2] in (c.strip() for c in cells)]])


def _tree(path: Path, digest: Digest) -> str:
    """Digest of a file, or of all files of a folder with their names below it."""
    if not path.is_dir():
        return digest(path)
    return _short([(p.relative_to(path).as_posix(), digest(p)) for p in _files(path)])


def _files(folder: Path) -> Iterator[Path]:
    for base, folders, names in os.walk(folder):
        folders.sort()
        yield from (Path(base, name) for name in sorted(names))


def _times(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"


def _content(path: Path) -> str:
    if not path.is_file():
        return "missing"
    whole = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(_CHUNK):
                whole.update(block)
    except OSError:
        return "unreadable"
    return whole.hexdigest()


def _model(wanted: str | None) -> str:
    from burden.segment import find_model

    entry = find_model(wanted)
    weights = sorted((name, _content(path)) for name, path in entry.weights.items())
    return f"{entry.id} {_short(weights)[:12]}"


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
