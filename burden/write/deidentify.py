"""What leaves the program must not name the patient.

Paths, file names and series descriptions are typed by people and often hold a name: they are
taken out of everything. UIDs and hashes stay, for they are what the manifest is for, and the
DICOM results keep the patient of their source. :func:`deidentified` hides those too.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from burden.case import Case, Manifest
from burden.errors import InputError, OutputError, UsageError
from burden.facts import Facts, Interval
from burden.findings import Finding
from burden.pseudonym import Pseudonyms

REMOVED = "(local path)"
HIDDEN = "(removed)"
KEY_VARIABLE = "BURDEN_PSEUDONYM_KEY"
_SHORTEST_KEY = 16
_INPUT = (  # what is told of the input, and nothing else
    "kind", "sha256", "study_uid", "series_uid", "frame_uid", "modality", "phase", "shape",
    "spacing_mm", "affine_lps", "companions",
)  # fmt: skip
_PATH = re.compile(r"^(?:[A-Za-z]:)?[\\/]|^~|^\.{1,2}[\\/]")
_FACTS_FILE = re.compile(r"[^/:]*\.(?:ya?ml|json|csv)(?:@.*)?", re.IGNORECASE)
_DONE = (
    "Identifiers were replaced by keyed pseudonyms; all dates were moved by a secret number of days and "
    "times of day removed."
)


def without_identifiers(case: Case) -> Case:
    """The same case with local paths, file names and descriptions taken out of its words.

    ``images`` is kept as it is: writers read its arrays, never its origin.
    """
    private = _private_strings(case)

    def clean(text: str) -> str:
        for name in private:
            text = text.replace(name, REMOVED)
        return text

    old = case.manifest
    given = {k: v for k, v in old.input.items() if k in _INPUT}
    return _reworded(replace(case, manifest=replace(old, input=given)), clean, _source_of(clean))


def deidentified(case: Case, key: bytes) -> Case:
    """The same case with pseudonyms for every UID, hash and id, and its dates moved.

    The writers follow: see :class:`burden.image.Origin`. Text from the header of the source is
    taken out wherever it turns up.

    Raises
    ------
    InputError
        If the source cannot be read again, so that nobody knows whom not to name.
    """
    from burden.write.dicom_source import SourceError, identity

    who = ""
    words: tuple[str, ...] = ()
    try:
        if case.images is not None:
            who, words = identity(case.images.volume)
    except SourceError as error:
        raise InputError(f"cannot be de-identified: {error}.") from error
    old = case.manifest
    alias = Pseudonyms(key, who if who.strip("/") else str(old.input.get("study_uid") or case.case_id))
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(word)}(?!\w)" for word in words) or r"(?!)", re.I)

    def clean(text: str) -> str:
        return alias.in_text(pattern.sub(HIDDEN, text))

    # The words of the header are looked for in free text only: a patient may be called Milan.
    public = without_identifiers(case)
    hidden = _reworded(public, clean, clean, manifest=alias.in_text)
    manifest = replace(
        hidden.manifest,
        created=alias.moved(old.created) or old.created,
        input=_input_hidden(public.manifest.input, alias),
        settings={**hidden.manifest.settings, "deidentified": True},
    )
    images = case.images
    if images is not None:
        volume = replace(images.volume, origin=replace(images.volume.origin, alias=alias))
        images = replace(images, volume=volume)
    return replace(
        hidden,
        case_id=f"case-{alias.code('case', case.case_id)[:12]}",
        findings=(*hidden.findings, Finding("deidentified", "info", _DONE)),
        manifest=manifest,
        images=images,
    )


def without_pictures(case: Case) -> Case:
    """The case without its images where their pixels may name the patient and nothing may."""
    return replace(case, images=None) if pictures_hidden(case) else case


def pictures_hidden(case: Case) -> bool:
    """Whether text may be burned into the pixels of a case that is to name nobody."""
    burned_in = any(finding.code == "burned-in-annotation" for finding in case.findings)
    return burned_in and case.images is not None and case.images.volume.origin.alias is not None


def check_still_hidden(case: Case) -> None:
    """Refuse to write a case that was de-identified with images that are not.

    Raises
    ------
    UsageError
        Results made of those images would name the patient again.
    """
    origin = case.images.volume.origin if case.images is not None else None
    hidden = bool(case.manifest.settings.get("deidentified"))
    if hidden and origin is not None and origin.kind == "dicom" and origin.alias is None:
        raise UsageError(
            "this case was de-identified, and its DICOM images are not.",
            where=case.case_id,
            hint="Run it again without --deidentify, or work on the NIfTI masks.",
        )


def without_great_age(facts: Facts) -> Facts:
    """An age of 90 years or more as just that: alone it would tell who it is."""
    from burden.write.dicom_alias import OLD

    age = facts.get("patient.age")
    if age is None or not isinstance(age.value, Interval) or age.value.low < OLD:
        return facts
    told = replace(age, value=Interval(OLD, float("inf")), estimate=None, draws=None)
    return facts | Facts([replace(told, note=f"told as {OLD} or more")])


def pseudonym_key(path: Path | None) -> tuple[bytes, str]:
    """The site's secret key, and a sentence for the user where one was made just now.

    Parameters
    ----------
    path
        File that holds it; None for the environment variable ``BURDEN_PSEUDONYM_KEY``, else a
        file in the user's configuration folder.

    Raises
    ------
    UsageError
        If it is too short to be secret, or no text file.
    OutputError
        If a new one cannot be stored.
    """
    if path is None and (text := os.environ.get(KEY_VARIABLE)):
        return _checked_key(text, f"environment variable {KEY_VARIABLE}"), ""
    if path is None:
        home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
        path = home / "liver-burden" / "pseudonym.key"
    if path.exists():
        try:
            return _checked_key(path.read_text(encoding="utf-8"), str(path)), ""
        except (OSError, UnicodeDecodeError) as error:
            hint = "Name a text file with a long secret, or a new file and one is made."
            raise UsageError("the pseudonym key is no readable text.", where=path, hint=hint) from error
    key = secrets.token_hex(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key + "\n")
    except OSError as error:
        raise OutputError(f"no new key could be stored: {error.strerror}.", where=path) from error
    return key.encode(), (
        f"A new pseudonym key was made: {path}. Keep it secret and keep it: without it the same "
        "patient gets another pseudonym, and with it pseudonyms can be checked against identifiers."
    )


def _checked_key(text: str, where: str) -> bytes:
    key = text.strip().encode()
    if len(key) < _SHORTEST_KEY:
        raise UsageError(
            f"the pseudonym key is shorter than {_SHORTEST_KEY} characters.",
            where=where,
            hint="Use a long random text, or name a new file and one is made.",
        )
    return key


def _input_hidden(given: Mapping[str, Any], alias: Pseudonyms) -> dict[str, Any]:
    """The manifest's input with its UIDs and its pixel hashes keyed, which an archive could match."""
    out = {}
    for name, value in given.items():
        if isinstance(value, (list, tuple)):
            value = [_input_hidden(v, alias) if isinstance(v, Mapping) else v for v in value]
        elif name == "sha256" and value:
            value = alias.code("pixels", str(value))
        elif name.endswith("_uid"):
            value = alias.uid(str(value))
        out[name] = value
    return out


def _reworded(
    case: Case,
    clean: Callable[[str], str],
    source: Callable[[str], str],
    manifest: Callable[[str], str] | None = None,
) -> Case:
    """The case with its free texts rewritten; ``manifest`` rewrites the manifest, else ``clean``."""
    tidy = manifest or clean
    old = case.manifest
    facts = [replace(f, source=source(f.source), note=clean(f.note)) for f in case.facts.values()]
    return replace(
        case,
        facts=Facts(facts),
        lesions=tuple(replace(one, source=clean(one.source)) for one in case.lesions),
        findings=tuple(replace(one, text=clean(one.text)) for one in case.findings),
        manifest=Manifest(
            created=old.created,
            version=old.version,
            input=_tidy(old.input, tidy),
            model=_tidy(old.model, tidy),
            books=_tidy(old.books, tidy),
            packages=dict(old.packages),
            settings=_tidy(old.settings, tidy),
            seconds=dict(old.seconds),
            review=_tidy(old.review, clean),
        ),
    )


def _source_of(clean: Callable[[str], str]) -> Callable[[str], str]:
    """A fact's source without the name of its file, which people name after patients."""

    def source(text: str) -> str:
        return "facts file" if _FACTS_FILE.fullmatch(text) and text != "facts.yaml" else clean(text)

    return source


def _private_strings(case: Case) -> list[str]:
    """Strings of this case's input that must not be repeated, longest first."""
    if case.images is None:
        return []
    origin = case.images.volume.origin
    paths = [Path(p) for p in (origin.path, *origin.files) if p]
    names = {str(p) for p in paths} | {p.name for p in paths} | {origin.description}
    # A very short name ("1", "ct") is no identifier, and taking it out would maim the text.
    return sorted((n for n in names if len(n) > 3), key=len, reverse=True)


def _tidy(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _tidy(v, clean) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(v, clean) for v in value]
    if isinstance(value, Path):
        return REMOVED
    if isinstance(value, str):
        return REMOVED if _PATH.match(value) else clean(value)
    return value
