"""The Segmentation lies where the masks lie, however the series was stored; odd sources cost no run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from burden.case import Case, Images
from burden.grid import Grid
from burden.image import Labels
from burden.read import read_mask, read_study
from burden.write import write_case
from burden.write.dicom_object import mask_digest
from burden.write.dicom_seg import parts, segmentation

ORDERS = list(product(permutations(range(3)), product((False, True), repeat=3)))
TURN = Rotation.from_euler("xyz", [9, -14, 23], degrees=True).as_matrix()
Filed = Callable[..., Case]
Small = Callable[..., Case]


def places(mask: np.ndarray, grid: Grid) -> np.ndarray:
    """World positions of the voxels of a mask, in one order."""
    points = grid.world(np.argwhere(mask)).round(2) + 0.0
    return points[np.lexsort(points.T)]


def placed(seg: hd.seg.Segmentation, number: int) -> np.ndarray:
    """World positions of a segment's voxels, by highdicom's own volume geometry."""
    volume = seg.get_volume(segment_numbers=[number], combine_segments=False, rescale_fractional=False)
    index = np.argwhere(volume.array[..., 0] > 0)
    points = (index @ volume.affine[:3, :3].T + volume.affine[:3, 3]).round(2) + 0.0
    return points[np.lexsort(points.T)]


def masks_of(case: Case) -> dict[int, np.ndarray]:
    assert case.images is not None
    return {
        part.number: places(getattr(case.images, part.mask).data == part.value, case.images.liver.grid)
        for part in parts(case)
    }


@pytest.mark.parametrize("turn", [None, TURN], ids=["straight", "oblique"])
def test_all_48_orders_lie_where_the_masks_lie(
    turn: np.ndarray | None, small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    for n, order in enumerate(ORDERS):
        case = filed(small(case_of("bilobar"), order, turn), tmp_path / str(n))
        seg = hd.seg.Segmentation.from_dataset(segmentation(case), copy=False)
        for number, expected in masks_of(case).items():
            found = placed(seg, number)
            assert found.shape == expected.shape, (order, number)
            np.testing.assert_allclose(found, expected, atol=0.02, err_msg=f"{order} {number}")


@pytest.mark.parametrize("n", [0, 11, 17, 22, 30, 37, 45])
def test_written_and_read_as_a_series(
    n: int, small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    """Through the reader: a stored series, its SEG, and the mask read back onto its grid."""
    case = filed(small(case_of("bilobar"), ORDERS[n], TURN if n % 2 else None), tmp_path / "in")
    assert case.images is not None
    study = read_study(tmp_path / "in")
    # the reader may turn the stack over: bring the masks onto its grid by world position
    grid = study.volume.grid
    index = np.stack(np.meshgrid(*(np.arange(s) for s in grid.shape), indexing="ij"), axis=-1)
    at = tuple(
        np.rint(case.images.liver.grid.index(grid.world(index))).astype(int).transpose(3, 0, 1, 2)
    )
    images = Images(study.volume, *(Labels(part.data[at], grid) for part in
                    (case.images.liver, case.images.lesions, case.images.segments)))  # fmt: skip
    read = replace(case, images=images)
    assert write_case(read, tmp_path / "out", writers=["dicom_seg"]) == ()
    path = tmp_path / "out" / "dicom" / "seg.dcm"
    back = read_mask(path, grid)
    np.testing.assert_array_equal(back.data > 0, images.liver.data > 0)
    seg = hd.seg.segread(path)
    for number, expected in masks_of(case).items():  # where they were before anything was written
        np.testing.assert_allclose(placed(seg, number), expected, atol=0.02)
    files = {pydicom.dcmread(f).SOPInstanceUID: f for f in (tmp_path / "in").iterdir()}
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        image = pydicom.dcmread(files[source], stop_before_pixels=True)
        there = frame.PlanePositionSequence[0].ImagePositionPatient
        assert [float(v) for v in there] == pytest.approx([float(v) for v in image.ImagePositionPatient])


def test_identity_codes_and_tracking(
    small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(small(case_of("bilobar"), ORDERS[0]), tmp_path / "in", person="Müller^Jörg")
    seg = segmentation(case)
    assert (str(seg.PatientName), seg.PatientID, seg.StudyInstanceUID) == ("Müller^Jörg", "P-7", "1.2.3")
    assert (seg.StudyDate, seg.AccessionNumber, seg.FrameOfReferenceUID) == (
        "20250304",
        "A-1",
        "1.2.3.5",
    )
    assert seg.SeriesDescription.endswith("(research use only)")
    assert seg.SeriesNumber == 9001
    assert seg.SegmentsOverlap == "YES"
    rows = {s.SegmentLabel: s for s in seg.SegmentSequence}
    assert list(rows) == ["Liver", "Lesion 1", "Lesion 2", "Segment IV", "Segment VII", "Segment VIII"]
    codes = [s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in rows.values()]
    assert codes == ["10200004", "52988006", "52988006", "277958008", "277961009", "277962002"]
    assert {s.SegmentAlgorithmType for s in rows.values()} == {"AUTOMATIC"}
    algorithm = rows["Lesion 1"].SegmentationAlgorithmIdentificationSequence[0]
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("liver-burden default", "0.1.0")
    assert "sha256" in algorithm.AlgorithmParameters
    # the same mask is tracked by the same UID, a changed one by another
    again = {p.label: p.tracking_uid for p in parts(case)}
    assert again == {label: s.TrackingUID for label, s in rows.items()}
    assert case.images is not None
    data = case.images.lesions.data.copy()
    data[tuple(np.argwhere(data == 2)[0])] = 0
    edited = replace(case, images=replace(case.images, lesions=Labels(data, case.images.lesions.grid)))
    other = {p.label: p.tracking_uid for p in parts(edited)}
    assert other["Lesion 2"] != again["Lesion 2"]
    assert other["Lesion 1"] == again["Lesion 1"]
    assert mask_digest(edited.images) != mask_digest(case.images)
    given = replace(case, manifest=replace(case.manifest, model={"id": "given masks"}))
    assert {p.label: p.how for p in parts(given)}["Lesion 1"] == "MANUAL"
    assert {p.label: p.how for p in parts(given)}["Segment IV"] == "AUTOMATIC"


def test_frames_of_many_lesions_survive_odd_sizes(
    small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    """300 lesions need two bytes; 9 x 11 pixels a frame are no whole number of bytes."""
    case = small(case_of("healthy"), ORDERS[0])
    assert case.images is not None
    grid = case.images.liver.grid
    lesions = np.zeros(grid.shape, np.uint16)
    lesions.reshape(-1)[: 2 * 300 : 2] = np.arange(1, 301)
    images = replace(case.images, lesions=Labels(lesions, grid))
    case = filed(replace(case, images=images), tmp_path / "in")
    seg = hd.seg.Segmentation.from_dataset(segmentation(case), copy=False)
    assert len(seg.SegmentSequence) == 304
    for number in (1, 2, 151, 301, 304):
        np.testing.assert_allclose(placed(seg, number), masks_of(case)[number], atol=0.02)


@pytest.mark.parametrize(
    "harm", ["gone", "other series", "two patients", "no study uid", "odd values", "no frame"]
)
def test_an_odd_source_costs_objects_not_the_run(
    harm: str, small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(small(case_of("bilobar"), ORDERS[0]), tmp_path / "in")
    if harm == "gone":
        shutil.rmtree(tmp_path / "in")
    else:
        for path in (tmp_path / "in").iterdir():
            with pydicom.config.disable_value_validation():
                ds = pydicom.dcmread(path)
                if harm == "other series":
                    ds.SeriesInstanceUID = "1.2.99"
                elif harm == "no study uid":
                    del ds.StudyInstanceUID
                elif harm == "two patients":
                    ds.PatientID = ds.PatientID if path.name.endswith("1.dcm") else "P-8"
                elif harm == "no frame":
                    del ds.FrameOfReferenceUID
                else:
                    ds.PatientSex, ds.PatientBirthDate, ds.StudyTime = "unknown", "1970.01.02", "noon"
                    ds.StudyID, ds.PatientAge = "x" * 30, "old"
                    del ds.AccessionNumber, ds.ReferringPhysicianName
                ds.save_as(path)
    found = write_case(case, tmp_path / "out", writers=["dicom_seg"])
    record = json.loads((tmp_path / "out" / "case.json").read_text())
    if harm in ("odd values", "no frame"):
        assert found == ()
        assert (tmp_path / "out" / "dicom" / "seg.dcm").exists()
        return
    assert [f.code for f in found] == ["dicom-object-missing"]
    assert "dicom/seg.dcm was not written" in found[0].text
    assert "\n" not in found[0].text
    assert str(tmp_path) not in found[0].text
    assert not (tmp_path / "out" / "dicom").exists()
    assert record["findings"][-1]["text"] == found[0].text


def test_who_the_patient_is_comes_through_whole(
    case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    """A name may have three groups of 64 characters; a backslash makes two values of one number."""
    name = "=".join(f"{letter * 40}^{letter * 20}" for letter in "Aあ山")
    case = filed(case_of("solitary"), tmp_path / "in")
    for path in (tmp_path / "in").iterdir():
        with pydicom.config.disable_value_validation():
            ds = pydicom.dcmread(path)
            ds.SpecificCharacterSet, ds.PatientName, ds.PatientID = "ISO_IR 192", name, "4711\\B"
            ds.save_as(path)
    write_case(case, tmp_path / "out", writers=["dicom_seg"])
    made = pydicom.dcmread(tmp_path / "out" / "dicom" / "seg.dcm")
    assert str(made.PatientName) == name
    assert list(made.PatientID) == ["4711", "B"], "as in the images"


def test_a_source_hidden_before_still_says_how(
    small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(small(case_of("bilobar"), ORDERS[0]), tmp_path / "in")
    code = pydicom.Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "113100", "DCM", "Basic Profile"
    for codes in ([code], None):
        for path in (tmp_path / "in").iterdir():
            ds = pydicom.dcmread(path)
            ds.PatientIdentityRemoved, ds.DeidentificationMethodCodeSequence = "YES", codes
            ds.save_as(path)
        seg = segmentation(case)
        assert seg.PatientIdentityRemoved == "YES"
        told = [one.CodeValue for one in seg.get("DeidentificationMethodCodeSequence") or ()]
        assert told == (["113100"] if codes else [])
        assert ("DeidentificationMethod" in seg) == (not codes)


def test_a_zip_is_read_again(
    small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(small(case_of("bilobar"), ORDERS[0]), tmp_path / "in")
    direct = segmentation(case)
    shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "in")
    assert case.images is not None
    origin = replace(case.images.volume.origin, path=str(tmp_path / "study.zip"))
    volume = replace(case.images.volume, origin=origin)
    zipped = segmentation(replace(case, images=replace(case.images, volume=volume)))
    assert zipped == direct


def test_a_straightened_stack_does_not_claim_its_source_positions(
    small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(small(case_of("bilobar"), ORDERS[0]), tmp_path / "in")
    assert case.images is not None
    tilted = case.images.liver.grid.affine.copy()
    tilted[:3, 3] += (3.0, -2.0, 0.0)
    grid = Grid(case.images.liver.grid.shape, tilted)
    images = Images(
        replace(case.images.volume, grid=grid),
        *(Labels(p.data, grid) for p in (case.images.liver, case.images.lesions, case.images.segments)),
    )
    case = replace(case, images=images)
    seg = hd.seg.Segmentation.from_dataset(segmentation(case), copy=False)
    for number, expected in masks_of(case).items():
        np.testing.assert_allclose(placed(seg, number), expected, atol=0.02)
    image = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert image.SpatialLocationsPreserved == "NO"


def test_slices_without_an_image_each_still_get_pictures_and_pdf(
    small: Small, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(small(case_of("bilobar"), ORDERS[0]), tmp_path / "in")
    assert case.images is not None
    origin = case.images.volume.origin
    one_file = replace(origin, files=origin.files[:1] * len(origin.files))
    volume = replace(case.images.volume, origin=one_file)
    case = replace(case, images=replace(case.images, volume=volume))
    found = write_case(case, tmp_path / "out")
    assert [f.text.split(" was")[0] for f in found] == ["dicom/seg.dcm", "dicom/sr.dcm"]
    assert "one image of the source each" in found[0].text
    names = {p.name for p in (tmp_path / "out" / "dicom").rglob("*.dcm")}
    assert names > {"report.dcm", "01.dcm"}
    assert found[0].text in (tmp_path / "out" / "report.html").read_text()
