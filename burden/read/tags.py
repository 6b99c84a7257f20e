"""Values of header tags as text, numbers and vectors, however they were written."""

from __future__ import annotations

import math
from typing import Any

Tags = dict[str | int, Any]
"""Values by keyword, by number where private."""


def text(ds: Tags, key: str) -> str:
    """A tag as one short printable line; it may end up in a table or a message."""
    value = ds.get(key)
    line = "" if value is None else str(value).strip()[:64]
    return line if line.isprintable() else "".join(c if c.isprintable() else " " for c in line)


def quantity(ds: Tags, key: str) -> float | None:
    """One finite number; None where there is none, or several. ValueError where it is text."""
    value = ds.get(key)
    if value is None or value == "" or isinstance(value, (bytes, list)):
        return None
    if isinstance(value, str) and "\\" in value:  # several values
        return None
    found = float(value)
    return found if math.isfinite(found) else None


def whole(ds: Tags, key: str, default: int = 0) -> int:
    """One whole number, or the default where there is none."""
    value = quantity(ds, key)
    return default if value is None else int(value)


def vector(ds: Tags, key: str, length: int) -> tuple[float, ...] | None:
    """So many finite numbers; None where there are more, fewer or others."""
    value = ds.get(key)
    if isinstance(value, str):
        value = value.split("\\")
    if value is None or isinstance(value, bytes) or len(value) != length:
        return None
    numbers = tuple(map(float, value))
    return numbers if all(map(math.isfinite, numbers)) else None


def several(ds: Tags, key: str = "ImageType") -> tuple[str, ...]:
    """All words of a tag in capitals."""
    value = ds.get(key)
    if not value:
        return ()
    parts = value.split("\\") if isinstance(value, str) else value
    return tuple(str(part).strip().upper() for part in parts)
