"""The headers of the source images, read again for the objects that go back to the archive.

Everything else this program writes is free of identifiers; DICOM results must carry those of
their source, or no archive files them with the patient. Only the attributes named here are
copied, and each is brought into a form that a DICOM writer accepts.
"""

from __future__ import annotations

import hashlib
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from burden.image import Origin, Volume
from burden.write.dicom_alias import hidden, hide_uids, words_in

if TYPE_CHECKING:
    from pydicom import Dataset

_EMPTY = (  # type 2: present in every object, even without a value
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName", "StudyID",
)  # fmt: skip
_COPIED = (
    "IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "PatientComments",
    "PatientIdentityRemoved", "DeidentificationMethod", "StudyDescription", "AdmissionID",
    "PositionReferenceIndicator", "LossyImageCompression",
)  # fmt: skip
OF_PATIENT = (  # what belongs into results of any kind
    *(word for word in _COPIED if word not in ("PositionReferenceIndicator", "LossyImageCompression")),
    "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
)  # fmt: skip
_IMAGE = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "Modality", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceThickness", "NumberOfFrames", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence", "BurnedInAnnotation", "DeidentificationMethodCodeSequence",
)  # fmt: skip
_FORMS = {  # what a value must look like; others are left out rather than passed on damaged
    "PatientBirthDate": r"\d{8}",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "PatientSex": r"[MFO]",
    "PatientAge": r"\d{3}[DWMY]",
    "LossyImageCompression": r"0[01]",
    "PatientIdentityRemoved": r"YES|NO",
}
_LONGEST = {"StudyID": 16, "AccessionNumber": 16, "PatientComments": 10240, "PatientName": 3 * 64 + 2}
_PLANE = (  # where a multi-frame image says where a frame lies
    ("PlanePositionSequence", "ImagePositionPatient"),
    ("PlaneOrientationSequence", "ImageOrientationPatient"),
    ("PixelMeasuresSequence", "SliceThickness"),
)
_SINGLE = "1.2.840.10008.5.1.4.1.1.2"  # a class of one image a file, for the made-up headers
_SAME_MM = 0.3  # a slice within this of its source image lies on it


class SourceError(Exception):
    """Why the source cannot be written about, in words without any identifier."""


@dataclass(frozen=True, eq=False)
class Source:
    """What the result objects take from their source.

    Parameters
    ----------
    header
        Patient, study and series of the first image; every type 2 attribute is there.
    images
        A header for each source file, once, in slice order.
    slices
        A header for each slice along array axis 2, its plane taken from the grid; empty where
        slices are not one image each. Where a file holds many frames each slice has a made-up
        instance UID, which ``frames`` resolves.
    frames
        Made-up instance UID -> (class, instance, frame number from 1); empty for one image a file.
    exact
        Whether every slice lies where its source image lies (false after a tilt was removed).
    burned_in
        Whether the source says that text is burned into its pixels.
    """

    header: Dataset
    images: tuple[Dataset, ...]
    slices: tuple[Dataset, ...]
    frames: Mapping[str, tuple[str, str, int]]
    exact: bool
    burned_in: bool


def read_source(volume: Volume) -> Source:
    """Read the headers of ``volume.origin.files`` again.

    Raises
    ------
    SourceError
        If they are gone, changed or not sound enough to refer to.
    """
    origin = volume.origin
    if not origin.files:
        raise SourceError("the source does not name its image files")
    read: dict[str, Dataset] = {}
    with quiet(), ExitStack() as stack:
        archive = _archive(origin, stack)
        for name in dict.fromkeys(origin.files):
            read[name] = _header(origin, name, archive)
    for image in read.values():
        _check(image, origin)
    _check_patient(read.values())
    headers = [read[name] for name in origin.files]
    header = _patient(headers[0])
    if origin.alias is not None:
        header = hidden(header, origin.alias)
        for image in read.values():
            hide_uids(image, origin.alias)
    files = _files(header, headers)
    burned_in = any(str(i.get("BurnedInAnnotation") or "") == "YES" for i in headers)
    single = not origin.frames
    if len(headers) != volume.grid.shape[2] or (single and len(files) != len(headers)):
        return Source(header, files, (), {}, False, burned_in)
    planes = headers if single else [_plane(i, n) for i, n in zip(headers, origin.frames, strict=True)]
    exact = all(_lies_on(plane, volume, k) for k, plane in enumerate(planes))
    slices = tuple(_slice(header, plane, volume, k, exact) for k, plane in enumerate(planes))
    frames = {}
    for one, number in zip(slices, origin.frames, strict=False):
        kind, name = str(one.SOPClassUID), str(one.SOPInstanceUID)
        one.SOPClassUID, one.SOPInstanceUID = _SINGLE, uid(name, f"frame {number}")
        frames[str(one.SOPInstanceUID)] = (kind, name, number)
    return Source(header, files, slices, frames, exact, burned_in)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings about what hospitals write; what matters is checked here."""
    from pydicom import config

    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


def name_frames(data: Dataset, source: Source) -> None:
    """Replace references to made-up headers by the source file, and its frame where it is one."""
    from pydicom import Sequence

    for element in data if source.frames else ():
        if element.VR != "SQ":
            continue
        items: dict[str, list[Dataset]] = {}
        for item in element.value:
            name_frames(item, source)
            made_up = str(item.get("ReferencedSOPInstanceUID", ""))
            kind, name, number = source.frames.get(made_up, ("", f"{id(item)}", 0))
            if kind:
                item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, name
                item.ReferencedFrameNumber = number
            items.setdefault(name, []).append(item)
        for same in items.values():
            if len(same) > 1:  # the file as a whole
                del same[0].ReferencedFrameNumber
        element.value = Sequence([same[0] for same in items.values()])


def decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    for digits in range(12, 0, -1):
        text = f"{float(value) + 0.0:.{digits}g}"
        if len(text) <= 16:
            return text
    return "0"


def _archive(origin: Origin, stack: ExitStack) -> zipfile.ZipFile | None:
    path = Path(origin.path)
    try:
        if path.is_file() and zipfile.is_zipfile(path):
            return stack.enter_context(zipfile.ZipFile(path))
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceError("the source archive cannot be read any more") from error
    return None


def _header(
    origin: Origin, name: str, archive: zipfile.ZipFile | None, *, whole: bool = False
) -> Dataset:
    from pydicom import dcmread
    from pydicom.datadict import tag_for_keyword

    tags: list[Any] = [tag_for_keyword(word) for word in (*_IMAGE, *_EMPTY, *_COPIED)]
    path = Path(origin.path)
    try:
        stream: Any
        if archive is not None:
            stream = archive.open(name)
        else:
            stream = (path / name if path.is_dir() else path).open("rb")
        with stream:
            source: BinaryIO = stream
            wanted = None if whole else tags
            data = dcmread(source, stop_before_pixels=True, force=True, specific_tags=wanted)
            data.decode()
        return data
    except Exception as error:  # any byte may be wrong, and the file may be gone
        raise SourceError(f"a source image cannot be read again ({type(error).__name__})") from error


def _check(image: Dataset, origin: Origin) -> None:
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        value = str(image.get(keyword) or "")
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)+", value) or len(value) > 64:
            raise SourceError(f"a source image has no usable {keyword}")
    if str(image.SeriesInstanceUID) != origin.series_uid:
        raise SourceError("the source files hold another series than the one measured")


def _check_patient(images: Iterable[Dataset]) -> None:
    """Refuse to file results with one patient where the images name another one too."""
    who = {
        tuple(str(i.get(key) or "").strip() for key in ("PatientID", "IssuerOfPatientID"))
        for i in images
    }
    if len(who) > 1:
        raise SourceError("the source images name more than one patient")


def _patient(image: Dataset) -> Dataset:
    """Patient, study and series attributes, decoded and in form."""
    from pydicom import Dataset
    from pydicom.multival import MultiValue

    out = Dataset()
    out.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_EMPTY, *_COPIED):
        value = image.get(keyword)
        several = (
            value if isinstance(value, MultiValue) else [value]
        )  # of one text, by a stray backslash
        text = "\\".join("" if one is None else str(one) for one in several).strip().strip("\0")
        form = _FORMS.get(keyword)
        if form is not None and not re.fullmatch(form, text):
            text = ""
        text = text[: _LONGEST.get(keyword, 64)]
        if text or keyword in _EMPTY:
            setattr(out, keyword, text)
    if out.get("PatientIdentityRemoved") == "YES":  # then one of two has to say how
        if codes := image.get("DeidentificationMethodCodeSequence"):
            out.DeidentificationMethodCodeSequence = codes
        elif "DeidentificationMethod" not in out:
            out.DeidentificationMethod = "As in the source images"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        setattr(out, keyword, str(getattr(image, keyword)))
    out.Modality = str(image.get("Modality") or "OT")
    return out


def uid(*parts: str) -> str:
    """A UID of the 2.25 root that depends on ``parts`` alone."""
    number = int(hashlib.sha256("/".join(parts).encode()).hexdigest()[:32], 16)
    return f"2.25.{number}"


def identity(volume: Volume) -> tuple[str, tuple[str, ...]]:
    """What tells the patient of a DICOM volume apart, and every word that could name somebody.

    Raises
    ------
    SourceError
        If the first image cannot be read again.
    """
    origin = volume.origin
    if origin.kind != "dicom" or not origin.files:
        return "", ()
    with quiet(), ExitStack() as stack:
        image = _header(origin, origin.files[0], _archive(origin, stack), whole=True)
    return f"{image.get('PatientID') or ''}/{image.get('IssuerOfPatientID') or ''}", words_in(image)


def _files(header: Dataset, images: Iterable[Dataset]) -> tuple[Dataset, ...]:
    """Patient, study and series with the class and instance of each file, once."""
    from copy import deepcopy

    out: dict[str, Dataset] = {}
    for image in images:
        name = str(image.SOPInstanceUID)
        if name not in out:
            out[name] = deepcopy(header)
            out[name].SOPClassUID, out[name].SOPInstanceUID = str(image.SOPClassUID), name
    return tuple(out.values())


def _plane(image: Dataset, number: int) -> Dataset:
    """Frame ``number`` of a multi-frame header as the header of a single image."""
    from pydicom import Dataset

    shared = list(image.get("SharedFunctionalGroupsSequence") or [])
    groups = [*list(image.get("PerFrameFunctionalGroupsSequence") or [])[number - 1 : number], *shared]
    out = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "FrameOfReferenceUID", "Modality"):
        if keyword in image:
            setattr(out, keyword, image.get(keyword))
    for sequence, keyword in _PLANE:
        items = [item for group in groups for item in group.get(sequence) or () if keyword in item]
        if items:
            setattr(out, keyword, items[0].get(keyword))
    return out


def _slice(header: Dataset, image: Dataset, volume: Volume, k: int, exact: bool) -> Dataset:
    """Header of slice k: who it is from the image, where it lies from the grid."""
    from copy import deepcopy

    grid = volume.grid
    out = deepcopy(header)
    out.SOPClassUID, out.SOPInstanceUID = str(image.SOPClassUID), str(image.SOPInstanceUID)
    frame = str(image.get("FrameOfReferenceUID") or "")
    # An object with positions needs a frame of reference; an old source may have none.
    out.FrameOfReferenceUID = frame or uid(header.SeriesInstanceUID, "frame of reference")
    out.PositionReferenceIndicator = out.get("PositionReferenceIndicator", "")
    place = image.ImagePositionPatient if exact else grid.world((0, 0, k))
    out.ImagePositionPatient = [decimal(float(v)) for v in place]
    out.ImageOrientationPatient = [decimal(v) for v in (*grid.axes[:, 0], *grid.axes[:, 1])]
    out.PixelSpacing = [decimal(grid.spacing[1]), decimal(grid.spacing[0])]
    thickness = image.get("SliceThickness")
    out.SliceThickness = decimal(float(thickness or grid.spacing[2]))
    out.SpacingBetweenSlices = decimal(grid.spacing[2])
    out.Columns, out.Rows = grid.shape[0], grid.shape[1]
    return out


def _lies_on(image: Dataset, volume: Volume, k: int) -> bool:
    try:
        position = np.array([float(v) for v in image.ImagePositionPatient])
        axes = np.array([float(v) for v in image.ImageOrientationPatient]).reshape(2, 3)
    except (AttributeError, TypeError, ValueError):
        return False
    off = np.linalg.norm(position - volume.grid.world((0, 0, k)))
    turned = np.abs(axes.T - volume.grid.axes[:, :2]).max()
    return bool(off <= _SAME_MM and turned <= 1e-3)
