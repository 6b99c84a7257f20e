"""Pulling from archives that answer as some do; from a real one: test_orthanc."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import pytest

from burden.node import pull
from burden.node.folders import PULLING, Folders, key_of
from burden.node.intake import Intake
from burden.node.log import Log, make_numbers
from burden.node.room import Room
from burden.node.settings import Limits, Source

from .kit import tiny_study


class Paged:
    """An archive of studies that tells at most ``most`` of them at a time."""

    def __init__(self, studies: list[list[Any]], most: int) -> None:
        self.studies, self.most = {s[0].StudyInstanceUID: s for s in studies}, most

    def search_for_studies(self, search_filters: Any, offset: int | None = None) -> list[Any]:
        first = offset or 0
        uids = list(self.studies)[first : first + self.most]
        return [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids]

    def search_for_series(self, study: str) -> list[Any]:
        images = self.studies[study]
        said = {"00080060": ["CT"], "0020000E": [images[0].SeriesInstanceUID], "00201209": [len(images)]}
        return [{tag: {"Value": value} for tag, value in said.items()}]

    def iter_series(self, study: str, _series: str, **_more: Any) -> Any:
        return iter(self.studies[study])


@pytest.fixture
def puller_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(archive: Paged) -> pull.Puller:
        monkeypatch.setattr(pull, "client", lambda *_: archive)
        folders = Folders(tmp_path)
        (tmp_path / "pulled").mkdir()
        intake = Intake(folders, Room(tmp_path, Limits(free_gb=0)), 10**9)
        source = Source("in", "http://x")
        return pull.Puller(source, folders, intake, Log(io.StringIO()), make_numbers())

    return make


def test_a_picture_filed_under_ct_does_not_hold_up_its_study(puller_of: Any) -> None:
    """Scanners file pictures of the dose as secondary captures with the modality CT."""
    study = tiny_study("dose", 3)
    study[1].SOPClassUID = study[1].file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    puller = puller_of(Paged([study], 10))
    for _ in range(2):
        puller.round(threading.Event())
    job = puller.folders.root / "incoming" / key_of(study[0].StudyInstanceUID)
    assert len(list((job / "images").iterdir())) == 2
    assert not (job / PULLING).exists(), "it would wait for the rest of it"


def test_an_archive_that_tells_a_few_studies_at_a_time_is_asked_on(puller_of: Any) -> None:
    studies = [tiny_study(f"s{k}", 1) for k in range(7)]
    puller = puller_of(Paged(studies, 3))
    for _ in range(2):
        puller.round(threading.Event())
    assert len(puller.folders.jobs("incoming")) == 7
