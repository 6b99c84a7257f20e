"""What is at a path: DICOM files, a NIfTI image, or neither, whatever the transport.

A folder tree, a single file or a zip is reduced to a flat list of files. Files are told
apart by their first bytes, never by their names. A zip is unpacked into a temporary folder
under names of our own, so that no name inside it is ever used as a path.
"""

from __future__ import annotations

import os
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from burden.errors import InputError, NotAnImageError
from burden.read.directory import listed, plain, there
from burden.read.entry import Entry

MAX_FILES = 50_000
MAX_UNPACKED = 8 * 2**30  # bytes; a thin-slice liver study of four phases stays below 3 GiB
MAX_RATIO = 1000  # deflate cannot do better than 1032:1, and no study comes near it
_CHUNK = 2**20
_DICOMDIR = b"1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Source:
    """The files found at a path, by kind; ``ignored`` counts all the others.

    Parameters
    ----------
    listed
        Number of images that the DICOMDIRs list.
    missing
        Those of them that are not there, by their path in the DICOMDIR.
    """

    path: Path
    dicom: tuple[Entry, ...]
    nifti: tuple[Entry, ...]
    ignored: int
    listed: int = 0
    missing: tuple[str, ...] = ()


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Look at ``path``; files unpacked from a zip live until the context ends.

    Raises
    ------
    InputError
        If nothing is there, or the archive is unsafe or damaged.
    """
    if path.is_dir():
        yield _sorted_out(path, _walk(path))
        return
    if not path.exists():
        raise InputError("no such file or folder.", where=path, hint="Check the path.")
    if not path.is_file():
        raise InputError("neither a file nor a folder.", where=path)
    kind = _kind(path, path.name)
    if kind == "dicomdir":
        yield _by_directory(Entry(path, path.name))
        return
    if kind != "zip":
        yield _sorted_out(path, [Entry(path, path.name)])
        return
    with tempfile.TemporaryDirectory(prefix="burden-") as room:
        entries = _unpacked(path, Path(room))
        yield _sorted_out(path, entries)


def nothing_to_read(source: Source) -> NotAnImageError:
    """The error for a path without any image, saying what it looks like instead."""
    if source.path.is_dir() and not source.ignored:
        return NotAnImageError("the folder is empty.", where=source.path, hint=_WANTED)
    if source.path.is_dir():
        what = f"no image among the {source.ignored} files of the folder."
        return NotAnImageError(what, where=source.path, hint=_WANTED)
    kind = _kind(source.path, source.path.name)
    what = {
        "pdf": "this is a PDF, not an image.",
        "zip": f"no image among the {source.ignored} files of the archive.",
        "empty": "the file is empty.",
    }.get(kind, "neither DICOM nor NIfTI.")
    return NotAnImageError(what, where=source.path, hint=_WANTED)


_WANTED = "Give a folder, file or zip of DICOM CT or MR images, or a NIfTI file."


def _walk(folder: Path) -> list[Entry]:
    def refuse(error: OSError) -> None:
        hint = "Ask for permission to read it, or give another folder."
        raise InputError(
            f"cannot be read: {error.strerror}.", where=error.filename, hint=hint
        ) from error

    found = []
    for base, folders, names in os.walk(folder, onerror=refuse):  # else it would just look empty
        folders.sort()
        for name in sorted(names):
            file = Path(base, name)
            if file.is_file():  # not a pipe or a dangling link
                found.append(Entry(file, str(file.relative_to(folder))))
        if len(found) > MAX_FILES:
            raise InputError(
                f"more than {MAX_FILES} files.", where=folder, hint="Give the folder of one study."
            )
    return found


def _sorted_out(path: Path, entries: list[Entry]) -> Source:
    kinds = [(entry, _kind(entry.path, entry.name)) for entry in entries]
    dicom = tuple(e for e, kind in kinds if kind == "dicom")
    nifti = tuple(e for e, kind in kinds if kind == "nifti")
    names = _listed([e for e, kind in kinds if kind == "dicomdir"])
    here = {_plain(e.name) for e in entries}
    missing = tuple(name for name in names if _plain(name) not in here)
    return Source(path, dicom, nifti, len(entries) - len(dicom) - len(nifti), len(names), missing)


def _listed(directories: list[Entry]) -> list[str]:
    """Images that DICOMDIRs among other files list; a damaged one is no loss, the files are there."""
    names = []
    for entry in directories:
        with suppress(InputError):
            names += [str(PurePosixPath(entry.name).parent / name) for name in listed(entry)]
    return names


def _plain(name: str) -> str:
    return "/".join(plain(part) for part in PurePosixPath(name.replace("\\", "/")).parts)


def _by_directory(directory: Entry) -> Source:
    """The files that a DICOMDIR lists, and no others."""
    names = listed(directory)
    found, missing = there(directory, names)
    if not found:
        what = f"none of the {len(names)} images that the DICOMDIR lists is there."
        raise NotAnImageError(what, where=directory.path, hint="Copy the whole disc.")
    source = _sorted_out(directory.path, found)
    return replace(source, listed=len(names), missing=tuple(missing))


def _kind(path: Path, name: str) -> str:
    """``dicom``, ``nifti``, ``zip``, ``pdf``, ``empty`` or ``other``, by the first bytes."""
    try:
        with path.open("rb") as stream:
            head = stream.read(352)
    except OSError as error:
        raise InputError("cannot be read.", where=path, hint=error.strerror) from error
    return _kind_of(head, name.lower())


def _kind_of(head: bytes, name: str) -> str:
    if not head:
        return "empty"
    if head[128:132] == b"DICM" and _DICOMDIR in head:
        return "dicomdir"
    if head[128:132] == b"DICM" or _bare_dicom(head):
        return "dicom"
    if head[:4] == b"PK\x03\x04" or head[:4] == b"PK\x05\x06":
        return "zip"
    if head[:5] == b"%PDF-":
        return "pdf"
    if head[:4] in (b"\x5c\x01\0\0", b"\0\0\x01\x5c", b"\x1c\x02\0\0", b"\0\0\x02\x1c"):
        return "nifti"  # sizeof_hdr 348 or 540, either byte order
    return "nifti" if name.endswith((".nii", ".nii.gz")) else "other"


def _bare_dicom(head: bytes) -> bool:
    """A data set without preamble: starts with a plausible element of group 0002 or 0008."""
    if len(head) < 8 or head[:2] not in (b"\x08\0", b"\x02\0") or head[3] != 0 or head[2] > 0x18:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or int.from_bytes(head[4:8], "little") < 128


def _unpacked(path: Path, room: Path) -> list[Entry]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _refuse_unsafe(path, members)
            return _write_out(path, archive, members, room)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise InputError("the zip archive is damaged.", where=path, hint="Copy it again.") from error
    except RuntimeError as error:  # zipfile's word for "needs a password"
        raise InputError("the zip archive is encrypted.", where=path, hint="Unpack it first.") from error
    except OSError as error:
        raise InputError(
            "the zip archive cannot be unpacked.", where=path, hint=error.strerror
        ) from error


def _refuse_unsafe(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MAX_FILES:
        raise InputError(f"more than {MAX_FILES} files in the archive.", where=path)
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/"))
        drive = len(parts.parts) > 0 and parts.parts[0].endswith(":")
        if parts.is_absolute() or ".." in parts.parts or drive:
            raise InputError(
                "the archive holds a path that leads outside it.",
                where=path,
                hint="Do not trust where it came from; pack the images again.",
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError("the archive holds a symbolic link.", where=path, hint="Pack plain files.")


def _write_out(
    path: Path, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo], room: Path
) -> list[Entry]:
    """Write members under numbers; sizes are counted as they come, whatever the archive claims."""
    allowed = min(MAX_UNPACKED, max(MAX_RATIO * path.stat().st_size, 2**27))
    entries, total = [], 0
    for number, member in enumerate(members):
        target = room / f"{number:06d}"
        with archive.open(member) as stream, target.open("wb") as out:
            while chunk := stream.read(_CHUNK):
                total += len(chunk)
                if total > allowed:
                    raise InputError(
                        f"unpacks to more than {allowed // 2**20} MiB.",
                        where=path,
                        hint="Unpack it yourself if you trust it, and give the folder.",
                    )
                out.write(chunk)
        entries.append(Entry(target, member.filename))
    return entries
