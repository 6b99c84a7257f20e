"""The right one of twelve confusable series, with the right reasons, on random draws of real files.

Ten draws of a CT and of an MR study each; ``BURDEN_DRAWS=50`` for as many. Every other draw
names its series so that the names say nothing, and only parameters and clock times tell.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from burden.read import list_series, read_study

DRAWS = int(os.environ.get("BURDEN_DRAWS", "10"))
AXIAL, CORONAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]
PLACE, UID = "+0000.00\\+0000.00\\+{:07.2f}", "1.2.3.1{:08d}"
RIGHT = "1.9"


class Study:
    """Writes the series of one study into a flat folder; counts files, and names them at random."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        self.folder, self.rng = folder, rng
        self.numbers = list(rng.permutation(20000))
        self.syntax = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)[int(rng.integers(2))]
        self.lie = str(rng.choice(["", "HEAD", "EXTREMITY", "ABDOMEN"]))
        self.expected: dict[str, tuple[str, ...]] = {}

    def series(
        self,
        uid: str,
        says: str | tuple[str, ...],
        *,
        count: int,
        step: float,
        left_out: tuple[int, ...] = (),
        still: bool = False,
        **tags: Any,
    ) -> None:
        """Files of one series; ``says`` are words that its row must hold, ``still`` one position."""
        self.expected[uid] = (says,) if isinstance(says, str) else says
        template = self._template(uid, tags | {"SliceThickness": step})
        along = 1 if tags.get("ImageOrientationPatient") == CORONAL else 2
        for k in range(count):
            if k in left_out:
                continue
            number = int(self.numbers.pop())
            place = ["+0000.00", "+0000.00", "+0000.00"]
            place[along] = f"{0.0 if still else k * step - 150:+08.2f}"
            raw = template.replace(PLACE.format(7).encode(), "\\".join(place).encode())
            raw = raw.replace(UID.format(7).encode(), UID.format(number + 1).encode())
            # The last pixel differs, so that no two slices are copies.
            (self.folder / f"{number:05d}").write_bytes(raw[:-2] + number.to_bytes(2, "little"))

    def _template(self, uid: str, tags: dict[str, Any]) -> bytes:
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = self.syntax
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID.format(7)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2", uid, "1.3"
        ds.Modality, ds.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.ImageOrientationPatient, ds.ImagePositionPatient = AXIAL, PLACE.format(7)
        ds.PixelSpacing, ds.Rows, ds.Columns, ds.SamplesPerPixel = [40, 40], 10, 10, 1
        ds.BodyPartExamined = self.lie
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = 1, -1024
        for key, value in tags.items():
            setattr(ds, key, value)
        ds.PixelData = self.rng.integers(0, 1500, 100).astype("<i2").tobytes()
        ds["PixelData"].VR = "OW"
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        return out.getvalue()


def clock(seconds: float) -> str:
    return f"10{int(seconds) // 60:02d}{seconds % 60:05.2f}"


def ct_study(study: Study, *, named: bool) -> None:
    """Portal, and eleven others, most of which share its name or its phase."""
    rng = study.rng
    step = float(rng.choice([2.5, 3.0, 5.0]))
    same = {"step": step, "count": int(rng.integers(240, 300) / step)}
    names = {
        "portal": ["Abd portal venous", "PORTALVENOUS 3.0", "Leber pv", "abdomen venös", "Liver 70s"],
        "non-contrast": ["nativ", "ABD without contrast", "Abd unenhanced"],
        "arterial": ["arterial", "HAP 2.0", "Abd art."],
        "delayed": ["delayed", "late 5 min", "Spät"],
    }
    delays = {"portal": (60, 85), "arterial": (25, 40), "delayed": (200, 400)}

    def phase(name: str) -> dict[str, Any]:
        tags: dict[str, Any] = {"SeriesDescription": "Body 1.0"}
        if named or name == "non-contrast":
            tags["SeriesDescription"] = str(rng.choice(names[name]))
        if name != "non-contrast":
            tags |= {"ContrastBolusAgent": "Iomeron 350", "ContrastBolusStartTime": clock(60)}
            tags["AcquisitionTime"] = clock(60 + rng.integers(*delays[name]))
        return tags

    best = phase("portal")
    name = best["SeriesDescription"]
    study.series(RIGHT, ("phase portal by", "axial"), **best, **same)
    for number, other in enumerate(("non-contrast", "arterial", "delayed"), 1):
        study.series(f"1.1{number}", f"phase {other} by", **phase(other), **same)
    study.series("1.21", "coronal", **best | {"ImageOrientationPatient": CORONAL}, **same)
    mip = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}
    study.series("1.22", "a maximum intensity projection", **best | mip, **same)
    kernel = str(rng.choice(["B70f", "BONEPLUS", "Br62"]))
    study.series("1.23", "sharp kernel", **best | {"ConvolutionKernel": kernel}, **same)
    scout = {"SeriesDescription": "Topogram", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
    study.series("1.24", "localizer", count=1, step=1.0, **scout)
    monitor = {"SeriesDescription": "PreMonitoring"} if named else {"SeriesDescription": name}
    study.series("1.25", "different pixels", count=8, step=5.0, still=True, **monitor)
    part = int(rng.integers(8, 20))
    study.series("1.26", f"{part} slices", **best, **same | {"count": part})
    hole = int(rng.integers(2, same["count"] - 2))
    study.series("1.27", "1 slice(s) missing", left_out=(hole,), **best, **same)
    study.series("1.28", "PT, not CT or MR", **best | {"Modality": "PT"}, **same)


def mr_study(study: Study, *, named: bool) -> None:
    """Dynamic T1 with a portal or a hepatobiliary phase, and ten other contrasts and cuts."""
    rng = study.rng
    step = float(rng.choice([3.0, 4.0]))
    same = {"Modality": "MR", "step": step, "count": int(rng.integers(200, 250) / step)}
    late = bool(rng.integers(2))
    agent = "Primovist" if late or rng.random() < 0.5 else "Gadovist"
    best_name = ["t1 20min fs", "vibe HBP"] if late else ["vibe portal", "LAVA venous", "t1_pv"]
    t1 = {"EchoTime": 1.3, "RepetitionTime": 4.1, "FlipAngle": 10, "ScanningSequence": "GR"}
    t1 |= {"SequenceVariant": "SP"}
    t2 = {"EchoTime": float(rng.integers(70, 110)), "RepetitionTime": 3000.0}
    diffusion = {"EchoTime": 60.0, "RepetitionTime": 6000.0, "ScanningSequence": "EP"}

    def name(*choices: str) -> dict[str, str]:
        return {"SeriesDescription": str(rng.choice(choices)) if named else f"ser {rng.integers(99)}"}

    def at(seconds: float, contrast: bool = True) -> dict[str, str]:
        return {"AcquisitionTime": clock(seconds)} | ({"ContrastBolusAgent": agent} if contrast else {})

    best = t1 | at(1500.0 if late else 135.0) | name(*best_name)
    says = "phase hepatobiliary by" if late else "phase portal by"
    study.series(RIGHT, ("T1-weighted", says), **best, **same)
    study.series("1.11", "phase non-contrast by", **t1 | at(0, False) | name("pre contrast"), **same)
    study.series("1.12", "phase arterial by", **t1 | at(90) | name("arterial", "t1 art."), **same)
    study.series("1.13", "T2-weighted", **t2 | name("haste", "t2 fs blade"), **same)
    for number, b in enumerate((50, 800)):
        tags = diffusion | name("ep2d") | {"DiffusionBValue": b}
        study.series(f"1.14{number}", f"diffusion b = {b}", **tags, **same)
    adc = {"ImageType": ["DERIVED", "PRIMARY", "ADC"]}
    study.series("1.15", "ADC map", **diffusion | adc | name("ADC", "ep2d_ADC"), **same)
    cut = {"ImageType": ["DERIVED", "SECONDARY", "SUBTRACT"]}
    study.series("1.16", "a subtraction", **t1 | cut | at(140) | name("vibe SUB"), **same)
    coronal = {"ImageOrientationPatient": CORONAL}
    study.series("1.17", "coronal", **best | coronal | at(170), **same)
    fat = {"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]}
    study.series("1.18", "T1-weighted, fat only", **best | fat, **same)
    mrcp = {"EchoTime": 650.0, "RepetitionTime": 5000.0}
    study.series("1.19", "MRCP", **mrcp | name("t2 space mrcp"), **same)
    scout = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "Modality": "MR"}
    study.series("1.20", "localizer", count=9, step=20.0, **t1 | scout)


@pytest.mark.parametrize("kind", [ct_study, mr_study])
@pytest.mark.parametrize("seed", range(DRAWS))
def test_the_series_a_radiologist_would_take(tmp_path, kind, seed):
    study = Study(tmp_path, np.random.default_rng(seed))
    kind(study, named=bool(seed % 2))
    assert len(study.expected) == 12
    rows = {c.uid: c for c in list_series(tmp_path)}
    assert [uid for uid, c in rows.items() if c.chosen] == [RIGHT]
    assert set(rows) == set(study.expected)
    for uid, words in study.expected.items():
        told = rows[uid].refused or "; ".join(rows[uid].reasons)
        for word in words:
            assert word in told, (uid, told)
    read = read_study(tmp_path)
    assert read.volume.origin.series_uid == RIGHT
    assert [c.origin.series_uid for c in read.companions] == ["1.12"]
    assert [f.severity for f in read.findings if f.code == "several-studies"] == []
