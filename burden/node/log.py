"""What is told to the outside: log lines as JSON, and numbers for Prometheus.

No line names a patient, an institution or a UID: a study is its folder's name (a hash).
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Level = Literal["info", "warning", "error"]


class Log:
    """One JSON object a line, on stderr."""

    def __init__(self, stream: IO[str] | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._lock = threading.Lock()
        self._quiet = quiet

    def __call__(self, level: Level, event: str, fields: Mapping[str, Any] | None = None) -> None:
        """Write one line; with ``quiet`` only warnings and errors."""
        if self._quiet and level == "info":
            return
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
        line = {"time": f"{stamp}Z", "level": level, "event": event, **(fields or {})}
        with self._lock:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()


@dataclass(frozen=True)
class Numbers:
    """Counters since the start, and gauges of now."""

    registry: CollectorRegistry
    received: Counter
    refused: Counter
    associations: Counter
    studies: Counter
    sent: Counter
    pulled: Counter
    workers: Counter
    seconds: Histogram
    waiting: Gauge
    used: Gauge
    free: Gauge


def make_numbers() -> Numbers:
    """Fresh numbers, all at zero."""
    at = CollectorRegistry()

    def counter(name: str, text: str, *labels: str) -> Counter:
        return Counter(f"burden_node_{name}", text, labels, registry=at)

    return Numbers(
        registry=at,
        received=counter("images_received", "Images stored", "door"),
        refused=counter("images_refused", "Images refused", "door", "why"),
        associations=counter("associations", "DICOM associations", "outcome"),
        studies=counter("studies", "Studies that ended a step", "outcome"),
        sent=counter("sent", "Studies whose results were sent", "target", "outcome"),
        pulled=counter("pulled", "Studies fetched", "source", "outcome"),
        workers=counter("worker_starts", "Starts of the process that holds the model"),
        seconds=Histogram(
            "burden_node_job_seconds",
            "Time a study took",
            buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600),
            registry=at,
        ),
        waiting=Gauge("burden_node_queue", "Studies in each folder", ["state"], registry=at),
        used=Gauge("burden_node_folder_bytes", "Size of the node's folder", registry=at),
        free=Gauge("burden_node_disk_free_bytes", "Free space of its disk", registry=at),
    )
