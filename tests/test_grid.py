"""One place in space whatever axis order, flip, obliquity; oracles: SimpleITK and nibabel."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from burden.errors import GeometryError
from burden.grid import Grid, reorder

ORDERS = [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]
angles = st.floats(-40, 40)
spacings = st.tuples(*[st.floats(0.4, 6.0)] * 3)
origins = st.tuples(*[st.floats(-400, 400)] * 3)


@st.composite
def grids(draw: st.DrawFn, tilt: float = 1.0) -> Grid:
    turn = [tilt * draw(angles) for _ in range(3)]
    axes = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    base = Grid.from_axes((4, 5, 7), draw(spacings), draw(origins), axes)
    return base.reorder(*draw(st.sampled_from(ORDERS)))


@given(grids(), st.sampled_from(ORDERS))
def test_reordering_moves_no_voxel(grid: Grid, how: tuple) -> None:
    values = np.arange(np.prod(grid.shape)).reshape(grid.shape)
    moved, moved_values = grid.reorder(*how), reorder(values, *how)
    assert moved.shape == moved_values.shape
    for index in [(0, 0, 0), (1, 2, 0), tuple(n - 1 for n in moved.shape)]:
        old = np.rint(grid.index(moved.world(index))).astype(int)
        assert values[tuple(old)] == moved_values[index]


@given(grids())
def test_lps_order_points_left_posterior_superior(grid: Grid) -> None:
    straight = grid.reorder(*grid.to_lps_order())
    assert straight.codes == "LPS"
    assert straight.world_axes == (0, 1, 2)
    assert straight.voxel_ml == pytest.approx(grid.voxel_ml)


@given(grids())
def test_agrees_with_simpleitk(grid: Grid) -> None:
    """SimpleITK computes physical points by itself, in LPS."""
    image = sitk.Image(*[int(n) for n in grid.shape], sitk.sitkUInt8)
    image.SetSpacing(grid.spacing)
    image.SetOrigin([float(x) for x in grid.origin])
    try:
        image.SetDirection([float(x) for x in grid.axes.ravel()])
    except RuntimeError:
        pytest.skip("SimpleITK refuses this direction")
    for index in [(0, 0, 0), (1, 2, 3), (3, 4, 0)]:
        bounded = [min(i, n - 1) for i, n in zip(index, grid.shape, strict=True)]
        expected = image.TransformIndexToPhysicalPoint(bounded)
        assert np.allclose(grid.world(bounded), expected, atol=1e-6)


@given(grids(tilt=0.5))
def test_agrees_with_nibabel_on_orientation(grid: Grid) -> None:
    """nibabel names axes in RAS words; the same letters must come out.

    Near 45 degrees names are a matter of taste and the two may differ, so tilts are halved.
    """
    assert "".join(nib.aff2axcodes(grid.ras)) == grid.codes
    back = Grid.from_ras(grid.shape, grid.ras)
    assert back.same_as(grid)


@given(grids(), st.tuples(*[st.floats(-500, 500)] * 3))
def test_index_undoes_world(grid: Grid, point: tuple) -> None:
    assert np.allclose(grid.world(grid.index(point)), point, atol=1e-6)


def test_left_is_positive_x() -> None:
    """A known answer, so that two mirrored mistakes cannot cancel."""
    grid = Grid.from_ras((10, 10, 10), np.diag([2.0, 2.0, 3.0, 1.0]))  # RAS: index 0 is leftmost
    assert grid.codes == "RAS"
    assert grid.world((1, 0, 0))[0] == -2.0  # one voxel to the right is -2 mm in LPS
    assert grid.world((0, 1, 0))[1] == -2.0
    assert grid.world((0, 0, 1))[2] == 3.0


def test_slice_axis_follows_the_acquisition() -> None:
    thick_coronal = Grid.from_axes(
        (64, 64, 20), (1, 1, 6), (0, 0, 0), [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    )
    assert thick_coronal.world_axes[2] == 1
    assert thick_coronal.slice_axis == 2
    isotropic = Grid.from_axes((64, 64, 64), (1, 1, 1.2), (0, 0, 0), np.eye(3)[:, [2, 0, 1]])
    assert isotropic.slice_axis == isotropic.axis_of(2) == 0


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.diag([1, 1, np.nan, 1]), np.diag([1.0, 1, 0, 1]),
     np.array([[1, 0, 0, 0], [0, 1, 0.15, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])],
)  # fmt: skip
def test_unusable_affines_are_refused(affine: np.ndarray) -> None:
    with pytest.raises(GeometryError):
        Grid((4, 4, 4), affine)


@settings(max_examples=30)
@given(grids())
def test_crop_keeps_world_positions(grid: Grid) -> None:
    part = grid.crop((1, 1, 2), grid.shape)
    assert np.allclose(part.world((0, 0, 0)), grid.world((1, 1, 2)))
