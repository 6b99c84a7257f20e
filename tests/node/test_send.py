"""Sending: pauses grow, one target or one study that is refused holds up no other, an end comes."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from burden.node.folders import Folders, Note, key_of, read_note, write_note
from burden.node.log import Log, make_numbers
from burden.node.send import RefusedError, Sender, UnreachableError, objects
from burden.node.send_dicom import send_dicom
from burden.node.settings import Retry, Target, Work
from burden.node.worker import do

from .kit import save, tiny_study


def sender_of(folders: Folders, deliver: Any, **retry: float) -> Sender:
    target = Target("pacs", "dicom", "h", 1, "A")
    return Sender(target, Retry(**retry), folders, deliver, Log(io.StringIO()), make_numbers(),
                  threading.Event(), threading.Lock())  # fmt: skip


def waiting(folders: Folders, *names: str, finished: float | None = None) -> None:
    for name in names:
        job = folders.root / "sending" / key_of(name)
        save(tiny_study(name, 1), job / "result" / "dicom")
        write_note(job, Note(job.name, finished=finished or time.time(), result=True))


def test_pauses_double_up_to_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = Folders(tmp_path)
    waiting(folders, "a")
    now = [time.time()]
    monkeypatch.setattr(time, "time", lambda: now[0])
    tried: list[float] = []

    def down(_target: Target, _files: Any) -> None:
        tried.append(now[0])
        raise UnreachableError("down")

    sender = sender_of(folders, down, first_s=5, most_s=30)
    for _ in range(120):
        sender.round(threading.Event())
        now[0] += 1
    pauses = [b - a for a, b in pairwise(tried)]
    assert pauses[:5] == [5, 10, 20, 30, 30]
    assert sender.down_since == tried[0]


def test_a_refused_study_holds_up_no_other(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    waiting(folders, "a", "b", "c")
    bad = key_of("b")
    calls: list[str] = []

    def picky(_target: Target, files: list[Path]) -> None:
        name = files[0].parents[2].name
        calls.append(name)
        if name == bad:
            raise RefusedError("no")

    sender = sender_of(folders, picky, first_s=60)
    for _ in range(3):
        sender.round(threading.Event())
    assert sorted(calls) == sorted(map(key_of, "abc")), "each once: two sent, one waits"
    sent = {job.name for job in folders.jobs("sending") if read_note(job).sent == ("pacs",)}
    assert sent == {key_of("a"), key_of("c")}
    assert sender.news.is_set()


def test_sending_ends_some_day(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    waiting(folders, "old", finished=time.time() - 7200)
    waiting(folders, "new")

    def down(_target: Target, _files: Any) -> None:
        raise RefusedError("status 0xA700")

    sender_of(folders, down, give_up_h=1).round(threading.Event())
    notes = {job.name: read_note(job) for job in folders.jobs("sending")}
    assert notes[key_of("old")].error == "NotSent"
    assert "pacs: status 0xA700" in notes[key_of("old")].detail
    assert notes[key_of("new")].error == ""

    from .test_folders import schedule_of

    schedule = schedule_of(tmp_path)
    schedule.settings = replace(schedule.settings, send=(Target("pacs", "dicom"),))
    schedule.tick()
    (job,) = folders.jobs("failed")
    assert (job / "result" / "dicom" / "0.dcm").exists(), "the results are kept"
    assert [j.name for j in folders.jobs("sending")] == [key_of("new")]


def test_only_wanted_objects_are_sent(tmp_path: Path) -> None:
    kinds = {"seg": "66.4", "sr": "88.34", "sc": "7", "report": "104.1", "odd": "999"}
    for name, number in kinds.items():
        (one,) = tiny_study(name, 1)
        one.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{number}"
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
        (tmp_path / "dicom").mkdir(exist_ok=True)
        one.save_as(tmp_path / "dicom" / f"{name}.dcm", enforce_file_format=True)
    assert [p.stem for p in objects(tmp_path, ("seg", "sr"))] == ["odd", "seg", "sr"]
    assert [p.stem for p in objects(tmp_path, ())] == ["odd"]
    assert objects(tmp_path / "nothing", ("seg",)) == []


def test_an_archive_that_knows_little_gets_what_it_knows(tmp_path: Path) -> None:
    """One that wants no SEG and speaks the default transfer syntax alone still gets the others."""
    from pynetdicom import AE, evt

    made = [tiny_study(name, 1)[0] for name in ("a", "b", "c")]
    for one, number in zip(made, ("104.1", "66.4", "88.34"), strict=True):
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.{number}"
    files = sorted(save(made, tmp_path / "dicom").iterdir())
    got = []

    def store(event: Any) -> int:
        got.append((str(event.dataset.SOPClassUID), str(event.context.transfer_syntax)))
        return 0xA900 if event.dataset.SOPClassUID == made[0].SOPClassUID else 0

    ae = AE("ARCHIVE")
    for number in ("104.1", "88.34"):
        ae.add_supported_context(f"1.2.840.10008.5.1.4.1.1.{number}", "1.2.840.10008.1.2")
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        target = Target("pacs", "dicom", "127.0.0.1", server.server_address[1], "ARCHIVE")
        with pytest.raises(RefusedError) as caught:
            send_dicom(target, files, "BURDEN")
    finally:
        server.shutdown()
    assert got == [(made[k].SOPClassUID, "1.2.840.10008.1.2") for k in (0, 2)]
    assert "status 0xA900" in str(caught.value)
    assert "Segmentation Storage is not accepted" in str(caught.value)


def test_worker_tells_what_a_further_try_would_not_mend(tmp_path: Path) -> None:
    images = save(tiny_study("x", 2), tmp_path / "images")
    answer = do(images, tmp_path / "out", Work(draws=0))
    assert (answer.error, answer.final) != ("", False)
    assert answer.error
    assert answer.final, answer
    assert not (tmp_path / "out").exists()
    for code, final in ((3, True), (5, True), (1, False), (4, False), (6, False)):
        answer = do(images, tmp_path / "out", Work(command=("/bin/sh", "-c", f"exit {code}")))
        assert answer.final is final, code
    assert do(images, tmp_path / "out", Work(command=("/no/such/program",))).final
    assert do(images, tmp_path / "out", Work(command=("/bin/true",))).error == "OutputError"
