"""Finding: something the reader should know before trusting a number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["info", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """Something the reader should know before trusting a number.

    Parameters
    ----------
    code
        Stable short name, e.g. ``liver-cut-by-field-of-view``.
    invalidates
        Fact ids, or prefixes ending in ``*``, that cannot be trusted.
    """

    code: str
    severity: Severity
    text: str
    invalidates: tuple[str, ...] = ()
