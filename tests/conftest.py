"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real images, which are not part of this repository; skips where it is not there."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("BURDEN_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"NOT CHECKED on real images: set BURDEN_REAL_DATA (looked for {folder})")
    return folder
