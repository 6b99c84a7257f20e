"""Masks come back from nibabel and SimpleITK at the same places in the patient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from burden.case import Case
from burden.grid import Grid
from burden.image import Labels
from burden.write.mask import write_masks

TURNED = Rotation.from_euler("xyz", [12, -21, 8], degrees=True).as_matrix()
GRIDS = {
    "straight": np.eye(3),
    "flipped": np.diag([-1.0, 1.0, -1.0]),
    "left-handed": np.diag([-1.0, 1.0, 1.0]),
    "permuted": np.eye(3)[:, [2, 0, 1]],
    "oblique": TURNED,
    "oblique, flipped and permuted": (TURNED * [1, -1, 1])[:, [1, 2, 0]],
}


@pytest.fixture(params=list(GRIDS))
def grid(request: pytest.FixtureRequest) -> Grid:
    return Grid.from_axes((7, 9, 5), (0.8, 1.3, 4.0), (-31.0, 12.5, 740.0), GRIDS[request.param])


def case_on(case: Case, grid: Grid, highest: int = 8) -> Case:
    assert case.images is not None
    rng = np.random.default_rng(5)
    labels = rng.integers(0, highest + 1, grid.shape).astype(np.uint16)
    labels[2, 5, 1] = highest
    images = replace(
        case.images,
        liver=Labels((labels > 0).astype(np.uint8), grid),
        lesions=Labels(labels, grid),
        segments=Labels(np.minimum(labels, 8).astype(np.uint8), grid),
    )
    return replace(case, images=images)


def test_both_readers_find_every_label_in_place(
    grid: Grid, case_of: Callable[[str], Case], tmp_path: Path
) -> None:
    case = case_on(case_of("healthy"), grid)
    assert case.images is not None
    write_masks(case, tmp_path)
    for name, labels in (("liver", case.images.liver), ("lesions", case.images.lesions),
                         ("segments", case.images.segments)):  # fmt: skip
        path = tmp_path / "masks" / f"{name}.nii.gz"
        by_nibabel, by_itk = nib.load(path), sitk.ReadImage(str(path))
        for index in np.argwhere(labels.data > 0)[::7]:
            lps = grid.world(index)
            ras = lps * [-1, -1, 1]
            voxel = np.linalg.inv(by_nibabel.affine) @ [*ras, 1]
            at = tuple(int(n) for n in np.rint(voxel[:3]))
            assert voxel[:3] == pytest.approx(at, abs=1e-3)
            assert np.asarray(by_nibabel.dataobj)[at] == labels.data[tuple(index)]
            assert (
                by_itk[by_itk.TransformPhysicalPointToIndex(lps.tolist())] == labels.data[tuple(index)]
            )


def test_header_is_sound(grid: Grid, case_of: Callable[[str], Case], tmp_path: Path) -> None:
    write_masks(case_on(case_of("healthy"), grid), tmp_path)
    image = nib.load(tmp_path / "masks" / "lesions.nii.gz")
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (1, 1)
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    np.testing.assert_allclose(image.get_sform(), grid.ras, atol=1e-3)
    assert image.header.get_xyzt_units()[0] == "mm"
    assert b"Research use only" in bytes(image.header["descrip"])
    assert image.get_data_dtype() == np.uint8


def test_more_than_255_lesions_need_two_bytes(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    grid = Grid.from_axes((4, 6, 5), (1, 1, 1), (0, 0, 0))
    write_masks(case_on(case_of("healthy"), grid, highest=300), tmp_path)
    image = nib.load(tmp_path / "masks" / "lesions.nii.gz")
    assert image.get_data_dtype() == np.uint16
    assert np.asarray(image.dataobj).max() == 300
