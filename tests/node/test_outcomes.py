"""The table of outcomes in docs/node.md: every row happens here to a running node.

Each function brings one row about, asserts what becomes of the studies, and returns what the
sender was told; the table must say exactly that.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .kit import Node, as_bytes, c_store, multipart, tiny_study, to_archive, until

DOCS = Path(__file__).resolve().parents[2] / "docs" / "node.md"
OUTCOMES: dict[str, Callable[[Any], str]] = {}


def row(text: str) -> Callable[[Callable[[Any], str]], Callable[[Any], str]]:
    def note(function: Callable[[Any], str]) -> Callable[[Any], str]:
        OUTCOMES[text] = function
        return function

    return note


class Set:
    """What a row may start."""

    def __init__(self, make_node: Any, shared: Any, make_archive: Any, folder: Path) -> None:
        self.node, self.shared, self.archive, self.folder = make_node, shared, make_archive, folder


def told(statuses: list[int]) -> str:
    return " ".join(f"status 0x{one:04X}" for one in sorted(set(statuses)))


def still_works(node: Any) -> None:
    before = len(node.jobs("done"))
    assert c_store(node.ports["dicom"], tiny_study(f"afterwards{before}", 1)) == [0]
    node.done(before + 1)


def rejection(call: Callable[[], Any]) -> str:
    with pytest.raises(ConnectionError) as caught:
        call()
    result, source, diagnostic = caught.value.args[0]
    kind = {1: "permanent", 2: "transient"}[result]
    why = {(1, 3): "calling AE title not recognized", (1, 7): "called AE title not recognized",
           (3, 2): "local limit exceeded"}[(source, diagnostic)]  # fmt: skip
    return f"rejected, {kind}: {why}"


def raw(node: Any, data: bytes, wait: float = 20) -> bytes:
    """What a plain connection that sends ``data`` gets back first; b"" if it is closed."""
    with socket.create_connection(("127.0.0.1", node.ports["dicom"]), timeout=wait) as line:
        got = b""
        try:
            line.sendall(data)
            got = line.recv(4096)
        except ConnectionError:
            pass
        return got


@row("the folder has reached `folder_gb`, or the disk `free_gb`")
def no_room(s: Set) -> str:
    node = s.node(limits={"folder_gb": 30e-6, "free_gb": 0}, keep={"done_h": 1})
    port = node.ports["dicom"]
    answers = Counter(c_store(port, tiny_study("first", 12, size=48)))
    assert answers.keys() == {0, 0xA700}
    body, kind = multipart([as_bytes(tiny_study("stow", 1, size=120)[0])])
    assert node.http("/dicom-web/studies", body, Content_Type=kind)[0] == 503
    (job,) = node.done()
    assert len(list((job / "images").iterdir())) == answers[0], "what was accepted is kept"
    assert not list((node.folder / "tmp").iterdir())
    return told([one for one in answers if one])


@row("the disk is full all the same")
def disk_full(s: Set) -> str:
    disk = s.folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("NOT CHECKED: no right to mount a small disk")
    try:
        node = s.node(folder=str(disk / "queue"))
        study = tiny_study("big", 4, size=240)
        answers = c_store(node.ports["dicom"], study)
        assert answers[0] == 0
        until(lambda: not list((node.folder / "tmp").iterdir()))
        stored = sum(1 for one in answers if one == 0)
        kept = [p for p in node.folder.rglob("images/*.dcm") if p.stat().st_size > 240 * 240 * 2]
        assert len(kept) == stored
        node.stop(signal.SIGKILL)
        return told([one for one in answers if one])
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@row("an archive is down for a while")
def archive_down(s: Set) -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    node = s.node(send=to_archive(port))
    for name in ("one", "two"):
        c_store(node.ports["dicom"], tiny_study(name, 1))
    until(lambda: len(node.jobs("sending")) == 2 and len(node.events("unreachable")) > 1)
    archive = s.archive(port)
    node.done(2)
    assert sorted(archive.got.values()) == [1, 1]
    return "nothing: results are sent when it is back"


@row("an archive refuses a result")
def archive_refuses(s: Set) -> str:
    archive = s.archive()
    archive.status = 0xA700
    node = s.node(send=to_archive(archive.port))
    c_store(node.ports["dicom"], tiny_study("one", 1))
    until(lambda: node.events("refused"))
    assert len(node.jobs("sending")) == 1
    archive.status = 0
    node.done()
    assert list(archive.got.values()) == [1]
    return (
        "nothing: it is sent again until `give_up_h`, then the study lies in `failed` with its results"
    )


@row("something that is no DICOM connects")
def garbage(s: Set) -> str:
    node = s.shared()
    for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(100), os.urandom(3000)):
        assert raw(node, data)[:1] in (b"", b"\x07")  # nothing, or an abort
    still_works(node)
    return "abort or closed connection"


@row("a PDU announces more than `pdu_kb`")
def huge_pdu(s: Set) -> str:
    node = s.shared()
    name = 'burden_node_associations_total{outcome="pdu-too-large"}'
    before = node.metric(name)
    for kind in (1, 4):
        assert raw(node, struct.pack(">BBL", kind, 0, 2**32 - 1) + bytes(1000)) == b""
    until(lambda: node.metric(name) >= before + 2)
    still_works(node)
    return "closed connection"


@row("a connection stays silent, or stops in the middle of a PDU")
def silence(s: Set) -> str:
    node = s.node(limits={"idle_s": 1})
    started = time.monotonic()
    assert raw(node, b"", 60) == b""
    assert raw(node, struct.pack(">BBL", 1, 0, 200) + bytes(50), 60) == b""
    assert time.monotonic() - started < 45
    still_works(node)
    return "closed connection after `idle_s`"


@row("the sender vanishes in the middle of an image")
def cut_off(s: Set) -> str:
    node = s.shared()
    from pynetdicom import AE, evt

    def hang_up(event: Any) -> None:
        if getattr(event.pdu, "presentation_data_value_items", None) and event.assoc.is_established:
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)

    ae = AE("TESTER")
    ae.add_requested_context("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
    handlers = [(evt.EVT_PDU_SENT, hang_up)]
    association = ae.associate(
        "127.0.0.1", node.ports["dicom"], ae_title="BURDEN", evt_handlers=handlers
    )
    assert association.is_established
    assert "Status" not in association.send_c_store(tiny_study("cut", 1, size=400)[0])
    still_works(node)
    assert not node.jobs("incoming")
    assert not list((node.folder / "tmp").iterdir())
    return "nothing: the image was never accepted"


@row("an unknown AE title calls")
def wrong_caller(s: Set) -> str:
    node = s.shared()
    said = rejection(lambda: c_store(node.ports["dicom"], tiny_study("x", 1), calling="STRANGER"))
    still_works(node)
    return said


@row("another AE title is called")
def wrong_called(s: Set) -> str:
    node = s.shared()
    return rejection(lambda: c_store(node.ports["dicom"], tiny_study("x", 1), called="ANY-SCP"))


@row("a known AE title calls from an address of another peer")
def wrong_pair(s: Set) -> str:
    peers = [
        {"ae_title": "TESTER", "address": "10.1.2.3"},
        {"ae_title": "OTHER", "address": "127.0.0.1"},
    ]
    node = s.node(dicom={"peers": peers})
    assert c_store(node.ports["dicom"], tiny_study("x", 1), calling="OTHER") == [0]
    return rejection(lambda: c_store(node.ports["dicom"], tiny_study("x", 1)))


@row("an address of no peer connects")
def wrong_address(s: Set) -> str:
    node = s.node(dicom={"peers": [{"ae_title": "TESTER", "address": "10.1.2.0/24"}]})
    assert raw(node, struct.pack(">BBL", 1, 0, 200) + bytes(200)) == b""
    until(lambda: node.metric('burden_node_associations_total{outcome="address-not-allowed"}') == 1)
    return "closed connection"


@row("50 associations at once, with `associations: 20`")
def fifty(s: Set) -> str:
    node = s.node(limits={"associations": 20}, complete={"quiet_s": 3600, "instances": 50})
    study = tiny_study("parallel", 50)
    said: Counter[str] = Counter()
    lock, gate = threading.Lock(), threading.Barrier(50)

    def client(number: int) -> None:
        gate.wait()
        while True:
            try:
                assert c_store(node.ports["dicom"], study[number : number + 1]) == [0]
                return
            except ConnectionError as error:
                with lock:
                    said[str(error.args[0])] += 1
                time.sleep(0.2)

    threads = [threading.Thread(target=client, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (job,) = node.done()
    assert len(list((job / "images").iterdir())) == 50
    assert said.keys() <= {"(2, 3, 2)"}
    assert node.metric('burden_node_associations_total{outcome="accepted"}') == 50
    return "20 are served, the others rejected, transient: local limit exceeded"


@row("an image is larger than `instance_mb`")
def too_large(s: Set) -> str:
    node = s.node(limits={"instance_mb": 1})
    small, large = tiny_study("small", 1)[0], tiny_study("large", 1, size=1200)[0]
    answers = c_store(node.ports["dicom"], [small, large])
    assert answers == [0, -1]  # no answer: aborted while it was still coming
    body, kind = multipart([as_bytes(large)])
    assert node.http("/dicom-web/studies", body, Content_Type=kind)[0] == 413
    node.done()
    assert node.counts() == {"done": 1}
    return "abort while it is still coming; STOW-RS: 413"


@row("an image cannot be read, or is not what the request says")
def unreadable(s: Set) -> str:
    node = s.shared()
    good = tiny_study("good", 1)[0]
    content = as_bytes(good)
    lying = content.replace(good.SOPInstanceUID.encode(), good.SOPInstanceUID[:-1].encode() + b"7")
    parts = [content[:200], content[:144], b"", b"DICM" * 50, lying[: len(content) - 300]]
    reasons = []
    for part in parts:
        body, kind = multipart([part])
        _, text = node.http("/dicom-web/studies", body, Content_Type=kind)
        reasons += [int(one) for one in re.findall(r'"00081197": {"vr": "US", "Value": \[(\d+)', text)]
    assert len(reasons) >= len(parts) - 1
    assert set(reasons) == {0xC000}
    from pynetdicom import AE

    ae = AE("TESTER")
    ae.add_requested_context(good.SOPClassUID, "1.2.840.10008.1.2.1")
    association = ae.associate("127.0.0.1", node.ports["dicom"], ae_title="BURDEN")
    import io

    from pynetdicom.dimse_primitives import C_STORE

    request = C_STORE()
    request.MessageID, request.AffectedSOPClassUID = 1, good.SOPClassUID
    request.AffectedSOPInstanceUID = "1.2.3"
    request.Priority, request.DataSet = 2, io.BytesIO(content[content.index(b"\x08\x00\x16\x00") :])
    association._reactor_checkpoint.clear()  # or its own thread may take the answer
    until(lambda: association._is_paused)
    # Its own thread would now and then take the answer first.
    association._reactor_checkpoint.clear()
    while not association._is_paused:
        time.sleep(0.01)
    association.dimse.send_msg(request, next(iter(association._accepted_cx)))
    _, answer = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    association._reactor_checkpoint.set()
    association.release()
    still_works(node)
    return f"{told([0xC000])}, or 0x{answer.Status:04X} where it is another than announced"


@row("a small file that would unpack to gigabytes")
def bomb(s: Set) -> str:
    node = s.shared()
    data = tiny_study("bomb", 1)[0]
    content = as_bytes(data).replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.1.99\x00\x00")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(2**20)) for _ in range(200)) + packer.flush()
    body, kind = multipart([content[:400] + packed])
    status, text = node.http("/dicom-web/studies", body, Content_Type=kind)
    assert (status, str(0xC000) in text) == (409, True)
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{node.process.pid}/status").read_text())[1])
    assert peak < 180_000, "kB"
    return "status 0xC000"


@row("a study cannot be used")
def bad_study(s: Set) -> str:
    node = s.node()
    c_store(node.ports["dicom"], tiny_study("BAD", 1))
    until(lambda: node.events("failed"))
    (event,) = node.events("failed")
    assert event["tries"] == 1
    import json

    note = json.loads((node.jobs("failed")[0] / "note.json").read_text())
    assert "cannot do" in note["detail"], "the reason lies with the study"
    assert "cannot do" not in "\n".join(node.raw), "and nowhere else"
    still_works(node)
    # Sent again, it is tried again.
    c_store(node.ports["dicom"], tiny_study("BAD", 1))
    until(lambda: len(node.events("failed")) == 2)
    return "nothing: the study lies in `failed`, with the reason"


@row("the job fails for another reason")
def failing(s: Set) -> str:
    node = s.node()
    c_store(node.ports["dicom"], tiny_study("FAIL", 1))
    until(lambda: node.events("failed"))
    assert [one["tries"] for one in node.events("try-again")] == [1, 2]
    assert node.events("failed")[0]["tries"] == 3
    return "nothing: after `tries` runs the study lies in `failed`"


@row("the process that holds the model is killed")
def worker_killed(s: Set) -> str:
    node = s.node()
    c_store(node.ports["dicom"], tiny_study("SLOW", 1))
    until(lambda: node.events("started"))
    (worker,) = _children(node.process.pid)
    os.kill(worker, signal.SIGKILL)
    (job,) = node.done()
    assert node.events("try-again")[0]["error"] == "WorkerDied"
    assert not [p for p in job.iterdir() if p.name.startswith(".")]
    return "nothing: a new process tries again"


@row("the job takes longer than `timeout_s`")
def too_slow(s: Set) -> str:
    node = s.node(job={"timeout_s": 1, "tries": 1})
    c_store(node.ports["dicom"], tiny_study("SLOW", 1))
    until(lambda: node.events("failed"))
    assert node.events("failed")[0]["error"] == "Timeout"
    return "nothing: it is cut off and counts as a failed run"


def stopped_while_it_runs(s: Set, *, stop_within_s: float) -> Node:
    """A node that was told to stop in the middle of a study, and stopped."""
    node = s.node(stop_within_s=stop_within_s)
    c_store(node.ports["dicom"], tiny_study("SLOW", 1))
    until(lambda: node.events("started"))
    assert node.stop() == 0
    return node


@row("SIGTERM, and the study that runs ends within `stop_within_s`")
def stop_and_finish(s: Set) -> str:
    node = stopped_while_it_runs(s, stop_within_s=60)
    assert node.counts() == {"sending": 1}
    with pytest.raises(ConnectionError):
        c_store(node.ports["dicom"], tiny_study("x", 1))
    node.start()
    node.done()
    assert len(node.events("started")) == 1, "not run again"
    return "no new associations; exit 0 when it has ended"


@row("SIGTERM, and it does not")
def stop_and_requeue(s: Set) -> str:
    node = stopped_while_it_runs(s, stop_within_s=0)
    assert node.counts() == {"queued": 1}
    node.start()
    node.done()
    return "no new associations; exit 0 at once, the study starts again next time"


@row("a second node starts in the same folder")
def second(s: Set) -> str:
    node = s.shared()
    import sys

    program = str(Path(sys.executable).with_name("burden"))
    done = subprocess.run([program, "node", "-c", str(node.config)], capture_output=True, text=True)
    assert done.returncode == 6
    assert "another node works in this folder" in done.stderr
    still_works(node)
    return "exit 6"


def _children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def documented() -> dict[str, str]:
    found = {}
    text = DOCS.read_text(encoding="utf-8").partition("## What happens when")[2].partition("\n## ")[0]
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3:
            found[cells[0]] = cells[1]
    return found


@pytest.mark.parametrize("text", OUTCOMES, ids=lambda t: OUTCOMES[t].__name__)
def test_outcome(text: str, make_node: Any, shared_node: Any, make_archive: Any, tmp_path: Path) -> None:
    said = OUTCOMES[text](Set(make_node, shared_node, make_archive, tmp_path))
    assert documented()[text] == said


def test_every_row_of_the_table_is_brought_about() -> None:
    rows = documented()
    rows.pop("what happens")
    rows = {k: v for k, v in rows.items() if not set(k) <= set("-: ")}
    assert rows.keys() == OUTCOMES.keys()
