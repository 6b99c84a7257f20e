"""dicom/report.dcm: the PDF report as an Encapsulated PDF, filed with the patient's study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from burden.case import Case
from burden.findings import Finding
from burden.write.deidentify import pictures_hidden, without_pictures
from burden.write.dicom_codes import REPORT, coded
from burden.write.dicom_object import (
    case_digest,
    finish,
    is_dicom,
    moment,
    series_identity,
    write_objects,
)
from burden.write.dicom_source import read_source
from burden.write.pdf import FILE as PDF_FILE
from burden.write.pdf import pdf_bytes

if TYPE_CHECKING:
    from pydicom import Dataset

FILE = "report.dcm"
_CLASS = "1.2.840.10008.5.1.4.1.1.104.1"


def write_dicom_pdf(case: Case, folder: Path) -> tuple[Finding, ...]:
    """Write ``dicom/report.dcm`` for a case of a DICOM series; a finding where it cannot be made."""
    if not is_dicom(case):
        return ()
    printed = folder / PDF_FILE

    def pdf() -> bytes:
        return printed.read_bytes() if printed.exists() else pdf_bytes(without_pictures(case))

    return write_objects(case, folder, f"dicom/{FILE}", lambda: [(FILE, encapsulated(case, pdf))])


def encapsulated(case: Case, pdf: Callable[[], bytes]) -> Dataset:
    """The PDF inside a DICOM object with the identity of the source."""
    import highdicom as hd
    from pydicom import Dataset
    from pydicom.uid import ExplicitVRLittleEndian

    assert case.images is not None  # noqa: S101 - callers asked is_dicom
    source = read_source(case.images.volume)
    header = source.header
    content = pdf()
    data = hd.SOPClass(
        sop_class_uid=_CLASS,
        modality="DOC",
        transfer_syntax_uid=ExplicitVRLittleEndian,
        study_instance_uid=header.StudyInstanceUID,
        specific_character_set="ISO_IR 192",
        **series_identity(case, "DOC", case_digest(case), "Liver burden report"),
    )
    for element in header:
        if element.keyword not in ("SeriesInstanceUID", "Modality", "LossyImageCompression",
                                   "PositionReferenceIndicator"):  # fmt: skip
            data[element.tag] = element
    when = moment(case)
    data.AcquisitionDateTime = ""
    data.ContentDate, data.ContentTime = f"{when:%Y%m%d}", f"{when:%H%M%S}"
    data.ConversionType = "WSD"
    # The words of the pages name nobody; the pixels of the pictures may.
    data.BurnedInAnnotation = "YES" if source.burned_in and not pictures_hidden(case) else "NO"
    data.VerificationFlag = "UNVERIFIED"
    data.DocumentTitle = "Liver tumor burden (research use only)"
    data.ConceptNameCodeSequence = [coded(REPORT)]
    references = []
    for image in source.images:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
            image.SOPClassUID,
            image.SOPInstanceUID,
        )
        references.append(item)
    data.SourceInstanceSequence = references
    data.MIMETypeOfEncapsulatedDocument = "application/pdf"
    data.EncapsulatedDocumentLength = len(content)
    data.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return finish(data, case, header)
