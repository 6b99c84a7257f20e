"""Is this a liver? Real ones raise no question; heads, limbs, chests, leaks and mirrored ones do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from burden.errors import NotALiverError
from burden.facts import Fact, Facts, Interval
from burden.grid import Grid, reorder
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import check
from burden.measure.check import cut_area_mm2, implausible
from burden.measure.plausible import expected_ml, signs
from burden.read import read_mask, read_study
from burden.resources import shipped

Mask = NDArray[np.bool_]
SAMPLES = ("bilobar_type2", "diffuse_type3", "healthy", "solitary_type1", "mr_t1_hepatobiliary")
SOLITARY = "solitary_type1"


def body_of(height: float, weight: float) -> Facts:
    return Facts(
        Fact(f"patient.{name}", Interval(value, value), unit, "entered")
        for name, value, unit in (("height", height, "cm"), ("weight", weight, "kg"))
    )


@pytest.fixture(scope="module")
def sample() -> Any:
    """Image and liver of a shipped digital study, lesions included."""
    kept: dict[str, tuple[Volume, Mask]] = {}

    def read(name: str) -> tuple[Volume, Mask]:
        if name not in kept:
            folder = shipped("models").parent / "sample_data" / name
            volume = read_study(folder / "dicom").volume
            parts = [
                read_mask(folder / "truth" / f"{p}.nii.gz", volume.grid) for p in ("liver", "lesions")
            ]
            kept[name] = (volume, (parts[0].data > 0) | (parts[1].data > 0))
        return kept[name]

    return read


def texts(volume: Volume, liver: Mask, **options: Any) -> list[str]:
    cut = cut_area_mm2(liver, volume.grid) >= check.CUT_MM2
    return [sign.text for sign in signs(volume, liver, cut=cut, **options)]


@pytest.mark.parametrize("name", SAMPLES)
def test_digital_livers_raise_no_question(sample: Any, name: str) -> None:
    assert texts(*sample(name), patient=body_of(172, 74)) == []


def test_axis_order_does_not_matter(sample: Any) -> None:
    volume, liver = sample(SOLITARY)
    order, flip = (2, 0, 1), (True, False, True)
    for mask in (liver, liver[::-1]):
        turned = replace(
            volume,
            data=np.ascontiguousarray(reorder(volume.data, order, flip)),
            grid=volume.grid.reorder(order, flip),
        )
        assert texts(turned, reorder(mask, order, flip)) == texts(volume, mask)


def test_a_mirrored_liver_takes_right_and_left_back(sample: Any) -> None:
    volume, liver = sample(SOLITARY)
    x = volume.grid.axis_of(0)
    mirrored = replace(volume, data=np.flip(volume.data, x))
    for given in (True, False):
        (said,) = implausible(mirrored, np.flip(liver, x), False, given=given)
        assert said.code == "liver-implausible"
        assert "mirrored" in said.text
        assert "flr.*" in said.invalidates
        assert "tumor.burden" not in said.invalidates


def test_a_leaking_liver_is_said(sample: Any) -> None:
    """Grown by 20 mm it holds lung, fat and gas; half of it alone is no whole liver."""
    from scipy.ndimage import distance_transform_edt

    volume, liver = sample(SOLITARY)
    grown = distance_transform_edt(~liver, sampling=volume.grid.spacing) < 20
    assert any("lung or gas" in t or "fat" in t for t in texts(volume, grown))


def test_a_missed_liver_is_said(sample: Any) -> None:
    volume, liver = sample(SOLITARY)
    z = volume.grid.axis_of(2)
    levels = np.flatnonzero(liver.any(axis=tuple(a for a in range(3) if a != z)))
    part = liver.copy()
    np.moveaxis(part, z, 0)[levels[levels.size // 3] :] = False
    said = texts(volume, part, patient=body_of(180, 90))
    assert any("shape" in t and "head to foot" in t for t in said)
    assert any("body size" in t for t in said)
    (finding,) = implausible(volume, part, False, given=False, patient=body_of(180, 90))
    assert (finding.severity, finding.invalidates) == ("error", ("*",))
    (gentle,) = implausible(volume, part, False, given=True, patient=body_of(180, 90))
    assert (gentle.severity, gentle.invalidates) == ("warning", ())


def test_volume_for_the_body() -> None:
    """BSA of 170 cm and 70 kg is 1.818 m2 (Mosteller): 1509.6 mL."""
    assert expected_ml(body_of(170, 70)) == pytest.approx(-794.41 + 1267.28 * (170 * 70 / 3600) ** 0.5)
    assert expected_ml(None) is None
    assert expected_ml(Facts()) is None


# --- bodies that are none with a liver, from geometry -------------------------------------------

GRID = Grid.from_axes((100, 90, 60), (4.0, 4.0, 4.0), (-198.0, -178.0, -118.0))
X, Y, Z = np.moveaxis(GRID.world(np.stack(np.indices(GRID.shape), -1)), -1, 0)


def disc(a: float, b: float, x: float = 0.0, y: float = 0.0) -> Mask:
    return np.asarray(((X - x) / a) ** 2 + ((Y - y) / b) ** 2 <= 1)


def ct(data: NDArray[Any]) -> Volume:
    return Volume(data.astype(np.int16), GRID, "CT", Origin("phantom", "made"))


def liver_like() -> Mask:
    """Right-sided, of a liver's extent and filling."""
    dome = ((X + 60) / 95) ** 2 + ((Y) / 75) ** 2 + (Z / 85) ** 2 <= 1
    return np.asarray(dome & (X < 20 + 0.3 * Z) & (Y < 40 - 0.4 * X))


def test_a_head_is_refused() -> None:
    data = np.where(disc(75, 95), 40, -1000)
    data[disc(75, 95) & ~disc(68, 88)] = 30
    data[disc(70, 90) & ~disc(62, 82)] = 900
    brain = disc(58, 78) & (X < 15) & (np.abs(Z) < 60)
    with pytest.raises(NotALiverError, match="skull"):
        list(implausible(ct(data), brain, False, given=False))
    said = list(implausible(ct(data), brain, False, given=True))
    assert "head" in said[0].text


def test_legs_are_refused() -> None:
    legs = disc(70, 75, -85) | disc(70, 75, 85)
    data = np.where(legs, 50, -1000)
    data[disc(15, 15, -85) | disc(15, 15, 85)] = 800
    with pytest.raises(NotALiverError, match="limb"):
        list(implausible(ct(data), disc(55, 60, -85) & (np.abs(Z) < 80), False, given=False))


def test_what_lies_between_the_lungs_is_refused() -> None:
    data = np.where(disc(160, 110), 0, -1000)
    data[(disc(55, 80, -85) | disc(55, 80, 85))] = -850
    heart = (X / 45) ** 2 + ((Y + 20) / 45) ** 2 + (Z / 50) ** 2 <= 1
    data[heart] = 60
    with pytest.raises(NotALiverError, match="chest"):
        list(implausible(ct(data), heart, False, given=False))


def test_lung_is_refused_by_its_density(sample: Any) -> None:
    data = np.where(disc(160, 110), 0, -1000)
    lung = disc(55, 80, -85) & (np.abs(Z) < 90)
    data[lung] = -850
    with pytest.raises(NotALiverError, match="-850 HU"):
        list(implausible(ct(data), lung, False, given=False))


def test_a_torso_with_a_liver_is_accepted_also_where_the_image_is_cropped() -> None:
    data = np.where(disc(160, 110), -80, -1000)
    data[liver_like()] = 100
    whole = ct(data)
    assert not any(sign.strong or sign.side for sign in signs(whole, liver_like(), cut=False))
    start, stop = (18, 12, 2), (80, 75, 58)
    cut = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    crop = Volume(whole.data[cut], GRID.crop(start, stop), "CT", whole.origin)
    assert not any(sign.strong or sign.side for sign in signs(crop, liver_like()[cut], cut=False))


def test_a_models_refusal_reaches_the_user(toy: Any) -> None:
    """Through `measure`, not only through the function."""
    from burden.measure import measure

    volume, found = toy(()).make()
    model = replace(found, liver_boundary_sd_mm=0.5, lesion_boundary_sd_mm=1.0)
    bone = replace(volume, data=np.where(found.liver.data > 0, 700, -80).astype(np.int16))
    with pytest.raises(NotALiverError, match="700 HU"):
        measure(bone, model, Facts(), draws=0)
    assert "liver-implausible" in {f.code for f in measure(bone, found, Facts(), draws=0).findings}


@pytest.mark.parametrize(
    ("code", "lost"), [("lesions-not-segmented", ("tumor.*", "lesion.*")), ("mr-model-unsound", ("*",))]
)
def test_a_model_not_believed_about_lesions_is_not_said_to_have_found_none(
    code: str, lost: tuple[str, ...], toy: Any
) -> None:
    from burden.findings import Finding
    from burden.measure import measure

    volume, found = toy(()).make()
    said = Finding(code, "error", "knows none", lost)
    model = replace(found, lesion_boundary_sd_mm=1.0, lesion_existence=None, findings=(said,))
    result = measure(volume, model, Facts(), draws=8)
    assert "no-lesion-found" not in {f.code for f in result.findings}
    assert not result.facts["tumor.burden"].valid
    assert result.facts["tumor.burden"].value.is_unknown  # type: ignore[union-attr]
    assert result.facts["liver.volume"].valid is (lost != ("*",))


# --- real images ---------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_livers_raise_no_question(real_data: Path) -> None:
    """A portal CT, three T2 MRs, two cropped CTs and 20 livers as Couinaud masks."""
    cases = [("check_ct/ircad17_dicom", "check_ct/ircad17_liver1_tumor2.nii.gz", (1, 2))]
    cases += [(f"check_mr/chaos_t2_{n}_mr.nii.gz", f"check_mr/chaos_t2_{n}_label.nii.gz", (1,))
              for n in (1, 10, 15)]  # fmt: skip
    cases += [(f"train_ct/btcv_000{n}_ct.nii.gz", f"train_ct/btcv_000{n}_label.nii.gz", (6,))
              for n in (4, 5)]  # fmt: skip
    for image, mask, labels in cases:
        kind = "MR" if "check_mr" in image else "CT"
        volume = read_study(real_data / image, modality=None if "dicom" in image else kind).volume
        liver = np.isin(read_mask(real_data / mask, volume.grid).data, labels)
        assert texts(volume, liver) == [], image


@pytest.mark.real_data
def test_shapes_of_real_livers(real_data: Path) -> None:
    import nibabel as nib

    files = sorted((real_data / "couinaud_masks").glob("*_couinaud.nii.gz"))[::8]
    assert len(files) >= 19
    for file in files:
        image: Any = nib.load(file)
        liver = np.asarray(image.dataobj) > 0
        grid = Grid.from_ras(liver.shape, image.affine)
        volume = Volume(np.zeros(liver.shape, np.int16), grid, "MR", Origin("nifti", file.name))
        assert signs(volume, liver, cut=False) == ()
        x = grid.axis_of(0)
        assert any(sign.side for sign in signs(volume, np.flip(liver, x), cut=False))


@pytest.mark.real_data
def test_a_real_head_is_refused(real_data: Path) -> None:
    """Brain called liver, in a real head CT (its slices laid out evenly; reading refuses their gaps)."""
    import pydicom

    files = list((real_data / "dicom" / "cq500_tilt_jpegll").rglob("*.dcm"))
    slices = sorted(
        (pydicom.dcmread(p) for p in sorted(files)[::2]), key=lambda d: float(d.ImagePositionPatient[2])
    )
    low, high = (float(d.ImagePositionPatient[2]) for d in (slices[0], slices[-1]))
    data = np.stack(
        [d.pixel_array.T[::2, ::2] * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in slices],
        -1,
    )
    spacing = (*(2 * float(s) for s in slices[0].PixelSpacing), (high - low) / (len(slices) - 1))
    grid = Grid.from_axes(data.shape, spacing, [float(p) for p in slices[0].ImagePositionPatient])
    volume = Volume(data.astype(np.int16), grid, "CT", Origin("dicom", "head"))
    world = grid.world(np.stack(np.indices(grid.shape), -1)) - grid.world(np.array(grid.shape) / 2)
    brain = ((world / [50, 60, 35]) ** 2).sum(-1) < 1
    brain &= (data > 0) & (data < 80)
    with pytest.raises(NotALiverError, match="skull"):
        list(implausible(volume, brain, False, given=False))


def test_segmentation_is_not_needed_to_ask(sample: Any) -> None:
    """`findings` asks by itself, before anything else is said."""
    volume, liver = sample(SOLITARY)
    x = volume.grid.axis_of(0)
    labels = Labels(np.flip(liver, x).astype(np.uint8), volume.grid)
    found = Segmentation(labels, Labels(np.zeros(liver.shape, np.uint8), volume.grid), "x")
    said = next(check.findings(volume, found, 1500.0, 0.0, 1))
    assert said.code == "liver-implausible"
