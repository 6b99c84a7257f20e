"""Two studies of one patient: known transforms, known fates of lesions, known responses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from burden.compare.align import align
from burden.compare.growth import remnant_growth
from burden.compare.match import Match, match
from burden.compare.response import Response, by_volume, respond, respond_viable
from burden.facts import Fact, Facts, Interval
from burden.grid import Grid
from burden.image import Labels
from burden.lesions import Lesion

POINT = (0.0, 0.0, 0.0)


def transform(turn: tuple[float, float, float], shift: tuple[float, float, float]) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return matrix


def liver_at(points: np.ndarray) -> np.ndarray:
    """A lopsided liver as a function of base coordinates: right lobe, left lobe, lower tip."""
    inside = np.zeros(points.shape[:-1], bool)
    for centre, axes in (((-60, 0, 0), (65, 75, 80)), ((20, -25, 25), (70, 40, 35)),
                         ((-75, 10, -70), (35, 45, 50))):  # fmt: skip
        inside |= (((points - np.array(centre)) / np.array(axes)) ** 2).sum(-1) <= 1
    return inside


def grid_of(
    spacing: tuple[float, float, float], tilt: float, centre: np.ndarray, size: float = 320.0
) -> Grid:
    shape = tuple(int(size / s) for s in spacing)
    axes = Rotation.from_euler("xyz", (tilt, tilt / 2, -tilt), degrees=True).as_matrix()
    middle = axes @ ((np.array(shape) - 1) / 2 * np.array(spacing))
    return Grid.from_axes(shape, spacing, centre - middle, axes)


def world_of(grid: Grid) -> np.ndarray:
    return grid.world(np.moveaxis(np.indices(grid.shape), 0, -1))


@pytest.mark.parametrize(
    ("turn", "shift"),
    [((0, 0, 0), (0, 0, 0)), ((8, -6, 15), (40, -25, 60)), ((-12, 5, -18), (-300, 8, 9))],
)
def test_a_liver_moved_by_a_known_transform(turn: tuple, shift: tuple) -> None:
    """Grids of other spacing and tilt; points anywhere in the liver come back within 3 mm."""
    moved = transform(turn, shift)  # base to follow-up
    one = grid_of((4.0, 4.0, 5.0), 0.0, np.array([-30.0, 0.0, 0.0]))
    two = grid_of((3.5, 4.0, 5.0), 6.0, moved[:3, :3] @ np.array([-30.0, 0.0, 0.0]) + moved[:3, 3])
    back = np.linalg.inv(moved)
    base, follow = liver_at(world_of(one)), liver_at(world_of(two) @ back[:3, :3].T + back[:3, 3])
    found = align(base, one, follow, two)
    points = one.world(np.argwhere(base)[::500])
    there = points @ moved[:3, :3].T + moved[:3, 3]
    error = np.linalg.norm(there @ found.to_base[:3, :3].T + found.to_base[:3, 3] - points, axis=1)
    assert error.max() < 3.0
    assert found.dice > 0.96
    assert found.turned_deg == pytest.approx(
        np.degrees(Rotation.from_euler("xyz", turn, degrees=True).magnitude()), abs=1.5
    )


def test_a_liver_that_grew_is_laid_on_as_affine() -> None:
    grid = grid_of((4.0, 4.0, 4.0), 0.0, np.array([-30.0, 0.0, 0.0]))
    base, follow = liver_at(world_of(grid)), liver_at(world_of(grid) / 1.15)
    found = align(base, grid, follow, grid)
    assert found.kind == "affine"
    assert np.linalg.det(found.to_base[:3, :3]) == pytest.approx(1.15**-3, rel=0.05)


def test_a_liver_cut_by_the_scan_still_lies_right() -> None:
    """The image of the follow-up ends 50 mm below the dome: the rest must not be drawn up."""
    grid = grid_of((4.0, 4.0, 4.0), 0.0, np.array([-30.0, 0.0, 0.0]))
    base = liver_at(world_of(grid))
    top = int(grid.index(np.array([0.0, 0.0, 30.0]))[2])
    low = grid.crop((0, 0, 0), (grid.shape[0], grid.shape[1], top))
    follow = base[:, :, :top]
    found = align(base, grid, follow, low)
    assert found.kind == "rigid"
    points = grid.world(np.argwhere(follow)[::500])
    error = np.linalg.norm(points @ found.to_base[:3, :3].T + found.to_base[:3, 3] - points, axis=1)
    assert error.max() < 3.0


def lesions_of(spheres: list[list[tuple[tuple[float, float, float], float]]], grid: Grid) -> tuple:
    """Rows and labels of lesions, each one or several spheres (centre LPS mm, diameter)."""
    world = world_of(grid)
    labels = np.zeros(grid.shape, np.uint8)
    rows = []
    for k, parts in enumerate(spheres, 1):
        for centre, diameter in parts:
            labels[np.linalg.norm(world - np.array(centre), axis=-1) <= diameter / 2] = k
        at = world[labels == k]
        ml = len(at) * grid.voxel_ml
        size = float(np.cbrt(6000 * ml / np.pi))
        longest = max(d for _, d in parts)
        rows.append(row(k, longest, ml=ml, size=size, centre=tuple(at.mean(0))))
    return tuple(rows), Labels(labels, grid)


def row(
    k: int, mm: float, *, ml: float = 1.0, size: float = 10.0, centre: tuple = POINT, p: float = 1.0
) -> Lesion:
    return Lesion(
        k, ml, mm, mm, 0, (POINT,) * 4, size, size, centre, {}, "unknown", None, None, None, p, ""
    )


def test_fates_of_lesions() -> None:
    moved = transform((3, -4, 10), (20, 10, -15))
    one = grid_of((2.5, 2.5, 3.0), 0.0, np.zeros(3), 220.0)
    two = grid_of((3.0, 2.5, 2.5), 5.0, moved[:3, 3], 220.0)

    def later(x: float, y: float, z: float) -> tuple:
        return tuple(moved[:3, :3] @ np.array([x, y, z]) + moved[:3, 3])

    base, base_labels = lesions_of(
        [
            [((-80, 0, 0), 30)],  # 1 shrinks
            [((0, 0, 0), 20)],  # 2 and 3 merge
            [((22, 0, 0), 20)],
            [((70, 50, 0), 30)],  # 4 splits
            [((70, -60, 0), 16)],  # 5 goes
            [((0, 80, 20), 6)],  # 6 small, lies 5 mm off
        ],
        one,
    )
    follow, follow_labels = lesions_of(
        [
            [(later(-80, 0, 0), 18)],
            [(later(4, 0, 0), 24), (later(20, 0, 0), 22)],
            [(later(61, 50, 0), 12)],
            [(later(79, 50, 0), 12)],
            [(later(0, 85, 20), 6)],
            [(later(-80, 40, 0), 14)],  # 6 is new
        ],
        two,
    )
    found = match(base, follow, base_labels, follow_labels, np.linalg.inv(moved))
    assert set(found) == {
        Match("same", (1,), (1,)),
        Match("merged", (2, 3), (2,)),
        Match("split", (4,), (3, 4)),
        Match("gone", (5,), ()),
        Match("same", (6,), (5,)),
        Match("new", (), (6,)),
    }


def test_a_lesion_beyond_the_follow_up_image_is_not_gone() -> None:
    one = grid_of((4.0, 4.0, 4.0), 0.0, np.zeros(3))
    base, labels = lesions_of([[((0, 0, 140), 20)]], one)
    low = one.crop((0, 0, 0), (one.shape[0], one.shape[1], 50))
    empty = Labels(np.zeros(low.shape, np.uint8), low)
    assert match(base, (), labels, empty, np.eye(4)) == (Match("outside", (1,), ()),)


SAME = [Match("same", (1,), (1,)), Match("same", (2,), (2,)), Match("same", (3,), (3,))]


@pytest.mark.parametrize(
    ("after", "nadir", "expected"),
    [
        ((28.0, 14.0), None, "PR"),  # 60 -> 42: exactly -30 %
        ((28.1, 14.0), None, "SD"),
        ((48.0, 24.0), None, "PD"),  # 72: exactly +20 %, 12 mm
        ((47.9, 24.0), None, "SD"),
        ((28.0, 14.0), 36.0, "PR"),  # 42 of a nadir of 36: +16.7 %
        ((30.0, 14.0), 36.0, "PD"),  # 44: +22 %, 8 mm
    ],
)
def test_recist_limits(after: tuple, nadir: float | None, expected: str) -> None:
    base = [row(1, 40.0), row(2, 20.0), row(3, 12.0)]
    follow = [row(1, after[0]), row(2, after[1]), row(3, 12.0)]
    got = respond(base, follow, SAME, slice_mm=2.5, nadir_mm=nadir)
    assert got.targets == (1, 2), "the two longest, although three are measurable"
    assert (got.target, got.non_target, got.overall) == (expected, "non-CR/non-PD", expected)


def test_small_growth_in_mm_is_no_progression() -> None:
    got = respond([row(1, 12.0)], [row(1, 16.0)], SAME[:1], slice_mm=2.5)
    assert got.overall == "SD", "+33 % but 4 mm"


def test_recist_of_merged_split_gone_and_new() -> None:
    base = [row(1, 40.0), row(2, 20.0)]
    merged = respond(base, [row(1, 50.0)], [Match("merged", (1, 2), (1,))], slice_mm=1.0)
    assert merged.follow_mm == 50.0
    parts = [Match("split", (1,), (1, 2)), Match("gone", (2,), ())]
    split = respond(base, [row(1, 15.0), row(2, 10.0)], parts, slice_mm=1.0)
    assert (split.follow_mm, split.overall) == (25.0, "PR")
    gone = [Match("gone", (1,), ()), Match("gone", (2,), ())]
    assert respond(base, [], gone, slice_mm=1.0).overall == "CR"
    new = respond(base, [row(1, 9.0)], [*gone, Match("new", (), (1,))], slice_mm=1.0)
    assert (new.overall, new.new) == ("PD", (1,))
    for doubtful in (
        respond(base, [row(1, 4.0)], [*gone, Match("new", (), (1,))], slice_mm=1.0),
        respond(base, [row(1, 9.0, p=0.3)], [*gone, Match("new", (), (1,))], slice_mm=1.0),
        respond(base, [row(1, 9.0)], [*gone, Match("new", (), (1,))], slice_mm=1.0, comparable=False),
    ):
        assert (doubtful.overall, doubtful.equivocal) == ("CR", (1,))


def test_what_is_too_small_or_cut_is_no_target() -> None:
    base = [row(1, 14.0), replace(row(2, 30.0), touches_edge=True), row(3, 9.0)]
    assert respond(base, base, SAME, slice_mm=5.0).targets == (1,)
    assert respond(base, base, SAME, slice_mm=7.5).targets == ()
    out = [Match("outside", (1,), ()), *SAME[1:]]
    assert respond(base, base, out, slice_mm=5.0).overall == "NE"


def test_volume_limits_are_those_of_spheres() -> None:
    assert by_volume(100 * (0.7**3 - 1) - 0.05) == "PR"
    assert by_volume(100 * (1.2**3 - 1) + 0.05) == "PD"
    assert by_volume(0.0) == "SD"
    assert by_volume(-100.0) == "CR"


def test_growth_of_a_remnant() -> None:
    def facts(ml: float, percent: float, expected: float | None) -> Facts:
        rng = np.random.default_rng(int(ml))
        found = [
            Fact("flr.p.volume", Interval(ml - 60, ml + 60), "mL", "", rng.normal(ml, 20, 500), ml),
            Fact("flr.p.percent", Interval.exactly(percent), "%", ""),
        ]
        if expected:
            found.append(Fact("liver.estimated_volume", Interval.exactly(expected), "mL", ""))
        return Facts(found)

    got = remnant_growth(facts(400, 25, 2000), facts(520, 30, None), "p", 3.0)
    assert got is not None
    assert (got.base_percent, got.follow_percent) == (pytest.approx(20), pytest.approx(26))
    assert got.hypertrophy == pytest.approx(6.0)
    assert got.kgr == pytest.approx(2.0)
    assert got.p_fast == pytest.approx(0.5, abs=0.08)
    plain = remnant_growth(facts(400, 25, None), facts(520, 30, None), "p", None)
    assert plain is not None
    assert plain.hypertrophy == pytest.approx(100 * 120 / 1600)
    assert plain.kgr is None
    assert remnant_growth(Facts(), facts(520, 30, None), "p", 3.0) is None


@pytest.fixture(scope="module")
def outs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A phantom, and the same one turned, its largest lesion gone, through the whole program."""
    import nibabel as nib

    from burden.phantom import make, random_spec
    from burden.pipeline import Job, run

    folder = tmp_path_factory.mktemp("studies")
    made = make(random_spec(7, frilling="II"))
    lesions = made.truth.lesions.data
    largest = int(np.bincount(lesions[lesions > 0]).argmax())
    moved = transform((4, -3, 9), (15, -20, 30))
    for name, matrix, gone in (("base", np.eye(4), 0), ("follow", moved, largest)):
        (folder / name).mkdir()
        parts = {
            "volume": made.volume.data,
            "liver": made.truth.liver.data.astype(np.uint8),
            "lesions": np.where(lesions == gone, 0, lesions).astype(np.uint8),
            "segments": made.truth.segments.data.astype(np.uint8),  # type: ignore[union-attr]
        }
        for part, data in parts.items():
            thin = np.ascontiguousarray(data[::2, ::2])  # fewer voxels, a faster test
            grid = Grid(thin.shape, matrix @ made.volume.grid.affine @ np.diag([2.0, 2.0, 1.0, 1.0]))
            nib.save(nib.Nifti1Image(thin, grid.ras), folder / name / f"{part}.nii.gz")
        path = {part: str(folder / name / f"{part}.nii.gz") for part in parts}
        run(Job(Path(path["volume"]), folder / name / "out", liver=path["liver"],
                lesions=path["lesions"], segments=path["segments"], draws=32))  # fmt: skip
    return folder / "base" / "out", folder / "follow" / "out"


def test_from_two_finished_folders(outs: tuple[Path, Path], tmp_path: Path) -> None:
    from click.testing import CliRunner

    from burden.cli import cli

    arguments = ["compare", str(outs[0] / "case.json"), str(outs[1]), "--weeks", "8"]
    done = CliRunner().invoke(cli, [*arguments, "--json", "-o", str(tmp_path / "c")])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((tmp_path / "c" / "compare.json").read_text())
    assert (tmp_path / "c" / "compare.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (
        record["volume"]["change_p05"]
        < record["volume"]["change_percent"]
        < record["volume"]["change_p95"]
    )
    assert "arterial" in record["mrecist"]["why_not"]
    kinds = [m["kind"] for m in record["matches"]]
    assert kinds.count("gone") == 1
    assert kinds.count("same") == len(kinds) - 1
    assert record["alignment"]["dice"] > 0.97
    assert record["recist"]["targets"][0] == 1
    assert record["growth"]["hypertrophy"] is not None
    assert {e["book"] for e in record["eligibility"]}
    burden = next(f for f in record["facts"] if f["fact"] == "tumor.burden")
    assert burden["change"] < 0
    wrong = CliRunner().invoke(cli, [*arguments, "--remnant", "upper_half"])
    assert "right_hepatectomy" in str(wrong.exception), "it says which there are"
    table = CliRunner().invoke(cli, arguments)
    assert table.exit_code == 0
    assert "gone" in table.stdout


def test_a_folder_without_its_masks_is_refused(outs: tuple[Path, Path], tmp_path: Path) -> None:
    from burden.compare import open_finished
    from burden.errors import InputError

    (tmp_path / "case.json").write_text((outs[0] / "case.json").read_text())
    with pytest.raises(InputError, match="mask is missing"):
        open_finished(tmp_path)


def test_mrecist_counts_viable_tissue_alone() -> None:
    """40 mm with 36 viable, later 41 with 10 viable: stable by RECIST, a response by mRECIST."""
    base = [replace(row(1, 40.0), viable_long_mm=36.0), replace(row(2, 20.0), viable_long_mm=8.0)]
    follow = [replace(row(1, 41.0), viable_long_mm=10.0), replace(row(2, 20.0), viable_long_mm=8.0)]
    assert respond(base, follow, SAME[:2], slice_mm=1.0).overall == "SD"
    found = respond_viable(base, follow, SAME[:2], slice_mm=1.0)
    assert isinstance(found, Response)
    assert (found.targets, found.base_mm, found.follow_mm) == ((1,), 36.0, 10.0)
    assert found.overall == "PR"
    dead = [replace(r, viable_long_mm=0.0) for r in follow]
    gone = respond_viable(base[:1], dead[:1], SAME[:1], slice_mm=1.0)
    assert isinstance(gone, Response)
    assert gone.overall == "CR", "no viable tissue is left"
    missing = [replace(follow[0], viable_long_mm=None), follow[1]]
    assert "arterial" in str(respond_viable(base, missing, SAME[:2], slice_mm=1.0))


def test_three_studies_count_from_the_nadir(outs: tuple[Path, Path], tmp_path: Path) -> None:
    from click.testing import CliRunner

    from burden.cli import cli

    first, second = map(str, outs)
    arguments = ["compare", first, second, first, "--weeks", "8", "--weeks", "30", "--json"]
    done = CliRunner().invoke(cli, [*arguments, "-o", str(tmp_path / "c")])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert [s["weeks"] for s in record["trajectory"]] == [0.0, 8.0, 30.0]
    sums = [s["sum_mm"] for s in record["trajectory"]]
    assert sums[1] < sums[0] == pytest.approx(sums[2])
    assert record["between"][0]["recist"]["overall"] == "PR"
    assert record["recist"]["overall"] == "PD", "as at base, but grown from the nadir"
    assert record["months_stable"] is None
    assert len(record["trajectory"][0]["answers"]) > 10
    assert not (tmp_path / "c" / "stable.yaml").exists()
    wrong = CliRunner().invoke(cli, [*arguments[:4], "--weeks", "8"])
    assert "One --weeks" in str(getattr(wrong.exception, "hint", ""))
    alone = CliRunner().invoke(cli, ["compare", first])
    assert "at least two" in str(alone.exception)


def test_months_stable_is_a_fact_that_can_be_given(outs: tuple[Path, Path], tmp_path: Path) -> None:
    from burden.compare import compare_all, open_finished, write_comparison
    from burden.read import checked_facts

    record = compare_all([open_finished(o) for o in outs], weeks=(52.0,))
    assert record["months_stable"] == pytest.approx(52 * 7 / (365.25 / 12), abs=0.01)
    write_comparison(record, tmp_path / "c")
    facts, findings = checked_facts(tmp_path / "c" / "stable.yaml")
    assert facts["disease.months_stable"].best == record["months_stable"]
    assert not findings


def two_phases(looks: tuple[str, str], folder: Path) -> None:
    """Portal and arterial DICOM series of one liver in one frame, and its portal masks."""
    import nibabel as nib
    import pydicom

    from burden.phantom import LesionSpec, Spec, make
    from burden.phantom.dicom import write_series

    lesions = tuple(
        LesionSpec(look, segment=segment, diameters=(mm, mm, mm))
        for look, segment, mm in zip(looks, (6, 3), (44.0, 30.0), strict=True)
    )
    spec = Spec(seed=3, spacing=(3.0, 3.0, 3.0), shape=(112, 96, 84), detail="plain", lesions=lesions)
    uids: dict[str, str] = {}
    for phase in ("portal", "arterial"):
        made = make(replace(spec, phase=phase))
        write_series(made, folder / "study" / phase, compress=False)
        for path in sorted((folder / "study" / phase).iterdir()):
            slice_ = pydicom.dcmread(path)
            for name in ("StudyInstanceUID", "FrameOfReferenceUID"):
                setattr(slice_, name, uids.setdefault(name, slice_[name].value))
            slice_.save_as(path)
        if phase == "portal":
            for name, mask in (("liver", made.truth.liver), ("lesions", made.truth.lesions)):
                image = nib.Nifti1Image(mask.data.astype(np.uint8), mask.grid.ras)
                nib.save(image, folder / f"{name}.nii.gz")


def test_mrecist_from_dicom_of_two_phases_to_the_answer(tmp_path: Path) -> None:
    """Embolization killed the larger lesion and left its outline: stable by RECIST, PR by mRECIST."""
    from click.testing import CliRunner

    from burden.cli import cli

    for name, looks in (
        ("base", ("hyper_arterial", "hyper_arterial")),
        ("follow", ("cystic", "hyper_arterial")),
    ):
        two_phases(looks, tmp_path / name)
        masks = [f"--{m}={tmp_path / name / m}.nii.gz" for m in ("liver", "lesions")]
        done = CliRunner().invoke(
            cli, ["run", str(tmp_path / name / "study"), *masks, "-o", str(tmp_path / name / "out")]
        )
        assert done.exit_code == 0, done.output
    folders = [str(tmp_path / name / "out") for name in ("base", "follow")]
    done = CliRunner().invoke(
        cli, ["compare", *folders, "--weeks", "8", "--json", "-o", str(tmp_path / "c")]
    )
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["recist"]["overall"] == "SD"
    viable = record["mrecist"]
    assert viable["overall"] == "PR"
    assert viable["base_mm"] == pytest.approx(74.0, abs=8.0), "both lesions enhance"
    assert viable["follow_mm"] == pytest.approx(30.0, abs=6.0), "only the smaller one still does"
