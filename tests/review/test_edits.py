"""Edits of masks: known volumes on an oblique grid whose voxels are no cubes."""

from __future__ import annotations

import math

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from burden.errors import UsageError
from burden.grid import Grid
from burden.review import brush, edits
from burden.review.grow import grow
from burden.review.masks import Masks, Patch, box_of, runs

AXES = np.array([[0.936, -0.2896, 0.1993], [0.2756, 0.9566, 0.0951], [-0.2182, -0.0341, 0.9753]])
SPACING = (1.7, 2.3, 4.1)
BALL = 4.0 / 3.0 * math.pi / 1000.0


def balls(*lesions: tuple[tuple[float, float, float], float]) -> Masks:
    """A round liver of 60 mm radius around 0 with round lesions (centre mm in its own axes, radius)."""
    axes = np.linalg.qr(AXES)[0]
    axes *= np.sign(np.diag(axes))
    shape = tuple(int(2 * 66 / s) for s in SPACING)
    origin = axes @ (-np.array(SPACING) * (np.array(shape) - 1) / 2)
    grid = Grid.from_axes(shape, SPACING, origin, axes)
    local = (np.stack(np.indices(shape), -1) - (np.array(shape) - 1) / 2) * SPACING
    liver = (local**2).sum(-1) < 60.0**2
    marks = np.zeros(shape, np.uint16)
    for n, (centre, radius) in enumerate(lesions, start=1):
        marks[((local - centre) ** 2).sum(-1) < radius**2] = n
    return Masks.of(liver, marks * liver, grid)


def at(masks: Masks, local: tuple[float, float, float]) -> NDArray[np.float64]:
    """Voxel index of a point of `balls`."""
    return np.array(local) / masks.grid.spacing + (np.array(masks.grid.shape) - 1) / 2


def ball_ml(radius: float) -> float:
    return BALL * radius**3


def two_joined() -> Masks:
    """One lesion of two balls that overlap, along the first axis."""
    masks = balls(((-14.0, 0.0, 0.0), 16.0), ((14.0, 0.0, 0.0), 14.0))
    return Masks.of(masks.liver, masks.labels > 0, masks.grid)


def test_volumes_are_those_of_the_balls() -> None:
    masks = balls(((-20.0, 5.0, 0.0), 14.0), ((25.0, -5.0, 8.0), 9.0))
    assert masks.numbers == (1, 2)
    assert masks.ml(1) == pytest.approx(ball_ml(14.0), rel=0.03)
    assert masks.ml(2) == pytest.approx(ball_ml(9.0), rel=0.05)
    assert masks.liver_ml == pytest.approx(ball_ml(60.0), rel=0.01)
    assert masks.tumor_ml == pytest.approx(masks.ml(1) + masks.ml(2))
    assert masks.ml(3) == masks.ml(900) == 0.0


def test_delete_leaves_liver_and_the_others() -> None:
    masks = balls(((-20.0, 5.0, 0.0), 14.0), ((25.0, -5.0, 8.0), 9.0))
    after = edits.delete(masks, 1).forward(masks)
    assert after.numbers == (2,)
    assert after.liver_ml == masks.liver_ml
    assert np.array_equal(after.labels == 2, masks.labels == 2)
    assert masks.numbers == (1, 2), "the masks before are never touched"
    with pytest.raises(UsageError, match="no lesion 1"):
        edits.delete(after, 1)


def test_restore_gives_way_to_what_came_between() -> None:
    masks = balls(((0.0, 0.0, 0.0), 14.0))
    patch = edits.delete(masks, 1)
    bare = patch.forward(masks)
    assert np.array_equal(edits.restore(bare, 1, patch).forward(bare).code, masks.code)
    drawn = brush.paint(bare, 2, [at(masks, (10.0, 0.0, 0.0))], 8.0, None).forward(bare)
    again = edits.restore(drawn, 1, patch).forward(drawn)
    assert np.array_equal(again.labels == 2, drawn.labels == 2)
    taken = np.count_nonzero((drawn.labels == 2) & (masks.labels == 1)) * masks.grid.voxel_ml
    assert taken > 0.1
    assert again.ml(1) + taken == pytest.approx(masks.ml(1))


def test_merge_adds_up() -> None:
    masks = balls(((-20.0, 5.0, 0.0), 14.0), ((25.0, -5.0, 8.0), 9.0))
    after = edits.merge(masks, 2, 1).forward(masks)
    assert after.numbers == (2,)
    assert after.ml(2) == pytest.approx(masks.ml(1) + masks.ml(2))
    with pytest.raises(UsageError, match="two different"):
        edits.merge(masks, 2, 2)


@pytest.mark.parametrize("across", [0, 1, 2])
def test_line_cuts_by_a_plane(across: int) -> None:
    """A ball cut at a third of its radius: the cap has a volume in closed form."""
    masks = balls(((0.0, 0.0, 0.0), 30.0))
    u, v = (a for a in range(3) if a != across)
    low, high = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
    low[u] = high[u] = 10.0
    low[v], high[v] = -50.0, 50.0
    patch = edits.split_line(masks, 1, at(masks, tuple(low)), at(masks, tuple(high)), across, 7)
    after = patch.forward(masks)
    cap = math.pi * 20.0**2 * (3 * 30.0 - 20.0) / 3.0 / 1000.0
    assert after.numbers == (1, 7)
    assert after.ml(7) == pytest.approx(cap, rel=0.06), "the smaller part has the new number"
    assert after.tumor_ml == pytest.approx(masks.tumor_ml)


def test_slanted_line_is_straight_in_mm_not_in_voxels() -> None:
    masks = balls(((0.0, 0.0, 0.0), 30.0))
    start, end = at(masks, (-40.0, 0.0, -40.0)), at(masks, (40.0, 0.0, 40.0))
    after = edits.split_line(masks, 1, start, end, 1, 2).forward(masks)
    assert after.ml(2) == pytest.approx(masks.ml(1) / 2, rel=0.05)
    index = np.argwhere(after.labels > 0)
    local = (index - (np.array(masks.grid.shape) - 1) / 2) * masks.grid.spacing
    side = local[:, 0] - local[:, 2]
    parts = after.labels[after.labels > 0]
    clear = np.abs(side) > 1e-6
    assert len({*zip((side > 0)[clear].tolist(), parts[clear].tolist(), strict=True)}) == 2


def test_line_beside_the_lesion_says_so() -> None:
    masks = balls(((0.0, 0.0, 0.0), 10.0))
    with pytest.raises(UsageError, match="does not cross"):
        edits.split_line(masks, 1, at(masks, (20, -9, 0)), at(masks, (20, 9, 0)), 2, 2)
    with pytest.raises(UsageError, match="across the lesion"):
        edits.split_line(masks, 1, at(masks, (0, 0, -9)), at(masks, (0, 0, 9)), 2, 2)


def test_seeds_part_at_the_neck() -> None:
    masks = two_joined()
    seeds = [at(masks, (-14.0, 0.0, 0.0)), at(masks, (14.0, 0.0, 0.0))]
    after = edits.split_seeds(masks, 1, seeds, [5]).forward(masks)
    assert after.numbers == (1, 5)
    index = (np.argwhere(after.labels == 5) - (np.array(masks.grid.shape) - 1) / 2) * masks.grid.spacing
    # The balls meet at x = 1.07 mm: 14 + (16^2 - 14^2) / (4 * 14) from the left one's middle.
    assert index[:, 0].min() == pytest.approx(1.07, abs=4.1)
    assert after.tumor_ml == pytest.approx(masks.tumor_ml)
    with pytest.raises(UsageError, match="two or more"):
        edits.split_seeds(masks, 1, seeds[:1], [5])
    with pytest.raises(UsageError, match="two or more"):
        edits.split_seeds(masks, 1, [seeds[0], seeds[0]], [5])


# --- brush -----------------------------------------------------------------------------------


def test_ball_brush_has_its_volume_and_its_track() -> None:
    masks = balls()
    dab = brush.paint(masks, 1, [at(masks, (0.0, 0.0, 0.0))], 15.0, None).forward(masks)
    assert dab.ml(1) == pytest.approx(ball_ml(15.0), rel=0.03)
    ends = [at(masks, (-20.0, -5.0, 0.0)), at(masks, (20.0, 10.0, 0.0))]
    swept = brush.paint(masks, 1, ends, 12.0, None).forward(masks)
    length = math.hypot(40.0, 15.0)
    assert swept.ml(1) == pytest.approx(ball_ml(12.0) + math.pi * 144.0 * length / 1000.0, rel=0.03)


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_disc_brush_stays_in_its_slice(flat: int) -> None:
    masks = balls()
    spot = at(masks, (0.0, 0.0, 0.0))
    after = brush.paint(masks, 1, [spot], 20.0, flat).forward(masks)
    box = box_of(after.labels == 1)
    assert box is not None
    assert box[flat].stop - box[flat].start == 1
    disc = math.pi * 400.0 * masks.grid.spacing[flat] / 1000.0
    assert after.ml(1) == pytest.approx(disc, rel=0.05)


def test_the_smallest_brush_leaves_a_trace() -> None:
    masks = balls()
    after = brush.paint(masks, 1, [at(masks, (0.3, 0.4, 0.9))], 0.1, 2).forward(masks)
    assert np.count_nonzero(after.labels) == 1


def test_painting_stays_in_the_liver_and_off_other_lesions() -> None:
    masks = balls(((0.0, 0.0, 0.0), 14.0))
    edge = brush.paint(masks, 2, [at(masks, (58.0, 0.0, 0.0))], 12.0, None).forward(masks)
    assert edge.liver_ml == masks.liver_ml
    assert not (edge.labels[~masks.liver] > 0).any()
    beside = brush.paint(masks, 2, [at(masks, (14.0, 0.0, 0.0))], 10.0, None).forward(masks)
    assert np.array_equal(beside.labels == 1, masks.labels == 1)
    with pytest.raises(UsageError, match="no free liver"):
        brush.paint(masks, 2, [at(masks, (0.0, 0.0, 0.0))], 4.0, None)
    with pytest.raises(UsageError, match="no free liver"):
        brush.paint(masks, 2, [[-50.0, -50.0, -50.0]], 4.0, None)


def test_erasing_a_neck_makes_two_lesions() -> None:
    masks = two_joined()
    wall = [at(masks, (1.0, y, 0.0)) for y in (-20.0, 20.0)]
    after = brush.erase(masks, 1, wall, 14.0, None, 9).forward(masks)
    assert after.numbers == (1, 9)
    assert after.ml(1) > after.ml(9)
    assert all(cc3d.connected_components(after.labels == n, return_N=True)[1] == 1 for n in (1, 9))
    assert after.liver_ml == masks.liver_ml


def test_erasing_one_lesion_spares_the_other() -> None:
    masks = balls(((-12.0, 0.0, 0.0), 12.0), ((12.0, 0.0, 0.0), 12.0))
    spot = [at(masks, (0.0, 0.0, 0.0))]
    one = brush.erase(masks, 1, spot, 8.0, None, 3).forward(masks)
    assert np.array_equal(one.labels == 2, masks.labels == 2)
    assert one.ml(1) < masks.ml(1)
    both = brush.erase(masks, None, spot, 8.0, None, 3).forward(masks)
    assert both.ml(1) < masks.ml(1)
    assert both.ml(2) < masks.ml(2)
    with pytest.raises(UsageError, match="nothing to erase"):
        brush.erase(masks, None, [at(masks, (0.0, 50.0, 0.0))], 5.0, None, 3)


def test_a_lesion_of_several_bodies_stays_one_when_one_is_trimmed() -> None:
    masks = balls(((-25.0, 0.0, 0.0), 12.0), ((25.0, 0.0, 0.0), 12.0))
    masks = Masks.of(masks.liver, masks.labels > 0, masks.grid)
    after = brush.erase(masks, 1, [at(masks, (-34.0, 0.0, 0.0))], 6.0, None, 2).forward(masks)
    assert after.numbers == (1,)


def test_liver_brush() -> None:
    masks = balls(((50.0, 0.0, 0.0), 9.0))
    spot = [at(masks, (58.0, 0.0, 0.0))]
    grown = brush.paint_liver(masks, spot, 10.0, None).forward(masks)
    assert grown.liver_ml > masks.liver_ml
    assert np.array_equal(grown.labels, masks.labels)
    cut = brush.erase_liver(masks, spot, 10.0, None).forward(masks)
    assert cut.liver_ml < masks.liver_ml
    assert cut.tumor_ml < masks.tumor_ml
    with pytest.raises(UsageError, match="whole liver"):
        brush.erase_liver(masks, [at(masks, (0.0, 0.0, 0.0))], 70.0, None)


# --- one click -------------------------------------------------------------------------------


@pytest.mark.parametrize("contrast", [-60.0, 55.0])
def test_click_finds_a_blurred_noisy_ball(contrast: float) -> None:
    from scipy.ndimage import gaussian_filter

    truth = balls(((8.0, -6.0, 4.0), 13.0), ((-30.0, 0.0, 0.0), 12.0))
    masks = Masks.of(truth.liver, np.where(truth.labels == 2, 2, 0), truth.grid)
    image = np.where(truth.liver, 110.0, -40.0) + contrast * (truth.labels > 0)
    image = gaussian_filter(image, 1.5 / np.array(SPACING))
    image += np.random.default_rng(4).normal(0.0, 9.0, image.shape)
    found = grow(masks, image, at(masks, (10.0, -8.0, 2.0)))
    ml = np.count_nonzero(found.region) * masks.grid.voxel_ml
    assert ml == pytest.approx(ball_ml(13.0), rel=0.12)
    assert not found.at_limit
    assert found.spot - found.liver == pytest.approx(contrast, abs=12.0)
    after = edits.add(masks, found.box, found.region, 3).forward(masks)
    both = np.count_nonzero((after.labels == 3) & (truth.labels == 1))
    dice = 2 * both / (np.count_nonzero(after.labels == 3) + np.count_nonzero(truth.labels == 1))
    assert dice > 0.9
    tight = grow(masks, image, at(masks, (10.0, -8.0, 2.0)), edge=0.8)
    assert np.count_nonzero(tight.region) < np.count_nonzero(found.region)


def test_click_keeps_to_the_liver_and_the_limit() -> None:
    truth = balls(((50.0, 0.0, 0.0), 18.0))
    image = np.where(truth.labels > 0, 40.0, 110.0)
    image[~truth.liver] = 40.0  # looks like the lesion
    masks = Masks.of(truth.liver, np.zeros_like(truth.labels), truth.grid)
    found = grow(masks, image, at(masks, (48.0, 0.0, 0.0)), size=80.0)
    assert not (found.region & ~truth.liver[found.box]).any()
    small = grow(masks, image, at(masks, (48.0, 0.0, 0.0)), size=16.0)
    assert small.at_limit
    assert np.count_nonzero(small.region) * masks.grid.voxel_ml <= ball_ml(9.5)


def test_click_that_makes_no_sense_says_why() -> None:
    masks = balls(((20.0, 0.0, 0.0), 12.0))
    image = np.where(masks.labels > 0, 40.0, 110.0) + np.random.default_rng(0).normal(
        0, 8, masks.code.shape
    )
    with pytest.raises(UsageError, match="outside the liver"):
        grow(masks, image, at(masks, (64.0, 0.0, 0.0)))
    with pytest.raises(UsageError, match="outside the liver"):
        grow(masks, image, [-3, 5, 5])
    with pytest.raises(UsageError, match="lesion 1 already"):
        grow(masks, image, at(masks, (20.0, 0.0, 0.0)))
    with pytest.raises(UsageError, match="does not stand out"):
        grow(masks, np.full(masks.code.shape, 110.0), at(masks, (-20.0, 0.0, 0.0)))


# --- patches ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("pelc"), st.floats(-60, 60), st.floats(-60, 60),
                          st.floats(-60, 60), st.floats(1, 20)), min_size=1, max_size=8))  # fmt: skip
def test_any_edits_are_undone_exactly_and_keep_the_rules(
    steps: list[tuple[str, float, float, float, float]],
) -> None:
    start = masks = balls(((0.0, 0.0, 0.0), 14.0), ((30.0, 10.0, 0.0), 9.0))
    done: list[Patch] = []
    number = 3
    for kind, x, y, z, radius in steps:
        spot = [at(masks, (x, y, z))]
        try:
            if kind == "p":
                patch = brush.paint(masks, number, spot, radius, None)
            elif kind == "e":
                patch = brush.erase(masks, None, spot, radius, None, number)
            elif kind == "l":
                patch = brush.paint_liver(masks, spot, radius, 2)
            else:
                patch = brush.erase_liver(masks, spot, radius, None)
        except UsageError:
            continue
        done.append(patch)
        masks = patch.forward(masks)
        number = max([number, *(n + 1 for n in masks.numbers)])
        assert (masks.code % 2 == (masks.code > 0)).all(), "every lesion voxel is liver"
        anew = Masks(masks.code, masks.grid)
        assert masks.numbers == anew.numbers
        assert (masks.tumor_ml, masks.liver_ml) == (anew.tumor_ml, anew.liver_ml)
        assert not masks.liver.sum() - masks.liver[masks.window].sum(), "the window holds the liver"
    end = masks
    for patch in reversed(done):
        masks = patch.backward(masks)
    assert np.array_equal(masks.code, start.code)
    for patch in done:
        masks = patch.forward(masks)
    assert np.array_equal(masks.code, end.code)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_run_lengths_say_the_array(values: list[int]) -> None:
    told = runs(np.array(values, np.uint16))
    again = [v for v, n in zip(told[0::2], told[1::2], strict=True) for _ in range(n)]
    assert again == values


def test_a_patch_is_small() -> None:
    masks = balls(((0.0, 0.0, 0.0), 20.0))
    patch = edits.delete(masks, 1)
    assert len(patch.before) + len(patch.after) < masks.code.nbytes / 50
