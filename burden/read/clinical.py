"""Clinical facts from a YAML file, each checked against the vocabulary.

Accepted for a number: ``61``, ``{low: 1, high: 3}`` (either end may be left out),
``{value: 20, unit: umol/L}``; for a choice: an option, a list of options, yes/no. ``null``
means not known. Everything else is an error that names file and line.
"""

from __future__ import annotations

import difflib
import math
from pathlib import Path
from typing import Any

from burden.errors import BurdenError, InputError, RuleError
from burden.facts import Choice, Fact, Facts, Interval
from burden.read.units import converted
from burden.vocabulary import PLACES, Entry, vocabulary

MAX_BYTES = 2**18
_KEYS = {"value", "low", "high", "unit", "note"}


def read_yaml(path: Path) -> Facts:
    """Facts of a YAML file; the source of each is the file's name.

    Raises
    ------
    InputError
        If the file cannot be read.
    RuleError
        If it is no YAML, or a value does not fit its entry in ``configs/facts.yaml``.
    """
    facts = []
    for key, line, value in _pairs(path):
        where = f"{path}:{line}"
        try:
            facts.append(fact_of(key, value, where, path.name))
        except (RecursionError, OverflowError) as error:
            raise RuleError("the value cannot be understood.", where=where) from error
    return Facts(facts)


def _pairs(path: Path) -> list[tuple[str, int, Any]]:
    """Top-level keys with the line they stand on, and their values."""
    import yaml

    if path.is_dir():
        raise InputError("a folder, not a facts file.", where=path)
    if not path.is_file():
        raise InputError("no such facts file.", where=path, hint="Check the path.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RuleError("too large for a facts file.", where=path)
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            raise RuleError("not a list of `fact: value` lines.", where=path)
        return _checked(node, path)
    except BurdenError:
        raise
    except OSError as error:
        raise InputError("cannot be read.", where=path, hint=error.strerror) from error
    except UnicodeDecodeError as error:
        raise RuleError("not a text file in UTF-8.", where=path) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RuleError(f"not valid YAML ({error.problem}).", where=f"{path}:{line}") from error
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise RuleError("not valid YAML.", where=path) from error


def _checked(node: Any, path: Path) -> list[tuple[str, int, Any]]:
    import yaml

    seen: dict[str, int] = {}
    pairs = []
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise RuleError("a fact needs a plain name.", where=f"{path}:{line}")
        key = key_node.value
        if key in seen:
            raise RuleError(f"{key} is given twice, first in line {seen[key]}.", where=f"{path}:{line}")
        seen[key] = line
        _no_twins(value_node, path)
        loader = yaml.SafeLoader("")
        try:
            pairs.append((key, line, loader.construct_object(value_node, deep=True)))
        except (yaml.YAMLError, ValueError) as error:
            raise RuleError(f"the value of {key} is no plain value.", where=f"{path}:{line}") from error
        finally:
            loader.dispose()
    return pairs


def _no_twins(node: Any, path: Path) -> None:
    """Refuse a key given twice inside ``{...}``, and nesting that no fact needs."""
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return
    seen = set()
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(value_node, yaml.ScalarNode):
            raise RuleError("a value inside {...} must be plain.", where=f"{path}:{line}")
        if key_node.value in seen:
            raise RuleError(f"{key_node.value} is given twice.", where=f"{path}:{line}")
        seen.add(key_node.value)


def fact_of(key: str, value: Any, where: str, source: str) -> Fact:
    """One fact from a value in any of the accepted forms.

    Raises
    ------
    RuleError
        If there is no such fact, or the value does not fit its entry.
    """
    entry = vocabulary().find(key)
    if entry is None or "<" in key:
        raise RuleError(f"no fact is called {key!r}.", where=where, hint=_nearest(key))
    note = ""
    if isinstance(value, dict):
        unknown = {str(k) for k in value} - _KEYS
        if unknown:
            raise RuleError(
                f"{key}: unknown key {', '.join(sorted(unknown))!r}.",
                where=where,
                hint="Known: value, low, high, unit, note.",
            )
        note = str(value.get("note") or "")
    if value is None or (isinstance(value, dict) and set(value) <= {"note"}):
        return Fact(key, entry.everything, entry.unit, source, note=note)
    known = _choice(entry, value, where) if entry.options else _number(entry, value, where)
    return Fact(key, known, entry.unit, source, note=note)


def _nearest(key: str) -> str:
    close = difflib.get_close_matches(key, list(vocabulary().entries), n=1)
    if not close:
        return "configs/facts.yaml lists all facts."
    places = [p for p in PLACES if f"<{p}>" in close[0]]
    told = "".join(f" <{p}> is one of {', '.join(PLACES[p])}." for p in places)
    return f"Did you mean {close[0]}?{told}"


def _choice(entry: Entry, value: Any, where: str) -> Choice:
    if isinstance(value, dict):
        if set(value) - {"value", "note"}:
            raise RuleError(f"{entry.id} is a choice: no low, high or unit.", where=where)
        value = value["value"]
        if value is None:
            return Choice.of(*entry.options)
    given = value if isinstance(value, list) else [value]
    options = [_option(entry, one, where) for one in given]
    if not options:
        raise RuleError(f"{entry.id}: an empty list.", where=where, hint="Write null for not known.")
    return Choice.of(*options)


def _option(entry: Entry, value: Any, where: str) -> str:
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value).strip()
    for option in entry.options:
        if option.lower() == text.lower():
            return option
    raise RuleError(f"{entry.id}: {text!r} is not one of {', '.join(entry.options)}.", where=where)


def _number(entry: Entry, value: Any, where: str) -> Interval:
    unit = entry.unit
    ends: tuple[Any, Any] = (value, value)
    if isinstance(value, dict):
        unit = str(value.get("unit") or entry.unit)
        if "value" in value:
            if "low" in value or "high" in value:
                raise RuleError(f"{entry.id}: give value, or low and high, not both.", where=where)
            ends = (value["value"], value["value"])
        else:
            ends = (value.get("low"), value.get("high"))
    low, high = (_plain(entry, end, unit, where) for end in ends)
    low = -math.inf if low is None else low
    high = math.inf if high is None else high
    if low > high:
        raise RuleError(f"{entry.id}: low {low:g} is above high {high:g}.", where=where)
    if entry.whole and math.isfinite(low) and math.isfinite(high) and math.ceil(low) > math.floor(high):
        said = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        raise RuleError(f"{entry.id}: {said} holds no whole number.", where=where, hint="It is a count.")
    return Interval(low, high)


def _plain(entry: Entry, value: Any, unit: str, where: str) -> float | None:
    """One end of a number in the entry's unit, inside its plausible range; None if open."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise RuleError(
            f"{entry.id}: {value!r} is not a number.",
            where=where,
            hint="Write a number, {low:, high:}, {value:, unit:} or null.",
        )
    try:
        number = converted(float(value), unit, entry.unit, entry.id)
    except ValueError as error:
        raise RuleError(f"{entry.id}: {error}.", where=where, hint=f"Use {entry.unit}.") from error
    low, high = entry.range or (-math.inf, math.inf)
    if not low <= number <= high:
        shown = f"{number:g} {entry.unit}" + ("" if unit == entry.unit else f" ({value:g} {unit})")
        raise RuleError(
            f"{entry.id}: {shown} is outside the plausible range {entry.plausible}.",
            where=where,
            hint="Check the value and its unit.",
        )
    return number
