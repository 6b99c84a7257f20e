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
) -> Measured:
    volume = Volume(np.zeros(grid.shape, np.int16), grid, "CT", Origin("nifti", "real"), "portal")
    found = Segmentation(
        liver=Labels(liver.astype(np.uint8), grid),
        lesions=Labels(lesions.astype(np.uint8), grid),
        source="truth",
        segments=None if segments is None else Labels(segments, grid),
    )
    return measure(volume, found, Facts(), draws=64)


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.mark.parametrize(("patient", "burden", "count"), [(1, 10.85, 25), (2, 12.55, 1), (3, 24.26, 3)])
def test_burden_of_the_mullet_patients(real_data: Path, patient: int, burden: float, count: int) -> None:
    folder = real_data / "masks" / "mullet"
    liver, grid = load(folder / f"example_{patient}_liver_v.nii.gz")
    lesions, _ = load(folder / f"example_{patient}_seg_v_gt.nii.gz")
    result = measured(liver > 0, lesions > 0, grid)
    assert result.facts["tumor.burden"].best == pytest.approx(burden, abs=0.005)
    assert len(result.lesions) == count


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
