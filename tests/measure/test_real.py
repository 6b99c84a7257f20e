"""Figures of real patients, known from their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from burden.facts import Facts, Interval
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import Measured, measure
from burden.measure.anatomy import LEFT, RIGHT
from burden.measure.components import separate

pytestmark = pytest.mark.real_data


def load(path: Path) -> tuple[NDArray[np.uint8], Grid]:
    import nibabel as nib

    image = nib.load(path)
    data = np.asarray(image.dataobj).astype(np.uint8)
    return data, Grid.from_ras(data.shape, image.affine)


def measured(
    liver: NDArray[np.bool_],
    lesions: NDArray[np.bool_],
    grid: Grid,
    segments: NDArray[np.uint8] | None = None,
    *,
    split: bool = True,
) -> Measured:
    volume = Volume(np.zeros(grid.shape, np.int16), grid, "CT", Origin("nifti", "real"), "portal")
    found = Segmentation(
        liver=Labels(liver.astype(np.uint8), grid),
        lesions=Labels(lesions.astype(np.uint8), grid),
        source="truth",
        segments=None if segments is None else Labels(segments, grid),
    )
    return measure(volume, found, Facts(), draws=64, split=split)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(("patient", "burden", "count"), [(1, 10.85, 25), (2, 12.55, 1), (3, 24.26, 3)])
def test_burden_of_the_mullet_patients(real_data: Path, patient: int, burden: float, count: int) -> None:
    folder = real_data / "masks" / "mullet"
    liver, grid = load(folder / f"example_{patient}_liver_v.nii.gz")
    lesions, _ = load(folder / f"example_{patient}_seg_v_gt.nii.gz")
    result = measured(liver > 0, lesions > 0, grid, split=False)
    assert result.facts["tumor.burden"].best == pytest.approx(burden, abs=0.005)
    assert len(result.lesions) == count


@pytest.mark.parametrize(
    ("patient", "largest"), [(1, (44.4, 42.8)), (2, (170.8, 162.7)), (3, (309, 302))]
)
def test_both_phases_of_the_mullet_patients_split_alike(
    real_data: Path, patient: int, largest: tuple[float, float]
) -> None:
    """Drawn twice, weeks of work apart, and not registered: a neck that is one is found in both."""
    folder, found = real_data / "masks" / "mullet", []
    for phase in "va":
        lesions, grid = load(folder / f"example_{patient}_seg_{phase}_gt.nii.gz")
        box = tuple(slice(n.min(), n.max() + 1) for n in np.nonzero(lesions))
        marks = np.ascontiguousarray(lesions[box] > 0)
        apart = separate(marks, np.ones(marks.shape, bool), given=False, keep_all=True, split=True,
                         voxel_ml=grid.voxel_ml, world=grid.affine)  # fmt: skip
        found.append(np.bincount(apart.labels.ravel())[1:] * grid.voxel_ml)
    assert (found[0][0], found[1][0]) == pytest.approx(largest, rel=0.01)
    big = [f[f >= 10.0] for f in found]
    assert abs(len(big[0]) - len(big[1])) <= 1, "bodies of 10 mL and more are the same in both"


def test_ircad17_and_its_segments(real_data: Path) -> None:
    folder = real_data / "check_ct"
    labels, grid = load(folder / "ircad17_liver1_tumor2.nii.gz")
    couinaud, _ = load(folder / "ircad17_couinaud.nii.gz")
    given = measured(labels > 0, labels == 2, grid, couinaud)
    assert given.facts["liver.volume"].best == pytest.approx(1861, abs=1)
    assert [r.volume_ml for r in given.lesions] == pytest.approx([85.6, 78.6], abs=0.06)
    assert given.facts["tumor.burden"].best == pytest.approx(8.83, abs=0.005)
    assert [r.lobe for r in given.lesions] == ["right", "left"]

    predicted = measured(labels > 0, labels == 2, grid)
    known = (couinaud > 0) & (predicted.segments.data > 0)
    for side in (RIGHT, LEFT):
        here = (np.isin(x[known], side) for x in (couinaud, predicted.segments.data))
        assert dice(*here) >= 0.93
    for row, truth in zip(predicted.lesions, given.lesions, strict=True):
        assert row.lobe == truth.lobe
        assert row.segments.get(max(truth.segments, key=lambda n: truth.segments[n]), 0.0) > 0.8
    remnant = predicted.facts["flr.right_hepatectomy.percent"]
    assert isinstance(remnant.value, Interval)
    assert remnant.value.low <= given.facts["flr.right_hepatectomy.percent"].best <= remnant.value.high  # type: ignore[operator]
    assert any("predicted" in f.text for f in predicted.findings if f.code == "segments-source")


def test_a_liver_cut_by_the_scan(real_data: Path) -> None:
    liver, grid = load(real_data / "check_ct" / "totalseg_example" / "example_liver.nii.gz")
    facts = measured(liver > 0, np.zeros(liver.shape, bool), grid).facts
    assert isinstance(facts["liver.volume"].value, Interval)
    assert facts["liver.volume"].value.high == np.inf
    assert not facts["tumor.burden"].valid
    assert not facts["flr.best.percent"].valid
