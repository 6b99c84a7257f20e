"""Moves studies from folder to folder. One thread does all of it: no two steps ever race."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from burden.node.folders import (
    PULLING,
    STATES,
    Folders,
    Note,
    State,
    images,
    read_note,
    remove,
    sync,
    write_note,
)
from burden.node.log import Log, Numbers
from burden.node.room import Room
from burden.node.settings import Settings
from burden.node.work import Worker
from burden.node.worker import Answer

_TIDY_S = 30.0
_PULL_GIVES_UP_S = 24 * 3600.0


@dataclass
class Schedule:
    """The one owner of every step.

    Parameters
    ----------
    sent
        Set by a sender when the note of a study in ``sending`` says something new.
    """

    settings: Settings
    folders: Folders
    room: Room
    worker: Worker
    log: Log
    numbers: Numbers
    sent: threading.Event = field(default_factory=threading.Event)
    beat: float = field(default_factory=time.monotonic)
    running: Path | None = None
    _started: float = 0.0
    _answer: Answer | None = None
    _tidied: float = -_TIDY_S

    def recover(self) -> None:
        """What the last run of the node left in the middle goes on, or starts again."""
        self.folders.empty_tmp()
        for job in self.folders.jobs("processing"):
            note = read_note(job)
            if note.result and (job / "result").is_dir():
                self.folders.move(job, "sending")
                continue
            clear_result(job)
            note = replace(note, interruptions=note.interruptions + 1)
            if note.interruptions > self.settings.job.interruptions:
                why = "the node died too often over it"
                self._fail(job, replace(note, error="Interrupted", detail=why))
                continue
            write_note(job, note)
            self.folders.move(job, "queued")
            self.log("warning", "requeued", {"study": note.key, "why": "the node had died"})

    def tick(self) -> None:
        """Everything that can be done now."""
        self.beat = time.monotonic()
        self._complete()
        self._collect()
        if self.running is None:
            self._start()
        tidy = self.beat - self._tidied > _TIDY_S
        if tidy or self.sent.is_set():
            self.sent.clear()
            self._finish_sent()
        if tidy:
            self._tidied = self.beat
            self._tidy()

    def stop(self) -> None:
        """Let the running study end within the time allowed, or put it back into the queue."""
        end = time.monotonic() + self.settings.stop_within_s
        while self.running is not None and time.monotonic() < end:
            self._collect()
            time.sleep(0.05)
        self.worker.kill()
        if self.running is not None:
            clear_result(self.running)
            self.folders.move(self.running, "queued")
            self.log("info", "requeued", {"study": self.running.name, "why": "stopping"})
            self.running = None

    def _complete(self) -> None:
        rule = self.settings.complete
        for job in self.folders.jobs("incoming"):
            if not (job / "images").is_dir() or _being_pulled(job):
                continue
            quiet = self.folders.age(job.name) >= rule.quiet_s
            enough = 0 < rule.instances <= sum(1 for _ in images(job))
            if not quiet and not enough:
                continue
            became = self.folders.complete(job.name)
            if became == "queued":
                self._count("complete")
                self.log("info", "complete", {"study": job.name})
            elif became == "known":
                self._count("known")
                self.log("info", "known", {"study": job.name})

    def _start(self) -> None:
        now = time.time()
        waiting = [(read_note(job), job) for job in self.folders.jobs("queued")]
        ready = [(note.received, job) for note, job in waiting if note.not_before <= now]
        if not ready:
            return
        self.running = self.folders.move(min(ready)[1], "processing")
        self._started = time.monotonic()
        clear_result(self.running)
        before = self.worker.starts
        self.worker.give(self.running / "images", self.running / "result")
        self.numbers.workers.inc(self.worker.starts - before)
        self.log("info", "started", {"study": self.running.name})

    def _collect(self) -> None:
        """Take the answer of the worker, and act on it; again next time if the disk refuses."""
        if self.running is None:
            return
        if self._answer is None:
            self._answer = self.worker.ask()
        limit = self.settings.job.timeout_s
        if self._answer is None and time.monotonic() - self._started > limit:
            self.worker.kill()
            self._answer = Answer("Timeout", f"not done within {limit:g} s")
        if self._answer is None:
            return
        self._act(self.running, self._answer)
        self.running = self._answer = None

    def _act(self, job: Path, answer: Answer) -> None:
        note = read_note(job)
        now = time.time()
        if not answer.error:
            write_note(job, replace(note, result=True, finished=now, seconds=answer.seconds))
            self.folders.move(job, "sending")
            self.sent.set()
            self._count("processed")
            self.numbers.seconds.observe(answer.seconds)
            self.log("info", "processed", {"study": job.name, "seconds": answer.seconds})
            return
        clear_result(job)
        tries = note.tries + 1
        pause = self.settings.job.again_after_s * 2 ** (tries - 1)
        note = replace(note, tries=tries, error=answer.error, detail=answer.detail)
        fields = {"study": job.name, "error": answer.error, "tries": tries}
        if answer.final or tries >= self.settings.job.tries:
            self._fail(job, note)
        else:
            write_note(job, replace(note, not_before=now + pause))
            self.folders.move(job, "queued")
            self._count("retried")
            self.log("warning", "try-again", fields)

    def _fail(self, job: Path, note: Note) -> None:
        write_note(job, replace(note, finished=time.time()))
        self.folders.move(job, "failed")
        self._count("failed")
        self.log("error", "failed", {"study": note.key, "error": note.error, "tries": note.tries})

    def _finish_sent(self) -> None:
        """Studies whose results are everywhere, or nowhere to be sent any more."""
        wanted = {target.name for target in self.settings.send}
        for job in self.folders.jobs("sending"):
            note = read_note(job)
            if note.error == "NotSent":
                self._fail(job, note)
            elif wanted <= set(note.sent):
                write_note(job, replace(note, finished=time.time()))
                self.folders.move(job, "done")
                self._count("done")
                self.log("info", "done", {"study": job.name})

    def _tidy(self) -> None:
        keep = self.settings.keep
        ends: tuple[tuple[State, float], ...] = (("done", keep.done_h), ("failed", keep.failed_h))
        for state, hours in ends:
            for name in self.folders.expire(state, hours * 3600):
                self.log("info", "removed", {"study": name, "from": state})
        self.room.look()
        self.numbers.used.set(self.room.used)
        self.numbers.free.set(self.room.free())
        for each in STATES:
            self.numbers.waiting.labels(each).set(len(self.folders.jobs(each)))

    def _count(self, outcome: str) -> None:
        self.numbers.studies.labels(outcome).inc()


def clear_result(job: Path) -> None:
    """Remove what a run that did not end left in a study's folder."""
    for rest in job.iterdir():
        if rest.name == "result" or rest.name.startswith("."):
            remove(rest)
    sync(job)


def _being_pulled(job: Path) -> bool:
    mark = job / PULLING
    return mark.exists() and time.time() - mark.stat().st_mtime < _PULL_GIVES_UP_S
