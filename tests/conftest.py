"""Fixtures for all tests."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

INSIDE = Path(__file__).with_name("orthanc_inside.py")
CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images, which are not part of this repository; skips where it is not there."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BURDEN_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"NOT CHECKED on real images: set BURDEN_REAL_DATA (looked for {folder})")
    return folder


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Path of an external program; skips loudly where it is missing, fails in CI."""

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin")
        if path is None:
            message = f"NOT CHECKED: {name} is not installed"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser without a window; skips loudly where there is none, fails in CI."""
    if not CHROMIUM.exists():
        assert os.environ.get("CI") != "true", f"CI needs {CHROMIUM}"
        pytest.skip(f"NOT TESTED in a browser: there is no {CHROMIUM}")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@dataclass(frozen=True)
class Orthanc:
    """A real archive on loopback.

    It answers only those who know the password, and takes DICOM associations only from the AE
    titles BURDEN and TESTER at 127.0.0.1; called AE title ORTHANC. What it is told to send to
    the modality ``peer`` (AE title BURDEN) arrives at 127.0.0.1:``peer_port``, where a test may
    listen. DICOMweb is at ``dicomweb``, with ``auth`` as user and password.
    """

    url: str
    dicom_port: int
    peer_port: int
    auth: tuple[str, str]
    aet: str = "ORTHANC"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> bytes:
        """Raw answer of the REST interface; ``body`` is bytes, or anything JSON can hold."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)  # noqa: S310 - loopback
        word = base64.b64encode(":".join(self.auth).encode()).decode()
        request.add_header("Authorization", f"Basic {word}")
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            content: bytes = answer.read()
        return content

    def get(self, path: str) -> Any:
        return json.loads(self.call("GET", path))

    def store(self, path: Path) -> Any:
        """Put a DICOM file into the archive; its answer holds ``ID`` and ``Status``."""
        return json.loads(self.call("POST", "/instances", path.read_bytes()))

    def send_to_peer(self, ids: list[str]) -> Any:
        """C-STORE resources (Orthanc ids) to whoever listens at ``peer_port``."""
        return json.loads(self.call("POST", "/modalities/peer/store", {"Resources": ids}))

    def clear(self) -> None:
        for one in self.get("/patients"):
            self.call("DELETE", f"/patients/{one}")


@pytest.fixture(scope="session")
def orthanc_server(program: Callable[[str], str]) -> Iterator[Orthanc]:
    """An Orthanc for the whole session; use ``orthanc`` unless two fixtures must share it."""
    binary = program("Orthanc")
    # Short names: the path of a Unix socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="orthanc-") as folder, _started(binary, Path(folder)) as it:
        yield it


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """The Orthanc of this session, emptied."""
    orthanc_server.clear()
    return orthanc_server


@contextmanager
def _started(binary: str, folder: Path) -> Iterator[Orthanc]:
    spec = importlib.util.spec_from_file_location("orthanc_inside", INSIDE)
    assert spec is not None
    assert spec.loader is not None
    inside = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inside)
    alone = os.system("unshare --net true 2>/dev/null") == 0  # noqa: S605
    with ExitStack() as stack:
        doors = [stack.enter_context(inside.at_port()) for _ in range(3)]
        ports = [int(door.getsockname()[1]) for door in doors]
        secret = base64.urlsafe_b64encode(os.urandom(18)).decode()
        config = folder / "orthanc.json"
        config.write_text(json.dumps(_settings(folder, ports, secret)))
        doors[2].close()  # the place where a test may listen
        command = [binary, str(config)]
        if alone:
            sockets = [str(folder / name) for name in ("s", "p")]
            command = ["unshare", "--net", sys.executable, str(INSIDE), binary, str(config), *sockets]
            inside.carry(doors[0], inside.to_unix(sockets[0]))
            inside.carry(doors[1], inside.to_unix(f"{sockets[0]}.dicom"))
            peer = stack.enter_context(inside.at_unix(sockets[1]))
            inside.carry(peer, inside.to_port(ports[2]))
        else:  # a container without the right: its network is all there is to reach
            for door in doors[:2]:
                door.close()
        log = stack.enter_context((folder / "log").open("wb"))
        server = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=inside.die_with_parent)
        made = Orthanc(f"http://127.0.0.1:{ports[0]}", ports[1], ports[2], ("tests", secret))
        try:
            _wait_until_up(made, server, folder / "log")
            yield made
        finally:
            server.terminate()  # takes it more than a second
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _settings(folder: Path, ports: list[int], secret: str) -> dict[str, Any]:
    plugin = next((p for p in Path("/usr/share/orthanc/plugins").glob("libOrthancDicomWeb.so*")), None)
    if plugin is None:
        message = "NOT CHECKED: Orthanc's DICOMweb plugin is not installed (orthanc-dicomweb)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    deny = dict.fromkeys(("Echo", "Store", "Find", "Get", "Move"), False)
    return {
        "Name": "tests", "StorageDirectory": str(folder / "store"), "Plugins": [str(plugin)],
        "HttpPort": ports[0], "RemoteAccessAllowed": False, "AuthenticationEnabled": True,
        "RegisteredUsers": {"tests": secret}, "DicomAet": "ORTHANC", "DicomPort": ports[1],
        "DicomCheckCalledAet": True, "DicomCheckModalityHost": True,
        **{f"DicomAlwaysAllow{name}": allowed for name, allowed in deny.items()},
        "DicomModalities": {
            "peer": ["BURDEN", "127.0.0.1", ports[2]], "tester": ["TESTER", "127.0.0.1", ports[2]],
        },
        "UnknownSopClassAccepted": True,  # label maps are newer than its list
        "OverwriteInstances": True, "StableAge": 1, "ConcurrentJobs": 1, "HttpThreadsCount": 8,
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full"},
    }  # fmt: skip


def _wait_until_up(made: Orthanc, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            made.get("/system")
            return
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
    pytest.fail(f"Orthanc did not start:\n{log.read_text(errors='replace')[-2000:]}")
