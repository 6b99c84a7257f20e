"""What does not form one volume is refused, and the message names the place."""

from __future__ import annotations

import numpy as np
import pytest

from burden.errors import GeometryError, InputError, NotAnImageError
from burden.read import list_series, read_study


def moved(by: dict[int, tuple[float, float, float]]):
    def edit(ds, k):
        if k in by:
            ds.ImagePositionPatient = [
                float(a) + b for a, b in zip(ds.ImagePositionPatient, by[k], strict=True)
            ]

    return edit


def without(*left_out: int):
    return lambda ds, k: k not in left_out


def codes(study) -> list[str]:
    return [f.code for f in study.findings]


def test_a_missing_slice_is_named(make):
    with pytest.raises(GeometryError) as error:
        read_study(make(shape=(9, 7, 20), edit=without(7)))
    assert "1 slice(s) missing among 19 at 2.5 mm" in str(error.value)
    assert "5 mm between z = -15.0 and -10.0 mm" in str(error.value)
    assert error.value.exit_code == 3


def test_two_gaps_are_counted_together(make):
    with pytest.raises(
        GeometryError, match=r"4 slice\(s\) missing among 16 .*between z = -22.5 and -15.0 mm"
    ):
        read_study(make(shape=(9, 7, 20), edit=without(4, 5, 14, 15)))


def test_missing_end_slices_are_no_gap(make):
    volume = read_study(make(shape=(9, 7, 8), edit=without(0, 7))).volume
    assert volume.data.shape == (9, 7, 6)
    assert volume.grid.spacing[2] == pytest.approx(2.5)
    assert volume.grid.origin[2] == pytest.approx(-27.5)


def test_rounded_positions_are_one_volume(make):
    def edit(ds, k):
        ds.ImagePositionPatient[2] = round(float(ds.ImagePositionPatient[2]), 1)

    volume = read_study(make(shape=(9, 7, 41), spacing=(0.8, 0.7, 0.625), edit=edit)).volume
    assert volume.grid.spacing[2] == pytest.approx(0.625, abs=0.002)


def test_uneven_spacing_is_refused_with_the_places(make):
    def edit(ds, k):
        ds.ImagePositionPatient[2] = -30.0 + 2.5 * k + (1.0 if k >= 10 else 0.0)

    with pytest.raises(
        GeometryError, match=r"uneven spacing: 20 slices.*3.5 mm between z = -7.5 and -4.0 mm"
    ):
        read_study(make(shape=(9, 7, 20), edit=edit))


def test_two_spacings_in_one_series_are_refused(make):
    def edit(ds, k):
        ds.ImagePositionPatient[2] = 2.5 * k if k < 10 else 25.0 + 5.0 * (k - 10)

    with pytest.raises(GeometryError, match=r"between z = 25.0 and 30.0 mm"):
        read_study(make(shape=(9, 7, 20), edit=edit))


def test_slow_drift_of_the_spacing_is_refused(make):
    def edit(ds, k):
        ds.ImagePositionPatient[2] = 2.5 * k + 0.004 * k * k

    with pytest.raises(GeometryError, match="uneven spacing"):
        read_study(make(shape=(9, 7, 40), edit=edit))


def test_identical_copies_are_dropped_and_said(tmp_path, make, phantom):
    folder = make()
    for file in list(folder.iterdir())[:2]:
        (folder / f"copy of {file.name}").write_bytes(file.read_bytes())
    study = read_study(folder)
    assert np.array_equal(study.volume.data, phantom())
    found = next(f for f in study.findings if f.code == "duplicate-slices-dropped")
    assert "2 slice(s)" in found.text


def test_same_position_other_pixels_are_refused_by_place(make, phantom):
    folder = make(uid="1.2.99")
    make("more", uid="1.2.99", values=phantom(seed=3), edit=without(0, 1, 3, 4))
    next((folder.parent / "more").iterdir()).rename(folder / "extra")
    with pytest.raises(GeometryError) as error:
        read_study(folder)
    assert "1 of 6 slices lie where another one with different pixels lies, at z = -25.0 mm" in str(
        error.value
    )
    assert "phases" in str(error.value)


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("TemporalPositionIdentifier", (1, 2)),
        ("EchoTime", (2.3, 4.6)),
        ("DiffusionBValue", (0.0, 800.0)),
        ("AcquisitionTime", ("101010", "101040")),
    ],
)
def test_time_points_echoes_and_b_values_become_volumes(make, phantom, tag, values):
    first = make(uid="1.2.99", modality="MR", tags={tag: values[0]})
    make("more", uid="1.2.99", modality="MR", tags={tag: values[1]}, values=phantom(seed=3))
    found = list_series(first.parent)
    assert sorted(c.uid for c in found) == ["1.2.99", "1.2.99#2"]
    second = read_study(first.parent, series="1.2.99#2")
    assert np.array_equal(second.volume.data, phantom(seed=3))
    assert "several-volumes" in codes(second)
    assert "one of 2 volumes in the series" in second.candidates[0].reasons


def test_a_tag_of_its_own_in_every_slice_splits_nothing(make, phantom):
    folder = make(uid="1.2.99", edit=lambda ds, k: setattr(ds, "AcquisitionNumber", k))
    make(
        "more",
        uid="1.2.99",
        values=phantom(seed=3),
        edit=lambda ds, k: setattr(ds, "AcquisitionNumber", 9 + k),
    )
    with pytest.raises(GeometryError, match="different pixels"):
        read_study(folder.parent)


@pytest.mark.parametrize("what", ["spacing", "matrix", "orientation"])
def test_a_change_on_the_way_is_refused_by_place(make, what):
    def edit(ds, k):
        if k != 6:
            return
        if what == "spacing":
            ds.PixelSpacing = [0.9, 0.9]
        elif what == "matrix":
            ds.Rows -= 1
        else:
            ds.ImageOrientationPatient = [1, 0, 0, 0, np.cos(0.05), np.sin(0.05)]

    with pytest.raises(GeometryError) as error:
        read_study(make(shape=(9, 7, 12), edit=edit))
    assert "z = " in str(error.value)
    assert "-15.0" in str(error.value) or "-17.5" in str(error.value)


def test_odd_slices_outside_are_left_out_and_said(make):
    def edit(ds, k):
        if k == 11:
            ds.PixelSpacing = [0.9, 0.9]

    study = read_study(make(shape=(9, 7, 12), edit=edit))
    assert study.volume.data.shape == (9, 7, 11)
    found = next(f for f in study.findings if f.code == "slices-left-out")
    assert "z = -2.5 mm" in found.text


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_slices_are_no_volume(make, count):
    with pytest.raises(GeometryError, match=rf"only {count} slice\(s\).*z = -30.0"):
        read_study(make(shape=(9, 7, count)))


def test_a_slice_shifted_sideways_is_refused(make):
    with pytest.raises(GeometryError, match=r"sideways.*up to 4 mm, at z = -22.5 mm"):
        read_study(make(edit=moved({3: (4.0, 0.0, 0.0)})))


def test_gantry_tilt_is_straightened_and_said(make, series_type):
    """A ramp in world space must be the same ramp after straightening."""
    tilt = np.deg2rad(12.0)
    axes = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    table = np.array([0.0, 0.0, 1.0])  # slices follow the table, not the normal
    i, j, k = np.meshgrid(np.arange(16), np.arange(14), np.arange(20), indexing="ij")
    step = 2.0 * table
    spot = (
        np.array([-10.0, 20.0, -30.0])
        + axes[:, 0] * 0.8 * i[..., None]
        + axes[:, 1] * 0.7 * j[..., None]
    )
    spot = spot + step * k[..., None]
    ramp = np.rint(10 * spot[..., 1] + 3 * spot[..., 2]).astype(np.int16)

    def edit(ds, k):
        ds.ImagePositionPatient = [float(x) for x in np.array([-10.0, 20.0, -30.0]) + step * k]

    study = read_study(make(values=ramp, axes=axes, spacing=(0.8, 0.7, 2.0), edit=edit))
    volume = study.volume
    found = next(f for f in study.findings if f.code == "gantry-tilt-corrected")
    assert "12.0 degrees" in found.text
    assert volume.grid.spacing == pytest.approx((0.8, 0.7, 2.0 * np.cos(tilt)))
    assert volume.data.shape[0] == 16
    assert volume.data.shape[1] > 14
    inside = np.argwhere(volume.data > -1024 + 900)  # away from the air that was added
    world = volume.grid.world(inside)
    expected = 10 * world[:, 1] + 3 * world[:, 2]
    assert len(inside) > 0.85 * ramp.size
    assert np.median(np.abs(volume.data[tuple(inside.T)] - expected)) < 1.0


def test_a_tilt_is_no_reason_to_miss_a_gap(make):
    def edit(ds, k):
        ds.ImagePositionPatient = [0.0, 0.3 * k, 2.5 * k]
        return k != 7

    with pytest.raises(GeometryError, match=r"1 slice\(s\) missing among 19.*z = 15.0 and 20.0 mm"):
        read_study(make(shape=(9, 7, 20), edit=edit))


def test_truncated_pixels_are_refused_by_place(make):
    folder = make(tags={"PatientID": "SECRET-ID"})
    file = next(f for f in folder.iterdir() if f.stat().st_size)
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"slice at z = -?[\d.]+ mm: the pixel data are cut short"):
        read_study(folder)


def test_a_header_without_pixels_is_refused(make):
    def edit(ds, k):
        del ds.PixelData

    with pytest.raises(InputError, match="without pixel data"):
        read_study(make(edit=edit))


@pytest.mark.parametrize(
    ("tags", "what"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, "localizer"),
        ({"Modality": "PT"}, "PT, not CT or MR"),
        ({"Modality": "SEG"}, "--liver"),
        ({"ImagePositionPatient": None}, "no position"),
    ],
)
def test_what_is_no_ct_or_mr_volume_says_so(make, tags, what):
    def edit(ds, k):
        for key, value in tags.items():
            setattr(ds, key, value)

    with pytest.raises(InputError, match=what) as error:
        read_study(make(edit=edit))
    assert isinstance(error.value, (NotAnImageError, GeometryError))
    assert "SECRET" not in str(error.value).upper()


def test_tags_cannot_break_the_line(make):
    folder = make(modality="XQY")
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes().replace(b"XQY", b"X\nY"))
    with pytest.raises(InputError, match="X Y, not CT or MR") as error:
        read_study(folder)
    assert str(error.value).isprintable()


def test_fitness_findings(make):
    thick = read_study(make(spacing=(0.8, 0.7, 8.0)))
    assert "thick-slices" in codes(thick)
    assert "16 mm or more" in next(f.text for f in thick.findings if f.code == "thick-slices")
    assert "slab-too-short" in codes(thick)
    assert "overlapping-slices" in codes(
        read_study(make("b", tags={}, edit=lambda ds, k: setattr(ds, "SliceThickness", 5)))
    )
    assert "gaps-between-slices" in codes(
        read_study(make("c", edit=lambda ds, k: setattr(ds, "SliceThickness", 1)))
    )
    assert "mixed-thickness" in codes(
        read_study(make("d", edit=lambda ds, k: setattr(ds, "SliceThickness", 2.5 + k)))
    )
    assert "no-air" in codes(read_study(make("e", intercept=1000.0)))
    assert "thick-slices" not in codes(read_study(make("f")))
    coarse = read_study(make("g", spacing=(3.0, 3.0, 2.5)))
    assert [f.invalidates for f in coarse.findings if f.code == "coarse-matrix"] == [()]
    blunt = read_study(make("h", spacing=(6.0, 6.0, 2.5)))
    lost = [f.invalidates for f in blunt.findings if f.code == "coarse-matrix"]
    assert lost == [("lesion.largest_diameter",)]
