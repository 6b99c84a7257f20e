"""dicom/sc/*.dcm: the key slices with outlines and numbers, for archives that show no SEG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from burden.case import RESEARCH_USE, Case
from burden.findings import Finding
from burden.lesions import Lesion
from burden.write.deidentify import pictures_hidden
from burden.write.dicom_object import (
    Parts,
    case_digest,
    finish,
    is_dicom,
    moment,
    series_identity,
    write_objects,
)
from burden.write.dicom_source import Source, name_frames, read_source, uid
from burden.write.pictures import Picture, case_pictures
from burden.write.slices import View, key_slices, lps_view
from burden.write.words import PLANS, number, said

if TYPE_CHECKING:
    from pydicom import Dataset

_MOST_LINES = 6
_SIZE, _LINE, _PAD = 16, 22, 10  # px


def write_dicom_sc(case: Case, folder: Path) -> tuple[Finding, ...]:
    """Write ``dicom/sc/01.dcm`` ... for a case of a DICOM series; a finding where it cannot be made."""
    if not is_dicom(case):
        return ()
    if pictures_hidden(case):
        text = "No picture is shown and dicom/sc left out: text may be burned into the source pixels."
        return (Finding("dicom-object-missing", "warning", text),)
    return write_objects(case, folder, "dicom/sc/*.dcm", lambda: captures(case))


def captures(case: Case) -> Parts:
    """The coronal overview with the key numbers, then the axial key slices, head first."""
    assert case.images is not None  # noqa: S101 - callers asked is_dicom
    source = read_source(case.images.volume)
    view = lps_view(case.images)
    axial, coronal = case_pictures(case)
    digest = case_digest(case)
    pages: list[tuple[Picture, list[str], tuple[str, str], int | None]] = []
    if coronal is not None:
        pages.append((coronal, _summary(case), ("L", "F"), None))
    for picture, k in zip(axial, key_slices(view, case.lesions), strict=True):
        lines = _sizes(view, k, case.lesions)
        pages.append((picture, lines, ("L", "P"), _source_slice(case, k)))
    for n, (picture, lines, orientation, at) in enumerate(pages, start=1):
        data = _capture(case, source, _burned(picture, lines), orientation, digest, n)
        _refer(data, source, at)
        yield f"sc/{n:02d}.dcm", finish(data, case, source.header)


def _capture(
    case: Case, source: Source, pixels: NDArray[np.uint8], orientation: tuple[str, str],
    digest: str, n: int,
) -> Dataset:  # fmt: skip
    import highdicom as hd

    header = source.header
    identity = series_identity(case, "SC", digest, "Liver burden key images")
    identity["sop_instance_uid"] = uid(identity["series_instance_uid"], str(n))
    identity["instance_number"] = n
    data = hd.sc.SCImage(
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=header.StudyInstanceUID,
        patient_id=header.PatientID,
        patient_name=header.PatientName,
        patient_birth_date=header.PatientBirthDate,
        patient_sex=header.PatientSex,
        accession_number=header.AccessionNumber,
        study_id=header.StudyID,
        study_date=header.StudyDate,
        study_time=header.StudyTime,
        referring_physician_name=header.ReferringPhysicianName,
        patient_orientation=orientation,
        specific_character_set="ISO_IR 192",
        **identity,
    )
    when = moment(case)
    data.Modality = "OT"
    data.ConversionType = "WSD"
    data.DateOfSecondaryCapture = f"{when:%Y%m%d}"
    data.TimeOfSecondaryCapture = f"{when:%H%M%S}"
    data.BodyPartExamined = "LIVER"
    # What we draw names nobody; what was in the pixels before may.
    data.BurnedInAnnotation = "YES" if source.burned_in else "NO"
    data.RecognizableVisualFeatures = "NO"
    data.ImageComments = RESEARCH_USE
    data.DerivationDescription = "Outlines and measurements drawn on source images; research use only"
    return data


def _refer(data: Dataset, source: Source, at: int | None) -> None:
    """Name the source image of an axial picture; the others show a plane of the whole series."""
    from pydicom import Dataset

    if at is None or not source.slices or not source.exact:
        return
    item = Dataset()
    item.ReferencedSOPClassUID = source.slices[at].SOPClassUID
    item.ReferencedSOPInstanceUID = source.slices[at].SOPInstanceUID
    data.SourceImageSequence = [item]
    name_frames(data, source)


def _source_slice(case: Case, k: int) -> int | None:
    """Slice of the series shown as axial slice k of the view; None where slices are not axial."""
    assert case.images is not None  # noqa: S101
    grid = case.images.volume.grid
    order, flip = grid.to_lps_order()
    if order[2] != 2:
        return None
    return grid.shape[2] - 1 - k if flip[2] else k


def _summary(case: Case) -> list[str]:
    facts = case.facts
    rows = {"Liver": "liver.volume", "Tumor": "tumor.volume", "Burden": "tumor.burden",
            "Lesions": "lesion.count", "Largest": "lesion.largest_diameter"}  # fmt: skip
    lines = []
    for title, fact_id in rows.items():
        natural = (0.0, 100.0) if fact_id == "tumor.burden" else (0.0, float("inf"))
        told = said(facts, fact_id, natural=natural)
        lines.append(f"{title}: {told.text}" + (f" ({told.range})" if told.range else ""))
    kind = said(facts, "frilling.type")
    lines.append(f"Frilling type: {kind.text}")
    best = said(facts, "flr.best.percent", natural=(0.0, 100.0))
    if best.known:
        lines.append(f"FLR, {PLANS['best'].lower()}: {best.text}")
    return lines


def _sizes(view: View, k: int, lesions: Sequence[Lesion]) -> list[str]:
    """Sizes of the lesions in a slice, the largest first."""
    present = set(np.unique(view.lesions[:, :, k]).tolist()) - {0}
    here = [one for one in lesions if one.id in present]
    lines = [
        f"{one.id}: {'at least ' if one.touches_edge else ''}{number(one.recist_long_mm, 'mm')} × "
        f"{number(one.recist_short_mm, 'mm')} mm, {number(one.volume_ml, 'mL')} mL"
        for one in here[:_MOST_LINES]
    ]
    more = len(here) - _MOST_LINES
    return lines + ([f"and {more} more"] if more > 0 else [])


def _burned(picture: Picture, lines: Sequence[str]) -> NDArray[np.uint8]:
    """Picture with its caption and numbers below, and the research-use line on top and bottom."""
    from PIL import Image, ImageDraw

    font, small = _font(_SIZE), _font(_SIZE - 3)
    half = (len(lines) + 1) // 2
    above, below = _LINE + _PAD, _LINE * (half + 2) + 2 * _PAD
    page = Image.new("RGB", (picture.width, above + picture.height + below), "black")
    with Image.open(io.BytesIO(picture.png)) as image:
        page.paste(image.convert("RGB"), (0, above))
    draw = ImageDraw.Draw(page)
    draw.text((_PAD, _PAD // 2), "RESEARCH USE ONLY · liver-burden", font=font, fill="#ffb000")
    top = above + picture.height + _PAD
    draw.text((_PAD, top), _plain(picture.caption), font=small, fill="white")
    for n, line in enumerate(lines):
        x = _PAD + (n // half) * (picture.width // 2)
        draw.text((x, top + _LINE * (1 + n % half)), _plain(line), font=small, fill="white")
    draw.text((_PAD, top + _LINE * (half + 1)), RESEARCH_USE, font=small, fill="#ffb000")
    return np.asarray(page, dtype=np.uint8)


def _plain(text: str) -> str:
    return text.replace("\N{WORD JOINER}", "").replace("\N{NO-BREAK SPACE}", " ")


def _font(size: int) -> Any:
    from PIL import ImageFont

    from burden.write.pdf_page import font_file

    return ImageFont.truetype(str(font_file()), size)
