from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from burden.facts import Choice, Fact, Facts, Interval
from burden.vocabulary import vocabulary

MakeFacts = Callable[[Mapping[str, Any]], Facts]


@pytest.fixture(scope="session")
def make_facts() -> MakeFacts:
    """Facts from plain YAML: a number, [low, high], {draws: ...}, an option, several, or null."""
    return lambda given: Facts(_fact(key, value) for key, value in given.items())


def _fact(key: str, value: Any) -> Fact:
    entry = vocabulary()[key]
    if value is None:
        return Fact(key, entry.everything, entry.unit, "test")
    if isinstance(value, dict):
        draws = np.array(value["draws"], dtype=float)
        middle = float(np.median(draws))
        bounds = Interval(float(draws.min()), float(draws.max()))
        return Fact(key, bounds, entry.unit, "measured: test", draws=draws, estimate=middle)
    items = value if isinstance(value, list) else [value]
    if entry.options:
        names = [{True: "yes", False: "no"}[i] if isinstance(i, bool) else i for i in items]
        assert set(names) <= set(entry.options), (key, names)
        return Fact(key, Choice.of(*names), "", "test")
    return Fact(key, Interval(float(items[0]), float(items[-1])), entry.unit, "test")
