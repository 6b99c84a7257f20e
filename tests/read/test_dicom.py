"""DICOM series: where voxels are and what they hold, against SimpleITK and known values."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from burden.errors import GeometryError
from burden.read import read_study

ROTATIONS = [
    (order, flips)
    for order in ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    for flips in ((1, 1), (-1, 1), (1, -1), (-1, -1))
]


def turned(order, flips, angles) -> np.ndarray:
    """Right-handed axes: a permutation with two free signs, then two small rotations."""
    axes = np.eye(3)[:, order]
    axes[:, 0] *= flips[0]
    axes[:, 1] *= flips[1]
    axes[:, 2] = np.cross(axes[:, 0], axes[:, 1])
    (c, s), (d, t) = [(np.cos(a), np.sin(a)) for a in angles]
    return (
        np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        @ np.array([[1, 0, 0], [0, d, -t], [0, t, d]])
        @ axes
    )


def by_simpleitk(folder: Path) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_same_in_world_space(volume, image: sitk.Image, count: int = 200) -> None:
    rng = np.random.default_rng(1)
    indices = rng.integers(0, volume.grid.shape, size=(count, 3))
    for index, point in zip(indices, volume.grid.world(indices), strict=True):
        theirs = image.TransformPhysicalPointToContinuousIndex(point.tolist())
        nearest = [round(x) for x in theirs]
        assert np.abs(np.subtract(theirs, nearest)).max() < 1e-3
        assert volume.data[tuple(index)] == image.GetPixel(nearest)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turn=st.sampled_from(ROTATIONS),
    angles=st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5)),
    spacing=st.tuples(st.floats(0.4, 2.0), st.floats(0.4, 2.0), st.floats(0.6, 8.0)),
    seed=st.integers(0, 1000),
)
def test_any_orientation_equals_simpleitk(series_type, phantom, turn, angles, spacing, seed):
    made = series_type(
        phantom(seed=seed), spacing=tuple(round(s, 3) for s in spacing), axes=turned(*turn, angles)
    )
    with tempfile.TemporaryDirectory() as room:
        volume = read_study(made.write(Path(room))).volume
        assert_same_in_world_space(volume, by_simpleitk(Path(room)), count=40)
    index = np.array([8, 6, 4])
    truth = made.position(4) + made.axes[:, :2] @ (index[:2] * made.spacing[:2])
    assert np.allclose(volume.grid.world(index), truth, atol=1e-4)
    assert np.array_equal(volume.data, made.values)


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
        JPEGLosslessSV1,
    ],
)
@pytest.mark.parametrize("kind", ["signed", "unsigned"])
def test_every_encoding_gives_the_same_values(make, phantom, syntax, kind):
    stored = phantom((16, 12, 4))
    intercept = 0.0
    if kind == "unsigned":
        stored, intercept = (stored + 1024).astype(np.uint16), -1024.0
    folder = make(values=stored, intercept=intercept, syntax=syntax)
    written = {dcmread(file).file_meta.TransferSyntaxUID for file in folder.iterdir()}
    assert written == {syntax}
    volume = read_study(folder).volume
    assert volume.data.dtype == np.int16
    assert np.array_equal(volume.data, phantom((16, 12, 4)))


def test_rescale_of_each_slice_is_its_own(make, phantom):
    def edit(ds, k):
        ds.RescaleSlope, ds.RescaleIntercept = 1 + k, -10 * k

    volume = read_study(make(edit=edit)).volume
    factor = np.arange(1, 6)
    expected = np.maximum(phantom() * factor.astype(int) - 10 * np.arange(5), -1024)
    assert volume.data.dtype == np.int16
    assert np.array_equal(volume.data, expected)


def test_fractional_slope_gives_float(make, phantom):
    volume = read_study(make(slope=0.5, intercept=0.25)).volume
    assert volume.data.dtype == np.float32
    assert np.array_equal(volume.data, phantom() * 0.5 + 0.25)


def test_values_beyond_int16_are_kept(make):
    stored = np.zeros((9, 7, 5), dtype=np.uint16)
    stored[4, 3, 3] = 60000
    volume = read_study(make(values=stored, intercept=-1000.0)).volume
    assert volume.data[4, 3, 3] == 59000
    assert volume.data[0, 0, 0] == -1000


@pytest.mark.parametrize(
    ("dtype", "ends", "intercept"),
    [
        (np.int16, (-32768, 32767), 0),
        (np.int16, (-32768, 32767), -1024),  # below what int16 holds before it becomes air
        (np.int16, (-32768, 2000), 3000),
        (np.uint16, (0, 65535), -40000),  # stored values that int16 does not hold, sums that it does
        (np.uint16, (0, 4095), -1024),
        (np.uint16, (39000, 65535), -40000),
        (np.uint16, (0, 100), -70000),
        (np.int16, (-5, 5), 32700),
        (np.int16, (-5, 5), 32800),  # float
    ],
)
@pytest.mark.parametrize("padded", [False, True])
def test_sums_that_int16_holds_or_not(make, dtype, ends, intercept, padded):
    stored = (
        np.random.default_rng(0).integers(ends[0], ends[1], size=(9, 7, 5), endpoint=True).astype(dtype)
    )
    stored[0, 0, :], stored[8, 6, :] = ends

    def edit(ds, k):
        if padded:
            ds.add_new("PixelPaddingValue", "SS" if dtype == np.int16 else "US", ends[0])

    volume = read_study(make(values=stored, intercept=float(intercept), edit=edit)).volume
    expected = np.maximum(stored.astype(int) + intercept, -1024)
    if padded:
        expected[stored == ends[0]] = -1024
    assert np.array_equal(volume.data, expected)
    assert volume.data.dtype == (np.int16 if expected.max() <= 32767 else np.float32)


@pytest.mark.parametrize("written", [-2000, 63536])
def test_padding_becomes_air(make, phantom, written):
    stored = phantom()
    stored[0, 0, :] = -2000

    def edit(ds, k):
        vr = "SS" if written < 0 else "US"
        ds.add_new("PixelPaddingValue", vr, written)

    volume = read_study(make(values=stored, intercept=500.0, edit=edit)).volume
    assert (volume.data[0, 0, :] == -1024).all()
    assert np.array_equal(volume.data[1:], phantom()[1:] + 500)


def test_bits_above_the_stored_ones_are_overlays(make):
    stored = np.arange(9 * 7 * 5, dtype=np.uint16).reshape(9, 7, 5)
    dirty = stored | 0xF000
    volume = read_study(make(values=dirty, tags={"BitsStored": 12, "HighBit": 11})).volume
    assert np.array_equal(volume.data, stored)


def test_twelve_bit_signed_values_keep_their_sign(make, phantom):
    masked = (phantom().view(np.uint16) & 0x0FFF).view(np.int16)
    volume = read_study(make(values=masked, tags={"BitsStored": 12, "HighBit": 11})).volume
    assert np.array_equal(volume.data, phantom())


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_multi_frame_equals_its_classic_twin(tmp_path, series_type, phantom, reverse, syntax):
    made = series_type(
        phantom(), axes=turned((0, 2, 1), (1, -1), (0.3, 0.2)), intercept=7.0, syntax=syntax
    )
    classic = read_study(made.write(tmp_path / "classic")).volume
    enhanced = read_study(made.write_enhanced(tmp_path / "multi.dcm", reverse=reverse)).volume
    assert enhanced.grid.same_as(classic.grid, 1e-6)
    assert np.array_equal(enhanced.data, classic.data)


def test_mr_is_float_and_modality_is_kept(make, phantom):
    study = read_study(make(modality="MR", values=np.abs(phantom()), slope=2.0))
    assert study.volume.modality == "MR"
    assert study.volume.data.dtype == np.float32
    assert np.array_equal(study.volume.data, 2.0 * np.abs(phantom()))


def test_origin_says_where_it_came_from(make, series_type, phantom):
    folder = make(uid="1.2.99")
    origin = read_study(folder).volume.origin
    assert (origin.study_uid, origin.series_uid, origin.frame_uid) == ("1.2.3.4", "1.2.99", "1.2.3.5")
    again = make("again", uid="1.2.99")
    assert origin.sha256 == read_study(again).volume.origin.sha256
    other = make("other", values=phantom(seed=1))
    assert origin.sha256 != read_study(other).volume.origin.sha256
    heights = [sitk.ReadImage(str(folder / name)).GetOrigin()[2] for name in origin.files]
    assert heights == sorted(heights)
    assert len(heights) == 5


def test_patient_facts_come_from_the_header_and_nothing_else(make):
    tags = {"PatientAge": "063Y", "PatientSex": "F", "PatientSize": 1.65, "PatientWeight": 61.5}
    study = read_study(make(tags=tags))
    assert {f.id: f.best for f in study.patient.values()} == {
        "patient.age": 63.0,
        "patient.sex": "female",
        "patient.height": 165.0,
        "patient.weight": 61.5,
    }
    assert {f.source for f in study.patient.values()} == {"dicom"}
    assert "SECRET" not in repr(study).upper()


def test_patient_data_that_differ_between_slices_are_nobodys(make):
    def edit(ds, k):
        ds.PatientSex, ds.PatientAge = "F", "061Y" if k < 4 else "035Y"

    study = read_study(make(edit=edit))
    assert list(study.patient) == ["patient.sex"]
    (said,) = [f.text for f in study.findings if f.code == "contradictory-patient-data"]
    assert said.startswith("PatientAge of the header")


@pytest.mark.parametrize("missing", ["RescaleIntercept", "RescaleSlope"])
def test_a_slice_that_does_not_say_how_to_rescale_it_is_refused(make, missing):
    """Its values would be stored ones, off by the intercept of the others."""

    def edit(ds, k):
        if k == 2:
            delattr(ds, missing)

    with pytest.raises(GeometryError, match=r"1 of \d+ slices have no usable RescaleSlope"):
        read_study(make(intercept=-1024.0, edit=edit))
    everywhere = read_study(make(edit=lambda ds, _k: delattr(ds, missing)))
    assert everywhere.volume.modality == "CT"


def test_implausible_patient_data_are_left_out_and_said(make):
    study = read_study(make(tags={"PatientSize": 165.0, "PatientWeight": 0.0, "PatientAge": "018M"}))
    assert {f.id: f.best for f in study.patient.values()} == {"patient.age": 1.5}
    assert [f.code for f in study.findings if "16500" in f.text] == ["implausible-patient-data"]
