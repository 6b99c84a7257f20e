"""A node as a subprocess, tiny studies to send it, an archive that counts what it gets."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHEAP_JOB = Path(__file__).with_name("cheap_job.py")
STATES = ("incoming", "queued", "processing", "sending", "done", "failed")


def until(check: Callable[[], Any], seconds: float = 90, every: float = 0.05) -> Any:
    """Wait for something to be true; the machine may be slow, so the limit is generous."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = check()
        if found:
            return found
        time.sleep(every)
    raise AssertionError(f"still not so after {seconds} s")


@dataclass
class Node:
    """A node that was started, and its folder."""

    folder: Path
    config: Path
    process: subprocess.Popen[bytes] | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    reader: Any = None

    def start(self, wait: bool = True) -> Node:
        self.process = subprocess.Popen(
            [str(Path(sys.executable).with_name("burden")), "node", "-c", str(self.config)],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.ports = {}
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()
        if wait:
            until(lambda: self.ports or self.process.poll() is not None)
            assert self.ports, "\n".join(self.raw[-5:])
        return self

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        for line in process.stderr:
            text = line.decode().strip()
            self.raw.append(text)
            try:
                said = json.loads(text)
            except ValueError:
                continue
            self.lines.append(said)
            if said["event"] == "ready":
                self.ports = {k: v for k, v in said.items() if k in ("dicom", "http")} | {"up": 1}

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self.close()
        return code

    def close(self) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join(30)
        self.process.stderr.close()

    def jobs(self, state: str) -> list[Path]:
        return sorted(p for p in (self.folder / state).glob("*") if p.is_dir())

    def counts(self) -> dict[str, int]:
        return {s: n for s in STATES if (n := len(self.jobs(s)))}

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.lines if one["event"] == name]

    def done(self, number: int = 1) -> list[Path]:
        until(lambda: len(self.jobs("done")) >= number)
        return self.jobs("done")

    def http(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.ports['http']}{path}"
        names = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(url, data, names)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, start: str) -> float:
        text = self.http("/metrics")[1]
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(start))


def tiny_study(name: str, slices: int = 3, size: int = 8) -> list[Any]:
    """A CT study too small for any model; the same name gives the same UIDs."""
    import hashlib

    import numpy as np
    from pydicom.dataset import FileDataset, FileMetaDataset

    def uid(*parts: object) -> str:
        return f"2.25.{int(hashlib.sha256(repr((name, *parts)).encode()).hexdigest()[:30], 16)}"

    made = []
    for k in range(slices):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = uid("image", k)
        data = FileDataset(
            "", {}, file_meta=meta, preamble=bytes(128), is_implicit_VR=False, is_little_endian=True
        )
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, uid("image", k)
        data.StudyInstanceUID, data.SeriesInstanceUID = uid("study"), uid("series")
        data.FrameOfReferenceUID = uid("frame")
        data.PatientName, data.PatientID = f"SECRET^{name}", f"ID-{name}"
        data.PatientBirthDate, data.PatientSex = "19500101", "F"
        data.StudyDate = data.SeriesDate = data.ContentDate = time.strftime("%Y%m%d")
        data.StudyTime = data.SeriesTime = data.ContentTime = "101010"
        data.StudyID, data.AccessionNumber, data.ReferringPhysicianName = "1", f"ACC{name}"[:16], ""
        data.Modality, data.SeriesNumber, data.InstanceNumber = "CT", 1, k + 1
        data.ImagePositionPatient, data.ImageOrientationPatient = [0, 0, 5 * k], [1, 0, 0, 0, 1, 0]
        data.PixelSpacing, data.SliceThickness = [1, 1], 5
        data.Rows = data.Columns = size
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 16
        data.HighBit, data.PixelRepresentation = 15, 1
        data.RescaleSlope, data.RescaleIntercept = 1, 0
        data.PixelData = np.full((size, size), k, np.int16).tobytes()
        made.append(data)
    return made


def as_bytes(data: Any) -> bytes:
    import io

    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def save(study: list[Any], folder: Path) -> Path:
    folder.mkdir(parents=True)
    for k, data in enumerate(study):
        data.save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return folder


def c_store(
    port: int, study: list[Any], calling: str = "TESTER", called: str = "BURDEN", **more: Any
) -> list[int]:
    """Status of each image sent with C-STORE; ConnectionError where there is no association."""
    from pynetdicom import AE
    from pynetdicom.presentation import build_context

    ae = AE(calling)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    kinds = sorted({(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in study})
    contexts = [build_context(c, [s]) for c, s in kinds]
    association = ae.associate("127.0.0.1", port, contexts, called, **more)
    if not association.is_established:
        primitive = association.acceptor.primitive
        told = (primitive.result, primitive.result_source, primitive.diagnostic) if primitive else None
        raise ConnectionError(told)
    try:
        return [int(association.send_c_store(data).get("Status", -1)) for data in study]
    finally:
        if association.is_established:
            association.release()


def multipart(parts: list[bytes]) -> tuple[bytes, str]:
    """A STOW-RS body and its content type."""
    mark = b"a-boundary-of-tests"
    body = b"".join(
        b"--" + mark + b"\r\nContent-Type: application/dicom\r\n\r\n" + p + b"\r\n" for p in parts
    )
    kind = f'multipart/related; type="application/dicom"; boundary={mark.decode()}'
    return body + b"--" + mark + b"--\r\n", kind


@dataclass
class Archive:
    """A tiny archive that counts: every C-STORE it got, by SOP Instance UID."""

    port: int
    got: Counter[str] = field(default_factory=Counter)
    studies: dict[str, set[str]] = field(default_factory=dict)
    status: int = 0
    server: Any = None
    contents: dict[str, set[bytes]] = field(default_factory=dict)


def to_archive(port: int, **more: Any) -> list[dict[str, Any]]:
    """The ``send`` section for an `Archive`."""
    target = {"name": "pacs", "kind": "dicom", "host": "127.0.0.1", "port": port, "ae_title": "ARCHIVE"}
    return [target | more]
