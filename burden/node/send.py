"""Send results to the archives, again and again until they have them.

Results keep their SOP Instance UIDs, so that sending twice what had arrived adds nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from burden.node.folders import Folders, read_note, write_note
from burden.node.log import Log, Numbers
from burden.node.settings import Kind, Retry, Target

CLASSES: dict[str, Kind] = {
    "1.2.840.10008.5.1.4.1.1.66.4": "seg",
    "1.2.840.10008.5.1.4.1.1.66.7": "seg",  # label map
    "1.2.840.10008.5.1.4.1.1.88.11": "sr",
    "1.2.840.10008.5.1.4.1.1.88.22": "sr",
    "1.2.840.10008.5.1.4.1.1.88.33": "sr",
    "1.2.840.10008.5.1.4.1.1.88.34": "sr",
    "1.2.840.10008.5.1.4.1.1.7": "sc",
    "1.2.840.10008.5.1.4.1.1.7.2": "sc",
    "1.2.840.10008.5.1.4.1.1.7.4": "sc",
    "1.2.840.10008.5.1.4.1.1.104.1": "report",
}
"""What a result object is, by its SOP class."""


class UnreachableError(Exception):
    """The archive is not there, or does not talk to us; it concerns every study."""


class RefusedError(Exception):
    """The archive was there and refused something of this study."""


Deliver = Callable[[Target, Sequence[Path]], None]


@dataclass
class Sender:
    """Sends to one target, in a thread of its own: an archive that is down holds up no other."""

    target: Target
    retry: Retry
    folders: Folders
    deliver: Deliver
    log: Log
    numbers: Numbers
    news: threading.Event  # tells the schedule that a note has changed
    notes: threading.Lock  # between the senders
    down_since: float = 0.0  # 0: it answers
    _pause: float = 0.0
    _not_before: float = 0.0
    _jobs: dict[str, tuple[float, float]] = field(default_factory=dict)  # pause, not before

    def run(self, stop: threading.Event) -> None:
        """Until told to stop, look for studies to send."""
        while not stop.wait(0.25):
            try:
                self.round(stop)
            except Exception as error:  # a disk that is full must not end the sender
                self.log("error", "sender", {"error": type(error).__name__, "to": self.target.name})
                stop.wait(self.retry.first_s)

    def round(self, stop: threading.Event) -> None:
        """Try every study that is due."""
        for job in self.folders.jobs("sending"):
            now = time.time()
            if stop.is_set() or now < self._not_before:
                return
            note = read_note(job)
            due = now >= self._jobs.get(job.name, (0.0, 0.0))[1]
            if self.target.name not in note.sent and note.error != "NotSent" and due:
                self._one(job, now)

    def _one(self, job: Path, now: float) -> None:
        try:
            self.deliver(self.target, objects(job / "result", self.target.objects))
        except UnreachableError as error:
            self.down_since = self.down_since or now
            self._pause = self._longer(self._pause)
            self._not_before = time.time() + self._pause
            self._failed(job, "unreachable", str(error), self._pause)
            return
        except RefusedError as error:
            pause = self._longer(self._jobs.get(job.name, (0.0, 0.0))[0])
            self._jobs[job.name] = (pause, time.time() + pause)
            self._failed(job, "refused", str(error), pause)
            return
        self.down_since = self._pause = 0.0
        self._jobs.pop(job.name, None)
        with self.notes:
            note = read_note(job)
            write_note(job, replace(note, sent=(*note.sent, self.target.name)))
        self.numbers.sent.labels(self.target.name, "sent").inc()
        self.log("info", "sent", {"study": job.name, "to": self.target.name})
        self.news.set()

    def _longer(self, pause: float) -> float:
        return min(self.retry.most_s, max(self.retry.first_s, 2 * pause))

    def _failed(self, job: Path, outcome: str, why: str, pause: float) -> None:
        self.numbers.sent.labels(self.target.name, outcome).inc()
        fields = {"study": job.name, "to": self.target.name, "why": why, "again_in_s": round(pause, 1)}
        self.log("warning", outcome, fields)
        with self.notes:
            note = read_note(job)
            if time.time() - note.finished > self.retry.give_up_h * 3600:
                detail = f"{self.target.name}: {why}"
                write_note(job, replace(note, error="NotSent", detail=detail))
                self.news.set()


def objects(result: Path, kinds: Sequence[Kind]) -> list[Path]:
    """The DICOM objects of a result that a target wants; what is none of the known kinds goes too."""
    from pydicom import dcmread

    found = []
    for path in sorted((result / "dicom").rglob("*.dcm")):
        head = dcmread(path, specific_tags=["SOPClassUID"], stop_before_pixels=True)
        kind = CLASSES.get(str(head.SOPClassUID))
        if kind is None or kind in kinds:
            found.append(path)
    return found
