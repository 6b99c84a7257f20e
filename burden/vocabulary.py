"""The vocabulary of facts: ``configs/facts.yaml``, checked and looked up.

Every fact, measured or typed in, has an entry there: its unit, whether it is a number or
a choice, its plausible range. ``segment.<n>.volume`` style patterns cover families of ids.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from burden.errors import RuleError
from burden.facts import ANYTHING, Choice, Interval
from burden.resources import shipped

_KEYS = {"text", "unit", "options", "range", "whole", "from", "ask", "better"}
YES_NO = ("yes", "no")
PLACES: dict[str, tuple[str, ...]] = {
    "n": tuple("12345678"),
    "plan": (
        *("right_hepatectomy", "left_hepatectomy", "extended_right", "extended_left"),
        *("left_lateral", "right_posterior", "central", "best", "planned"),
    ),
}
"""What may stand for ``<n>`` and ``<plan>`` in an id: Couinaud segments and resection plans."""


@dataclass(frozen=True)
class Entry:
    """One entry of the vocabulary.

    Parameters
    ----------
    id
        Fact id, or a pattern in which ``<name>`` stands for one part between dots.
    text
        What it is, for people.
    unit
        UCUM-like unit of a number ("1" for counts); "" for choices.
    options
        The options of a choice; empty for numbers.
    range
        Plausible range of a number; a value outside is refused at the door. Measured values do
        not come through that door: their intervals may be open, and rounding may overshoot.
    whole
        Whether it counts something, so that no typed value has a fraction.
    origin
        ``image`` (measured), ``clinical`` (typed in) or ``derived``.
    ask
        The question to put to the user for a clinical fact.
    better
        Where treatment or time may bring it: ``low``, ``high`` or an option; "" for what they
        do not change (age, histology) and for what nobody should be brought to.
    """

    id: str
    text: str
    unit: str
    options: tuple[str, ...]
    range: tuple[float, float] | None
    origin: str
    ask: str
    better: str = ""
    whole: bool = False

    @property
    def plausible(self) -> str:
        """The range in words: ``0 to 120 year``, or ``from 0 mL`` where there is no upper end."""
        low, high = self.range or (-math.inf, math.inf)
        ends = f"from {low:g}" if math.isinf(high) else f"{low:g} to {high:g}"
        return f"{ends} {self.unit}"

    @property
    def everything(self) -> Interval | Choice:
        """The value of a fact of which nothing is known."""
        return Choice.of(*self.options) if self.options else ANYTHING


class Vocabulary:
    """All entries, by id or by pattern."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)
        self._patterns = [(_pattern(i), e) for i, e in entries.items() if "<" in i]

    def find(self, fact_id: str) -> Entry | None:
        """Entry for an id, or None."""
        if fact_id in self.entries:
            return self.entries[fact_id]
        return next((e for pattern, e in self._patterns if pattern.fullmatch(fact_id)), None)

    def __getitem__(self, fact_id: str) -> Entry:
        entry = self.find(fact_id)
        if entry is None:
            raise RuleError(
                "no such fact.", where=fact_id, hint="See configs/facts.yaml or `burden facts`."
            )
        return entry


def _pattern(id_: str) -> re.Pattern[str]:
    """What the ids of a family look like: a typing error in a plan must not become a fact of its own."""
    return re.compile(
        re.sub(r"<(\w+)>", lambda place: f"(?:{'|'.join(PLACES[place[1]])})", id_.replace(".", r"\."))
    )


@cache
def vocabulary() -> Vocabulary:
    """The shipped vocabulary."""
    return load_vocabulary(shipped("configs", "facts.yaml"))


def load_vocabulary(path: Path) -> Vocabulary:
    """Read and check a vocabulary file.

    Raises
    ------
    RuleError
        Naming the entry that is wrong.
    """
    import yaml

    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Vocabulary({key: _entry(key, fields, path) for key, fields in table.items()})


def _entry(key: str, fields: Mapping[str, Any], path: Path) -> Entry:
    unknown = set(fields) - _KEYS
    if unknown:
        raise RuleError(f"unknown key {sorted(unknown)}.", where=f"{path}: {key}")
    options = fields.get("options", ())
    options = YES_NO if options == "yes/no" else tuple(str(o) for o in options)
    if bool(options) == ("unit" in fields):
        raise RuleError("an entry has either a unit or options.", where=f"{path}: {key}")
    if odd := set(re.findall(r"<(\w+)>", key)) - set(PLACES):
        raise RuleError(f"nobody knows what <{odd.pop()}> stands for.", where=f"{path}: {key}")
    limits = fields.get("range")
    return Entry(
        id=key,
        text=fields["text"],
        unit=fields.get("unit", ""),
        options=options,
        range=(float(limits[0]), float(limits[1])) if limits else None,
        origin=fields.get("from", "clinical"),
        ask=fields.get("ask", ""),
        better=_better(key, fields, options, path),
        whole=bool(fields.get("whole", False)),
    )


def _better(key: str, fields: Mapping[str, Any], options: tuple[str, ...], path: Path) -> str:
    better = str(fields.get("better", ""))
    if better and better not in (options or ("low", "high")):
        raise RuleError(f"`better` cannot be {better!r}.", where=f"{path}: {key}")
    return better
