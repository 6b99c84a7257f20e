"""No case name becomes a path: escaped, told apart, never too long."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burden.batch.names import MAX_LENGTH, check_names, folder_name
from burden.errors import UsageError

NASTY = [
    *("../../etc/passwd", "..", ".", "/abs", "a/b", "a\\b", "C:x", "CON", "nul.txt", "x.", " ", "~"),
    *("Müller^Änne", "a\0b", "a\nb", "%2F", "-rf", ".hidden", "x" * 300, "é" * 90, "\udcff", "*?<>|"),
]


@pytest.mark.parametrize("name", NASTY, ids=repr)
def test_a_nasty_name_is_one_harmless_part_of_a_path(name: str, tmp_path: Path) -> None:
    folder = folder_name(name)
    assert folder == Path(folder).name
    assert not folder.startswith(".")
    assert not folder.endswith(".")
    assert set(folder) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-%~")
    assert len(folder) <= MAX_LENGTH
    assert folder.split(".")[0].lower() not in ("con", "nul")
    (tmp_path / folder).mkdir()
    assert [path.name for path in tmp_path.iterdir()] == [folder]


@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
@settings(max_examples=300, deadline=None)
def test_two_names_never_share_a_folder(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_plain_names_stay_as_they_are() -> None:
    for name in ("P01", "case-7_b.v2", "0001"):
        assert folder_name(name) == name


@pytest.mark.parametrize("names", [["a", "a"], ["Case1", "case1"], ["a", " "], [""]])
def test_names_that_would_be_mixed_up_are_refused(names: list[str]) -> None:
    with pytest.raises(UsageError):
        check_names(names)
