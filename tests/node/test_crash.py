"""kill -9 at random moments over a queue of studies: nothing lost, nothing doubled, nothing half.

A handful of moments in the suite; ``BURDEN_CRASH_MOMENTS=120`` for a campaign. Each study is three
tiny images and the job is `cheap_job.py`, so that the moments fall everywhere: into arriving,
queueing, processing, sending, finishing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from .kit import Node, c_store, tiny_study, to_archive, until

STUDIES = 20
PACE = float(os.environ.get("BURDEN_CRASH_PACE", "2"))  # seconds of life at most


def send_all(node: Node, studies: list[Any], stored: set[str], stop: threading.Event) -> None:
    """A sender as hospitals have them: each image again until it was answered with success."""
    for study in studies:
        for image in study:
            while image.SOPInstanceUID not in stored and not stop.is_set():
                port = node.ports.get("dicom")
                try:
                    if port and c_store(port, [image]) == [0]:
                        stored.add(image.SOPInstanceUID)
                        continue
                except (ConnectionError, RuntimeError, AttributeError):
                    pass
                time.sleep(0.1)


def check_nothing_half(folder: Path) -> None:
    """Whatever the moment: what lies under its final name is whole."""
    import pydicom

    for state in ("incoming", "queued", "processing", "sending", "done", "failed"):
        for job in (folder / state).iterdir():
            for image in (job / "images").glob("*.dcm"):
                assert len(pydicom.dcmread(image).PixelData) == 128
            if state in ("sending", "done"):
                assert json.loads((job / "result" / "case.json").read_text())["images"] >= 1
                pydicom.dcmread(job / "result" / "dicom" / "sr.dcm")
                assert json.loads((job / "note.json").read_text())["result"] is True


def test_kill_9_at_random_moments(make_node: Any, make_archive: Any) -> None:
    moments = int(os.environ.get("BURDEN_CRASH_MOMENTS", "4"))
    seed = int(os.environ.get("BURDEN_CRASH_SEED", "1"))
    count = STUDIES if moments > 10 else 5
    rounds = max(1, moments // 40)  # a queue of 20 studies is through after some 40 starts
    where: Counter[str] = Counter()
    for number in range(rounds):
        studies = [tiny_study(f"crash{number}.{n}") for n in range(count)]
        archive = make_archive()
        node = make_node(
            send=to_archive(archive.port),
            complete={"quiet_s": 3600, "instances": 3},
            job={"interruptions": 1000},  # so many kills over so few studies is no ordinary life
        )
        where += kill_and_wait(node, studies, moments // rounds, seed + number)
        check_all_there(node, archive, studies)
        node.stop()
    print(f"\n{sum(where.values())} kills: {dict(where)}")


def kill_and_wait(node: Node, studies: list[Any], moments: int, seed: int) -> Counter[str]:
    """Send, kill and start again so often, then let it come to its end; where it was each time."""
    generator = random.Random(seed)  # noqa: S311 - moments, not secrets
    where: Counter[str] = Counter()
    stored: set[str] = set()
    stop = threading.Event()
    sender = threading.Thread(target=send_all, args=(node, studies, stored, stop))
    sender.start()
    try:
        for _ in range(moments):
            time.sleep(generator.uniform(0, PACE))
            where[what_it_did(node)] += 1
            node.ports = {}
            node.stop(signal.SIGKILL)
            check_nothing_half(node.folder)
            node.start(wait=generator.random() < 0.8)  # sometimes killed while it starts
        until(lambda: node.ports)
        sender.join(600)
        until(lambda: len(node.jobs("done")) >= len(studies) or node.jobs("failed"), 900)
    finally:
        stop.set()
        sender.join()
    return where


def what_it_did(node: Node) -> str:
    counts = node.counts()
    if node.process is None or not node.ports:
        return "starting"
    return next((s for s in ("processing", "sending", "incoming", "queued") if s in counts), "idle")


def check_all_there(node: Node, archive: Any, studies: list[list[Any]]) -> None:
    import pydicom

    counts = node.counts()
    # An image whose answer the kill cut off was sent twice, maybe after its study was done.
    for job in node.jobs("incoming"):
        (done,) = (node.folder / "done").glob(f"{job.name}.*")
        for image in (job / "images").iterdir():
            assert image.read_bytes() == (done / "images" / image.name).read_bytes()
    counts.pop("incoming", None)
    assert counts == {"done": len(studies)}, "0 lost, 0 doubled, none given up"
    found = set()
    for job in node.jobs("done"):
        kept = {pydicom.dcmread(p).SOPInstanceUID for p in (job / "images").iterdir()}
        found.add(frozenset(kept))
        assert json.loads((job / "result" / "case.json").read_text()) == {"images": len(kept)}
        assert not [p for p in job.iterdir() if p.name.startswith(".")]
    assert found == {frozenset(d.SOPInstanceUID for d in study) for study in studies}
    # One result object a study; sent again after a kill it is the same object, byte for byte.
    assert {uid: len(one) for uid, one in archive.studies.items()} == {
        study[0].StudyInstanceUID: 1 for study in studies
    }
    assert {len(one) for one in archive.contents.values()} == {1}


@pytest.mark.parametrize("number", [signal.SIGKILL])
def test_no_worker_outlives_its_node(make_node: Any, number: int) -> None:
    node = make_node()
    c_store(node.ports["dicom"], tiny_study("SLOW", 1))
    until(lambda: node.events("started"))
    children = f"/proc/{node.process.pid}/task/{node.process.pid}/children"
    (worker,) = Path(children).read_text().split()
    until(lambda: Path(f"/proc/{worker}/task/{worker}/children").read_text().split())
    (job,) = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    node.stop(number)
    until(lambda: not Path(f"/proc/{worker}").exists() and not Path(f"/proc/{job}").exists())
