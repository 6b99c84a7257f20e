"""TotalSegmentator: results of each task are read; the program is run, here as an honest stand-in.

The stand-in (conftest.STAND_IN) takes the program's arguments and writes its files; no weights of
TotalSegmentator are part of the tests, so how well it segments is not tested.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from burden.errors import ModelError
from burden.grid import Grid
from burden.image import Segmentation, Volume
from burden.resources import shipped
from burden.segment import find_model, load_model
from burden.segment.totalsegmentator import from_results
from burden.segment.totalsegmentator_run import from_folder

HEADER = """<?xml version="1.0" encoding="UTF-8"?>
<CaretExtension><VolumeInformation Index="0"><LabelTable>
{}</LabelTable></VolumeInformation></CaretExtension>"""


def run(path: Path, volume: Volume) -> Segmentation:
    return from_results(path)(volume, device="cpu", progress=lambda *_: None)


def save(data: Any, grid: Grid, path: Path, names: dict[int, str] | None = None) -> None:
    """NIfTI as TotalSegmentator writes it; ``names`` go into the header of a multilabel file."""
    image: Any = nib.Nifti1Image(np.asarray(data, np.uint8), grid.ras)
    if names:
        rows = "".join(
            f'<Label Key="{n}" Red="1.0" Green="0.0" Blue="0.0" Alpha="1"><![CDATA[{name}]]></Label>\n'
            for n, name in names.items()
        )
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, HEADER.format(rows).encode()))
    nib.save(image, path)


def test_one_file_a_structure(tmp_path: Path, body: Any, grids: Any) -> None:
    """`total` and `liver_segments` and `liver_lesions` into one folder."""
    known = body(grids["oblique"])
    truth, grid = known.truth, known.volume.grid
    liver = np.isin(truth, (1, 2))
    k = np.indices(truth.shape)[0]
    parts = {f"liver_segment_{n}": liver & (k % 8 == n - 1) for n in range(1, 9)}
    parts |= {
        "liver": liver,
        "liver_lesions": truth == 2,
        "kidney_left": truth == 3,
        "stomach": truth == 0,
    }
    for name, mask in parts.items():
        save(mask, grid, tmp_path / f"{name}.nii.gz")
    found = run(tmp_path, known.volume)
    assert np.array_equal(found.liver.data > 0, liver)
    assert np.array_equal(found.lesions.data > 0, truth == 2)
    assert found.segments is not None
    for n in range(1, 9):
        assert np.array_equal(found.segments.data == n, parts[f"liver_segment_{n}"])
    assert found.structures is not None
    assert dict(found.structures.names) == {1: "kidneys"}


def test_multilabel_files_say_their_labels(tmp_path: Path, body: Any, grids: Any) -> None:
    """--ml of `total` and of `liver_lesions`, in a folder, and one of them given alone."""
    known = body(grids["oblique"])
    labels = np.select([np.isin(known.truth, (1, 2)), known.truth == 3], [5, 1], 0)
    total = tmp_path / "total.nii.gz"
    save(labels, known.volume.grid, total, {1: "spleen", 5: "liver", 52: "aorta"})
    alone = run(total, known.volume)
    assert np.array_equal(alone.liver.data > 0, labels == 5)
    assert "lesions-not-segmented" in {f.code for f in alone.findings}
    save(known.truth == 2, known.volume.grid, tmp_path / "lesions_ml.nii.gz", {1: "liver_lesions"})
    both = run(tmp_path, known.volume)
    assert np.array_equal(both.lesions.data > 0, known.truth == 2)
    assert find_model(str(total)).backend == "totalsegmentator_results"
    nameless = tmp_path / "x.nii.gz"
    save(labels, known.volume.grid, nameless)
    with pytest.raises(ModelError, match="does not say what its labels mean"):
        run(nameless, known.volume)


def test_the_tumor_of_liver_vessels_is_a_stopgap_and_said(tmp_path: Path, body: Any, grids: Any) -> None:
    known = body(grids["oblique"])
    save(np.isin(known.truth, (1, 2)), known.volume.grid, tmp_path / "liver.nii.gz")
    save(known.truth == 2, known.volume.grid, tmp_path / "liver_tumor.nii.gz")
    found = run(tmp_path, known.volume)
    assert np.array_equal(found.lesions.data > 0, known.truth == 2)
    assert "lesions-of-vessel-task" in {f.code for f in found.findings}
    save(known.truth == 0, known.volume.grid, tmp_path / "liver_lesions.nii.gz")
    assert "lesions-of-vessel-task" not in {f.code for f in run(tmp_path, known.volume).findings}


def test_results_in_another_order_of_axes_are_the_same(tmp_path: Path, body: Any, grids: Any) -> None:
    """A DICOM series that TotalSegmentator converted itself comes back with its rows flipped."""
    known = body(grids["oblique"])
    order, flip = (1, 2, 0), (True, False, True)
    grid = known.volume.grid.reorder(order, flip)
    steps = tuple(slice(None, None, -1) if f else slice(None) for f in flip)
    for name, values in (("liver", (1, 2)), ("liver_lesions", (2,))):
        mask = np.isin(known.truth, values).transpose(order)[steps]
        save(mask, grid, tmp_path / f"{name}.nii.gz")
    found = run(tmp_path, known.volume)
    assert np.array_equal(found.liver.data > 0, np.isin(known.truth, (1, 2)))
    assert np.array_equal(found.lesions.data > 0, known.truth == 2)


def test_results_of_another_image_are_refused(
    tmp_path: Path, body: Any, grids: Any, ts_results: Any
) -> None:
    known = body(grids["oblique"])
    results = ts_results(tmp_path / "r", known)
    affine = known.volume.grid.affine.copy()
    affine[2, 3] += 30
    moved = replace(known.volume, grid=Grid(known.volume.grid.shape, affine))
    with pytest.raises(ModelError, match=r"another image.*30 mm"):
        run(results, moved)


@pytest.mark.parametrize("kind", ["probabilities", "not numbers", "two volumes"])
def test_what_is_no_mask_is_refused(
    kind: str, tmp_path: Path, body: Any, grids: Any, ts_results: Any
) -> None:
    """Taken for a mask, a map of probabilities made the whole image liver."""
    known = body(grids["small"])
    results = ts_results(tmp_path / "r", known)
    inside = np.isin(known.truth, (1, 2)).astype(np.float32)
    data = {
        "probabilities": 0.01 + 0.9 * inside,
        "not numbers": np.where(inside > 0, 1, np.nan).astype(np.float32),
        "two volumes": np.stack([inside, inside], axis=-1),
    }[kind]
    nib.save(nib.Nifti1Image(data, known.volume.grid.ras), results / "liver.nii.gz")
    with pytest.raises(ModelError, match="not a mask"):
        run(results, known.volume)


def test_lesions_outside_the_liver_are_not_lost_without_a_word(
    tmp_path: Path, body: Any, grids: Any, ts_results: Any
) -> None:
    known = body(grids["upright"])
    results = ts_results(tmp_path / "r", known)
    away = np.roll(known.truth == 2, 30, 0)
    path = results / "liver_lesions.nii.gz"
    nib.save(nib.Nifti1Image(away.astype(np.uint8), known.volume.grid.ras), path)
    found = run(results, known.volume)
    assert not found.lesions.data.any()
    ml = np.count_nonzero(away) * known.volume.grid.voxel_ml
    said = next(f for f in found.findings if f.code == "lesion-outside-liver")
    assert said.severity == "warning"
    assert f"{ml:.1f} mL" in said.text


def test_results_without_a_liver_say_which_tasks(tmp_path: Path, body: Any, grids: Any) -> None:
    known = body(grids["small"])
    save(known.truth == 3, known.volume.grid, tmp_path / "spleen.nii.gz")
    with pytest.raises(ModelError, match=r"no liver; there is: spleen.*total and liver_lesions"):
        from_results(tmp_path)
    (tmp_path / "liver.nii.gz").write_bytes(b"no image")
    with pytest.raises(ModelError, match="cannot be read"):
        run(tmp_path, known.volume)


# --- the program ---------------------------------------------------------------------------------


def program() -> Path:
    return shipped("configs", "backends", "totalsegmentator")


def test_each_task_is_run_without_network(stand_in: Path, body: Any, grids: Any) -> None:
    known = body(grids["oblique"])
    entry = find_model("totalsegmentator")
    found = load_model(entry)(known.volume, device="cpu", progress=lambda *_: None)
    calls = stand_in.read_text(encoding="utf-8").splitlines()
    assert [c.split("-ta ")[1].split()[0] for c in calls] == ["total", "liver_segments", "liver_lesions"]
    assert all("proxy=http://127.0.0.1:9" in c and "-d cpu" in c for c in calls)
    assert "-rs liver" in calls[0]
    assert found.segments is not None
    assert "TotalSegmentator" in found.source


def test_mr_takes_the_mr_tasks(stand_in: Path, body: Any, grids: Any) -> None:
    volume = replace(body(grids["oblique"]).volume, modality="MR")
    from_folder(program())(volume, device="auto", progress=lambda *_: None)
    calls = stand_in.read_text(encoding="utf-8")
    assert all(task in calls for task in ("total_mr", "liver_segments_mr", "liver_lesions_mr"))
    assert "-d " not in calls


@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        ("licence", r"task total needs a licence key\..*totalseg_set_license"),
        (
            "weights",
            r"weights of the task total are not installed\..*totalseg_download_weights -t total",
        ),
        ("crash", r"task total failed \(exit 1: ValueError: something odd\)"),
        ("silent", "no message, and no mask"),
    ],
)
def test_what_went_wrong_is_one_clear_line(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch, body: Any, grids: Any, trouble: str, message: str
) -> None:
    monkeypatch.setenv("STAND_IN_TROUBLE", trouble)
    with pytest.raises(ModelError, match=message) as error:
        from_folder(program())(body(grids["small"]).volume, device="cpu", progress=lambda *_: None)
    assert "\n" not in str(error.value)


def test_where_it_is_not_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ModelError, match=r'pip install "liver-burden\[totalsegmentator\]"'):
        from_folder(program())


def test_an_optional_model_that_is_absent_breaks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from burden.doctor import _model_checks, check_models

    monkeypatch.setenv("PATH", "")
    states = {m["id"]: m["state"] for m in check_models()}
    assert "not installed" in states["totalsegmentator"]
    assert {c["what"]: c["state"] for c in _model_checks()}["model totalsegmentator"] == "absent"


def test_tasks_and_program_can_be_chosen(tmp_path: Path, stand_in: Path, body: Any, grids: Any) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    text = (
        f"kind: totalsegmentator\nexecutable: {stand_in.parent}/bin/TotalSegmentator\ntasks: [total]\n"
    )
    (folder / "burden.yaml").write_text(text, encoding="utf-8")
    entry = find_model(str(folder))
    assert entry.backend == "totalsegmentator"
    found = load_model(entry)(body(grids["oblique"]).volume, device="cpu", progress=lambda *_: None)
    assert "lesions-not-segmented" in {f.code for f in found.findings}
    (folder / "burden.yaml").write_text("kind: totalsegmentator\ntasks: [brain]\n", encoding="utf-8")
    with pytest.raises(ModelError, match="tasks"):
        from_folder(folder)
