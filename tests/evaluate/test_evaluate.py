"""`burden evaluate` as its user runs it: files, folders, OUT folders, DICOM SEG, and what it refuses."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from burden.errors import InputError, UsageError
from burden.evaluate import Options, evaluate, evaluation_record
from burden.evaluate.pairs import Labelling, chosen, items, pair_up
from burden.evaluate.tables import figure_named
from burden.grid import Grid
from burden.resources import shipped

SHAPE, SPACING = (40, 36, 24), (3.0, 2.5, 5.0)
AXES = Rotation.from_euler("xyz", [14, -9, 30], degrees=True).as_matrix()
GRID = Grid.from_axes(SHAPE, SPACING, (-40, 15, 60), AXES)
QUICK = Options(draws=50)


def label_map(shift: int = 0, lesions: int = 2) -> np.ndarray:
    """1 liver, 2 lesion; ``shift`` moves the lesions along the first axis."""
    data = np.zeros(SHAPE, np.uint8)
    data[6:34, 6:30, 5:20] = 1
    for n in range(lesions):
        data[10 + 12 * n + shift : 15 + 12 * n + shift, 10:16, 8:12] = 2
    return data


def save(data: np.ndarray, path: Path, grid: Grid = GRID) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(data, grid.ras), path)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three cases: exact, lesions shifted by one voxel, healthy with nothing found."""
    for name, ours, theirs in (
        ("one", label_map(), label_map()),
        ("two", label_map(shift=1), label_map()),
        ("three", label_map(lesions=0), label_map(lesions=0)),
    ):
        save(ours, tmp_path / "pred" / f"{name}.nii.gz")
        save(theirs, tmp_path / "ref" / f"{name}.nii.gz")
    return tmp_path / "pred", tmp_path / "ref"


def value(found: Any, name: str) -> Any:
    return figure_named(found.figures, name).value


def test_folders_with_known_answers(folders: tuple[Path, Path]) -> None:
    found = evaluate(str(folders[0]), str(folders[1]), QUICK)
    assert [s.case for s in found.scores] == ["one", "three", "two"]
    assert value(found, "liver Dice per case, mean") == 1.0
    assert value(found, "lesions Dice per case, mean") == pytest.approx((1.0 + 0.8) / 2)
    assert value(found, "lesions Dice, all voxels pooled") == pytest.approx(0.9)
    assert "1 empty on both sides" in figure_named(found.figures, "lesions Dice per case, mean").note
    # 4 of 6 voxels along the axis are shared: IoU 4/6
    assert value(found, "lesion recall, IoU >= 0.5") == 1.0
    strict = evaluate(str(folders[0]), str(folders[1]), Options(overlaps=(0.7,), draws=0))
    assert value(strict, "lesion recall, IoU >= 0.7") == 0.5
    assert value(strict, "false lesions a case, IoU >= 0.7") == pytest.approx(2 / 3)
    assert value(found, "burden RMSE") == pytest.approx(0.0)
    lesion_ml = 5 * 6 * 4 * 0.0375
    assert found.scores[0].lesions is not None
    assert found.scores[0].lesions.reference_ml == pytest.approx(2 * lesion_ml)
    assert found.scores[0].burden[1] == pytest.approx(100 * 240 / (28 * 24 * 15))


def test_predictions_on_another_grid_are_moved_and_that_is_said(tmp_path: Path) -> None:
    turned, order, flip = GRID.reorder((2, 0, 1), (True, False, True)), (2, 0, 1), (True, False, True)
    steps = tuple(slice(None, None, -1 if f else 1) for f in flip)
    data = label_map()
    same = save(np.ascontiguousarray(data.transpose(order)[steps]), tmp_path / "p.nii.gz", turned)
    ref = save(data, tmp_path / "r.nii.gz")
    found = evaluate(str(same), str(ref), QUICK)
    assert value(found, "lesions Dice per case, mean") == 1.0
    assert found.scores[0].findings == ()
    affine = GRID.affine.copy()
    affine[:3, 3] += 0.4 * GRID.axes[:, 0] * SPACING[0]
    half = save(data, tmp_path / "moved.nii.gz", Grid(SHAPE, affine))
    assert value(evaluate(str(half), str(ref), QUICK), "liver Dice per case, mean") > 0.9
    coarse = Grid.from_axes((20, 18, 24), (6.5, 5.0, 5.0), GRID.origin, AXES)
    rough = save(data[::2, ::2], tmp_path / "coarse.nii.gz", coarse)
    said = evaluate(str(rough), str(ref), QUICK).scores[0].findings
    assert [f.code for f in said] == ["mask-resampled"]


def test_labels_are_chosen(tmp_path: Path) -> None:
    many = label_map()
    many[many == 1] = 6
    many[many == 2] = 9
    many[0:3] = 4
    ref = save(many, tmp_path / "r.nii.gz")
    pred = save(label_map(), tmp_path / "p.nii.gz")
    with pytest.raises(InputError, match=r"label 4.*@LIVER/LESIONS"):
        evaluate(str(pred), str(ref), QUICK)
    both = evaluate(str(pred), f"{ref}@6/9", QUICK)
    assert value(both, "liver Dice per case, mean") == value(both, "lesions Dice per case, mean") == 1.0
    liver = evaluate(f"{pred}@1,2", f"{ref}@6,9", QUICK)
    assert value(liver, "liver Dice per case, mean") == 1.0
    assert not any("lesion" in f.name or "burden" in f.name for f in liver.figures)
    spots = evaluate(str(pred), f"{ref}@/9", QUICK)
    assert value(spots, "lesions Dice per case, mean") == 1.0
    assert not any(f.name.startswith(("liver", "burden")) for f in spots.figures)
    with pytest.raises(InputError, match="nothing to compare"):
        evaluate(f"{pred}@1", f"{ref}@/9", QUICK)
    with pytest.raises(UsageError, match="LIVER/LESIONS"):
        chosen(str(tmp_path / "x@liver"))
    assert chosen("x@1,2/2") == (Path("x"), Labelling((1, 2), (2,)))


def test_empty_predictions_are_nil_not_nan(tmp_path: Path) -> None:
    ref = save(label_map(), tmp_path / "r.nii.gz")
    pred = save(np.zeros(SHAPE, np.uint8), tmp_path / "p.nii.gz")
    found = evaluate(str(pred), str(ref), QUICK)
    assert value(found, "liver Dice per case, mean") == 0.0
    assert value(found, "liver HD95, median") == float("inf")
    assert value(found, "burden RMSE") is None
    assert "without a burden" in figure_named(found.figures, "burden RMSE").note
    text = json.dumps(evaluation_record(found), allow_nan=False)
    assert '"inf"' in text
    assert "NaN" not in text


def test_pairs_by_name_and_what_has_no_partner(folders: tuple[Path, Path]) -> None:
    ours, theirs = folders
    (ours / "two.nii.gz").unlink()
    save(label_map(), ours / "other.nii.gz")
    with pytest.raises(InputError, match=r"1 of the references have no prediction: two.*flatter"):
        evaluate(str(ours), str(theirs), QUICK)
    found = evaluate(str(ours), str(theirs), Options(draws=0, skip_missing=True))
    assert [f.code for f in found.findings] == ["missing-predictions", "missing-references"]
    assert len(found.scores) == 2


def test_longer_names_are_matched_only_where_one_fits(tmp_path: Path) -> None:
    for name in ("p1", "p10", "p2"):
        save(label_map(), tmp_path / "pred" / f"{name}.nii")
    for name in ("p1_label", "p10_label", "p2-truth"):
        save(label_map(), tmp_path / "ref" / f"{name}.nii")
    pairs, alone, unused = pair_up(items(str(tmp_path / "pred")), items(str(tmp_path / "ref")))
    assert {(a.name, b.name) for a, b in pairs} == {
        ("p1", "p1_label"),
        ("p10", "p10_label"),
        ("p2", "p2-truth"),
    }
    assert not alone
    assert not unused
    save(label_map(), tmp_path / "pred" / "p2_b.nii")
    save(label_map(), tmp_path / "ref" / "p2.nii")
    with pytest.raises(InputError, match="pairs"):
        pair_up(items(str(tmp_path / "pred")), items(str(tmp_path / "ref")))


def test_a_part_that_one_side_never_holds_is_told(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    """Two masks of lesions alone, both labelled 1, are no livers without a lesion."""
    ours, theirs = (save(label_map(shift=n) // 2, tmp_path / f"{n}.nii.gz") for n in (0, 1))
    found = evaluate(str(ours), str(theirs), QUICK)
    assert [f.code for f in found.findings] == ["no-lesions"]
    assert "predictions and of the references" in found.findings[0].text
    assert not evaluate(f"{ours}@/1", f"{theirs}@/1", QUICK).findings
    assert [f.code for f in evaluate(f"{ours}@9", f"{theirs}@1", QUICK).findings] == ["no-liver"]
    assert not evaluate(str(folders[0]), str(folders[1]), QUICK).findings


def test_pairs_by_table(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    table = tmp_path / "pairs.csv"
    table.write_text("case,prediction,reference\nX,two.nii.gz,nine.nii.gz\n", encoding="utf-8")
    with pytest.raises(InputError, match="no such file"):
        evaluate(str(folders[0]), str(folders[1]), QUICK, pairs=table)
    table.write_text('case,prediction,reference\nX,two.nii.gz,"one.nii.gz@1,2/2"\n', encoding="utf-8")
    found = evaluate(str(folders[0]), str(folders[1]), QUICK, pairs=table)
    assert [s.case for s in found.scores] == ["X"]
    assert value(found, "lesions Dice per case, mean") == pytest.approx(0.8)
    row = "X,two.nii.gz,two.nii.gz\n"
    table.write_text(f"case,prediction,reference\n{row}{row}", encoding="utf-8")
    with pytest.raises(InputError, match="twice"):
        evaluate(str(folders[0]), str(folders[1]), QUICK, pairs=table)
    table.write_text("case,prediction\nX,two.nii.gz\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        evaluate(str(folders[0]), str(folders[1]), QUICK, pairs=table)


def test_out_folders_of_runs_and_their_seg(tmp_path: Path) -> None:
    """A run's own results: its OUT folder is understood, its SEG with segments in it is refused."""
    from burden.pipeline import Job, run

    sample = shipped("models").parent / "sample_data" / "solitary_type1"
    truth = sample / "truth"
    out = tmp_path / "runs" / "solitary"
    masks = [str(truth / f"{name}.nii.gz") for name in ("liver", "lesions")]
    run(Job(sample / "dicom", out, liver=masks[0], lesions=masks[1], draws=0))
    merged = nib.load(masks[0])
    data = (np.asarray(merged.dataobj) > 0).astype(np.uint8)
    data[np.asarray(nib.load(masks[1]).dataobj) > 0] = 2
    nib.save(nib.Nifti1Image(data, merged.affine), tmp_path / "solitary_truth.nii.gz")
    for ours in (out, out.parent):
        found = evaluate(str(ours), str(tmp_path / "solitary_truth.nii.gz"), QUICK)
        assert value(found, "liver Dice per case, mean") == 1.0
        assert value(found, "lesions Dice per case, mean") == 1.0
        assert value(found, "burden RMSE") == 0.0
    assert value(evaluate(masks[0] + "@1", str(out), QUICK), "liver Dice per case, mean") > 0.9
    with pytest.raises(InputError, match="OUT folder"):
        evaluate(str(out / "dicom" / "seg.dcm"), str(out), QUICK)


@pytest.mark.real_data
def test_real_segmentations_in_two_encodings_agree(real_data: Path) -> None:
    folder = real_data / "dicom" / "seg_encodings"
    found = evaluate(str(folder / "liver_rle.dcm"), str(folder / "liver.dcm"), QUICK)
    assert value(found, "liver Dice per case, mean") == 1.0


@pytest.mark.parametrize("make", [lambda p: p / "none", lambda p: p], ids=["no path", "empty folder"])
def test_nothing_there_is_one_clear_line(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    with pytest.raises(InputError):
        evaluate(str(make(tmp_path)), str(tmp_path), QUICK)


def test_the_command_writes_tables_and_a_picture(folders: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "burden.cli", "evaluate", *map(str, folders), "-o", str(out)]
    probe = "from burden.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", probe, *command[3:], "--bootstrap", "50", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    record = json.loads(done.stdout)
    assert record == json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
    assert {one["name"] for one in record["summary"]} >= {
        "liver surface Dice at 3 mm",
        "lesions HD95, median",
        "lesion F1, IoU >= 0.5",
        "lesion recall, any overlap, 10-20 mm",
        "burden RMSE",
        "burden, upper limit of agreement",
        "liver volume bias",
    }
    with (out / "cases.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == ["one", "three", "two"]
    assert rows[1]["lesions_state"] == "both empty"
    with (out / "lesions.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 8
    assert (out / "evaluation.png").read_bytes()[:4] == b"\x89PNG"
    again = subprocess.run(
        [sys.executable, "-c", probe, *command[3:]], capture_output=True, text=True, check=False
    )
    assert again.returncode == 6
    assert "Traceback" not in again.stderr
