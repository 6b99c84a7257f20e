"""The queue: folders on one disk, and one rename for every step.

::

    incoming/KEY     images are still coming
    queued/KEY       complete, waits for the model
    processing/KEY   the model is at it
    sending/KEY      results wait for the archives
    done/KEY.n       finished; kept for a while
    failed/KEY.n     given up; note.json says why
    tmp/             nothing in here counts; emptied at the start

``KEY`` is a hash of the Study Instance UID, and file names are hashes of SOP Instance UIDs: no
text of a sender ever becomes a path. A study is ``images/``, later ``result/``, and
``note.json``. File contents reach the disk before the name that makes them count, and names
before anybody is told of them, so that the power may go at any moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

State = Literal["incoming", "queued", "processing", "sending", "done", "failed"]
STATES: tuple[State, ...] = ("incoming", "queued", "processing", "sending", "done", "failed")
NOTE = "note.json"
PULLING = "pulling"  # lies in an incoming study that is still being fetched


@dataclass(frozen=True)
class Note:
    """What is remembered of a study beside its files; times are seconds since 1970.

    Parameters
    ----------
    tries, interruptions
        Runs that failed, and runs that the end of the node cut off.
    not_before
        When it may be tried again.
    result
        ``result/`` is whole and on the disk.
    sent
        Names of the targets that have everything.
    error, detail
        Why it failed; the detail may hold identifiers and goes nowhere else.
    """

    key: str
    received: float = 0.0
    tries: int = 0
    interruptions: int = 0
    not_before: float = 0.0
    seconds: float = 0.0
    result: bool = False
    finished: float = 0.0
    sent: tuple[str, ...] = ()
    error: str = ""
    detail: str = ""


def key_of(study_uid: str) -> str:
    """Folder name of a study."""
    return hashlib.sha256(study_uid.encode()).hexdigest()[:16]


def name_of(sop_uid: str) -> str:
    """File name of an instance."""
    return hashlib.sha256(sop_uid.encode()).hexdigest()[:32] + ".dcm"


def sync(folder: Path) -> None:
    """Names in a folder reach the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Every file and name under a folder reaches the disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            handle = os.open(Path(parent) / name, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync(Path(parent))


class Folders:
    """The queue under one folder. Only `put` may be called from many threads at once.

    Each other step belongs to one thread: the schedule moves studies as far as ``sending``,
    the senders from there on.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()  # between an image that arrives and its study moving on
        for name in (*STATES, "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def empty_tmp(self) -> None:
        """Remove what an earlier run left unfinished."""
        for rest in (self.root / "tmp").iterdir():
            remove(rest)

    def jobs(self, state: State) -> list[Path]:
        """Studies in a state, by name."""
        return sorted(p for p in (self.root / state).iterdir() if p.is_dir())

    def put(self, key: str, name: str, data: bytes) -> None:
        """An image joins a study that is coming in; it is on the disk when this returns.

        The same image again takes the place of the first.
        """
        part = self.root / "tmp" / uuid.uuid4().hex
        try:
            _write(part, data)
            with self._lock, ExitStack() as opened:
                images = self.root / "incoming" / key / "images"
                new = not images.is_dir()
                images.mkdir(parents=True, exist_ok=True)
                part.rename(images / name)
                changed = (images, images.parent, images.parent.parent) if new else (images,)
                handles = [os.open(folder, os.O_RDONLY) for folder in changed]
                for handle in handles:
                    opened.callback(os.close, handle)
                closing = opened.pop_all()
            with closing:  # by handle: the study may have moved on meanwhile
                for handle in handles:
                    os.fsync(handle)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    def hold(self, key: str) -> None:
        """A study is going to come in piece by piece: it is not complete before `release`."""
        with self._lock:
            job = self.root / "incoming" / key
            (job / "images").mkdir(parents=True, exist_ok=True)
            (job / PULLING).touch()
        sync(job)
        sync(job.parent)

    def release(self, key: str) -> None:
        """All of a study that was held is here."""
        job = self.root / "incoming" / key
        (job / PULLING).unlink(missing_ok=True)
        sync(job)

    def age(self, key: str) -> float:
        """Seconds since something last came for a study that is coming in."""
        return abs(time.time() - (self.root / "incoming" / key / "images").stat().st_mtime)

    def complete(self, key: str) -> Literal["queued", "wait", "known"]:
        """A study that came in joins the queue, with the images kept of it from before.

        Returns
        -------
        str
            ``wait``: it is being worked on just now; ``known``: nothing but what is done
            already, so it was dropped.
        """
        with self._lock:
            here, there = self.root / "incoming" / key, self.root / "queued" / key
            if (self.root / "processing" / key).exists() or (self.root / "sending" / key).exists():
                return "wait"
            if there.exists():
                for image in (here / "images").iterdir():
                    image.rename(there / "images" / image.name)
                sync(there / "images")
                remove(here, self.root / "tmp")
                return "queued"
            before = self._before(key)
            if before is not None and before.parent.name == "done" and _holds(before, here):
                remove(here, self.root / "tmp")
                return "known"
            if before is not None:
                _link_missing(before / "images", here / "images")
            write_note(here, Note(key=key, received=time.time()))
            self._rename(here, there)
            return "queued"

    def move(self, job: Path, state: State) -> Path:
        """One step of a study; in ``done`` and ``failed`` it gets a number."""
        key = job.name.partition(".")[0]
        target = self.root / state / key
        if state in ("done", "failed"):
            target = self.root / state / f"{key}.{self._next_number(key)}"
        self._rename(job, target)
        return target

    def _rename(self, old: Path, new: Path) -> None:
        old.rename(new)
        sync(new.parent)
        sync(old.parent)

    def _finished(self, key: str) -> list[Path]:
        found = [p for state in ("done", "failed") for p in (self.root / state).glob(f"{key}.*")]
        return sorted(found, key=lambda p: _number(p.name))

    def _before(self, key: str) -> Path | None:
        found = [p for p in self._finished(key) if (p / "images").is_dir()]
        return found[-1] if found else None

    def _next_number(self, key: str) -> int:
        return max((_number(p.name) for p in self._finished(key)), default=0) + 1

    def expire(self, state: State, seconds: float) -> list[str]:
        """Remove what has been in ``done`` or ``failed`` for so long."""
        gone = []
        for job in self.jobs(state):
            finished = read_note(job).finished or job.stat().st_mtime
            if time.time() - finished > seconds:
                remove(job, self.root / "tmp")
                gone.append(job.name)
        return gone


def remove(path: Path, tmp: Path | None = None) -> None:
    """Remove a folder, by way of ``tmp``: it is gone at once, or not at all."""
    if tmp is not None:
        away = tmp / uuid.uuid4().hex
        path.rename(away)
        sync(path.parent)
        path = away
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def images(job: Path) -> Iterator[Path]:
    """The images of a study."""
    folder = job / "images"
    return (p for p in folder.iterdir()) if folder.is_dir() else iter(())


def read_note(job: Path) -> Note:
    """The note of a study; an empty one where there is none (a folder moved by hand)."""
    try:
        found = json.loads((job / NOTE).read_text(encoding="utf-8"))
        known = {f.name for f in fields(Note)}
        kept = {k: v for k, v in found.items() if k in known}
        return Note(**kept | {"sent": tuple(kept.get("sent", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return Note(key=job.name.partition(".")[0])


def write_note(job: Path, note: Note) -> None:
    """Replace the note of a study; there is the old one or the new one, never half of one."""
    part = job.parent.parent / "tmp" / uuid.uuid4().hex
    _write(part, json.dumps(asdict(note), indent=1).encode())
    part.rename(job / NOTE)
    sync(job)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())


def _number(name: str) -> int:
    tail = name.partition(".")[2]
    return int(tail) if tail.isdigit() else 0


def _holds(before: Path, here: Path) -> bool:
    """Whether every image that came is there already, byte for byte."""
    for image in images(here):
        old = before / "images" / image.name
        if not old.is_file() or old.read_bytes() != image.read_bytes():
            return False
    return True


def _link_missing(old: Path, new: Path) -> None:
    for image in old.iterdir():
        if not (new / image.name).exists():
            os.link(image, new / image.name)
    sync(new)
