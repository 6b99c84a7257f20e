"""NIfTI: place and values, and everything in it that cannot be trusted."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from burden.errors import GeometryError, InputError, NotAnImageError, UsageError
from burden.read import list_series, read_study

AFFINE = np.array([[0.0, -1.2, 0.1, 5.0], [0.9, 0.0, 0.0, -7.0], [0.0, 0.1, 2.4, 11.0], [0, 0, 0, 1]])
STRAIGHT = np.diag([-0.8, -0.7, 2.5, 1.0])


@pytest.fixture
def ct():
    return np.random.default_rng(0).integers(-1000, 1000, size=(8, 7, 6)).astype(np.int16)


def save(path, values, affine=STRAIGHT, kind=nib.Nifti1Image):
    kind(values, affine).to_filename(path)
    return path


def codes(study):
    return [f.code for f in study.findings]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_place_and_values_equal_simpleitk(tmp_path_factory, seed):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3] = axes * rng.uniform(0.5, 4, size=3)
    affine[:3, 3] = rng.normal(size=3) * 100
    values = rng.integers(-1000, 1000, size=(6, 5, 4)).astype(np.int16)
    path = save(tmp_path_factory.mktemp("n") / "x.nii.gz", values, affine)
    volume, image = read_study(path).volume, sitk.ReadImage(str(path))
    for index in rng.integers(0, values.shape, size=(20, 3)):
        there = image.TransformPhysicalPointToContinuousIndex(volume.grid.world(index).tolist())
        assert np.allclose(there, np.rint(there), atol=1e-3)
        assert volume.data[tuple(index)] == image.GetPixel([round(x) for x in there])


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_types_give_int16_for_whole_hu(tmp_path, ct, dtype, kind):
    image = kind(ct.astype(dtype), STRAIGHT, dtype=dtype)
    image.to_filename(tmp_path / "x.nii")
    volume = read_study(tmp_path / "x.nii").volume
    assert (volume.modality, volume.data.dtype) == ("CT", np.dtype(np.int16))
    assert np.array_equal(volume.data, ct)


def test_scaling_of_the_header_is_applied(tmp_path, ct):
    image = nib.Nifti1Image(ct, STRAIGHT)
    image.header.set_slope_inter(0.5, 10)
    image.to_filename(tmp_path / "x.nii.gz")
    volume = read_study(tmp_path / "x.nii.gz").volume
    assert volume.data.dtype == np.float32
    assert np.allclose(volume.data, np.asarray(nib.load(tmp_path / "x.nii.gz").dataobj))


def test_modality_is_guessed_said_and_overridden(tmp_path, ct):
    assert "modality-guessed" in codes(study := read_study(save(tmp_path / "a.nii", ct)))
    assert study.volume.modality == "CT"
    assert read_study(save(tmp_path / "b.nii", np.abs(ct))).volume.modality == "MR"
    forced = read_study(tmp_path / "b.nii", modality="CT")
    assert forced.volume.modality == "CT"
    assert "modality-guessed" not in codes(forced)


def test_padding_below_air_becomes_air(tmp_path, ct):
    ct[0] = -3024
    assert read_study(save(tmp_path / "a.nii", ct)).volume.data.min() == -1024


def test_trailing_single_axis_is_dropped(tmp_path, ct):
    assert read_study(save(tmp_path / "a.nii", ct[..., None, None])).volume.data.shape == (8, 7, 6)


def test_four_axes_are_refused(tmp_path, ct):
    with pytest.raises(NotAnImageError, match="4-D image"):
        read_study(save(tmp_path / "a.nii", np.stack([ct, ct], axis=-1)))


def test_colour_and_complex_are_refused(tmp_path):
    rgb = np.zeros((5, 5, 5), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    with pytest.raises(NotAnImageError, match="colour"):
        read_study(save(tmp_path / "a.nii", rgb))
    with pytest.raises(NotAnImageError, match="complex"):
        read_study(save(tmp_path / "b.nii", np.zeros((5, 5, 5), np.complex64)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_affine_that_is_not_finite(tmp_path, ct, bad):
    image = nib.Nifti1Image(ct, STRAIGHT)
    image.header["srow_x"][0] = bad
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    raw = image.header.binaryblock + b"\0\0\0\0" + ct.tobytes(order="F")
    (tmp_path / "a.nii").write_bytes(raw)
    with pytest.raises(GeometryError, match="not finite"):
        read_study(tmp_path / "a.nii")


def test_sheared_affine_is_refused(tmp_path, ct):
    sheared = STRAIGHT.copy()
    sheared[1, 2] = 1.0
    image = nib.Nifti1Image(ct, None)
    image.set_sform(sheared, 1)
    image.to_filename(tmp_path / "a.nii")
    with pytest.raises(GeometryError, match="right angles"):
        read_study(tmp_path / "a.nii")


def test_two_positions_in_one_header_are_said(tmp_path, ct):
    image = nib.Nifti1Image(ct, STRAIGHT)
    elsewhere = STRAIGHT.copy()
    elsewhere[0, 3] += 3.0
    image.set_sform(STRAIGHT, 1)
    image.set_qform(elsewhere, 1)
    image.to_filename(tmp_path / "a.nii")
    found = next(f for f in read_study(tmp_path / "a.nii").findings if f.code == "sform-qform-differ")
    assert "3 mm" in found.text


def test_a_header_without_position_invalidates_left_and_right(tmp_path, ct):
    image = nib.Nifti1Image(ct, None)
    image.header["qform_code"] = image.header["sform_code"] = 0
    image.to_filename(tmp_path / "a.nii")
    found = next(f for f in read_study(tmp_path / "a.nii").findings if f.code == "no-orientation")
    assert found.invalidates


def test_a_few_nans_are_replaced_and_said_many_refused(tmp_path, ct):
    values = ct.astype(np.float32)
    values[0, 0, :2] = np.nan
    study = read_study(save(tmp_path / "a.nii", values))
    assert "not-a-number-voxels" in codes(study)
    assert study.volume.data[0, 0, 0] == ct.min()
    values[:6] = np.nan
    with pytest.raises(InputError, match="more than half"):
        read_study(save(tmp_path / "b.nii", values))


def test_two_slices_are_no_volume(tmp_path, ct):
    with pytest.raises(GeometryError, match="not a volume"):
        read_study(save(tmp_path / "a.nii", ct[:, :, :2]))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_truncated_files(tmp_path, ct, name):
    path = save(tmp_path / name, ct)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="cut short"):
        read_study(path)


def test_a_promise_of_terabytes_costs_nothing(tmp_path, ct):
    path = save(tmp_path / "a.nii", ct)
    raw = bytearray(path.read_bytes())
    raw[42:48] = np.array([1000, 1000, 1000], "<i2").tobytes()
    path.write_bytes(raw)
    with pytest.raises(InputError, match="cut short"):
        read_study(path)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(raw)))
    with pytest.raises(InputError, match="cut short"):
        read_study(tmp_path / "b.nii.gz")


def test_a_nifti_has_no_series(tmp_path, ct):
    with pytest.raises(UsageError, match="no series"):
        read_study(save(tmp_path / "a.nii", ct), series="1.2.3")


def test_list_series_of_a_nifti(tmp_path, ct):
    (only,) = list_series(save(tmp_path / "liver_portal.nii", ct))
    assert (only.chosen, only.slices, only.plane, only.phase) == (True, 6, "axial", "portal")
