"""A case name becomes a folder name: whatever was typed, it is one harmless part of a path."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

from burden.errors import UsageError

MAX_LENGTH = 80
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def folder_name(case: str) -> str:
    """Folder for the results of a case: its name where that is harmless, else an escaped form.

    Two names never share a folder: every other byte is written as ``%XX``, and a name that is
    too long is cut and ends in ``~`` and a part of its SHA-256 (``~`` itself is escaped).
    """
    if _PLAIN.fullmatch(case) and not case.endswith(".") and not _DEVICES.fullmatch(case):
        name = case
    else:
        # surrogates stand for bytes of a file name that are no text
        name = quote(case.encode("utf-8", "surrogateescape"), safe="").replace("~", "%7E")
        if name[:1] == "." or _DEVICES.fullmatch(name):
            name = f"%{ord(name[0]):02X}{name[1:]}"
        if name[-1:] == ".":
            name = name[:-1] + "%2E"
    if len(name) <= MAX_LENGTH:
        return name
    digest = hashlib.sha256(case.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"{name[: MAX_LENGTH - 17].rstrip('.')}~{digest}"


def check_names(cases: Iterable[str]) -> None:
    """Refuse names that are empty, or that a file system without capitals would mix up.

    Raises
    ------
    UsageError
        Naming the case.
    """
    seen: dict[str, str] = {}
    for case in cases:
        if not case.strip():
            raise UsageError("a case without a name.", hint="Fill the column `case`.")
        key = folder_name(case).casefold()
        if key in seen:
            what = "is there twice" if seen[key] == case else f"differs from {seen[key]!r} only in case"
            raise UsageError(f"the case {case!r} {what}.", hint="Give every case a name of its own.")
        seen[key] = case
