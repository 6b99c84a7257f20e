"""What leaves the program must not name the patient.

Paths, file names and series descriptions are typed by people and often hold a name. UIDs
and hashes stay: they are what the manifest is for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from burden.case import Case, Manifest
from burden.facts import Facts

REMOVED = "(local path)"
_PRIVATE_KEYS = re.compile(r"path|file|folder|description|patient|accession|institution", re.IGNORECASE)
_PATH = re.compile(r"^(?:[A-Za-z]:)?[\\/]|^~|^\.{1,2}[\\/]")


def without_identifiers(case: Case) -> Case:
    """The same case with local paths, file names and descriptions taken out of its words.

    ``images`` is kept as it is: writers read its arrays, never its origin.
    """
    private = _private_strings(case)

    def clean(text: str) -> str:
        for name in private:
            text = text.replace(name, REMOVED)
        return text

    def tidy(value: Any) -> Any:
        return _tidy(value, clean)

    old = case.manifest
    given = {k: v for k, v in old.input.items() if not _PRIVATE_KEYS.search(k)}
    manifest = Manifest(
        created=old.created,
        version=old.version,
        input=tidy(given),
        model=tidy(old.model),
        books=tidy(old.books),
        packages=dict(old.packages),
        settings=tidy(old.settings),
        seconds=dict(old.seconds),
        review=tidy(old.review),
    )
    facts = [replace(f, source=clean(f.source), note=clean(f.note)) for f in case.facts.values()]
    return replace(
        case,
        facts=Facts(facts),
        lesions=tuple(replace(one, source=clean(one.source)) for one in case.lesions),
        findings=tuple(replace(one, text=clean(one.text)) for one in case.findings),
        manifest=manifest,
    )


def _private_strings(case: Case) -> list[str]:
    """Strings of this case's input that must not be repeated, longest first."""
    if case.images is None:
        return []
    origin = case.images.volume.origin
    paths = [Path(p) for p in (origin.path, *origin.files) if p]
    names = {str(p) for p in paths} | {p.name for p in paths} | {origin.description}
    # A very short name ("1", "ct") is no identifier, and taking it out would maim the text.
    return sorted((n for n in names if len(n) > 3), key=len, reverse=True)


def _tidy(value: Any, clean: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _tidy(v, clean) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(v, clean) for v in value]
    if isinstance(value, Path):
        return REMOVED
    if isinstance(value, str):
        return REMOVED if _PATH.match(value) else clean(value)
    return value
