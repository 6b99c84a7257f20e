"""OUT appears whole or not at all, and nothing that is not ours is ever replaced."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from burden import write
from burden.case import Case
from burden.errors import OutputError
from burden.write import check_out, write_case


@pytest.fixture
def case(case_of: Callable[[str], Case]) -> Case:
    return case_of("healthy")


def only(folder: Path, *names: str) -> bool:
    return sorted(p.name for p in folder.iterdir()) == sorted(names)


def failing(error: Exception) -> Callable[[Case, Path], None]:
    def writer(_case: Case, folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise error

    return writer


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EACCES, "no permission"),
     (errno.EDQUOT, "quota"), (errno.EIO, "Input/output error")],
)  # fmt: skip
@pytest.mark.parametrize("existing", [False, True])
def test_a_failing_write_leaves_everything_as_it_was(
    number: int, words: str, existing: bool, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    if existing:
        write_case(case, out, writers=["record"])
        before = (out / "case.json").read_bytes()
    monkeypatch.setitem(write.WRITERS, "page", failing(OSError(number, os.strerror(number))))
    with pytest.raises(OutputError) as caught:
        write_case(case, out, force=True)
    assert words in str(caught.value)
    assert str(out) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert only(tmp_path, *(["out"] if existing else []))
    if existing:
        assert (out / "case.json").read_bytes() == before
        assert only(out, "case.json")


def test_a_bug_in_a_writer_leaves_nothing_either(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(write.WRITERS, "page", failing(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        write_case(case, tmp_path / "new" / "deep" / "out")
    assert not list(tmp_path.iterdir()), "the parents made on the way are gone too"


@contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """A small file system of its own, where we may mount one."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip(f"NOT TESTED on a real file system ({options}): no permission to mount one here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_real_full_disk(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        with pytest.raises(OutputError, match="the disk is full"):
            write_case(case_of("bilobar"), disk / "out")
        assert not list(disk.iterdir())


def test_a_real_read_only_disk(case: Case, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "ro,size=64k") as disk:
        for attempt in (check_out, lambda out: write_case(case, out)):
            with pytest.raises(OutputError, match="read-only"):
                attempt(disk / "out")


def test_parents_are_made(case: Case, tmp_path: Path) -> None:
    write_case(case, tmp_path / "a" / "b" / "out", writers=["record"])
    assert only(tmp_path / "a" / "b", "out")


def test_existing_is_refused_without_force(case: Case, tmp_path: Path) -> None:
    write_case(case, tmp_path / "out", writers=["record"])
    for attempt in (check_out, lambda out: write_case(case, out)):
        with pytest.raises(OutputError, match="--force"):
            attempt(tmp_path / "out")


def test_force_replaces_the_whole_folder(case: Case, tmp_path: Path) -> None:
    write_case(case, tmp_path / "out")
    assert (tmp_path / "out" / "report.html").exists()
    write_case(case, tmp_path / "out", force=True, writers=["record"])
    assert only(tmp_path / "out", "case.json")
    assert only(tmp_path, "out")


def test_an_empty_folder_may_be_filled(case: Case, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    write_case(case, tmp_path / "out", writers=["record"])
    assert only(tmp_path / "out", "case.json")


@pytest.mark.parametrize("name", ["thesis.docx", "case.json"])
@pytest.mark.parametrize("text", ["", "{}", '{"schema": "other/1"}', "[1]"])
def test_a_foreign_folder_is_never_replaced(name: str, text: str, case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text(text)
    with pytest.raises(OutputError, match="not written by burden"):
        write_case(case, out, force=True)
    assert (out / name).read_text() == text


def test_a_stranger_among_our_files_saves_the_folder(case: Case, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_case(case, out)
    (out / "masks" / "corrected by me.nii.gz").write_text("hours of work")
    with pytest.raises(OutputError, match=r"masks/corrected by me\.nii\.gz"):
        write_case(case, out, force=True)
    assert (out / "masks" / "corrected by me.nii.gz").exists()


def test_a_file_is_never_replaced(case: Case, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="a file, not a folder"):
        write_case(case, tmp_path / "out", force=True)
    with pytest.raises(OutputError):
        write_case(case, tmp_path / "out" / "below")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.skipif(
    os.geteuid() == 0, reason="NOT TESTED on a read-only folder: root may write anywhere"
)
def test_a_read_only_parent(case: Case, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        for attempt in (check_out, lambda out: write_case(case, out)):
            with pytest.raises(OutputError, match="no permission"):
                attempt(tmp_path / "out")
    finally:
        tmp_path.chmod(0o700)


def test_a_parent_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(OutputError, match="no permission"):
        check_out(tmp_path / "out")


def test_a_symlink_is_followed(case: Case, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_case(case, tmp_path / "link", writers=["record"])
    assert (tmp_path / "link").is_symlink()
    assert only(tmp_path / "real", "case.json")
