"""What all DICOM result objects share: identity, equipment, dates, and how failure is told.

UIDs are hashes of what an object says, not of when it was written: results sent twice are the
same instance to an archive, and a repeated run adds nothing to it.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.case import Case, Images
from burden.findings import Finding
from burden.write.dicom_codes import PROCESSING, coded
from burden.write.dicom_source import OF_PATIENT, SourceError, quiet, uid
from burden.write.record import case_record

if TYPE_CHECKING:
    from pydicom import Dataset

NAME = "liver-burden"
SERIES = {"SEG": 9001, "SR": 9002, "SC": 9003, "DOC": 9004}
_LOG = logging.getLogger(__name__)

Parts = Iterable[tuple[str, "Dataset"]]


def is_dicom(case: Case) -> bool:
    """Whether there is a DICOM series that results can be about."""
    return case.images is not None and case.images.volume.origin.kind == "dicom"


def mask_digest(images: Images) -> str:
    """SHA-256 over the three masks and where they lie."""
    digest = hashlib.sha256(images.liver.grid.affine.round(6).tobytes())
    for labels in (images.liver, images.lesions, images.segments):
        digest.update(labels.data.astype(np.uint16).tobytes())
    return digest.hexdigest()


def case_digest(case: Case) -> str:
    """SHA-256 over everything said about a case but the times."""
    record = case_record(case)
    for key in ("created", "seconds", "files"):
        record["manifest"].pop(key, None)
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def series_identity(case: Case, modality: str, digest: str, title: str) -> dict[str, Any]:
    """Series, instance and equipment attributes as highdicom's constructors take them."""
    assert case.images is not None  # noqa: S101 - callers asked is_dicom
    source = case.images.volume.origin.shown_series_uid
    version = case.manifest.version
    when = moment(case)
    return {
        "series_instance_uid": uid(source, modality, digest, version, "series"),
        "sop_instance_uid": uid(source, modality, digest, version, "1"),
        "series_number": SERIES[modality],
        "instance_number": 1,
        "series_description": f"{title} (research use only)",
        "manufacturer": NAME,
        "manufacturer_model_name": NAME,
        "device_serial_number": model_digest(case)[:16] or "none",
        "software_versions": version,
        "content_date": when.date(),
        "content_time": when.time(),
    }


def model_digest(case: Case) -> str:
    """SHA-256 of the model's weight files, "" for given masks."""
    hashes = case.manifest.model.get("sha256")
    if not hashes:
        return ""
    text = json.dumps(hashes, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def moment(case: Case) -> datetime:
    """When the case was made, in local time as DICOM has it."""
    try:
        return datetime.fromisoformat(case.manifest.created).astimezone().replace(microsecond=0)
    except ValueError:
        return datetime.now().replace(microsecond=0)


def finish(data: Dataset, case: Case, header: Dataset) -> Dataset:
    """Patient, dates and equipment of a finished object; random UIDs made repeatable.

    Parameters
    ----------
    header
        Of the source: what a library left out of it is filled in.
    """
    from pydicom.dataset import Dataset

    for keyword in OF_PATIENT:
        if keyword in header and not data.get(keyword):
            setattr(data, keyword, header.get(keyword))
    when = moment(case)
    data.InstanceCreationDate = data.SeriesDate = f"{when:%Y%m%d}"
    data.InstanceCreationTime = data.SeriesTime = f"{when:%H%M%S}"
    device = Dataset()
    device.PurposeOfReferenceCodeSequence = [coded(PROCESSING)]
    device.Manufacturer = device.ManufacturerModelName = NAME
    device.DeviceSerialNumber = data.DeviceSerialNumber
    device.SoftwareVersions = data.SoftwareVersions
    device.ContributionDateTime = f"{when:%Y%m%d%H%M%S}"
    device.ContributionDescription = f"{case.manifest.model.get('id', 'masks')}; research use only"[:64]
    device.DeviceUID = uid(NAME, case.manifest.version, model_digest(case))
    if data.get("ContributingEquipmentSequence"):  # the library names itself last, with the time
        data.ContributingEquipmentSequence[-1].ContributionDateTime = device.ContributionDateTime
    data.ContributingEquipmentSequence = [*data.get("ContributingEquipmentSequence", []), device]
    if "DimensionOrganizationSequence" in data:
        fixed = uid(data.SOPInstanceUID, "dimensions")
        data.DimensionOrganizationSequence[0].DimensionOrganizationUID = fixed
        for item in data.DimensionIndexSequence:
            item.DimensionOrganizationUID = fixed
    return data


def write_objects(
    case: Case, folder: Path, what: str, build: Callable[[], Parts]
) -> tuple[Finding, ...]:
    """Build objects and save each under ``folder/dicom``, or say why there are none.

    A source with headers that no object can be made from must not cost the user the rest of
    the results; a disk that is full must.

    Parameters
    ----------
    what
        The files promised, for the finding, e.g. ``dicom/seg.dcm``.
    """
    try:
        with quiet():
            made = [(name, _encoded(data)) for name, data in build()]
    except SourceError as error:
        return (_missing(what, f"{error}"),)
    except Exception as error:  # hospitals write headers nobody foresaw
        # The message may quote a header value, so not even a log gets it: only what and where.
        _LOG.debug("%s not made: %s at %s", what, type(error).__name__, _where(error))
        return (_missing(what, f"the source headers do not allow it ({type(error).__name__})"),)
    for name, content in made:
        path = folder / "dicom" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return ()


def _where(error: BaseException) -> str:
    """File and line of the last step of a failure."""
    from traceback import extract_tb

    last = extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _encoded(data: Dataset) -> bytes:
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _missing(what: str, why: str) -> Finding:
    return Finding("dicom-object-missing", "warning", f"{what} was not written: {why}.")
