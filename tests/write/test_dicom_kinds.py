"""Other sources and other encodings: Enhanced multi-frame images, and the label map."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from burden.case import Case, Images
from burden.image import Labels
from burden.read import read_mask, read_study
from burden.write import write_case
from burden.write.dicom_seg import flat_parts, parts

Program = Callable[[str], str]
DICOM = ["dicom_seg", "dicom_sr", "dicom_sc", "dicom_pdf"]


def write_enhanced(case: Case, path: Path, order: list[int]) -> None:
    """The volume as one Enhanced CT or MR file, its frames in the given order of slices."""
    assert case.images is not None
    volume = case.images.volume
    grid = volume.grid
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{'2.1' if volume.modality == 'CT' else '4.1'}"
    ds.SOPInstanceUID, ds.Modality = "1.2.3.4.99", volume.modality
    ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = "Ä^B", "P-7", "F", "19700102"
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20250304", "101112", "9", "A-1"
    ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"], "portal venous"
    ds.NumberOfFrames = len(order)
    ds.Columns, ds.Rows = grid.shape[:2]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 1
    shared, measures, plane, rescale = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = [f"{grid.spacing[1]:.10g}", f"{grid.spacing[0]:.10g}"]
    measures.SliceThickness = f"{grid.spacing[2]:.6g}"
    plane.ImageOrientationPatient = [f"{v:.10g}" for v in (*grid.axes[:, 0], *grid.axes[:, 1])]
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = "1", "0", "HU"
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.PixelValueTransformationSequence = [rescale]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in order:
        frame, place = Dataset(), Dataset()
        place.ImagePositionPatient = [f"{v:.10g}" for v in grid.world((0, 0, k)) + 0.0]
        frame.PlanePositionSequence = [place]
        frames.append(frame)
    ds.PerFrameFunctionalGroupsSequence = frames
    stored = np.ascontiguousarray(volume.data.transpose(2, 1, 0)[order].astype("<i2"))
    ds.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
    path.parent.mkdir(parents=True)
    ds.save_as(path, enforce_file_format=True)


def read_back(case: Case, folder: Path) -> Case:
    """The case with the volume that the reader makes of ``folder``, its masks by position."""
    assert case.images is not None
    volume = read_study(folder).volume
    grid, old = volume.grid, case.images.liver.grid
    index = np.stack(np.meshgrid(*(np.arange(s) for s in grid.shape), indexing="ij"), axis=-1)
    at = tuple(np.rint(old.index(grid.world(index))).astype(int).transpose(3, 0, 1, 2))
    labels = (case.images.liver, case.images.lesions, case.images.segments)
    return replace(case, images=Images(volume, *(Labels(one.data[at], grid) for one in labels)))


ORDER = (((1, 2, 0), (True, False, True)), ((0, 1, 2), (False, False, False)))


@pytest.mark.parametrize(("modality", "order"), [("CT", ORDER[0]), ("MR", ORDER[1])])
def test_results_of_an_enhanced_multiframe_image_name_its_frames(
    modality: str, order: tuple, small: Callable[..., Case], case_of: Callable[[str], Case],
    program: Program, tmp_path: Path,
) -> None:  # fmt: skip
    case = small(case_of("bilobar"), order, modality=modality)
    assert case.images is not None
    count = case.images.volume.grid.shape[2]
    shuffled = np.random.default_rng(1).permutation(count).tolist()
    write_enhanced(case, tmp_path / "in" / "multi.dcm", shuffled)
    case = read_back(case, tmp_path / "in")
    assert write_case(case, tmp_path / "out", writers=DICOM) == ()
    source = pydicom.dcmread(tmp_path / "in" / "multi.dcm")
    seg = pydicom.dcmread(tmp_path / "out" / "dicom" / "seg.dcm")
    assert case.images is not None
    back = read_mask(tmp_path / "out" / "dicom" / "seg.dcm", case.images.liver.grid)
    np.testing.assert_array_equal(back.data > 0, case.images.liver.data > 0)
    numbers = set()
    for frame in seg.PerFrameFunctionalGroupsSequence:
        (item,) = frame.DerivationImageSequence[0].SourceImageSequence
        assert item.ReferencedSOPInstanceUID == "1.2.3.4.99"
        assert item.ReferencedSOPClassUID == source.SOPClassUID
        numbers.add(int(item.ReferencedFrameNumber))
        there = source.PerFrameFunctionalGroupsSequence[int(item.ReferencedFrameNumber) - 1]
        assert [float(v) for v in frame.PlanePositionSequence[0].ImagePositionPatient] == pytest.approx(
            [float(v) for v in there.PlanePositionSequence[0].ImagePositionPatient]
        )
    assert len(numbers) > 3
    (named,) = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert named.ReferencedSOPInstanceUID == "1.2.3.4.99"
    assert "ReferencedFrameNumber" not in named
    paths = sorted((tmp_path / "out" / "dicom").rglob("*.dcm"))
    made_up = {e.value for p in paths for e in pydicom.dcmread(p).iterall()
               if e.keyword == "ReferencedSOPInstanceUID"}  # fmt: skip
    assert made_up <= {"1.2.3.4.99", seg.SOPInstanceUID}
    for path in paths:
        done = subprocess.run([program("dciodvfy"), "-new", path], capture_output=True, text=True)
        assert [x for x in (done.stdout + done.stderr).splitlines() if "Error" in x] == [], path.name
    evidence = pydicom.dcmread(tmp_path / "out" / "dicom" / "sr.dcm")
    listed = evidence.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    assert {i.ReferencedSOPInstanceUID for s in listed for i in s.ReferencedSOPSequence} == made_up


def test_label_map_holds_every_voxel_once(
    small: Callable[..., Case], case_of: Callable[[str], Case], filed: Callable[..., Case],
    tmp_path: Path,
) -> None:  # fmt: skip
    case = filed(small(case_of("bilobar"), ORDER[0]), tmp_path / "in")
    case = replace(
        case, manifest=replace(case.manifest, settings={**case.manifest.settings, "seg": "labelmap"})
    )
    assert case.images is not None
    assert write_case(case, tmp_path / "out", writers=["dicom_seg", "dicom_sr"]) == ()
    path = tmp_path / "out" / "dicom" / "seg.dcm"
    seg = hd.seg.segread(path)
    assert (seg.SegmentationType, seg.SOPClassUID) == ("LABELMAP", "1.2.840.10008.5.1.4.1.1.66.7")
    images = case.images
    expected = np.where(images.liver.data > 0, 1, 0)
    numbers = {(p.mask, p.value): p.number for p in parts(case)}
    for name in ("segments", "lesions"):
        data = getattr(images, name).data
        for value in np.unique(data[data > 0]):
            expected[data == value] = numbers[name, int(value)]
    np.testing.assert_array_equal(read_mask(path, images.liver.grid).data, expected)
    volume = seg.get_volume(combine_segments=True)  # another reader, by its own geometry
    index = np.argwhere(volume.array > 0)
    world = index @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    ours = np.rint(images.liver.grid.index(world)).astype(int)
    np.testing.assert_array_equal(volume.array[tuple(index.T)], expected[tuple(ours.T)])
    assert len(index) == (expected > 0).sum()
    told = {s.SegmentNumber: s for s in seg.SegmentSequence if s.SegmentNumber}
    assert [told[n].SegmentLabel for n in (1, 2, 3)] == [
        "Liver outside the other labels", "Lesion 1", "Lesion 2",
    ]  # fmt: skip
    whole = {p.number: p for p in parts(case)}
    for part in flat_parts(case):
        same = part.tracking_uid == whole[part.number].tracking_uid
        assert same == ("outside" not in part.label)
        assert told[part.number].TrackingUID == part.tracking_uid
    report = hd.sr.srread(tmp_path / "out" / "dicom" / "sr.dcm")
    groups = report.content.get_volumetric_roi_measurement_groups()
    for row, group in enumerate(groups, start=1):
        segment = group.referenced_segment
        assert segment.referenced_sop_class_uid == seg.SOPClassUID
        number = int(segment.referenced_segment_numbers[0])
        assert told[number].SegmentLabel == f"Lesion {row}"
        assert told[number].TrackingUID == group.tracking_uid
