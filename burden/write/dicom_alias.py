"""Source headers with pseudonyms in place of identifiers: the PS3.15 Basic Profile.

The results are built from a short list of source attributes, so a short list is what the profile
has to deal with: what is not named here never leaves. Dates are shifted (113107), and sex, age,
height and weight kept (113108), for the rules ask for them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from burden.pseudonym import Pseudonyms

if TYPE_CHECKING:
    from pydicom import Dataset

OLD = 90  # years from which an age is told as this, or more
_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "StudyID",
)  # fmt: skip
_KEPT = ("PatientSex", "PatientAge", "PatientSize", "PatientWeight", "LossyImageCompression")
_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_METHOD = "PS3.15 Basic Profile: keyed pseudonyms, shifted dates"
_PROFILE = (
    ("113100", "Basic Application Confidentiality Profile"),
    ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("113108", "Retain Patient Characteristics Option"),
)
_WORDY = ("PN", "LO", "SH", "LT", "ST", "UT", "UC", "AE", "DA", "DT")
_HARMLESS = (  # words of ours too, and names of nobody
    "Manufacturer", "ManufacturerModelName", "CodeMeaning", "CodingSchemeDesignator", "CodeValue",
    "SoftwareVersions", "ContrastBolusAgent", "ConvolutionKernel", "ScanOptions", "SequenceName",
)  # fmt: skip
_COMMON = frozenset((  # alone in a description they name nobody, and findings need them
    "abdomen", "arterial", "axial", "chest", "contrast", "coronal", "delayed", "liver", "pelvis",
    "portal", "portal venous", "series", "slices", "thorax", "unknown", "venous", "volume",
))  # fmt: skip


def hidden(header: Dataset, alias: Pseudonyms) -> Dataset:
    """Patient and study of a source, pseudonyms for identifiers; all else is left out."""
    from pydicom import Dataset

    out = Dataset()
    out.SpecificCharacterSet, out.Modality = header.SpecificCharacterSet, header.Modality
    for keyword in _EMPTY:
        setattr(out, keyword, "")
    for keyword in _KEPT:
        if keyword in header:
            setattr(out, keyword, header.get(keyword))
    age = str(out.get("PatientAge", ""))
    if age.endswith("Y") and int(age[:3]) >= OLD:
        out.PatientAge = f"{OLD:03d}Y"
    out.PatientName = out.PatientID = alias.name
    out.StudyDate = alias.shifted(str(header.StudyDate))
    hide_uids(header, alias)
    out.StudyInstanceUID, out.SeriesInstanceUID = header.StudyInstanceUID, header.SeriesInstanceUID
    out.PatientIdentityRemoved, out.DeidentificationMethod = "YES", _METHOD
    out.LongitudinalTemporalInformationModified = "MODIFIED"
    codes = []
    for value, meaning in _PROFILE:
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "DCM", meaning
        codes.append(code)
    out.DeidentificationMethodCodeSequence = codes
    return out


def hide_uids(image: Dataset, alias: Pseudonyms) -> None:
    """Replace the UIDs of a header, in place."""
    for keyword in _UIDS:
        if image.get(keyword):
            setattr(image, keyword, alias.uid(str(image.get(keyword))))


def words_in(image: Dataset) -> tuple[str, ...]:
    """Every text and date of a header that could name somebody, the longest first."""
    words: set[str] = set()
    for element in image.iterall():
        if element.VR not in _WORDY or element.keyword in _HARMLESS:
            continue
        for value in element.value if element.VM > 1 else [element.value]:
            if element.VR != "PN" and str(value).strip().lower() in _COMMON:
                continue
            parts = re.split(r"[\^=]", str(value)) if element.VR == "PN" else []
            words |= {word.strip() for word in (str(value), *parts) if len(word.strip()) > 3}
    return tuple(sorted(words, key=len, reverse=True))
