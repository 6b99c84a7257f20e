"""One image at the door, whichever door: checked, written, and answered with a DICOM status.

Only Success means that the image is on the disk.
"""

from __future__ import annotations

import errno
import io
import re
from dataclasses import dataclass
from typing import Literal

from burden.node.folders import Folders, key_of, name_of
from burden.node.room import Room

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
CLASS_NOT_SUPPORTED = 0x0122
OUT_OF_RESOURCES = 0xA700
DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

IMAGES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT Image",
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT Image",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT Image",
    "1.2.840.10008.5.1.4.1.1.4": "MR Image",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR Image",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR Image",
}
"""What can be measured in."""

SYNTAXES = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.5",
)
"""What can be decoded. Deflated is not among them: a small one can unpack to any size."""

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True)
class Taken:
    """The answer to one image.

    Parameters
    ----------
    why
        A word for logs and metrics; "" when it was stored. It holds nothing of the image.
    """

    status: int
    why: str = ""
    key: str = ""
    sop_class: str = ""
    sop_uid: str = ""


@dataclass(frozen=True)
class Intake:
    """Where images go, and how large one may be."""

    folders: Folders
    room: Room
    most_bytes: int
    accept: Literal["images", "everything"] = "images"

    def take(self, data: bytes, sop_class: str = "", sop_uid: str = "", study_uid: str = "") -> Taken:
        """Store one DICOM file (Part 10); the request may say what it should be."""
        if len(data) > self.most_bytes:
            return Taken(OUT_OF_RESOURCES, "too-large", "", sop_class, sop_uid)
        try:
            study, found_class, found_uid = _identity(data)
        except Exception:  # whatever a damaged header makes a parser do
            return Taken(CANNOT_UNDERSTAND, "unreadable", "", sop_class, sop_uid)
        told = (sop_class or found_class, sop_uid or found_uid)
        if told != (found_class, found_uid) or study_uid not in ("", study):
            return Taken(DOES_NOT_MATCH, "mismatch", "", *told)
        if not all(map(is_uid, (study, found_class, found_uid))):
            return Taken(CANNOT_UNDERSTAND, "invalid-uid", "", *told)
        if found_class not in IMAGES:
            status = SUCCESS if self.accept == "everything" else CLASS_NOT_SUPPORTED
            return Taken(status, "not-an-image", "", *told)
        key = key_of(study)
        with self.room.for_bytes(len(data)) as granted:
            if not granted:
                return Taken(OUT_OF_RESOURCES, "no-room", "", *told)
            try:
                self.folders.put(key, name_of(found_uid), data)
            except OSError as error:
                full = error.errno in (errno.ENOSPC, errno.EDQUOT)
                status = OUT_OF_RESOURCES if full else PROCESSING_FAILURE
                return Taken(status, "disk-full" if full else "disk-error", "", *told)
        return Taken(SUCCESS, "", key, *told)


def is_uid(text: str) -> bool:
    """Whether a text can be a UID; a component with a leading zero is let pass."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _identity(data: bytes) -> tuple[str, str, str]:
    """Study, class and instance UID of a DICOM file, from its header alone.

    Raises
    ------
    Exception
        Anything, as parsers do on damaged files; also for a syntax that is not in `SYNTAXES`.
    """
    from pydicom import config, dcmread

    with config.disable_value_validation():
        length = int.from_bytes(data[140:144], "little")  # of the file meta group
        meta = dcmread(io.BytesIO(data[: 144 + length])).file_meta
        if str(meta.TransferSyntaxUID) not in SYNTAXES:
            raise ValueError("a transfer syntax that is not decoded here")
        tags = ["StudyInstanceUID", "SOPClassUID", "SOPInstanceUID"]
        head = dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=list(tags))
        study, sop_class, sop_uid = (str(head[name].value) for name in tags)
    return study, sop_class, sop_uid
