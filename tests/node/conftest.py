"""Nodes and archives that a test starts, and that end with it."""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from .kit import CHEAP_JOB, Archive, Node

COMMAND = [sys.executable, str(CHEAP_JOB), "{images}", "{out}"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """pynetdicom's client leaves its socket to the garbage collector when the other side dies."""
    for item in items:
        if item.path.parent == CHEAP_JOB.parent:
            item.add_marker(
                pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
            )


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    """Sockets that the client left are collected here, not in somebody else's test."""
    log = logging.getLogger("pynetdicom")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)  # a kept log record keeps the socket of its traceback
    yield
    log.setLevel(level)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Start a node; keyword arguments are sections of its settings."""
    yield from nodes(tmp_path)


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Node]]:
    """One node with the usual settings for the tests of a module that leave it as it was."""
    for make in nodes(tmp_path_factory.mktemp("shared")):
        yield cache(make)


def nodes(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """`make_node`, and the end of all that it made."""
    made: list[Node] = []

    def make(start: bool = True, **sections: Any) -> Node:
        place = tmp_path / f"node{len(made)}"
        place.mkdir()
        settings: dict[str, Any] = {
            "folder": "queue",
            "dicom": {"port": 0, "peers": [{"ae_title": "TESTER", "address": "127.0.0.1"}]},
            "http": {"port": 0},
            "complete": {"quiet_s": 0.5},
            "job": {"command": COMMAND, "again_after_s": 0.2},
            "retry": {"first_s": 0.2, "most_s": 1},
            "limits": {"free_gb": 0},
            "stop_within_s": 20,
        }  # fmt: skip
        for name, value in sections.items():
            old = settings.get(name)
            settings[name] = {**old, **value} if isinstance(old, dict) and value else value
        config = place / "node.yaml"
        config.write_text(yaml.safe_dump({k: v for k, v in settings.items() if v is not None}))
        node = Node(place / settings["folder"], config)
        made.append(node)
        return node.start() if start else node

    yield make
    for node in made:
        node.close()


@pytest.fixture
def make_archive() -> Iterator[Callable[..., Archive]]:
    """Start an archive (pynetdicom) at a port; 0 for any."""
    from pynetdicom import AE, AllStoragePresentationContexts, evt

    made: list[Archive] = []

    def make(port: int = 0) -> Archive:
        archive = Archive(port)

        def store(event: Any) -> int:
            if archive.status:
                return archive.status
            data = event.dataset
            uid = str(data.SOPInstanceUID)
            archive.got[uid] += 1
            archive.studies.setdefault(str(data.StudyInstanceUID), set()).add(uid)
            archive.contents.setdefault(uid, set()).add(event.encoded_dataset())
            return 0

        ae = AE("ARCHIVE")
        ae.supported_contexts = AllStoragePresentationContexts
        handlers = [(evt.EVT_C_STORE, store)]
        archive.server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
        archive.port = archive.server.server_address[1]
        made.append(archive)
        return archive

    yield make
    for archive in made:
        archive.server.shutdown()
