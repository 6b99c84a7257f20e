"""Every real item: the outcome it must have (table), and geometry against other readers."""

from __future__ import annotations

import shutil

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread

from burden.errors import BurdenError, GeometryError, InputError, NotAnImageError
from burden.read import list_series, read_mask, read_study
from burden.read.entry import Entry
from burden.read.headers import quiet_pydicom, read_headers
from burden.read.pixels import stored_pixels

pytestmark = pytest.mark.real_data

# item: (shape, spacing, modality, phase, codes of findings that must be there)
READABLE = {
    "check_ct/ircad17_dicom": ((512, 512, 119), (0.743, 0.743, 1.6), "CT", "", ()),
    "check_ct/totalseg_example/example_ct.nii.gz": (
        (122, 101, 112),
        (3, 3, 3),
        "CT",
        "",
        ("coarse-matrix",),
    ),
    "check_ct/totalseg_example/example_mr_sm.nii.gz": (
        (117, 91, 20),
        (3, 3, 3),
        "MR",
        "",
        ("slab-too-short",),
    ),
    "check_mr/chaos_t2_1_mr.nii.gz": ((256, 256, 37), (1.25, 1.25, 7.7), "MR", "", ("thick-slices",)),
    "check_mr/chaos_t2_10_mr.nii.gz": ((256, 256, 36), (1.25, 1.25, 7.7), "MR", "", ("thick-slices",)),
    "check_mr/chaos_t2_15_mr.nii.gz": ((256, 256, 31), (1.25, 1.25, 7.7), "MR", "", ("thick-slices",)),
    "dicom/kits_00072_arterial": (
        (512, 512, 18),
        (0.664, 0.664, 2.5),
        "CT",
        "arterial",
        ("slab-too-short",),
    ),
    "dicom/totalseg_example_ct_j2k": (
        (512, 512, 20),
        (0.977, 0.977, 2.0),
        "CT",
        "portal",
        ("slab-too-short", "overlapping-slices"),
    ),
    "dicom/seg_dcmqi/ct-3slice": ((512, 512, 3), (0.811, 0.811, 1.0), "CT", "", ("slab-too-short",)),
    "dicom/seg_dcmqi/multiframe_ct": (
        (24, 38, 3),
        (0.7, 0.7, 2.5),
        "CT",
        "",
        ("slab-too-short", "no-air"),
    ),
    "dicom/seg_dcmqi": ((512, 512, 3), (0.811, 0.811, 1.0), "CT", "", ("several-studies",)),
}
# item: (error, words of the message)
REFUSED = {
    "dicom/acrin_gap": (
        GeometryError,
        "53 slice(s) missing among 18 at 4 mm: 216 mm between z = -507.0 and -291.0 mm",
    ),
    "dicom/cq500_tilt_jpegll": (GeometryError, "5.563 mm between z = 49.6 and 55.2 mm"),
    "dicom/seg_dcmqi/liver.dcm": (NotAnImageError, "SEG, not CT or MR. Give segmentations with --liver"),
    "dicom/seg_dcmqi/sr-example/sr.dcm": (NotAnImageError, "SR, not CT or MR"),
    "dicom/odd_single/tcga_topogram.dcm": (NotAnImageError, "localizer"),
    "dicom/odd_single/PrivateGEImplicitVRBigEndianTransferSyntax16Bits.dcm": (
        GeometryError,
        "z = -742.5 mm",
    ),
    "dicom/odd_single/SignedShortLosslessBug.dcm": (GeometryError, "only 1 slice(s)"),
    "dicom/odd_single/MR-SIEMENS-DICOM-WithOverlays.dcm": (GeometryError, "only 1 slice(s)"),
    "dicom/odd_single/explicit_VR-UN.dcm": (GeometryError, "z = -121.0 mm"),
    "dicom/odd_single/eCT_Supplemental.dcm": (GeometryError, "only 2 slice(s)"),
    "dicom/odd_single/mr_abd_enhanced_primovist_sag.dcm": (GeometryError, "x = 111.2 mm"),
    "dicom/odd_single/mr_abd_mf_sc_vida.dcm": (GeometryError, "no position"),
    "README.md": (NotAnImageError, "neither DICOM nor NIfTI"),
    "tables": (NotAnImageError, "no image among"),
    "check_mr": (InputError, "6 NIfTI files"),
}


@pytest.mark.parametrize("item", READABLE)
def test_readable(real_data, item):
    shape, spacing, modality, phase, codes = READABLE[item]
    study = read_study(real_data / item)
    volume = study.volume
    assert volume.data.shape == shape
    assert volume.grid.spacing == pytest.approx(spacing, abs=1e-3)
    assert (volume.modality, volume.phase) == (modality, phase)
    assert set(codes) <= {f.code for f in study.findings}
    assert volume.data.dtype == (np.int16 if modality == "CT" else np.float32)


@pytest.mark.parametrize("item", REFUSED)
def test_refused(real_data, item):
    kind, words = REFUSED[item]
    with pytest.raises(kind) as error:
        read_study(real_data / item)
    assert words in str(error.value)
    assert error.value.exit_code == 3


def test_reformats_are_rejected_for_their_own_reason(real_data):
    found = list_series(real_data / "dicom/acrin_gap")
    assert [c.plane for c in found] == ["axial", "sagittal"]
    assert "uneven spacing: 6 slices" in found[1].refused
    assert not any(c.chosen for c in found)
    assert found[0].spacing == pytest.approx((1.367, 1.367, 4.0), abs=1e-3)


@pytest.mark.parametrize(
    "item", ["check_ct/ircad17_dicom", "dicom/kits_00072_arterial", "dicom/totalseg_example_ct_j2k"]
)
def test_equal_to_simpleitk_in_world_space(real_data, item):
    volume = read_study(real_data / item).volume
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(real_data / item / name) for name in volume.origin.files])
    image = reader.Execute()
    rng = np.random.default_rng(0)
    for index in rng.integers(0, volume.grid.shape, size=(500, 3)):
        there = image.TransformPhysicalPointToContinuousIndex(volume.grid.world(index).tolist())
        assert np.allclose(there, np.rint(there), atol=0.01)
        assert volume.data[tuple(index)] == max(image.GetPixel([round(x) for x in there]), -1024)


def test_nifti_equals_nibabel_in_world_space(real_data):
    path = real_data / "check_mr/chaos_t2_1_mr.nii.gz"
    volume, image = read_study(path).volume, nib.load(path)
    values = np.asarray(image.dataobj)
    for index in np.random.default_rng(0).integers(0, volume.grid.shape, size=(200, 3)):
        world = volume.grid.world(index) * [-1, -1, 1]
        there = np.linalg.inv(image.affine) @ [*world, 1]
        assert np.allclose(there[:3], index, atol=1e-3)
        assert volume.data[tuple(index)] == pytest.approx(values[tuple(index)], rel=1e-6)


def test_the_even_part_of_the_tilted_head_is_straightened(real_data, tmp_path):
    files = (real_data / "dicom/cq500_tilt_jpegll").glob("*.dcm")
    part = [f for f in files if float(dcmread(f, stop_before_pixels=True).ImagePositionPatient[2]) > 117]
    for file in part:
        shutil.copy(file, tmp_path)
    study = read_study(tmp_path)
    text = next(f.text for f in study.findings if f.code == "gantry-tilt-corrected")
    assert "8.5 degrees" in text
    assert study.volume.grid.spacing == pytest.approx((0.443, 0.443, 0.618), abs=1e-3)
    # a voxel of the middle slice is where its own file says
    ds = dcmread(tmp_path / study.volume.origin.files[10])
    row, column = np.array(ds.ImageOrientationPatient, float).reshape(2, 3)
    pixels = ds.pixel_array.astype(float) * ds.RescaleSlope + ds.RescaleIntercept
    there = np.array(ds.ImagePositionPatient, float) + 0.443359 * (256 * row + 200 * column)
    index = study.volume.grid.index(there)
    assert index[2] == pytest.approx(10, abs=0.02)
    low = int(np.floor(index[1]))
    around = study.volume.data[256, low : low + 2, 10]
    near = pixels[198:203, 256]
    assert near.min() - 1 <= around.min() <= around.max() <= near.max() + 1


def test_seg_encodings_are_bit_equal(real_data):
    grid = read_study(real_data / "dicom/seg_dcmqi/ct-3slice").volume.grid
    files = sorted((real_data / "dicom/seg_encodings").glob("*.dcm"))
    masks = {f.name: read_mask(f, grid) for f in files}
    assert len(masks) == 9
    first = masks["liver.dcm"].data
    assert int(first.sum()) == 107_098
    assert {m.names[1] for m in masks.values()} == {"Liver"}
    assert all(np.array_equal(m.data, first) for m in masks.values())
    dcmqi = read_mask(real_data / "dicom/seg_dcmqi/liver.dcm", grid)
    assert np.array_equal(dcmqi.data, first)
    # an independent reader of the same drawing
    nrrd = sitk.ReadImage(str(real_data / "dicom/seg_dcmqi/liver_seg.nrrd"))
    for index in np.argwhere(first)[::997]:
        at = nrrd.TransformPhysicalPointToIndex(grid.world(index).tolist())
        assert nrrd.GetPixel(at) > 0


def test_overlapping_segments_all_survive(real_data):
    grid = read_study(real_data / "dicom/seg_dcmqi/ct-3slice").volume.grid
    mask = read_mask(real_data / "dicom/seg_dcmqi/partial_overlaps.dcm", grid)
    assert set(np.unique(mask.data)) == {0, 1, 2, 3, 4, 5}
    assert mask.names[5] == "DARK_BLUE"


def test_a_seg_of_another_patient_is_refused(real_data):
    grid = read_study(real_data / "dicom/seg_dcmqi/ct-3slice").volume.grid
    with pytest.raises(GeometryError, match="does not overlap"):
        read_mask(real_data / "dicom/seg_dcmqi/sr-example/seg.dcm", grid)


def test_ircad_mask_gives_its_published_volumes(real_data):
    grid = read_study(real_data / "check_ct/ircad17_dicom").volume.grid
    mask = read_mask(real_data / "check_ct/ircad17_liver1_tumor2.nii.gz", grid)
    liver, tumor = (np.isin(mask.data, labels).sum() * grid.voxel_ml for labels in ([1, 2], [2]))
    assert liver == pytest.approx(1861, abs=1)
    assert tumor / liver * 100 == pytest.approx(8.83, abs=0.01)


def test_single_files_hold_the_pixels_simpleitk_sees(real_data):
    files = sorted((real_data / "dicom/odd_single").iterdir())
    for file in files:
        one = read_headers(Entry(file, file.name))[0]
        with quiet_pydicom():
            values = stored_pixels(one, {}) * one.slope + one.intercept
        assert np.array_equal(values, sitk.GetArrayFromImage(sitk.ReadImage(str(file)))[0])


def refusal(file):
    try:
        read_study(file)
    except BurdenError as error:
        return error
    return None


def test_every_file_reads_or_gives_one_clear_line(real_data):
    refusals = [refusal(f) for f in sorted((real_data / "dicom").rglob("*")) if f.is_file()]
    assert sum(error is None for error in refusals) == 1  # only the multi-frame CT is a volume alone
    for error in refusals:
        assert error is None or (error.hint and "\n" not in str(error))
