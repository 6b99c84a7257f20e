"""The headers of the source images, read again for the objects that go back to the archive.

Everything else this program writes is free of identifiers; DICOM results must carry those of
their source, or no archive files them with the patient. Only the attributes named here are
copied, and each is brought into a form that a DICOM writer accepts.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from burden.image import Origin, Volume

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
_IMAGE = (
    "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "FrameOfReferenceUID", "Modality", "ImagePositionPatient", "ImageOrientationPatient",
    "SliceThickness", "NumberOfFrames",
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
_LONGEST = {"StudyID": 16, "AccessionNumber": 16, "PatientComments": 10240}
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
    references
        (SOP class, SOP instance) of the images, each once, in slice order.
    slices
        A header for each slice along array axis 2, its plane taken from the grid; empty where
        slices are not one file each.
    exact
        Whether every slice lies where its source image lies (false after a tilt was removed).
    """

    header: Dataset
    references: tuple[tuple[str, str], ...]
    slices: tuple[Dataset, ...]
    exact: bool


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
    images = [read[name] for name in origin.files]
    for image in images:
        _check(image, origin)
    header = _patient(images[0])
    references = tuple(dict.fromkeys((str(i.SOPClassUID), str(i.SOPInstanceUID)) for i in images))
    whole = len(references) == len(images) == volume.grid.shape[2]
    if not whole or any(int(i.get("NumberOfFrames") or 1) > 1 for i in images):
        return Source(header, references, (), False)
    exact = all(_lies_on(image, volume, k) for k, image in enumerate(images))
    slices = tuple(_slice(header, image, volume, k, exact) for k, image in enumerate(images))
    return Source(header, references, slices, exact)


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings about what hospitals write; what matters is checked here."""
    from pydicom import config

    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        yield


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


def _header(origin: Origin, name: str, archive: zipfile.ZipFile | None) -> Dataset:
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
            data = dcmread(source, stop_before_pixels=True, force=True, specific_tags=tags)
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


def _patient(image: Dataset) -> Dataset:
    """Patient, study and series attributes, decoded and in form."""
    from pydicom import Dataset

    out = Dataset()
    out.SpecificCharacterSet = "ISO_IR 192"
    for keyword in (*_EMPTY, *_COPIED):
        value = image.get(keyword)
        text = "" if value is None else str(value).strip().strip("\0")
        form = _FORMS.get(keyword)
        if form is not None and not re.fullmatch(form, text):
            text = ""
        text = text[: _LONGEST.get(keyword, 64)]
        if text or keyword in _EMPTY:
            setattr(out, keyword, text)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        setattr(out, keyword, str(getattr(image, keyword)))
    out.Modality = str(image.get("Modality") or "OT")
    return out


def _slice(header: Dataset, image: Dataset, volume: Volume, k: int, exact: bool) -> Dataset:
    """Header of slice k: who it is from the image, where it lies from the grid."""
    from copy import deepcopy

    from burden.write.dicom_object import uid

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
