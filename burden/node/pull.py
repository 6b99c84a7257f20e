"""Ask an archive for new studies (QIDO-RS) and fetch them (WADO-RS).

A study is fetched when two questions in a row found the same number of images, so that one
which is still arriving there is left alone. What was fetched is remembered in ``pulled/``, one
small file a study; one with more images than remembered is fetched again.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
import uuid
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from burden.node.dicomweb import client
from burden.node.folders import Folders, key_of, sync
from burden.node.intake import Intake
from burden.node.log import Log, Numbers
from burden.node.settings import Source

_MODALITIES = {"CT", "MR"}
Counts = dict[str, int]  # images of each series, by a hash of its UID


@dataclass
class Puller:
    """Looks at one source, in a thread of its own."""

    source: Source
    folders: Folders
    intake: Intake
    log: Log
    numbers: Numbers
    _last: dict[str, Counts] = field(default_factory=dict)

    def run(self, stop: threading.Event) -> None:
        """Until told to stop, look every so often."""
        (self.folders.root / "pulled").mkdir(exist_ok=True)
        while not stop.is_set():
            try:
                self.round(stop)
            except Exception as error:  # an archive that is down today is there tomorrow
                self.numbers.pulled.labels(self.source.name, "unreachable").inc()
                fields = {"from": self.source.name, "error": type(error).__name__}
                self.log("warning", "pull-failed", fields)
            stop.wait(self.source.every_s)

    def round(self, stop: threading.Event) -> None:
        """Look once, and fetch what is new and complete."""
        archive = client(self.source.url, self.source.token_file, self.source.tls)
        first = date.today() - timedelta(days=self.source.days)
        asked = {"StudyDate": f"{first:%Y%m%d}-"}
        asked |= dict(one.split("=", 1) for one in self.source.filters)
        seen: dict[str, Counts] = {}
        for uid in _studies(archive, asked):
            key = key_of(uid)
            series = _series(archive, uid)
            counts = {_hash(one): number for one, number in series.items()}
            seen[key] = counts
            if stop.is_set() or not counts or counts == self._remembered(key):
                continue
            if self._last.get(key) == counts:
                self._fetch(archive, uid, list(series), counts)
        self._last = seen

    def _fetch(self, archive: Any, study: str, series: list[str], counts: Counts) -> None:
        """All series of a study; it is not complete before the last one is here."""
        key = key_of(study)
        self.folders.hold(key)
        for one in series:
            for data in archive.iter_series(study, one, media_types=(("application/dicom", "*"),)):
                taken = self.intake.take(_encoded(data))
                if taken.why == "not-an-image":
                    continue  # scanners file pictures of the dose under CT
                if not taken.key:
                    self.numbers.refused.labels("pull", taken.why).inc()
                    self.numbers.pulled.labels(self.source.name, "refused").inc()
                    self.log("warning", "pull-refused", {"study": key, "why": taken.why})
                    return
                self.numbers.received.labels("pull").inc()
        # In this order: cut off in between, it is fetched again, and found to be known.
        self.folders.release(key)
        self._remember(key, counts)
        self.numbers.pulled.labels(self.source.name, "fetched").inc()
        self.log("info", "pulled", {"study": key, "from": self.source.name})

    def _file(self, key: str) -> Path:
        return self.folders.root / "pulled" / f"{_hash(self.source.url)}.{key}.json"

    def _remembered(self, key: str) -> Counts | None:
        try:
            found: Counts = json.loads(self._file(key).read_text())
        except (OSError, ValueError):
            return None
        return found

    def _remember(self, key: str, counts: Counts) -> None:
        part = self.folders.root / "tmp" / uuid.uuid4().hex
        part.write_text(json.dumps(counts))
        part.rename(self._file(key))
        sync(self._file(key).parent)


def _studies(archive: Any, asked: dict[str, str]) -> list[str]:
    """UIDs of all studies that match; an archive may answer with so many at a time."""
    found: dict[str, None] = {}
    while True:
        page = archive.search_for_studies(search_filters=asked, offset=len(found) or None)
        new = [uid for one in page if (uid := _value(one, "0020000D")) not in found]
        if not new:
            return list(found)
        found |= dict.fromkeys(new)


def _series(archive: Any, study: str) -> Counts:
    """Number of images of each series that can be measured in, by series UID."""
    found: Counts = {}
    for one in archive.search_for_series(study):
        if _value(one, "00080060") in _MODALITIES:
            found[_value(one, "0020000E")] = int(_value(one, "00201209") or 0)
    return found


def _value(item: Any, tag: str) -> str:
    return str((item.get(tag, {}).get("Value") or [""])[0])


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _encoded(data: Any) -> bytes:
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
