"""The phantom against closed formulas and against itself on other grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from burden.grid import Grid
from burden.phantom import LesionSpec, Spec, make, random_spec
from burden.phantom.anatomy import Anatomy
from burden.phantom.blobs import Blob
from burden.phantom.liver import liver, segments
from burden.phantom.make import masks
from burden.phantom.scatter import settle
from burden.phantom.shapes import Points
from burden.phantom.survey import LEFT, RIGHT, lattice, survey

TWO = (
    LesionSpec("hypo", None, 7, (30.0, 24.0, 20.0), (20.0, 40.0, 10.0)),
    LesionSpec("rim", None, 3, (16.0, 13.0, 14.0)),
)
PLAIN = Spec(name="two", seed=4, detail="plain", noise=0.0, lesions=TWO)


def blobs_of(spec: Spec) -> tuple[Blob, ...]:
    return tuple(Blob.of(one, spec.seed + n) for n, one in enumerate(spec.lesions))


def test_equal_specs_give_equal_phantoms_and_another_seed_another_noise() -> None:
    spec = replace(PLAIN, noise=1.0)
    one, two = make(spec), make(spec)
    assert np.array_equal(one.volume.data, two.volume.data)
    assert one.lesions == two.lesions
    assert not np.array_equal(one.volume.data, make(replace(one.spec, seed=5)).volume.data)


@pytest.mark.parametrize("bump", [0.0, 0.12])
def test_voxels_at_one_mm_agree_with_the_stated_volume(bump: float) -> None:
    sizes = ((13.0, 12.6, 12.8), (24.0, 18.0, 21.0), (60.0, 45.0, 40.0))
    for n, size in enumerate(sizes):
        lesion = LesionSpec("hypo", (-60.3, -22.7, -70.1), 0, size, (30.0, 10.0, 70.0), bump)
        blob = Blob.of(lesion, n)
        low, high = blob.box
        shape = tuple(int(v) for v in np.ceil(high - low).astype(int) + 2)
        grid = Grid.from_axes(shape, (1, 1, 1), low - 0.37)
        counted = float((blob.distance(Points.of(grid)) < 0).sum()) / 1000
        assert counted == pytest.approx(blob.volume_ml, rel=0.01)
        if not bump:
            assert blob.volume_ml == pytest.approx(np.pi / 6 * np.prod(size) / 1000, rel=1e-9)


def test_joined_spheres_have_the_volume_of_two_caps_less() -> None:
    r, gap = 15.0, 18.0
    lesion = LesionSpec(
        "confluent", (-70.0, -20.0, -70.0), 0, (2 * r,) * 3, parts=(((gap, 0, 0), (2 * r,) * 3),)
    )
    lens = np.pi * (4 * r + gap) * (2 * r - gap) ** 2 / 12
    blob = Blob.of(lesion, 1)
    assert blob.volume_ml * 1000 == pytest.approx(2 * 4 / 3 * np.pi * r**3 - lens, rel=0.003)
    assert blob.feret == pytest.approx(2 * r + gap, rel=0.005)
    long, short, _ = blob.recist(np.array([0, 0, 1.0]))
    assert long == pytest.approx(2 * r + gap, rel=0.01)
    assert short == pytest.approx(2 * r, rel=0.01)


def test_diameters_of_an_ellipsoid_in_known_planes() -> None:
    blob = Blob.of(LesionSpec("hypo", (0.0, 0.0, 0.0), 0, (40.0, 30.0, 20.0)), 1)
    for across, want in (((0, 0, 1), (40, 30)), ((0, 1, 0), (40, 20)), ((1, 0, 0), (30, 20))):
        long, short, ends = blob.recist(np.array(across, dtype=float))
        assert (long, short) == pytest.approx(want)
        assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(long)
        assert np.linalg.norm(ends[3] - ends[2]) == pytest.approx(short)
        assert abs((ends[1] - ends[0]) @ (ends[3] - ends[2])) < 1e-6
    assert blob.feret == 40


@settings(max_examples=12, deadline=None)
@given(st.tuples(*[st.floats(-90, 90)] * 3), st.tuples(*[st.floats(10, 40)] * 3))
def test_sections_found_numerically_agree_with_the_formula(
    angles: tuple[float, float, float], size: tuple[float, float, float]
) -> None:
    from burden.phantom.blobs import _sections

    blob = Blob.of(LesionSpec("hypo", (3.0, 4.0, 5.0), 0, size, angles), 1)
    across = np.array([0.36, 0.48, 0.8])
    long, _, _ = blob.recist(across)
    found, _, _ = _sections(blob, across)
    assert found == pytest.approx(long, rel=0.015)


def test_another_grid_changes_masks_but_not_the_truth() -> None:
    straight = make(PLAIN)
    other = make(replace(straight.spec, order="SRA", spacing=(2.6, 3.1, 4.3), shape=(120, 100, 60)))
    assert other.volume.grid.codes == "SRA"
    for name in ("liver.volume", "tumor.burden", "lesion.largest_diameter", "segment.7.tumor_volume"):
        assert other.facts[name].best == pytest.approx(straight.facts[name].best, rel=1e-6)
    tilted = make(replace(straight.spec, rotation=(18.0, -12.0, 25.0)))
    assert tilted.facts["tumor.burden"].best == straight.facts["tumor.burden"].best
    for made in (other, tilted):
        ml = made.volume.grid.voxel_ml
        assert made.truth.liver.data.sum() * ml == pytest.approx(
            straight.facts["liver.volume"].best, rel=0.01
        )
    assert tilted.lesions[0].recist_long_mm != straight.lesions[0].recist_long_mm


def test_liver_volume_of_the_survey_agrees_with_counting_at_one_mm() -> None:
    for anatomy in (Anatomy(), Anatomy(scale=(0.9, 1.05, 0.95), left_lobe=1.2, depth=0.92)):
        grid = lattice(anatomy, 1.2)
        points = Points.of(grid, anatomy.scale)
        inside = liver(points, anatomy) < 0
        held = segments(points)[inside]
        found = survey(anatomy).segment_ml
        assert inside.sum() * grid.voxel_ml == pytest.approx(sum(found.values()), rel=0.003)
        for n in range(2, 9):
            assert (held == n).sum() * grid.voxel_ml == pytest.approx(found[n], rel=0.01)


def test_segments_partition_the_liver_in_plausible_shares() -> None:
    made = make(Spec(detail="plain", noise=0))
    assert made.truth.segments is not None
    inside = made.truth.liver.data > 0
    assert ((made.truth.segments.data > 0) == inside).all()
    shares = {
        n: v / sum(survey(Anatomy()).segment_ml.values())
        for n, v in survey(Anatomy()).segment_ml.items()
    }
    assert 0.008 < shares[1] < 0.08
    assert 0.55 < sum(shares[n] for n in RIGHT) < 0.72
    assert all(shares[n] > 0.05 for n in (*RIGHT, *LEFT))
    total = sum(made.facts[f"segment.{n}.volume"].best for n in range(1, 9))
    assert total == pytest.approx(made.facts["liver.volume"].best)
    assert 1100 < total < 2300


def test_liver_is_one_piece_with_no_holes_in_every_anatomy() -> None:
    from scipy.ndimage import label

    for seed in range(6):
        found = survey(random_spec(seed).anatomy)
        pieces, count = label(found.cover > 0.5)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() / sizes.sum() > 0.998, (seed, count)


def test_lesions_lie_in_the_liver_and_apart() -> None:
    spec = settle(random_spec(11, frilling="III", burden=(20, 20)))
    blobs = blobs_of(spec)
    found = survey(spec.anatomy)
    for n, blob in enumerate(blobs):
        assert found.depth_at(blob.surface).min() > 0
        for other in blobs[:n]:
            assert (other.distance(Points.scattered(blob.surface)) > 0).all()
    truth = masks(spec, blobs)
    assert not (truth.lesions.data[truth.liver.data == 0]).any()


def test_tumor_volumes_add_up() -> None:
    made = make(random_spec(5, frilling="II", noise=0))
    tumor = sum(made.facts[f"segment.{n}.tumor_volume"].best for n in range(1, 9))
    assert tumor == pytest.approx(made.facts["tumor.volume"].best, rel=1e-6)
    assert made.facts["tumor.volume"].best == pytest.approx(sum(row.volume_ml for row in made.lesions))
    ml = made.volume.grid.voxel_ml
    for row in made.lesions:
        if row.volume_ml > 5:
            counted = (made.truth.lesions.data == row.id).sum() * ml
            assert counted == pytest.approx(row.volume_ml, rel=0.06)  # 3.5 mm voxels
            where = made.volume.grid.world(np.argwhere(made.truth.lesions.data == row.id)).mean(axis=0)
            assert np.linalg.norm(where - row.centroid_mm) < 0.6


def test_partial_volume_keeps_the_mean() -> None:
    """Summed over a box, the lesion's lack of HU is its volume times the contrast, on any slices."""
    lesion = LesionSpec("miliary", (-102.0, -38.0, -78.0), 0, (14.0, 12.0, 10.0))
    for thick, turn in ((2.0, 0.0), (5.0, 0.0), (4.0, 25.0)):
        base = Spec(
            detail="plain",
            noise=0,
            shape=(24, 24, 16),
            spacing=(2.0, 2.0, thick),
            centre=lesion.centre,
            rotation=(turn, 0.0, turn),
        )
        with_it, without = (
            make(replace(base, lesions=rows)).volume.data.astype(float) for rows in ((lesion,), ())
        )
        lack = (without - with_it).sum() * base.grid.voxel_ml
        volume = np.pi / 6 * 14 * 12 * 10 / 1000
        assert lack == pytest.approx(volume * (111 - 66), rel=0.03)
