"""YAML read so that every mistake can be named by file and line, and no key counts twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from burden.errors import RuleError

# the parser in C where the wheel has it: ten times as fast
_Loader: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Located(dict[str, Any]):
    """A mapping that knows where it stands: ``path``, ``line`` and the line of each key."""

    def __init__(self, path: Path, line: int) -> None:
        super().__init__()
        self.path, self.line = path, line
        self.lines: dict[str, int] = {}

    def where(self, key: str | None = None) -> str:
        """``file:line`` of the mapping, or of one of its keys."""
        return f"{self.path}:{self.lines.get(key, self.line) if key else self.line}"


def read_located(path: Path) -> Located:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    RuleError
        With file and line: not YAML, not a mapping, a key given twice, a reference to itself.
    """
    try:
        loader: yaml.SafeLoader = _Loader(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RuleError("cannot be read as text.", where=path) from error
    try:
        root = loader.get_single_node()
        value = _value(root, loader, path, ()) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise RuleError(f"not valid YAML: {error.problem}.", where=f"{path}:{line}") from error
    except yaml.YAMLError as error:
        raise RuleError("not valid YAML: a character that cannot be.", where=path) from error
    finally:
        loader.dispose()
    if not isinstance(value, Located):
        raise RuleError("expected `key: value` lines.", where=f"{path}:1")
    return value


def _value(node: yaml.Node, loader: yaml.SafeLoader, path: Path, above: tuple[int, ...]) -> Any:
    line = node.start_mark.line + 1
    if id(node) in above:
        raise RuleError("an anchor that contains itself.", where=f"{path}:{line}")
    inside = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        found = Located(path, line)
        for key_node, value_node in node.value:
            key, key_line = str(key_node.value), key_node.start_mark.line + 1
            if key in found:
                first = found.lines[key]
                raise RuleError(
                    f"`{key}` is given twice (first on line {first}).", where=f"{path}:{key_line}"
                )
            found[key] = _value(value_node, loader, path, inside)
            found.lines[key] = key_line
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, loader, path, inside) for item in node.value]
    return loader.construct_object(node)


def only(given: Located, allowed: set[str]) -> None:
    """Refuse keys that mean nothing there.

    Raises
    ------
    RuleError
        With file and line.
    """
    for key in given:
        if key not in allowed:
            raise RuleError(
                f"unknown key `{key}`.", where=given.where(key), hint=f"Known: {sorted(allowed)}."
            )


def text_of(given: Located, key: str, *, optional: bool = False) -> str:
    """The text under a key, without spaces around it; "" where it may be absent and is.

    Raises
    ------
    RuleError
        With file and line: missing, or not text.
    """
    value = given.get(key, "" if optional else None)
    if not isinstance(value, str) or not (value.strip() or optional):
        raise RuleError(f"`{key}` is missing or not text.", where=given.where(key))
    return value.strip()
