"""Whether there is room for one more image: asked before it is written, so the disk never fills."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from burden.node.settings import Limits


class Room:
    """Counts the bytes of the node's folder and watches the free space of its disk."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root, self._lock = root, threading.Lock()
        self._most = limits.folder_gb * 1e9
        self._free = limits.free_gb * 1e9
        self._used = 0.0
        self._coming = 0
        self.look()

    def look(self) -> None:
        """Count again what lies in the folder; a file with two names counts once."""
        sizes: dict[tuple[int, int], int] = {}
        for parent, _, names in os.walk(self._root):
            for name in names:
                try:
                    found = os.lstat(os.path.join(parent, name))  # noqa: PTH118 - a hot loop
                except OSError:  # moved on meanwhile
                    continue
                sizes[(found.st_dev, found.st_ino)] = found.st_size
        with self._lock:
            self._used = float(sum(sizes.values()))

    @property
    def used(self) -> float:
        """Bytes in the folder."""
        return self._used

    def free(self) -> float:
        """Bytes free on the disk."""
        return float(shutil.disk_usage(self._root).free)

    def enough(self, size: int = 0) -> bool:
        """Whether ``size`` bytes more are within both limits."""
        coming = self._coming + size
        if self._most and self._used + coming > self._most:
            return False
        return self.free() - coming >= self._free

    @contextmanager
    def for_bytes(self, size: int) -> Iterator[bool]:
        """Hold ``size`` bytes while they are written; yields whether there is room for them."""
        with self._lock:
            granted = self.enough(size)
            self._coming += size if granted else 0
        try:
            yield granted
        finally:
            with self._lock:
                self._coming -= size if granted else 0
                self._used += size if granted else 0
