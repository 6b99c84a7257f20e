"""A threshold study in a few lines for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burden.cohort.page import between, number, percent

_HEADLINES = (("icc", "ICC"), ("kappa_quadratic", "kappa (quadratic)"), ("kappa", "kappa"))


def told(record: Mapping[str, Any], out: Path | None) -> str:
    """The main figures, and the warnings."""
    lines = [f"{record['patients']} patients"]
    for one in record["binary"]:
        best = one["best"]
        lines.append(
            f"{one['fact']} against {one['outcome']}: AUC {number(one['auc'], 3)} "
            f"({between(one['auc_interval'])}); best threshold here {number(best['threshold'])} "
            f"{one['unit']}"
        )
    for one in record["survival"]:
        lines.append(
            f"{one['fact']} and survival: C-index {number(one['c_index'], 3)} "
            f"({between(one['c_interval'])})"
        )
    for one in record["agreement"]:
        name, said = next((n, s) for n, s in _HEADLINES if n in one)
        lines.append(
            f"{one['first']} and {one['second']}: {said} {number(one[name]['value'], 3)} "
            f"({between(one[name])})"
        )
    for one in record["eligibility"]:
        at = one["at_limit"]
        lines.append(
            f"{one['book']}, {one['fact']} {one['op']} {number(one['limit'])}: "
            f"{percent(at['yes'])} yes, {percent(at['unknown'])} unknown; "
            f"{number(at['within_error'])} within error"
        )
    lines += [f"! {text}" for text in record["warnings"]]
    if out is not None:
        lines.append(f"{out}/cohort.html")
    return "\n".join(lines)
