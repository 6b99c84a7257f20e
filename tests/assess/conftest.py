from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary


@pytest.fixture(scope="session")
def make_facts() -> Callable[[Mapping[str, Any]], Facts]:
    """Facts from values: a number, a pair, an array of draws, an option, several, or None."""
    return lambda given: Facts(_fact(key, value) for key, value in given.items())


def _fact(key: str, value: Any) -> Fact:
    entry = vocabulary()[key]
    if value is None:
        return Fact(key, entry.everything, entry.unit, "test")
    if entry.options:
        names = [value] if isinstance(value, str) else value
        return Fact(key, Choice.of(*names), "", "test")
    if isinstance(value, np.ndarray):
        low, high = np.quantile(value, (0.01, 0.99))
        middle = float(np.median(value))
        return Fact(key, Interval(low, high), entry.unit, "measured: test", value, middle)
    low, high = value if isinstance(value, tuple) else (value, value)
    return Fact(key, Interval(float(low), float(high)), entry.unit, "test")


@pytest.fixture
def write_book(tmp_path: Path) -> Callable[[str], Path]:
    """Write the text of a rule book and return its path."""

    def write(text: str) -> Path:
        path = tmp_path / "book.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
