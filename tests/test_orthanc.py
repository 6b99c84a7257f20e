"""The archive that other tests store into: it stores, sends, answers, and is closed to others."""

from __future__ import annotations

import socket
import subprocess
import threading
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_store_find_and_closed_to_strangers(orthanc: Any) -> None:
    import pydicom
    from pydicom.data import get_testdata_file

    path = Path(str(get_testdata_file("CT_small.dcm")))
    done = orthanc.store(path)
    assert done["Status"] == "Success"
    uid = pydicom.dcmread(path).StudyInstanceUID
    found = orthanc.get("/dicom-web/studies")
    assert [one["0020000D"]["Value"] for one in found] == [[uid]]
    assert orthanc.call("GET", f"/instances/{done['ID']}/file")[128:132] == b"DICM"
    orthanc.clear()
    assert orthanc.get("/instances") == []
    stranger = type(orthanc)(orthanc.url, 0, 0, ("tests", "wrong"))
    with pytest.raises(urllib.error.HTTPError, match="401"):
        stranger.get("/system")


def test_dicom_port_knows_its_callers(orthanc: Any, program: Callable[[str], str]) -> None:
    from pydicom.data import get_testdata_file

    sent = str(get_testdata_file("CT_small.dcm"))
    outcomes = {}
    for caller, called in (("TESTER", "ORTHANC"), ("NOBODY", "ORTHANC"), ("TESTER", "OTHER")):
        command = [program("storescu"), "-aet", caller, "-aec", called, "127.0.0.1"]
        # pynetdicom puts a program of this name into the environment: it takes other options
        command[0] = "/usr/bin/storescu" if Path("/usr/bin/storescu").exists() else command[0]
        done = subprocess.run([*command, str(orthanc.dicom_port), sent], capture_output=True)
        outcomes[caller, called] = done.returncode == 0 and len(orthanc.get("/instances")) == 1
        orthanc.clear()
    assert list(outcomes.values()) == [True, False, False]


def test_what_it_sends_comes_out_at_the_peer_port(orthanc: Any) -> None:
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", orthanc.peer_port)) as door:

        def listen() -> None:
            line, _ = door.accept()
            with line:
                heard.append(line.recv(4096))

        ear = threading.Thread(target=listen)
        ear.start()
        with pytest.raises(urllib.error.HTTPError):  # nobody here speaks DICOM
            orthanc.call("POST", "/modalities/peer/echo", {})
        ear.join(30)
    assert heard[0][:1] == b"\x01", "an A-ASSOCIATE-RQ"
    assert b"BURDEN" in heard[0]
