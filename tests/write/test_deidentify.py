"""--deidentify: nothing that names anybody leaves, and what belongs together stays together."""

from __future__ import annotations

import gzip
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest

from burden.case import Case
from burden.errors import UsageError
from burden.facts import Fact, Facts, Interval
from burden.findings import Finding
from burden.image import Origin
from burden.pseudonym import Pseudonyms
from burden.write import read_case, write_case
from burden.write.deidentify import (
    deidentified,
    pseudonym_key,
    without_great_age,
    without_identifiers,
)

KEY = b"a key of this test alone"
Make = Callable[..., Case]
NAME, BIRTH, STUDY_DATE = "ZWETSCHGENMANN^KLOTHILDE", "19330527", "20250304"
PLANTED = {
    "PatientName": NAME, "PatientID": "MRN-4711-0815", "PatientBirthDate": BIRTH, "PatientAge": "091Y",
    "IssuerOfPatientID": "KLINIKUM-XYZ", "OtherPatientNames": "MAEDCHENNAME^KLOTHILDE",
    "PatientAddress": "Lindenallee 17", "PatientTelephoneNumbers": "0176-5550199",
    "PatientComments": "sister of ZWETSCHGENMANN", "AccessionNumber": "ACC998877",
    "StudyID": "STUD5521", "StudyDate": STUDY_DATE, "StudyTime": "134501", "SeriesDate": "20250305",
    "AcquisitionDate": "20250306", "AcquisitionDateTime": "20250307134502", "ContentDate": "20250308",
    "InstitutionName": "Klinikum Xylophonien", "InstitutionAddress": "Hospitalweg 3",
    "ReferringPhysicianName": "OVERWEISER^ARNO", "PerformingPhysicianName": "SCHNEIDERLEIN^BODO",
    "OperatorsName": "KNOPFDRUECKER^CARLA", "StationName": "CTRAUM07", "DeviceSerialNumber": "SN-778812",
    "StudyDescription": "Abdomen fuer Prof. Overweiser", "AdmissionID": "ADM-31415",
    "SeriesDescription": "portal venous Zwetschgenmann", "ProtocolName": "ProtoGeheim77",
    "RequestingPhysician": "ANFORDERER^DORA",
    "FrameOfReferenceUID": "1.2.840.99999.7.7.5", "StudyInstanceUID": "1.2.840.99999.7.7.3",
    "SeriesInstanceUID": "1.2.840.99999.7.7.4",
}  # fmt: skip


def plant(folder: Path, **more: str) -> Path:
    """Put identifiers into every file of a series, and the patient's name into file names."""
    for n, path in enumerate(sorted(folder.iterdir())):
        ds = pydicom.dcmread(path)
        for keyword, value in (PLANTED | more).items():
            setattr(ds, keyword, value)
        ds.SOPInstanceUID = f"1.2.840.99999.7.7.4.{n + 1}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        block = ds.private_block(0x0019, "GEHEIM", create=True)
        block.add_new(0x10, "LO", "ZWETSCHGENMANN private")
        path.unlink()
        ds.save_as(folder / f"Zwetschgenmann {n:03d}.dcm", enforce_file_format=True)
    return folder


def secrets_of(folder: Path) -> set[str]:
    """All of PLANTED and what is in the files, in parts, with the UIDs."""
    words = {v for k, v in PLANTED.items() if k not in ("PatientAge", "StudyTime")}
    words |= {"134501", "134502", "ZWETSCHGENMANN", "KLOTHILDE", "GEHEIM", "Overweiser", "1.2.840.99999"}
    words |= {
        part for v in words for part in re.split(r"[\^ ]", v) if len(part) > 4 and part != "Abdomen"
    }
    words |= {
        str(date.fromisoformat(f"{v[:4]}-{v[4:6]}-{v[6:8]}"))
        for v in words
        if re.fullmatch(r"20\d{6}", v)
    }
    return words - {"portal", "venous", "sister", "private"}


def everything(out: Path, program: Callable[[str], str]) -> Iterator[tuple[str, bytes]]:
    """Bytes of every file, packed ones unpacked, and the text of the PDF."""
    for path in sorted(p for p in out.rglob("*") if p.is_file()):
        content = path.read_bytes()
        yield path.name, gzip.decompress(content) if path.suffix == ".gz" else content
        if path.suffix == ".pdf":
            done = subprocess.run([program("pdftotext"), path, "-"], check=True, capture_output=True)
            yield "text of the PDF", done.stdout
            done = subprocess.run([program("pdfinfo"), path], check=True, capture_output=True)
            yield "properties of the PDF", done.stdout


@pytest.fixture(scope="module")
def run_out(case_of: Make, filed: Make, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`burden run --deidentify` as a user runs it: OUT, stdout and stderr."""
    folder = tmp_path_factory.mktemp("deid")
    case = case_of("solitary")
    assert case.images is not None
    filed(case, folder / "in")
    plant(folder / "in")
    for name, labels in (("liver", case.images.liver), ("lesions", case.images.lesions)):
        nib.save(
            nib.Nifti1Image(labels.data.astype(np.uint8), labels.grid.ras), folder / f"{name}.nii.gz"
        )
    bundle = {
        "resourceType": "Bundle", "type": "collection",
        "entry": [{"resource": {
            "resourceType": "Patient", "id": "klothilde-7", "gender": "female",
            "birthDate": "1933-05-27",
            "name": [{"family": "Zwetschgenmann", "given": ["Klothilde"]}],
            "identifier": [{"value": "MRN-4711-0815"}],
        }}],
    }  # fmt: skip
    (folder / "Zwetschgenmann.json").write_text(json.dumps(bundle))
    command = [
        sys.executable, "-c", "from burden.cli import main; main()", "run", str(folder / "in"),
        "-o", str(folder / "out"), "--liver", str(folder / "liver.nii.gz"),
        "--lesions", str(folder / "lesions.nii.gz"), "--facts", str(folder / "Zwetschgenmann.json"),
        "--deidentify", "--key", str(folder / "new.key"), "--draws", "0", "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": ""}
    )
    assert done.returncode == 0, done.stderr
    return folder, done


def test_nothing_that_names_anybody_is_written_or_said(
    run_out: Any, program: Callable[[str], str]
) -> None:
    folder, done = run_out
    words = secrets_of(folder / "in")
    assert len(words) > 40
    checked = 0
    said = [("stdout", done.stdout.encode()), ("stderr", done.stderr.encode())]
    for name, content in (*everything(folder / "out", program), *said):
        low = content.lower()
        for word in words:
            for encoding in ("utf-8", "utf-16-le"):
                assert word.lower().encode(encoding) not in low, (name, word)
        checked += 1
    assert checked >= 14
    assert "pseudonym key was made" in done.stderr
    assert (folder / "new.key").stat().st_mode & 0o777 == 0o600


def test_the_search_would_find_them(run_out: Any, program: Callable[[str], str]) -> None:
    folder, _ = run_out
    content = b"".join(content for _, content in everything(folder / "in", program)).lower()
    missed = [w for w in secrets_of(folder / "in") if w.lower().encode() not in content and "-" not in w]
    assert missed == []


def test_the_profile_is_followed_attribute_by_attribute(run_out: Any) -> None:
    """Table E.1-1 of PS3.15 as dicom-anonymizer transcribed it, against every attribute written."""
    folder, _ = run_out
    table = importlib.import_module("dicomanonymizer.dicom_anonymization_databases.dicomfields_2026c")
    listed = {tuple(tag[:2]) for tag in table.ALL_TAGS}
    removed = {tuple(tag[:2]) for tag in table.X_TAGS}
    assert (0x0010, 0x0010) in listed
    assert (0x0010, 0x1040) in removed
    source: dict[tuple[int, int], set[str]] = {}
    for path in (folder / "in").iterdir():
        for element in pydicom.dcmread(path).iterall():
            source.setdefault((element.tag.group, element.tag.elem), set()).add(str(element.value))
    kept = {"PatientSex", "PatientSize", "PatientWeight"}  # option 113108
    ours = {  # attributes of the program and its results, not of the source
        "SeriesDescription", "ContentCreatorName", "DeviceSerialNumber", "ContributionDescription",
        "ContributingEquipmentSequence", "ContentSequence", "ImageComments", "DerivationDescription",
        "TextValue", "ContributionDateTime", "SeriesDate", "SeriesTime", "InstanceCreationDate",
        "InstanceCreationTime", "EncapsulatedDocument", "DocumentTitle", "DeviceUID",
        "ConceptCodeSequence",
        "PatientAge", "SourceImageSequence", "ReferencedPerformedProcedureStepSequence",
        "ContentDate", "ContentTime", "DateOfSecondaryCapture", "TimeOfSecondaryCapture",
        "VerifyingObserverSequence", "PerformedProcedureCodeSequence",
    }  # fmt: skip
    seen: set[str] = set()
    for path in sorted((folder / "out" / "dicom").rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        assert not any(e.tag.is_private for e in ds.iterall())
        assert ds.PatientIdentityRemoved == "YES"
        assert [c.CodeValue for c in ds.DeidentificationMethodCodeSequence] == [
            "113100",
            "113107",
            "113108",
        ]
        for element in [*ds.iterall(), *ds.file_meta]:
            tag = (element.tag.group, element.tag.elem)
            if tag not in listed or element.keyword in kept or not element.value:
                continue
            seen.add(element.keyword)
            assert str(element.value) not in source.get(tag, ()), (path.name, element.keyword)
            if tag in removed:
                assert element.keyword in ours, (path.name, element.keyword)
    assert {"PatientName", "PatientID", "StudyInstanceUID", "StudyDate"} <= seen


def test_what_belongs_together_stays_together(run_out: Any) -> None:
    folder, _ = run_out
    made = {p.stem: pydicom.dcmread(p) for p in (folder / "out" / "dicom").rglob("*.dcm")}
    alias = Pseudonyms(pseudonym_key(folder / "new.key")[0], "MRN-4711-0815/KLINIKUM-XYZ")
    for ds in made.values():
        assert str(ds.PatientName) == ds.PatientID == alias.name
        assert ds.StudyInstanceUID == alias.uid(PLANTED["StudyInstanceUID"])
        assert ds.StudyDate == alias.shifted(STUDY_DATE)
        assert ds.StudyDate < STUDY_DATE
        assert (ds.PatientAge, ds.PatientBirthDate) == ("090Y", "")
    seg, report = made["seg"], made["sr"]
    assert seg.FrameOfReferenceUID == alias.uid(PLANTED["FrameOfReferenceUID"])
    named = {
        i.ReferencedSOPInstanceUID for i in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }
    assert named <= {alias.uid(f"1.2.840.99999.7.7.4.{n + 1}") for n in range(48)}
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == alias.uid(PLANTED["SeriesInstanceUID"])
    tracked = {s.TrackingUID for s in seg.SegmentSequence if "Lesion" in s.SegmentLabel}
    uids = {e.value for e in report.iterall() if e.keyword in ("UID", "ReferencedSOPInstanceUID")}
    assert {str(seg.SOPInstanceUID), *tracked} <= uids
    fhir = json.loads((folder / "out" / "fhir.json").read_text())
    assert {f"urn:oid:{one}" for one in tracked} <= set(re.findall(r"urn:oid:[\d.]+", json.dumps(fhir)))
    record = json.loads((folder / "out" / "case.json").read_text())
    assert record["manifest"]["input"]["study_uid"] == seg.StudyInstanceUID
    age = record["facts"]["patient.age"]
    assert (age["low"], age["high"]) == (90, "inf")
    assert "deidentified" in {f["code"] for f in record["findings"]}


def test_one_patient_one_pseudonym_one_shift() -> None:
    one, other = Pseudonyms(KEY, "A/1"), Pseudonyms(KEY, "A/2")
    assert one.name == Pseudonyms(KEY, "A/1").name != other.name
    assert one.name != Pseudonyms(KEY[:-1], "A/1").name
    assert one.uid("1.2.3") == other.uid("1.2.3"), "a UID has one pseudonym, whoever it belongs to"
    assert one.uid("1.2.3") != Pseudonyms(b"x" * 20, "A/1").uid("1.2.3")

    def day(text: str) -> date:
        return date.fromisoformat(f"{text[:4]}-{text[4:6]}-{text[6:]}")

    before, after = one.shifted("20240228"), one.shifted("20240301")
    assert (day(after) - day(before)).days == 2
    assert before != other.shifted("20240228")
    assert one.shifted("yesterday") == "" == one.uid("")
    text = "Series 1.2.840.113619.2.5.1 and 2.25.99123, version 1.2.10, 10.0.0.12, 3.5 mm."
    told = one.in_text(text)
    assert "1.2.840.113619" not in told
    assert one.uid("1.2.840.113619.2.5.1") in told
    assert "version 1.2.10, 10.0.0.12, 3.5 mm." in told


def test_words_of_the_header_leave_the_findings(case_of: Make, filed: Make, tmp_path: Path) -> None:
    case = filed(case_of("healthy"), tmp_path / "in")
    plant(tmp_path / "in")
    assert case.images is not None
    files = tuple(sorted(p.name for p in (tmp_path / "in").iterdir()))
    origin = replace(
        case.images.volume.origin, files=files[::-1], series_uid=PLANTED["SeriesInstanceUID"],
        study_uid=PLANTED["StudyInstanceUID"], description=PLANTED["SeriesDescription"],
    )  # fmt: skip
    images = replace(case.images, volume=replace(case.images.volume, origin=origin))
    told = Finding(
        "x", "warning", f"Series 1.2.840.99999.7.7.9 of klothilde, {PLANTED['InstitutionName']}, liver."
    )
    hidden = deidentified(replace(case, images=images, findings=(told,)), KEY)
    alias = Pseudonyms(KEY, "MRN-4711-0815/KLINIKUM-XYZ")
    expected = f"Series {alias.uid('1.2.840.99999.7.7.9')} of (removed), (removed), liver."
    assert hidden.findings[0].text == expected
    assert hidden.case_id != case.case_id
    assert hidden.manifest.created != case.manifest.created


def test_pixels_with_text_in_them_are_not_shown(case_of: Make, filed: Make, tmp_path: Path) -> None:
    case = filed(case_of("bilobar"), tmp_path / "in")
    for path in (tmp_path / "in").iterdir():
        ds = pydicom.dcmread(path)
        ds.BurnedInAnnotation = "YES"
        ds.save_as(path)
    finding = Finding("burned-in-annotation", "warning", "Text is burned into the pixels.")
    case = replace(case, findings=(finding,))
    write_case(case, tmp_path / "open", writers=["dicom_sc", "dicom_pdf"])
    for path in (tmp_path / "open").rglob("*.dcm"):
        assert pydicom.dcmread(path).BurnedInAnnotation == "YES", "nobody could tell otherwise"
    found = write_case(deidentified(case, KEY), tmp_path / "out")
    assert [f.code for f in found] == ["dicom-object-missing"]
    assert not (tmp_path / "out" / "dicom" / "sc").exists()
    assert b"data:image/png" not in (tmp_path / "out" / "report.html").read_bytes()
    pdf = pydicom.dcmread(tmp_path / "out" / "dicom" / "report.dcm")
    assert pdf.BurnedInAnnotation == "NO"
    assert b"/Image" not in pdf.EncapsulatedDocument.replace(b"/ImageB", b"").replace(
        b"/ImageC", b""
    ).replace(b"/ImageI", b"")


def test_a_great_age_is_told_as_such() -> None:
    def age(years: float) -> Facts:
        return Facts([Fact("patient.age", Interval.exactly(years), "year", "dicom")])

    assert without_great_age(age(89))["patient.age"].value == Interval.exactly(89)
    assert without_great_age(age(97))["patient.age"].value == Interval(90, float("inf"))
    assert without_great_age(age(97))["patient.age"].best is None
    assert len(without_great_age(Facts())) == 0


def test_where_the_key_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BURDEN_PSEUDONYM_KEY", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    made, news = pseudonym_key(None)
    assert len(made) == 64
    assert str(tmp_path / "liver-burden" / "pseudonym.key") in news
    assert pseudonym_key(None) == (made, "")
    monkeypatch.setenv("BURDEN_PSEUDONYM_KEY", "x" * 40)
    assert pseudonym_key(None) == (b"x" * 40, "")
    assert pseudonym_key(tmp_path / "liver-burden" / "pseudonym.key") == (made, "")
    monkeypatch.setenv("BURDEN_PSEUDONYM_KEY", "short")
    with pytest.raises(UsageError, match="shorter than 16"):
        pseudonym_key(None)


def test_a_hidden_case_is_not_written_with_open_images(
    case_of: Make, filed: Make, tmp_path: Path
) -> None:
    """As when a reviewer corrects a de-identified result beside the original series."""
    case = filed(case_of("healthy"), tmp_path / "in")
    hidden = deidentified(case, KEY)
    write_case(hidden, tmp_path / "ok", writers=["dicom_seg"])
    with pytest.raises(UsageError, match="de-identified"):
        write_case(replace(hidden, images=case.images), tmp_path / "out", writers=["table"])
    assert not (tmp_path / "out").exists()
    assert read_case(tmp_path / "ok").manifest.settings["deidentified"] is True


def test_only_listed_entries_describe_the_input(case_of: Make) -> None:
    case = case_of("healthy")
    more = {**case.manifest.input, "hospital": "Xylophonien", "companions": []}
    public = without_identifiers(replace(case, manifest=replace(case.manifest, input=more)))
    assert set(public.manifest.input) == {
        "kind", "sha256", "study_uid", "series_uid", "modality", "phase", "shape", "companions",
    }  # fmt: skip


def test_a_nifti_is_hidden_too(case_of: Make, tmp_path: Path) -> None:
    case = case_of("solitary")
    assert case.images is not None
    origin = Origin("nifti", "/data/x/scan.nii.gz", "ab" * 32, description="scan.nii.gz")
    images = replace(case.images, volume=replace(case.images.volume, origin=origin))
    given = {"kind": "nifti", "sha256": "ab" * 32, "study_uid": "", "modality": "CT"}
    case = replace(case, images=images, manifest=replace(case.manifest, input=given))
    hidden = deidentified(case, KEY)
    assert write_case(hidden, tmp_path / "out", writers=["record", "fhir"]) == ()
    text = (tmp_path / "out" / "case.json").read_text() + (tmp_path / "out" / "fhir.json").read_text()
    assert "ab" * 32 not in text
    assert case.case_id not in text
    assert "2026-11-21" not in text
    assert deidentified(case, KEY).case_id == hidden.case_id != deidentified(case, KEY[1:]).case_id


def test_a_failure_is_logged_without_what_the_header_says(
    case_of: Make, filed: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def fails(*_: object) -> None:
        raise ValueError(f"cannot use {NAME}")

    monkeypatch.setattr("burden.write.dicom_seg.build", fails)
    case = filed(case_of("healthy"), tmp_path / "in")
    with caplog.at_level("DEBUG"):
        (found,) = write_case(case, tmp_path / "out", writers=["dicom_seg"])
    assert "ValueError at test_deidentify.py" in caplog.text
    assert NAME not in caplog.text + found.text
    assert "Traceback" not in caplog.text
