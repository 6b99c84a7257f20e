"""Pictures: the patient's right on the viewer's left, however the image is stored."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from burden.case import Case, Images
from burden.grid import Grid, reorder
from burden.image import Labels
from burden.write.pictures import case_pictures, grey_window
from burden.write.slices import coronal_slice, key_slices, lps_view

ORDERS = [(o, f) for o in permutations(range(3)) for f in product((False, True), repeat=3)]
CYAN = (53, 208, 230)


def stored(case: Case, order: tuple[int, int, int], flip: tuple[bool, bool, bool]) -> Case:
    """The same patient, stored with other axes."""
    assert case.images is not None
    grid = case.images.volume.grid.reorder(order, flip)

    def turned(part: Labels) -> Labels:
        return replace(part, data=np.ascontiguousarray(reorder(part.data, order, flip)), grid=grid)

    old = case.images
    volume = replace(
        old.volume, data=np.ascontiguousarray(reorder(old.volume.data, order, flip)), grid=grid
    )
    return replace(
        case, images=Images(volume, turned(old.liver), turned(old.lesions), turned(old.segments))
    )


def pixels(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB"))


def near(image: NDArray[np.uint8], color: tuple[int, int, int]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(image.astype(int) - color).max(axis=2) < 40)


def test_48_orders_give_the_same_view(case_of: Callable[[str], Case]) -> None:
    case = case_of("bilobar")
    assert case.images is not None
    reference = lps_view(case.images)
    for order, flip in ORDERS:
        images = stored(case, order, flip).images
        assert images is not None
        view = lps_view(images)
        np.testing.assert_array_equal(view.data, reference.data)
        np.testing.assert_array_equal(view.lesions, reference.lesions)
        assert key_slices(view, case.lesions) == key_slices(reference, case.lesions)


@pytest.mark.parametrize(("order", "flip"), [ORDERS[n] for n in (18, 45)])
def test_other_orders_give_the_same_png(
    order: tuple[int, int, int], flip: tuple[bool, bool, bool], case_of: Callable[[str], Case]
) -> None:
    case = case_of("solitary")
    axial, coronal = case_pictures(case)
    other_axial, other_coronal = case_pictures(stored(case, order, flip))
    assert [p.png for p in other_axial] == [p.png for p in axial]
    assert coronal is not None
    assert other_coronal is not None
    assert other_coronal.png == coronal.png


def whitened(case: Case, low: tuple[float, float, float], high: tuple[float, float, float]) -> Case:
    """The case with a white box between two LPS corners, in mm."""
    assert case.images is not None
    grid, volume = case.images.volume.grid, case.images.volume
    world = grid.world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))
    data = np.minimum(volume.data, 100)
    data[((world > low) & (world < high)).all(axis=-1)] = 2000
    return replace(case, images=replace(case.images, volume=replace(volume, data=data)))


def centre_of_white(png: bytes) -> tuple[float, float]:
    """Row and column of the white spot, as fractions of the picture."""
    image = pixels(png)
    row, column = np.argwhere(image.min(axis=2) > 250).mean(axis=0) / image.shape[:2]
    return float(row), float(column)


@pytest.mark.parametrize(
    ("low", "high", "rows", "columns"),
    [((40, -70, -900), (70, -40, 900), (0.0, 0.4), (0.6, 1.0)),  # left, anterior
     ((-140, 40, -900), (-100, 80, 900), (0.6, 1.0), (0.0, 0.4))],  # right, posterior
)  # fmt: skip
def test_axial_sides(
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    rows: tuple[float, float],
    columns: tuple[float, float],
    case_of: Callable[[str], Case],
) -> None:
    axial, _ = case_pictures(whitened(case_of("healthy"), low, high))
    for picture in axial:
        row, column = centre_of_white(picture.png)
        assert rows[0] < row < rows[1]
        assert columns[0] < column < columns[1]


def test_coronal_sides(case_of: Callable[[str], Case]) -> None:
    _, coronal = case_pictures(whitened(case_of("healthy"), (-140, -900, 50), (-110, 900, 80)))
    assert coronal is not None
    row, column = centre_of_white(coronal.png)
    assert row < 0.4, "towards the head is up"
    assert column < 0.5, "the patient's right is on the left"


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 5.0), (3.0, 1.5, 1.5), (1.2, 2.4, 3.1)])
def test_a_ball_is_round_whatever_the_voxels(
    spacing: tuple[float, float, float], case_of: Callable[[str], Case]
) -> None:
    shape = tuple(int(150 / s) for s in spacing)
    grid = Grid.from_axes(shape, spacing, (-75.0, -75.0, -75.0))
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    ball = np.linalg.norm(grid.world(index), axis=-1) < 40
    base = case_of("healthy")
    assert base.images is not None
    images = Images(
        replace(base.images.volume, data=np.where(ball, 100, -50).astype(np.int16), grid=grid),
        Labels(ball.astype(np.uint8), grid),
        Labels(np.zeros(grid.shape, np.uint8), grid),
        Labels(np.zeros(grid.shape, np.uint8), grid),
    )
    axial, coronal = case_pictures(replace(base, images=images))
    assert coronal is not None
    for picture in (axial[len(axial) // 2], coronal):
        outline = np.argwhere(near(pixels(picture.png), CYAN))
        tall, wide = np.ptp(outline, axis=0)
        assert tall == pytest.approx(wide, rel=0.1)


def test_oblique_image_is_shown_in_its_own_plane(case_of: Callable[[str], Case]) -> None:
    case = case_of("bilobar")
    assert case.images is not None
    old = case.images.volume.grid
    turned = Rotation.from_euler("xyz", [9, -14, 11], degrees=True).as_matrix()
    grid = Grid.from_axes(old.shape, old.spacing, turned @ old.origin, turned)
    images = Images(*(replace(part, grid=grid) for part in vars(case.images).values()))
    ends = [tuple(tuple(turned @ p) for p in one.recist_ends_mm) for one in case.lesions]
    lesions = tuple(replace(one, recist_ends_mm=e) for one, e in zip(case.lesions, ends, strict=True))
    axial, _ = case_pictures(case)
    other, _ = case_pictures(replace(case, images=images, lesions=lesions))
    assert [p.png for p in other] == [p.png for p in axial]


def test_mr_is_shown_by_percentiles(case_of: Callable[[str], Case]) -> None:
    case = case_of("solitary")
    assert case.images is not None
    volume = replace(case.images.volume, modality="MR", data=case.images.volume.data * 3 + 5000)
    low, high = grey_window(lps_view(replace(case.images, volume=volume)))
    liver = 112 * 3 + 5000
    assert low > 1900
    assert 0.5 < (liver - low) / (high - low) < 0.8, "a bright liver is grey, not white"
    flat = replace(volume, data=np.zeros_like(volume.data))
    low, high = grey_window(lps_view(replace(case.images, volume=flat)))
    assert low < high


def test_slices_show_the_largest_lesions_and_differ(case_of: Callable[[str], Case]) -> None:
    case = case_of("diffuse")
    assert case.images is not None
    view = lps_view(case.images)
    shown = key_slices(view, case.lesions)
    assert len(shown) == 4
    assert shown == sorted(set(shown), reverse=True)
    assert (np.diff(sorted(shown)) * view.grid.spacing[2] >= 8).all()
    assert any((view.lesions[:, :, k] == 1).any() for k in shown)
    assert (view.lesions[:, coronal_slice(view)] > 0).any()


def test_no_liver_at_all_still_gives_a_picture(case_of: Callable[[str], Case]) -> None:
    case = case_of("healthy")
    assert case.images is not None
    empty = replace(case.images.liver, data=np.zeros_like(case.images.liver.data))
    axial, coronal = case_pictures(replace(case, images=replace(case.images, liver=empty)))
    assert len(axial) == 1
    assert coronal is not None
