"""DICOMDIR: the files a disc says it holds, and which of them are not there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from burden.errors import InputError
from burden.read.entry import Entry

MAX_LISTED = 50_000
_MAX_BYTES = 2**27
_PICTURES = {"IMAGE", ""}  # what else a disc lists (reports, pictures of curves) is nothing to miss


def listed(directory: Entry) -> tuple[str, ...]:
    """Paths of the images that a DICOMDIR lists, relative to the folder it lies in.

    Raises
    ------
    InputError
        If it cannot be read, or a path leads out of its folder.
    """
    from pydicom import dcmread

    from burden.read.headers import quiet_pydicom

    try:
        if directory.path.stat().st_size > _MAX_BYTES:
            raise ValueError("larger than any disc needs")
        with quiet_pydicom():
            records = dcmread(directory.path).get("DirectoryRecordSequence") or []
            found = [_parts(record) for record in records[: MAX_LISTED + 1]]
    except Exception as error:  # any byte may be wrong, so anything may be raised
        raise InputError(
            f"the DICOMDIR is damaged ({type(error).__name__}).",
            where=directory.path,
            hint="Give the folder of the images instead.",
        ) from error
    paths = [parts for parts in found if parts]
    for parts in paths:
        if any(part in ("", ".", "..") or "/" in part or ":" in part for part in parts):
            raise InputError(
                "the DICOMDIR lists a path that leads outside its folder.",
                where=directory.path,
                hint="Do not trust where it came from; give the folder of the images.",
            )
    return tuple("/".join(parts) for parts in paths)


def there(directory: Entry, names: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """Files on disk of paths that a DICOMDIR lists, and the paths without a file.

    Discs are written in capitals and copied in any case, sometimes with a version number.
    """
    base = directory.path.parent
    seen: dict[Path, dict[str, Path]] = {}
    found, missing = [], []
    for name in names:
        path = base
        for part in PurePosixPath(name).parts:
            if path not in seen:
                seen[path] = {plain(p.name): p for p in path.iterdir()} if path.is_dir() else {}
            path = seen[path].get(plain(part), path / part)
        if path.is_file():
            found.append(Entry(path, str(path.relative_to(base))))
        else:
            missing.append(name)
    return found, missing


def plain(name: str) -> str:
    """A file name as a disc means it: no matter the case, a final dot or a version."""
    return name.lower().partition(";")[0].rstrip(".")


def _parts(record: object) -> list[str]:
    kind = str(getattr(record, "DirectoryRecordType", "") or "")
    value = getattr(record, "ReferencedFileID", None)
    if not value or kind not in _PICTURES:
        return []
    return [str(value)] if isinstance(value, str) else [str(part) for part in value]
