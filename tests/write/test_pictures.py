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
ORANGE, CYAN = (255, 176, 0), (53, 208, 230)


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


@pytest.mark.parametrize(("order", "flip"), [ORDERS[n] for n in (7, 18, 28, 45)])
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


def test_right_is_on_the_left_and_posterior_below(case_of: Callable[[str], Case]) -> None:
    """Independent of the code's own order: where the world says the parts are."""
    case = case_of("bilobar")
    axial, coronal = case_pictures(case)
    picture = next(p for p in axial if "1 and 2" in p.caption or "lesion 1" in p.caption)
    image = pixels(picture.png)
    bone = np.argwhere(image.min(axis=2) > 250)
    assert bone[:, 0].mean() > 0.6 * image.shape[0], "the spine is posterior: below"
    liver = np.argwhere(near(image, CYAN))
    assert liver[:, 1].mean() < 0.5 * image.shape[1], "the liver is on the patient's right"
    x_of_largest = case.lesions[0].centroid_mm[0]
    x_of_second = case.lesions[1].centroid_mm[0]
    lesion = np.argwhere(near(image, ORANGE))[:, 1]
    # Lesion 1 is the larger one: its outline lies on the side that its centroid says.
    half = lesion < np.median(lesion)
    assert (x_of_largest < x_of_second) == (half.sum() > 0 and np.ptp(lesion[half]) > 0)
    assert coronal is not None
    front = pixels(coronal.png)
    outline = np.argwhere(near(front, CYAN))[:, 0]
    top = outline.min()
    assert top < front.shape[0] * 0.5


def test_head_is_up_on_the_coronal(case_of: Callable[[str], Case]) -> None:
    case = case_of("solitary")
    assert case.images is not None
    grid = case.images.volume.grid
    data = case.images.volume.data.copy()
    z = grid.world(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1))[..., 2]
    data[z > 70] = 2000  # white near the head
    bright = replace(case, images=replace(case.images, volume=replace(case.images.volume, data=data)))
    _, coronal = case_pictures(bright)
    assert coronal is not None
    rows = np.argwhere(pixels(coronal.png).min(axis=2) > 250)[:, 0]
    assert rows.mean() < 0.3 * coronal.height


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
    for picture in (axial[1], coronal):
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
    assert 1900 < low < high < 6500
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
