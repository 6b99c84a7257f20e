"""Read ``node.yaml``: strict, and every complaint names file and line."""

from __future__ import annotations

import difflib
import shutil
import types
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from burden.errors import BurdenError, UsageError
from burden.node.settings import Settings, Work, is_loopback, read_token

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 2**18
MOST_DRAWS = 10_000  # as `burden run --draws`
_ABOVE_ZERO = (  # 0 would refuse everything, fail every study, or ask without a pause
    "timeout_s", "tries", "first_s", "most_s", "every_s",
    "instance_mb", "pdu_kb", "associations", "idle_s",
)  # fmt: skip
_HINT = "`burden node --template` shows every setting."


def template() -> str:
    """A commented ``node.yaml``."""
    return Path(__file__).with_name("template.yaml").read_text(encoding="utf-8")


def read_settings(path: Path) -> Settings:
    """Settings of a file; relative paths in it start at the folder it lies in.

    Raises
    ------
    UsageError
        Naming the line.
    """
    import yaml

    if not path.is_file():
        raise UsageError("no such file.", where=path, hint="Begin with `burden node --template`.")
    if path.stat().st_size > MAX_BYTES:
        raise UsageError("too large for a settings file.", where=path)
    try:
        node = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError("not valid YAML.", where=where, hint=_HINT) from error
    if node is None:
        raise UsageError("the file is empty.", where=path, hint=_HINT)
    settings = _value(Settings, node, path, "")
    assert isinstance(settings, Settings)  # noqa: S101 - what _value builds from Settings
    beside = path.parent / (settings.job.model or "")
    if settings.job.model and beside.is_dir():  # a bundle's folder; all else is an id
        settings = replace(settings, job=replace(settings.job, model=str(beside.absolute())))
    _check(settings, path)
    return settings


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _value(kind: Any, node: yaml.Node, path: Path, name: str) -> Any:
    """What a node says, as a value of a type annotation of `settings`."""
    import yaml

    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if node.tag == "tag:yaml.org,2002:null":
            return None
        kind = next(one for one in get_args(kind) if one is not type(None))
        return _value(kind, node, path, name)
    if is_dataclass(kind):
        return _group(kind, node, path, name)
    if origin is tuple:
        if not isinstance(node, yaml.SequenceNode):
            raise _wrong(node, path, name, "a list")
        inner = get_args(kind)[0]
        return tuple(_value(inner, one, path, f"{name}[{i}]") for i, one in enumerate(node.value))
    return _plain(kind, node, path, name)


def _group(kind: Any, node: yaml.Node, path: Path, name: str) -> Any:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        raise _wrong(node, path, name, "`key: value` lines")
    known: dict[str, Field[Any]] = {f.name: f for f in fields(kind)}
    given: dict[str, Any] = {}
    for key, child in node.value:
        where = f"{path}:{key.start_mark.line + 1}"
        full = f"{name}.{key.value}".lstrip(".")
        if key.value not in known:
            near = difflib.get_close_matches(str(key.value), known, 1)
            hint = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(known)}."
            raise UsageError(f"no such setting: {full}.", where=where, hint=hint)
        if key.value in given:
            raise UsageError(f"{full} is set twice.", where=where)
        given[key.value] = _value(_hints(kind)[key.value], child, path, full)
        if key.value in _ABOVE_ZERO and given[key.value] == 0:
            raise _wrong(child, path, full, "more than 0")
    for field in known.values():
        needed = field.default is MISSING and field.default_factory is MISSING
        if needed and field.name not in given:
            full = f"{name}.{field.name}".lstrip(".")
            raise UsageError(f"{full} is missing.", where=_line(node, path), hint=_HINT)
    return kind(**given)


def _plain(kind: Any, node: yaml.Node, path: Path, name: str) -> Any:
    import yaml

    if not isinstance(node, yaml.ScalarNode):
        raise _wrong(node, path, name, "one value")
    value = yaml.SafeLoader("").construct_object(node)
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise _wrong(node, path, name, f"one of {', '.join(get_args(kind))}")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise _wrong(node, path, name, "true or false")
        return value
    if kind in (int, float):
        ok = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not ok or not 0 <= value < 1e9 or (kind is int and value != int(value)):
            raise _wrong(node, path, name, "a whole number" if kind is int else "a number, 0 or more")
        return kind(value)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(node, path, name, "a text; put it into quotes")
    if kind is Path:
        return (path.parent / Path(value).expanduser()).absolute()
    return value


def _check(settings: Settings, path: Path) -> None:
    """What one field alone cannot tell."""
    for what, why in _problems(settings):
        raise UsageError(why, where=f"{path}: {what}", hint=_HINT)
    try:
        _check_job(settings.job)
    except BurdenError as error:  # whatever it is about, the settings name it
        raise UsageError(str(error), where=f"{path}: job") from error


def _check_job(job: Work) -> None:
    """Refuse at once what would send every study to ``failed``.

    Raises
    ------
    BurdenError
        As `burden run` would for each of them.
    """
    from burden.assess import load_books, load_policy
    from burden.read import read_facts
    from burden.segment import find_model

    if job.command:
        unused = [name for name in ("{images}", "{out}") if not any(name in c for c in job.command)]
        if unused:
            raise UsageError(f"the command does not say where {unused[0]} goes.", hint=_HINT)
        if shutil.which(job.command[0]) is None:
            raise UsageError("no such program.", where=job.command[0])
        return
    if job.draws > MOST_DRAWS:
        raise UsageError(f"draws go to {MOST_DRAWS}.")
    find_model(job.model)
    books = load_books(job.books or None)
    if job.policy is not None:
        load_policy(job.policy, books)
    if job.facts is not None:
        read_facts(job.facts)


def _problems(s: Settings) -> list[tuple[str, str]]:
    found = []
    if s.dicom is None and s.http is None and not s.pull:
        found.append(("dicom", "no way in: set dicom, http or pull."))
    if s.dicom is not None:
        found += [("dicom.peers", _bad_network(p.address)) for p in s.dicom.peers]
        found += [("dicom.peers", _bad_title(p.ae_title)) for p in s.dicom.peers]
        found.append(("dicom.ae_title", _bad_title(s.dicom.ae_title)))
    if s.http is not None:
        found += [("http.allow", _bad_network(one)) for one in s.http.allow]
        if s.http.token_file is None and not is_loopback(s.http.host):
            why = "a token_file is needed where other machines can reach the port."
            found.append(("http", why))
    ports = [one.port for one in (s.dicom, s.http, *s.send) if one is not None]
    if any(port > 65535 for port in ports):
        found.append(("port", "ports go to 65535."))
    names = [t.name for t in s.send] + [p.name for p in s.pull]
    if len(set(names)) < len(names):
        found.append(("send, pull", "two have the same name."))
    for target in s.send:
        if target.kind == "dicom" and not (target.host and target.ae_title):
            found.append((f"send: {target.name}", "kind dicom needs host, port and ae_title."))
        if target.kind == "dicom":
            found.append((f"send: {target.name}", _bad_title(target.ae_title or "X")))
        if target.kind == "stow":
            found.append((f"send: {target.name}", _bad_url(target.url)))
    for source in s.pull:
        found.append((f"pull: {source.name}", _bad_url(source.url)))
        if any(not key or not value for key, _, value in (f.partition("=") for f in source.filters)):
            found.append((f"pull: {source.name}", "a filter is Keyword=value."))
    found += [(str(file), "no such file.") for file in _files(s) if not file.exists()]
    found += [(str(file), _bad_token(file)) for file in _token_files(s) if file.exists()]
    return [(what, why) for what, why in found if why]


def _files(s: Settings) -> list[Path]:
    doors = [one for one in (s.dicom, s.http) if one is not None]
    ends = [*doors, *s.send, *s.pull]
    secured = [end.tls for end in ends if end.tls is not None]
    certificates = [file for tls in secured for file in (tls.certificate, tls.key, tls.ca)]
    given = (*_token_files(s), *certificates, s.job.facts, s.job.policy)
    return [file for file in given if file is not None]


def _token_files(s: Settings) -> list[Path]:
    ends = [end for end in (s.http, *s.send, *s.pull) if end is not None]
    return [end.token_file for end in ends if end.token_file is not None]


def _bad_token(path: Path) -> str:
    """An empty token would let everybody in."""
    try:
        return "" if read_token(path) else "the first line of this file is the token, and it is empty."
    except (OSError, UnicodeDecodeError):
        return "not a readable text file."


def _bad_network(text: str) -> str:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is no address and no network, as 10.0.0.7 or 10.0.0.0/24."
    return ""


def _bad_title(text: str) -> str:
    ok = text.isascii() and text.isprintable() and 0 < len(text.strip()) <= 16 and "\\" not in text
    return "" if ok else f"{text!r} is no AE title: at most 16 ASCII characters."


def _bad_url(text: str) -> str:
    return (
        "" if text.startswith(("http://", "https://")) else "a url with http:// or https:// is needed."
    )


def _wrong(node: yaml.Node, path: Path, name: str, wanted: str) -> UsageError:
    return UsageError(f"{name or 'the file'} must be {wanted}.", where=_line(node, path), hint=_HINT)


def _line(node: yaml.Node, path: Path) -> str:
    return f"{path}:{node.start_mark.line + 1}"
