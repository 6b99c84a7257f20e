"""Thirty kinds of case through validators and other readers of the results.

Four of them by default; ``BURDEN_DICOM_CASES=30`` runs all.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pydicom
import pytest
from scipy.spatial.transform import Rotation

from burden.case import RESEARCH_USE, Case, Images
from burden.grid import Grid
from burden.image import Labels
from burden.write import write_case
from burden.write.deidentify import deidentified
from burden.write.dicom_codes import fact_code

DICOM = ["dicom_seg", "dicom_sr", "dicom_sc", "dicom_pdf"]
ORDERS = list(product(permutations(range(3)), product((False, True), repeat=3)))
TURN = Rotation.from_euler("xyz", [9, -14, 23], degrees=True).as_matrix()
Make = Callable[..., Case]
Program = Callable[[str], str]


@dataclass(frozen=True)
class Spec:
    kind: str
    modality: str = "CT"
    order: int | None = None  # a few voxels in this axis order; None: the kind's own abdomen
    oblique: bool = False
    leaning: bool = False  # as after a gantry tilt was removed
    hidden: bool = False  # de-identified
    header: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        words = [self.kind, self.modality, *(["oblique"] if self.oblique else [])]
        words += [f"order{self.order}"] if self.order is not None else []
        words += [w for w in ("leaning", "hidden") if getattr(self, w)]
        return "-".join(words + [k for k, _ in self.header])


KINDS = ("bilobar", "solitary", "healthy", "truncated", "diffuse")
ODD = (
    (("PatientName", ""), ("PatientID", "")),
    (("PatientBirthDate", "1970"), ("StudyTime", "25 past")),
    (("PatientName", "山田^太郎"),),
    (("PatientIdentityRemoved", "YES"), ("DeidentificationMethod", "by hand")),
    (
        ("PatientAge", "055Y"),
        ("PatientSize", "1.68"),
        ("PatientWeight", "71"),
        ("IssuerOfPatientID", "X"),
    ),
    (("StudyDescription", "x" * 64), ("AccessionNumber", "")),
)
SPECS = [
    Spec("bilobar"),
    Spec("healthy", "MR", 21, oblique=True),
    Spec("truncated", "CT", 40, leaning=True, header=ODD[4]),
    Spec("solitary", hidden=True, header=ODD[1]),
    *(Spec(kind, "MR") for kind in KINDS),
    *(Spec(kind) for kind in KINDS[1:]),
    *(
        Spec("bilobar", "CT" if n % 2 else "MR", n, oblique=n % 3 == 0)
        for n in (1, 8, 14, 19, 26, 33, 47)
    ),
    *(Spec("solitary", order=5 * n, header=odd) for n, odd in enumerate(ODD)),
    Spec("bilobar", "MR", 11, leaning=True, oblique=True),
    Spec("bilobar", "CT", 30, hidden=True, oblique=True),
    Spec("healthy", "MR", hidden=True),
    Spec("diffuse", hidden=True),
]
COUNT = int(os.environ.get("BURDEN_DICOM_CASES", "4"))


def leaning(case: Case) -> Case:
    assert case.images is not None
    affine = case.images.liver.grid.affine.copy()
    affine[:3, 3] += (3.0, -2.0, 0.0)
    grid = Grid(case.images.liver.grid.shape, affine)
    labels = (case.images.liver, case.images.lesions, case.images.segments)
    volume = replace(case.images.volume, grid=grid)
    return replace(case, images=Images(volume, *(Labels(one.data, grid) for one in labels)))


@pytest.fixture(scope="module", params=SPECS[:COUNT], ids=lambda spec: spec.name)
def made(
    request: pytest.FixtureRequest, case_of: Make, small: Make, filed: Make,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:  # fmt: skip
    """Folder with ``in`` and ``out`` of a case."""
    spec: Spec = request.param
    folder = tmp_path_factory.mktemp("case")
    case = case_of(spec.kind)
    assert case.images is not None
    case = replace(
        case, images=replace(case.images, volume=replace(case.images.volume, modality=spec.modality))
    )
    if spec.order is not None:
        case = small(case, ORDERS[spec.order], TURN if spec.oblique else None, spec.modality)
    case = filed(case, folder / "in")
    with pydicom.config.disable_value_validation():
        for path in (folder / "in").iterdir() if spec.header else ():
            ds = pydicom.dcmread(path)
            ds.SpecificCharacterSet = "ISO_IR 192"
            for keyword, value in spec.header:
                setattr(ds, keyword, value)
            ds.save_as(path)
    case = leaning(case) if spec.leaning else case
    case = deidentified(case, b"a key of this test alone") if spec.hidden else case
    assert write_case(case, folder / "out", writers=DICOM) == ()
    return folder


def test_there_are_thirty_kinds() -> None:
    assert len({spec.name for spec in SPECS}) == len(SPECS) == 30


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom about the odd headers made here
def test_validators_find_nothing(made: Path, program: Program) -> None:
    paths = sorted((made / "out" / "dicom").rglob("*.dcm"))
    assert len(paths) >= 5
    for path in paths:
        done = subprocess.run([program("dciodvfy"), "-new", path], capture_output=True, text=True)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
        assert (errors, done.returncode) == ([], 0), path.name
    entities, sources = [*paths], sorted((made / "in").iterdir())
    with pydicom.config.disable_value_validation():
        source, result = pydicom.dcmread(sources[0]), pydicom.dcmread(paths[0])
        sound = re.fullmatch(r"(\d{8})?", str(source.PatientBirthDate))
    # A damaged value is left out, and a hidden patient is another: only the results agree then.
    if sound and not str(result.PatientName).startswith("PSEUDO-"):
        entities += sources
    done = subprocess.run([program("dcentvfy"), *entities], capture_output=True, text=True)
    told = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    # The tool counts a report's accession number to its series and an image's to its study.
    told = [line for line in told if not re.search("AccessionNumber> IE <S.*> versus <S", line)]
    assert told == []


def test_every_measurement_is_recovered_by_dcmqi(made: Path) -> None:
    record = json.loads((made / "out" / "case.json").read_text())
    program = Path(sys.executable).with_name("tid1500reader")
    report, found = made / "out" / "dicom" / "sr.dcm", made / f"found-{os.getpid()}.json"
    subprocess.run(
        [program, "--inputDICOM", report, "--outputMetadata", found], check=True, capture_output=True
    )
    told = json.loads(found.read_text())
    assert told["VerificationFlag"] == "UNVERIFIED"
    liver, *lesions = told["Measurements"]

    def numbers(group: dict[str, Any]) -> dict[tuple[str, str], tuple[float, str]]:
        return {
            (m["quantity"]["CodeValue"], m["quantity"]["CodingSchemeDesignator"]):
                (float(m["value"]), m["units"]["CodeValue"])
            for m in group["measurementItems"]
        }  # fmt: skip

    units = {"mL": "cm3", "%": "%", "mm": "mm", "1": "1"}
    expected = {}
    for fact_id, fact in record["facts"].items():
        code = fact_code(fact_id)
        if code is not None and isinstance(fact["value"], (int, float)):
            expected[code[:2]] = (pytest.approx(fact["value"], rel=1e-5), units[fact["unit"]])
    assert numbers(liver) == expected
    drawn = pydicom.dcmread(made / "out" / "dicom" / "seg.dcm", stop_before_pixels=True)
    tracked = {s.TrackingUID: s for s in drawn.SegmentSequence}
    rows = {f"Lesion {row['id']}": row for row in record["lesions"]}
    assert len(lesions) == sum(s.SegmentLabel in rows for s in tracked.values())
    for group in lesions:
        segment = tracked[group["TrackingUniqueIdentifier"]]
        assert int(group["ReferencedSegment"]) == segment.SegmentNumber
        assert group["segmentationSOPInstanceUID"] == drawn.SOPInstanceUID
        row = rows[segment.SegmentLabel]
        names = {
            ("118565006", "SCT"): ("volume_ml", "cm3"),
            ("103339001", "SCT"): ("recist_long_mm", "mm"),
            ("103340004", "SCT"): ("recist_short_mm", "mm"),
            ("L0JK", "IBSI"): ("feret_3d_mm", "mm"),
            ("P-LESION", "99LIVERBURDEN"): ("p_lesion", "1"),
        }
        assert numbers(group) == {
            code: (pytest.approx(row[name], rel=1e-5), unit) for code, (name, unit) in names.items()
        }


def test_the_report_is_legible(made: Path, program: Program) -> None:
    """As DCMTK prints it, and as its web page: what it is, who for, every verdict."""
    record = json.loads((made / "out" / "case.json").read_text())
    report = made / "out" / "dicom" / "sr.dcm"
    done = subprocess.run([program("dsrdump"), report], capture_output=True)
    assert done.returncode == 0
    page = made / f"sr-{os.getpid()}.html"
    subprocess.run([program("dsr2html"), "+U8", report, page], check=True, capture_output=True)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))
    assert RESEARCH_USE in text
    assert "Imaging Measurement Report" in text
    assert text.index(RESEARCH_USE) < text.index("Volume:"), "before the first number"
    for fact_id, fact in record["facts"].items():
        code = fact_code(fact_id)
        if code is not None and isinstance(fact["value"], (int, float)) and fact["unit"]:
            unit = "cm3" if fact["unit"] == "mL" else fact["unit"]
            assert f"{code[2]}: {float(format(fact['value'], '.6g'))} {unit}" in text
    for one in record["assessments"]:
        assert one["answer"].capitalize() in text
    for lesion in record["lesions"][:3]:
        if f"{record['case_id']}-lesion-{lesion['id']}" in text:
            assert f"{float(format(lesion['volume_ml'], '.6g'))}" in text
    for finding in record["findings"]:
        assert (finding["text"] in text) == (finding["severity"] != "info")
