"""SR, captures and PDF: every number as in case.json, and no error from the validator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from burden.case import RESEARCH_USE, Case
from burden.write import write_case
from burden.write.dicom_codes import SCHEME, fact_code

DICOM = ["dicom_seg", "dicom_sr", "dicom_sc", "dicom_pdf"]
SIX_DIGITS = 5e-6  # what the report carries of a number
Filed = Callable[..., Case]


@pytest.fixture(scope="module", params=["CT bilobar", "MR healthy", "CT truncated"])
def out(
    request: pytest.FixtureRequest, case_of: Callable[[str], Case], filed: Filed,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """All DICOM results of a case."""
    modality, kind = request.param.split()
    case = case_of(kind)
    assert case.images is not None
    volume = replace(case.images.volume, modality=modality)
    case = replace(case, images=replace(case.images, volume=volume))
    folder = tmp_path_factory.mktemp("results")
    case = filed(case, folder / "in")
    assert write_case(case, folder / "out", writers=DICOM) == ()
    return folder / "out"


def tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        message = f"NOT CHECKED: {name} is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


def test_validator_finds_no_error(out: Path) -> None:
    checker = tool("dciodvfy")
    paths = sorted((out / "dicom").rglob("*.dcm"))
    assert {p.relative_to(out / "dicom").as_posix() for p in paths} > {
        "seg.dcm", "sr.dcm", "report.dcm", "sc/01.dcm", "sc/02.dcm",
    }  # fmt: skip
    for path in paths:
        done = subprocess.run([checker, "-new", str(path)], capture_output=True, text=True)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
        assert not errors, (path.name, errors)
        assert done.returncode == 0, path.name


def test_every_number_of_the_report_is_that_of_case_json(out: Path) -> None:
    record = json.loads((out / "case.json").read_text())
    document = hd.sr.srread(out / "dicom" / "sr.dcm")
    liver = document.content.get_image_measurement_groups()[0]
    told = {
        (m.name.value, m.name.scheme_designator): (m.value, m.unit.value)
        for m in liver.get_measurements()
    }
    units = {"mL": "cm3", "%": "%", "mm": "mm", "1": "1"}
    expected = {}
    for fact_id, fact in record["facts"].items():
        code = fact_code(fact_id)
        if code is not None and isinstance(fact["value"], (int, float)):
            expected[code[:2]] = (pytest.approx(fact["value"], rel=SIX_DIGITS), units[fact["unit"]])
    assert len(expected) >= 20 or record["case_id"] == "case-truncated"
    assert told == expected
    options = {(e.name.value, e.value.value) for e in liver.get_qualitative_evaluations()}
    kind = record["facts"]["frilling.type"]["value"]
    assert (kind is None) or ("FRILLING", f"FRILLING-{kind.upper()}") in options
    answers = [e.value.meaning.lower() for e in liver.get_qualitative_evaluations()
               if e.name.value.startswith("RULE-")]  # fmt: skip
    assert answers == [a["answer"] for a in record["assessments"]]


def test_every_lesion_refers_to_its_segment(out: Path) -> None:
    record = json.loads((out / "case.json").read_text())
    seg = hd.seg.segread(out / "dicom" / "seg.dcm")
    document = hd.sr.srread(out / "dicom" / "sr.dcm")
    groups = document.content.get_volumetric_roi_measurement_groups()
    assert len(groups) == len(record["lesions"])
    names = {"118565006": "volume_ml", "103339001": "recist_long_mm", "103340004": "recist_short_mm",
             "L0JK": "feret_3d_mm", "P-LESION": "p_lesion"}  # fmt: skip
    for group, row in zip(groups, record["lesions"], strict=True):
        reference = group.reference_type, group.referenced_segment
        assert reference[1].referenced_sop_instance_uid == seg.SOPInstanceUID
        number = int(reference[1].referenced_segment_numbers[0])
        described = seg.get_segment_description(number)
        assert described.SegmentLabel == f"Lesion {row['id']}"
        assert described.TrackingUID == group.tracking_uid
        assert {names[m.name.value]: m.value for m in group.get_measurements()} == {
            name: pytest.approx(row[name], rel=SIX_DIGITS) for name in names.values()
        }


def test_it_says_what_it_is(out: Path) -> None:
    document = pydicom.dcmread(out / "dicom" / "sr.dcm")
    assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
    assert document.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == SCHEME
    text = "\n".join(e.value for e in document.iterall() if e.keyword == "TextValue")
    assert RESEARCH_USE in text
    record = json.loads((out / "case.json").read_text())
    for one in record["assessments"]:
        if one["p_met"] is not None:
            assert "P(met)" in text
    for finding in record["findings"]:
        assert (finding["text"] in text) == (finding["severity"] != "info")
    series = {pydicom.dcmread(p, stop_before_pixels=True).SeriesNumber for p in out.rglob("*.dcm")}
    assert series == {9001, 9002, 9003, 9004}
    for path in out.rglob("*.dcm"):
        ds = pydicom.dcmread(path)
        assert ds.SeriesDescription.endswith("(research use only)")
        assert (ds.PatientID, ds.StudyInstanceUID, ds.StudyID) == ("P-7", "1.2.3", "9")
        last = ds.ContributingEquipmentSequence[-1]
        assert (last.Manufacturer, last.SoftwareVersions) == ("liver-burden", "0.1.0")


def test_the_pdf_inside_is_whole(out: Path) -> None:
    ds = pydicom.dcmread(out / "dicom" / "report.dcm")
    content = ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF")
    assert content.rstrip().endswith(b"%%EOF")
    assert b"QUIXANO" not in content
    assert len(ds.SourceInstanceSequence) == 48


def test_captures_show_picture_and_words(out: Path) -> None:
    paths = sorted((out / "dicom" / "sc").iterdir())
    assert [pydicom.dcmread(p).InstanceNumber for p in paths] == list(range(1, len(paths) + 1))
    for path in paths:
        ds = pydicom.dcmread(path)
        pixels = ds.pixel_array.astype(int)
        amber = (np.abs(pixels - (255, 176, 0)).max(axis=-1) < 30).sum(axis=1)
        assert amber[:30].sum() > 100, "research use, burned in on top"
        assert amber[-30:].sum() > 100, "and below"
        cyan = (np.abs(pixels - (53, 208, 230)).max(axis=-1) < 40).sum()
        assert cyan > 200, "the outline of the liver"
        assert ds.BurnedInAnnotation == "NO"
    axial = pydicom.dcmread(paths[1])
    assert list(axial.PatientOrientation) == ["L", "P"]
    assert axial.SourceImageSequence[0].ReferencedSOPInstanceUID.startswith("1.2.3.4.")


def test_dsrdump_reads_it(out: Path) -> None:
    done = subprocess.run(
        [tool("dsrdump"), str(out / "dicom" / "sr.dcm")], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "Hepatic tumor burden" in done.stdout or "truncated" in (out / "case.json").read_text()
    assert "UNVERIFIED" in done.stdout
