"""Masks: NIfTI and DICOM SEG in every encoding, in the right place and with the right labels."""

from __future__ import annotations

import zlib

import highdicom as hd
import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.encaps import encapsulate
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from burden.errors import BurdenError, GeometryError, InputError, NotAnImageError
from burden.grid import Grid
from burden.read import checked_mask, read_mask, read_study

TILTED = np.array([[0.96, 0.28, 0.0], [-0.28, 0.96, 0.0], [0.0, 0.0, 1.0]])
SHAPE = (12, 10, 9)
EXTRA = {
    "PatientBirthDate": "",
    "PatientSex": "",
    "StudyID": "",
    "StudyDate": "20200101",
    "StudyTime": "101010",
    "AccessionNumber": "",
    "SeriesNumber": 1,
}


@pytest.fixture
def study(series_type, phantom, tmp_path):
    """A CT series, its data sets in slice order, and the volume as read."""
    made = series_type(phantom(SHAPE), axes=TILTED, tags=EXTRA)
    folder = made.write(tmp_path / "ct")
    return [made.slice(k) for k in range(SHAPE[2])], read_study(folder).volume


@pytest.fixture
def labels():
    """Two separate structures away from the ends, so that empty frames exist."""
    out = np.zeros(SHAPE, dtype=np.uint8)
    out[2:7, 3:8, 3:6] = 1
    out[9:11, 1:4, 4:7] = 2
    return out


def seg(
    datasets, frames, kind, path, syntax=ExplicitVRLittleEndian, names=("Liver", "Lesion"), **options
):
    """A DICOM SEG by highdicom; ``frames`` is ``[k, j, i]`` or ``[k, j, i, segment]``."""
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.Organ,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, name in enumerate(names, start=1)
    ]
    made = hd.seg.Segmentation(
        source_images=datasets,
        pixel_array=frames,
        segmentation_type=kind,
        segment_descriptions=descriptions,
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="x",
        manufacturer_model_name="x",
        software_versions="1",
        device_serial_number="1",
        transfer_syntax_uid=syntax,
        **options,
    )
    made.save_as(path)
    return path


@pytest.mark.parametrize(
    ("kind", "syntax"),
    [
        ("BINARY", ExplicitVRLittleEndian),  # other encodings: the real files in test_real
        ("FRACTIONAL", ExplicitVRLittleEndian),
        ("FRACTIONAL", RLELossless),
        ("LABELMAP", ExplicitVRLittleEndian),
        ("LABELMAP", RLELossless),
    ],
)
@pytest.mark.parametrize("omit", [True, False])
def test_seg_by_highdicom_is_read_voxel_for_voxel(study, labels, tmp_path, kind, syntax, omit):
    datasets, volume = study
    path = seg(
        datasets,
        labels.transpose(2, 1, 0),
        kind,
        tmp_path / "seg.dcm",
        syntax,
        omit_empty_frames=omit,
    )
    mask = read_mask(path, volume.grid)
    assert np.array_equal(mask.data, labels)
    assert mask.names == {1: "Liver", 2: "Lesion"}
    assert mask.grid.same_as(volume.grid)


def test_seg_on_a_reordered_and_larger_grid(study, labels, tmp_path):
    datasets, volume = study
    path = seg(datasets, labels.transpose(2, 1, 0), "BINARY", tmp_path / "seg.dcm")
    order, flip = (2, 0, 1), (True, False, True)
    from burden.grid import reorder

    mask, findings = checked_mask(path, volume.grid.reorder(order, flip))
    assert np.array_equal(mask.data, reorder(labels, order, flip))
    assert findings == ()


def test_of_overlapping_segments_the_smaller_is_kept(study, tmp_path):
    datasets, volume = study
    both = np.zeros((*SHAPE, 2), dtype=np.uint8)
    both[2:10, 2:8, 2:7, 1] = 1  # the organ comes second
    both[4:6, 4:6, 3:5, 0] = 1
    path = seg(
        datasets, both.transpose(2, 1, 0, 3), "BINARY", tmp_path / "s.dcm", names=("Lesion", "Liver")
    )
    mask = read_mask(path, volume.grid)
    assert np.array_equal(mask.data == 1, both[..., 0] == 1)
    assert np.array_equal(mask.data > 0, both.any(axis=-1))


def test_fraction_counts_from_one_half(study, tmp_path):
    datasets, volume = study
    fraction = np.zeros(SHAPE, dtype=np.float64)
    fraction[3, 3, 3], fraction[4, 3, 3], fraction[5, 3, 3] = 0.4, 0.6, 1.0
    path = seg(datasets, fraction.transpose(2, 1, 0), "FRACTIONAL", tmp_path / "s.dcm", names=("Liver",))
    assert np.argwhere(read_mask(path, volume.grid).data).tolist() == [[4, 3, 3], [5, 3, 3]]


def save(path, values, grid):
    nib.Nifti1Image(values, grid.ras).to_filename(path)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.int32])
def test_nifti_labels_of_any_type(study, labels, tmp_path, dtype):
    _, volume = study
    mask = read_mask(save(tmp_path / "m.nii.gz", labels.astype(dtype), volume.grid), volume.grid)
    assert mask.data.dtype == np.uint8
    assert np.array_equal(mask.data, labels)


def test_many_labels_keep_their_numbers(study, labels, tmp_path):
    _, volume = study
    path = save(tmp_path / "m.nii", labels.astype(np.uint16) * 300, volume.grid)
    assert np.unique(read_mask(path, volume.grid).data).tolist() == [0, 300, 600]


def test_a_coarser_mask_is_moved_and_said(study, tmp_path):
    _, volume = study
    coarse = Grid.from_axes(
        (6, 5, 9), (1.6, 1.4, 2.5), volume.grid.world([0.5, 0.5, 0]), volume.grid.axes
    )
    values = np.zeros(coarse.shape, dtype=np.uint8)
    values[2:4, 1:3, 4:6] = 3
    mask, findings = checked_mask(save(tmp_path / "m.nii", values, coarse), volume.grid)
    expected = np.repeat(np.repeat(values, 2, axis=0), 2, axis=1)
    assert np.array_equal(mask.data, expected)
    assert findings == ()  # to the last microlitre the same volume


def test_a_mask_cut_by_the_image_is_said(study, labels, tmp_path):
    _, volume = study
    path = save(tmp_path / "m.nii", labels, volume.grid)
    smaller = volume.grid.crop([4, 0, 0], SHAPE)
    mask, findings = checked_mask(path, smaller)
    assert np.array_equal(mask.data, labels[4:])
    assert [(f.code, f.severity) for f in findings] == [("mask-resampled", "warning")]


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        (((0, 0, 0), (40, 36, 12)), True),  # the upper half is missing
        (((0, 0, 12), (40, 36, 30)), True),
        (((0, 17, 0), (40, 36, 30)), True),
        (((0, 0, 0), (40, 36, 28)), False),  # a smaller grid that holds it all
        (((5, 5, 3), (36, 32, 24)), False),  # the box that just holds it
    ],
)
@pytest.mark.parametrize("turn", [False, True])
def test_a_mask_cut_by_its_own_grid_is_said(tmp_path, box, cut, turn):
    """An ellipsoid of 15 x 13 x 10 voxels; with `turn` its grid lies the other way round."""
    grid = Grid.from_axes((40, 36, 30), (2.0, 2.0, 3.0), (0.0, 0.0, 0.0), np.eye(3))
    at = np.moveaxis(np.indices(grid.shape), 0, -1)
    ball = (((at - [20, 18, 13]) / [15.2, 13.2, 10.2]) ** 2).sum(-1) < 1
    part, values = grid.crop(*box), ball[tuple(slice(a, b) for a, b in zip(*box, strict=True))]
    if turn:
        part, values = (
            part.reorder((2, 0, 1), (True, False, True)),
            np.flip(values.transpose(2, 0, 1), (0, 2)),
        )
    path = save(tmp_path / "m.nii", values.astype(np.uint8), part)
    _, findings = checked_mask(path, grid)
    assert [(f.code, f.severity) for f in findings] == [("mask-cut", "warning")] * cut
    smaller = grid.crop(*box)  # an image that ends there too has its own way of saying so
    assert "mask-cut" not in [f.code for f in checked_mask(path, smaller)[1]]


def test_a_thin_lesion_in_a_tight_box_is_not_called_cut(tmp_path):
    grid = Grid.from_axes((40, 36, 30), (1.0, 1.0, 5.0), (0.0, 0.0, 0.0), np.eye(3))
    values = np.ones((12, 12, 3), np.uint8)
    path = save(
        tmp_path / "m.nii", np.pad(values, ((3, 3), (3, 3), (0, 0))), grid.crop((3, 3, 9), (21, 21, 12))
    )
    assert checked_mask(path, grid)[1] == ()


def test_a_mask_elsewhere_is_refused(study, labels, tmp_path):
    _, volume = study
    away = volume.grid.affine.copy()
    away[:3, 3] += 500
    path = save(tmp_path / "m.nii", labels, Grid(SHAPE, away))
    with pytest.raises(GeometryError, match="does not overlap"):
        read_mask(path, volume.grid)


def test_an_empty_mask_is_empty_and_said(study, tmp_path):
    _, volume = study
    path = save(tmp_path / "m.nii", np.zeros(SHAPE, np.uint8), volume.grid)
    mask, findings = checked_mask(path, volume.grid)
    assert not mask.data.any()
    assert [f.code for f in findings] == ["empty-mask"]


@pytest.mark.parametrize("bad", [-1.0, 0.5, np.nan, 1e9])
def test_what_is_no_mask_is_refused(study, labels, tmp_path, bad):
    _, volume = study
    values = labels.astype(np.float32)
    values[0, 0, 0] = bad
    with pytest.raises(InputError, match=r"not a mask|not numbers"):
        read_mask(save(tmp_path / "m.nii", values, volume.grid), volume.grid)


def test_a_ct_slice_is_no_mask(study, tmp_path):
    _, volume = study
    with pytest.raises(NotAnImageError, match="not a segmentation"):
        read_mask(sorted((tmp_path / "ct").iterdir())[0], volume.grid)


def test_a_seg_leaning_like_its_tilted_ct_is_refused(study, labels, tmp_path):
    datasets, volume = study
    for k, ds in enumerate(datasets):
        ds.ImagePositionPatient = [
            x + y for x, y in zip(ds.ImagePositionPatient, [0, 0.5 * k, 0], strict=True)
        ]
    path = seg(datasets, labels.transpose(2, 1, 0), "BINARY", tmp_path / "seg.dcm")
    with pytest.raises(GeometryError, match="tilt"):
        read_mask(path, volume.grid)


def packbits(raw: bytes) -> bytes:
    """RLE header of one segment, then literal runs of up to 100 bytes and one repeated run."""
    out = bytearray(np.array([1, 64] + [0] * 14, "<u4").tobytes())
    for start in range(0, len(raw), 100):
        run = raw[start : start + 100]
        same = len(set(run)) == 1 and len(run) > 1
        out += bytes([257 - len(run), run[0]]) if same else bytes([len(run) - 1]) + run
    return bytes(out + b"\0" * (len(out) % 2))


def deflated(raw: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(raw) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


@pytest.mark.parametrize(
    ("syntax", "pack"), [(RLELossless, packbits), ("1.2.840.10008.1.2.8.1", deflated)]
)
def test_packed_one_bit_frames(study, labels, tmp_path, syntax, pack):
    """What neither pydicom nor highdicom reads: bits of each frame packed on their own."""
    datasets, volume = study
    frames = (labels == 1).astype(np.uint8).transpose(2, 1, 0)
    path = seg(datasets, frames, "BINARY", tmp_path / "s.dcm", names=("Liver",), omit_empty_frames=False)
    ds = dcmread(path)
    bits = [np.packbits(f.ravel(), bitorder="little").tobytes() for f in frames]
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([pack(b) for b in bits])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    with path.open("wb") as stream:
        dcmwrite(stream, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    assert np.array_equal(read_mask(path, volume.grid).data == 1, labels == 1)


def test_damaged_segmentations_give_one_line(study, labels, tmp_path):
    datasets, volume = study
    path = seg(datasets, labels.transpose(2, 1, 0), "BINARY", tmp_path / "seg.dcm")
    raw = path.read_bytes()
    rng = np.random.default_rng(5)
    outcomes = {True: 0, False: 0}
    for _ in range(60):
        spoiled = bytearray(raw)
        for _ in range(rng.integers(1, 6)):
            spoiled[int(rng.integers(300, len(raw)))] = int(rng.integers(0, 256))
        path.write_bytes(spoiled[: None if rng.random() < 0.8 else int(rng.integers(0, len(raw)))])
        try:
            read_mask(path, volume.grid)
            outcomes[True] += 1
        except BurdenError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 0
