"""Both doors of a running node: what comes in, what is answered, what is on the disk then."""

from __future__ import annotations

import json
from typing import Any

from .kit import c_store, tiny_study, to_archive


def test_study_goes_through_to_the_archive(make_node: Any, make_archive: Any) -> None:
    archive = make_archive()
    node = make_node(send=to_archive(archive.port))
    study = tiny_study("one")
    assert c_store(node.ports["dicom"], study) == [0, 0, 0]
    (job,) = node.done()
    assert list(archive.studies) == [study[0].StudyInstanceUID]
    assert set(archive.got.values()) == {1}
    note = json.loads((job / "note.json").read_text())
    assert note["sent"] == ["pacs"]
    assert node.counts() == {"done": 1}
