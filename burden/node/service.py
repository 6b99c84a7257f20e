"""Start the parts of a node, keep them going, stop them in order."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from burden.errors import OutputError
from burden.node.dicomweb import send_stow
from burden.node.folders import Folders
from burden.node.intake import Intake
from burden.node.log import Log, Numbers, make_numbers
from burden.node.page import render
from burden.node.pull import Puller
from burden.node.room import Room
from burden.node.schedule import Schedule
from burden.node.scp import start_scp
from burden.node.send import Deliver, Sender
from burden.node.send_dicom import send_dicom
from burden.node.settings import Settings, is_loopback
from burden.node.web import Door, start_web
from burden.node.work import Worker

_TICK_S = 0.2
_ALIVE_S = 120.0
_LOCK_WAIT_S = 4.0
_DOORS_S = 5.0


def serve(settings: Settings, log: Log) -> dict[str, int]:
    """Run a node until SIGTERM or SIGINT; returns how many studies lie in each folder then.

    Raises
    ------
    BurdenError
        If it cannot start: an address in use, another node in the same folder, bad certificates.
    """
    os.umask(0o077)  # images of patients are for the node alone
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _only_one(settings.folder) as lock:
        folders = Folders(settings.folder)
        numbers = make_numbers()
        room = Room(settings.folder, settings.limits)
        worker = Worker(settings.job, lock)
        schedule = Schedule(settings, folders, room, worker, log, numbers)
        schedule.recover()
        senders = _senders(settings, folders, log, numbers, schedule.sent)
        with ExitStack() as doors:
            threads = _start(settings, schedule, senders, stop, doors)
            _loop(schedule, stop, log)
            log("info", "stopping", {"running": schedule.running is not None})
        schedule.stop()
        for thread in threads:
            thread.join(settings.stop_within_s)
        left = {state.name: len(list(state.iterdir())) for state in _states(folders)}
        log("info", "stopped", left)
        return left


def _start(
    settings: Settings,
    schedule: Schedule,
    senders: list[Sender],
    stop: threading.Event,
    doors: ExitStack,
) -> list[threading.Thread]:
    """Open the doors, and start those that send and fetch."""
    folders, room, log, numbers = schedule.folders, schedule.room, schedule.log, schedule.numbers
    most = int(settings.limits.instance_mb * 1e6)
    intake = Intake(folders, room, most, settings.dicom.accept if settings.dicom else "images")
    ports: dict[str, Any] = {}
    if settings.dicom is not None:
        scp = start_scp(settings.dicom, settings.limits, intake, log, numbers)
        doors.callback(scp.stop, _DOORS_S)
        ports["dicom"] = scp.port
        if settings.dicom.tls is None and not is_loopback(settings.dicom.host):
            log("warning", "no-encryption", {"door": "dicom"})
    if settings.http is not None:
        page = partial(render, folders, room, senders, time.time())
        alive = partial(_alive, schedule)
        door = Door(settings.http, settings.limits, intake, log, numbers, page, alive)
        server = start_web(door)
        doors.callback(server.stop, _DOORS_S)
        ports["http"] = server.port
        if settings.http.tls is None and not is_loopback(settings.http.host):
            log("warning", "no-encryption", {"door": "http"})
    runs = [one.run for one in senders]
    runs += [Puller(one, folders, intake, log, numbers).run for one in settings.pull]
    threads = [threading.Thread(target=run, args=(stop,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    log("info", "ready", ports)
    return threads


def _senders(
    settings: Settings, folders: Folders, log: Log, numbers: Numbers, news: threading.Event
) -> list[Sender]:
    calling = settings.dicom.ae_title if settings.dicom else "BURDEN"
    notes = threading.Lock()
    ways: dict[str, Deliver] = {"dicom": partial(send_dicom, calling=calling), "stow": send_stow}
    return [
        Sender(one, settings.retry, folders, ways[one.kind], log, numbers, news, notes)
        for one in settings.send
    ]


def _loop(schedule: Schedule, stop: threading.Event, log: Log) -> None:
    while not stop.wait(_TICK_S):
        try:
            schedule.tick()
        except Exception as error:  # a full disk, a folder moved by hand: say so, try again
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            line = trace.tb_lineno if trace is not None else 0
            log("error", "schedule", {"error": type(error).__name__, "line": line})
            stop.wait(5)


def _alive(schedule: Schedule) -> bool:
    return time.monotonic() - schedule.beat < _ALIVE_S


def _states(folders: Folders) -> Iterator[Path]:
    from burden.node.folders import STATES

    return (folders.root / state for state in STATES)


@contextmanager
def _only_one(folder: Path) -> Iterator[int]:
    """Hold the folder; a worker of a node that was killed may need a moment to let go of it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise OutputError(f"cannot be used: {error.strerror}.", where=folder) from error
    try:
        end = time.monotonic() + _LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise OutputError(
                        "another node works in this folder.", where=folder, hint="Stop it first."
                    ) from None
                time.sleep(0.1)
        yield handle
    finally:
        os.close(handle)
