"""The queue survives an end at every single step of every move."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from burden.node import folders as module
from burden.node.folders import Folders, Note, key_of, name_of, read_note, write_note
from burden.node.intake import Intake, is_uid
from burden.node.log import Log, make_numbers
from burden.node.room import Room
from burden.node.schedule import Schedule
from burden.node.settings import Complete, Keep, Limits, Settings, Work
from burden.node.worker import Answer

from .kit import as_bytes, tiny_study

KEY = key_of("1.2.3")


class Cut(BaseException):
    """The power went."""


@contextmanager
def power_for(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Every change of the file system counts as a step; after so many nothing happens any more."""
    used = [0]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if used[0] >= steps:
                raise Cut
            used[0] += 1
            return function(*args, **kwargs)

        return call

    with monkeypatch.context() as patch:
        for name in ("rename", "mkdir", "unlink", "touch"):
            patch.setattr(Path, name, counted(getattr(Path, name)))
        for name in ("link", "unlink", "rmdir"):
            patch.setattr(os, name, counted(getattr(os, name)))
        patch.setattr(os, "fsync", counted(lambda _handle: None))  # a step, but not a slow one
        yield used


class Instant:
    """A worker that has the result at once."""

    starts = 0

    def give(self, images: Path, out: Path) -> None:
        part = out.with_name(".result.part")
        part.mkdir()
        names = sorted(p.name for p in images.iterdir())
        (part / "case.json").write_text(" ".join(names))
        part.rename(out)

    def ask(self) -> Answer:
        return Answer(seconds=1.0)

    def kill(self) -> None:
        pass


def schedule_of(root: Path, worker: Any = None) -> Schedule:
    settings = Settings(root, complete=Complete(0.0), job=Work(interruptions=1000),
                        limits=Limits(free_gb=0), stop_within_s=0)  # fmt: skip
    folders = Folders(root)
    room, log = Room(root, settings.limits), Log(io.StringIO())
    return Schedule(settings, folders, room, worker or Instant(), log, make_numbers())


def life(root: Path, answered: set[str], names: tuple[str, ...]) -> None:
    """A node's life: start, take in what was not yet answered, do all of it."""
    schedule = schedule_of(root)
    schedule.recover()
    for name in names:
        if name not in answered:
            schedule.folders.put(KEY, name, name.encode() * 50)
            answered.add(name)
    for _ in range(4):
        schedule.tick()
        schedule._tidied = -1000.0


def test_the_power_may_go_at_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First three images, then a fourth that joins them: cut after each number of steps."""
    steps, cuts = 0, 0
    while True:
        root = tmp_path / str(steps)
        answered: set[str] = set()
        try:
            with power_for(steps, monkeypatch):
                life(root, answered, ("a", "b", "c"))
                life(root, answered, ("a", "b", "c", "d"))
            cut = False
        except Cut:
            cut = True
            cuts += 1
        early = set(answered)
        for _ in range(2):
            life(root, answered, ("a", "b", "c", "d"))
        jobs = [p for state in module.STATES for p in (root / state).iterdir()]
        assert {p.parent.name for p in jobs} == {"done"}, steps
        last = max(jobs, key=lambda p: int(p.name.partition(".")[2]))
        for image in (last / "images").iterdir():
            assert image.read_bytes() == image.name.encode() * 50
        assert (last / "result" / "case.json").read_text() == "a b c d", f"cut at {steps}, {early}"
        assert len(jobs) <= 2
        if not cut:
            break
        steps += 1
    assert cuts > 60


def test_put_is_there_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for steps in range(20):
        folders = Folders(tmp_path / str(steps))
        with power_for(steps, monkeypatch), suppress(Cut):
            folders.put(KEY, "a", b"x" * 100)
        found = list((folders.root / "incoming").rglob("a"))
        assert [p.read_bytes() for p in found] in ([], [b"x" * 100])
    assert found


def test_contents_reach_the_disk_before_their_name_and_that_before_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = Folders(tmp_path)
    done: list[str] = []
    fsync, rename = os.fsync, Path.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append(seen(handle)), fsync(handle)))
    monkeypatch.setattr(Path, "rename", lambda a, b: (done.append("rename"), rename(a, b))[1])

    def seen(handle: int) -> str:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        return path.parent.name if path.is_file() else path.relative_to(tmp_path).parts[0]

    folders.put(KEY, "a", b"x")
    assert done == ["tmp", "rename", "incoming", "incoming", "incoming"]
    done.clear()
    folders.complete(KEY)
    assert done == ["tmp", "rename", "incoming", "rename", "queued", "incoming"]


def test_note_is_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Folders(tmp_path)
    job = tmp_path / "sending" / KEY
    job.mkdir()
    write_note(job, Note(KEY, tries=1))
    for steps in range(6):
        with power_for(steps, monkeypatch), suppress(Cut):
            write_note(job, Note(KEY, tries=2, sent=("a",)))
        assert read_note(job).tries in (1, 2)
        assert [p.name for p in job.iterdir()] == ["note.json"], "no litter in the study's folder"
    assert read_note(job) == Note(KEY, tries=2, sent=("a",))


@pytest.mark.parametrize("text", ["", "[]", "{", '{"key": 3, "unknown": 1}', '{"sent": 5}'])
def test_damaged_note_is_an_empty_one(tmp_path: Path, text: str) -> None:
    job = tmp_path / f"{KEY}.3"
    job.mkdir()
    (job / "note.json").write_text(text)
    assert read_note(job).tries == 0


def test_a_study_whose_runs_are_always_cut_off_is_given_up(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.put(KEY, "a", b"x")
    folders.complete(KEY)
    folders.move(tmp_path / "queued" / KEY, "processing")
    for _ in range(3):
        schedule = schedule_of(tmp_path)
        schedule.settings = replace(schedule.settings, job=Work(interruptions=2))
        schedule.recover()
        for job in folders.jobs("queued"):
            folders.move(job, "processing")
    (job,) = folders.jobs("failed")
    assert read_note(job).error == "Interrupted"


def test_study_waits_while_an_earlier_run_of_it_is_on(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    folders.put(KEY, "a", b"x")
    folders.complete(KEY)
    folders.put(KEY, "b", b"y")
    assert folders.complete(KEY) == "queued"  # joins
    assert {p.name for p in (tmp_path / "queued" / KEY / "images").iterdir()} == {"a", "b"}
    folders.move(tmp_path / "queued" / KEY, "processing")
    folders.put(KEY, "c", b"z")
    assert folders.complete(KEY) == "wait"
    assert (tmp_path / "incoming" / KEY / "images" / "c").exists()


def test_done_and_failed_are_removed_in_time(tmp_path: Path) -> None:
    schedule = schedule_of(tmp_path)
    schedule.settings = replace(schedule.settings, keep=Keep(done_h=0.0, failed_h=1.0))
    for state in ("done", "failed"):
        job = tmp_path / state / f"{KEY}.1"
        (job / "images").mkdir(parents=True)
        write_note(job, Note(KEY, finished=1.7e9 if state == "done" else 4e9))
    schedule.tick()
    assert schedule.folders.jobs("done") == []
    assert len(schedule.folders.jobs("failed")) == 1
    assert not list((tmp_path / "tmp").iterdir())


def test_names_come_from_hashes_alone() -> None:
    for text in ("1.2.840", "../x", "", "a/b", "\x00", "ü" * 99):
        assert set(key_of(text)) <= set("0123456789abcdef")
        assert set(name_of(text).removesuffix(".dcm")) <= set("0123456789abcdef")
    assert len({key_of("1.2"), key_of("1.20"), key_of("1.2 ")}) == 3


@pytest.mark.parametrize(
    ("text", "good"),
    [("1.2.840.10008", True), ("2.25." + "1" * 59, True), ("1.02", True), ("1", True),
     ("", False), ("1..2", False), (".1", False), ("1.", False), ("1.2a", False), ("1.2\n", False),
     ("1" * 65, False)],
)  # fmt: skip
def test_uid(text: str, good: bool) -> None:
    assert is_uid(text) is good


def test_room_counts_what_is_being_written(tmp_path: Path) -> None:
    room = Room(tmp_path, Limits(folder_gb=1000e-9, free_gb=0))
    with room.for_bytes(600) as first, room.for_bytes(600) as second:
        assert (first, second) == (True, False)
    assert room.used == 600
    assert not room.enough(500)
    room.look()
    assert room.enough(1000)
    assert not Room(tmp_path, Limits(free_gb=1e6)).enough()


def test_every_header_cut_short_is_refused_or_stored_whole(tmp_path: Path) -> None:
    folders = Folders(tmp_path)
    intake = Intake(folders, Room(tmp_path, Limits(free_gb=0)), 10**6)
    content = as_bytes(tiny_study("x", 1)[0])
    uid_ends = content.index(b"\x08\x00\x18\x00") + 100
    for length in range(0, uid_ends, 7):
        taken = intake.take(content[:length])
        assert taken.status == 0xC000 or taken.key
    assert intake.take(content).status == 0


def test_a_full_disk_is_out_of_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = Folders(tmp_path)
    intake = Intake(folders, Room(tmp_path, Limits(free_gb=0)), 10**6)

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    taken = intake.take(as_bytes(tiny_study("x", 1)[0]))
    assert (taken.status, taken.why) == (0xA700, "disk-full")
    assert not list((tmp_path / "tmp").iterdir())
