"""Facts of several sources put together: the later source holds, and contradictions are said."""

from __future__ import annotations

from collections.abc import Sequence

from burden.facts import Choice, Fact, Facts, Interval
from burden.findings import Finding


def agreed(sources: Sequence[Facts]) -> tuple[Facts, tuple[Finding, ...]]:
    """One value a fact: that of the last source, unless an earlier one agrees and says more.

    Returns
    -------
    tuple
        The facts, and a finding for each that two sources contradict each other about.
    """
    merged: dict[str, Fact] = {}
    findings = []
    for source in sources:
        for name in sorted(source):
            new, old = source[name], merged.get(name)
            if old is None or _covers(old, new) or not _covers(new, old):
                merged[name] = new
            if old is not None and not (_covers(new, old) or _covers(old, new)):
                text = f"{name}: {old.source} {_said(old)}, {new.source} {_said(new)}; the latter holds."
                findings.append(Finding("facts-disagree", "warning", text))
    return Facts(merged.values()), tuple(findings)


def _covers(a: Fact, b: Fact) -> bool:
    return a.value.covers(b.value)  # type: ignore[arg-type]


def _said(fact: Fact) -> str:
    value = fact.value
    if isinstance(value, Choice):
        return " or ".join(sorted(value.options))
    assert isinstance(value, Interval)  # noqa: S101 - there is no third kind
    if value.is_exact:
        return f"{value.low:g} {fact.unit}"
    return f"{value.low:g} to {value.high:g} {fact.unit}"
