"""Runs an Orthanc in a network of its own, and carries its ports out through Unix sockets.

Debian's Orthanc listens on every address of the machine whatever its settings say. Started as
``unshare --net python orthanc_inside.py CONFIG.json OUT.sock PEER.sock``, nothing but the
tests can reach it: OUT.sock leads to its HTTP port, OUT.sock.dicom to its DICOM port, and what
Orthanc sends to its one known peer comes out at PEER.sock. The test process holds the other
ends (``Pipes`` in conftest.py). Also used by conftest.py for the copying between sockets.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG, _SIOCSIFFLAGS, _IFF_UP_RUNNING = 1, 0x8914, 0x41
Connect = Callable[[], socket.socket]


def die_with_parent() -> None:
    """No Orthanc outlives the tests, however they end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        fcntl.ioctl(handle, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))


def to_unix(path: str) -> Connect:
    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        try:
            made.connect(path)
        except OSError:
            made.close()
            raise
        return made

    return connect


def to_port(port: int) -> Connect:
    return lambda: socket.create_connection(("127.0.0.1", port))


def at_unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX)
    made.bind(path)
    made.listen(64)
    return made


def at_port(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=64)


def carry(listener: socket.socket, connect: Connect) -> None:
    """Copy every connection to ``listener`` to a new one of ``connect``, both ways."""

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # closed: the end
                return
            try:
                far = connect()
            except OSError:  # nobody there: as if the connection had been refused
                near.close()
                continue
            lines = [threading.Thread(target=copy, args=ends, daemon=True)
                     for ends in ((near, far), (far, near))]  # fmt: skip
            for line in lines:
                line.start()
            threading.Thread(target=close, args=(lines, near, far), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # the other side went away: pass it on
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def close(lines: list[threading.Thread], *ends: socket.socket) -> None:
    for line in lines:
        line.join()
    for end in ends:
        end.close()


def main() -> int:
    program, config, out, peer = sys.argv[1:]
    die_with_parent()
    with open(config) as handle:  # noqa: PTH123
        settings = json.load(handle)
    loopback_up()
    server = subprocess.Popen([program, config], preexec_fn=die_with_parent)
    signal.signal(signal.SIGTERM, lambda *_: server.terminate())
    carry(at_unix(out), to_port(settings["HttpPort"]))
    carry(at_unix(f"{out}.dicom"), to_port(settings["DicomPort"]))
    carry(at_port(settings["DicomModalities"]["peer"][2]), to_unix(peer))
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
