"""One file of a study, wherever it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One file: where its bytes are, and what to call it."""

    path: Path
    name: str
