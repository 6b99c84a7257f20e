"""Written phantoms, read back by other people's tools."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from burden.errors import OutputError
from burden.grid import Grid
from burden.phantom import LesionSpec, Phantom, Spec, load_spec, make, write_phantom

SMALL = Spec(
    name="small_one",
    seed=2,
    detail="plain",
    shape=(60, 56, 40),
    spacing=(5.0, 5.5, 5.0),
    rotation=(6.0, -4.0, 9.0),
    lesions=(
        LesionSpec("hypo", None, 8, (30.0, 26.0, 28.0)),
        LesionSpec("cystic", None, 3, (12.0, 12.0, 12.0)),
    ),
)
KINDS = {
    "CT": SMALL,
    "MR": replace(SMALL, modality="MR", phase="t1_hepatobiliary"),
    "DWI": replace(SMALL, modality="MR", phase="dwi"),
    "T2": replace(SMALL, modality="MR", phase="t2"),
    "plain CT": replace(SMALL, phase="non-contrast", rotation=(0.0, 0.0, 0.0), order="LPI"),
}


@pytest.fixture(scope="module", params=KINDS)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Phantom, Path]:
    out = tmp_path_factory.mktemp("phantom") / "out"
    write_phantom(KINDS[request.param], out)
    return make(KINDS[request.param]), out


def test_simpleitk_reads_the_same_values_at_the_same_places(written: tuple[Phantom, Path]) -> None:
    import SimpleITK as sitk

    phantom, out = written
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(out / "dicom")))
    image = reader.Execute()
    data = sitk.GetArrayFromImage(image).transpose()
    axes = np.array(image.GetDirection()).reshape(3, 3)
    grid = Grid.from_axes(data.shape, image.GetSpacing(), image.GetOrigin(), axes)
    ours = phantom.volume.grid
    index = np.argwhere(np.ones([3, 3, 3])) * (np.array(ours.shape) - 1) // 2
    theirs = grid.index(ours.world(index))
    assert np.abs(theirs - np.rint(theirs)).max() < 1e-3
    cells = np.rint(theirs).astype(int)
    assert np.array_equal(data[tuple(cells.T)], phantom.volume.data[tuple(index.T)])
    assert np.array_equal(np.sort(data.ravel()), np.sort(phantom.volume.data.ravel()))


def test_names_do_not_sort_by_place_but_instances_do(written: tuple[Phantom, Path]) -> None:
    import pydicom

    _, out = written
    rows = [pydicom.dcmread(p, stop_before_pixels=True) for p in sorted((out / "dicom").iterdir())]
    heights = [float(r.ImagePositionPatient[2]) for r in rows]
    assert heights not in (sorted(heights), sorted(heights)[::-1])
    by_number = [
        float(r.ImagePositionPatient[2]) for r in sorted(rows, key=lambda r: int(r.InstanceNumber))
    ]
    assert by_number == sorted(by_number)[::-1]
    assert len({r.SOPInstanceUID for r in rows}) == len(rows)
    assert {str(r.PatientName).split("^")[0] for r in rows} == {"Phantom"}
    assert rows[0].PatientID.startswith("PHANTOM-")


def test_dciodvfy_finds_no_error(written: tuple[Phantom, Path]) -> None:
    tool = shutil.which("dciodvfy")
    if tool is None:
        assert os.environ.get("CI") != "true", "dciodvfy (dicom3tools) is needed in CI"
        pytest.skip("NOT CHECKED: dciodvfy is not installed, DICOM conformance was not looked at")
    _, out = written
    for path in sorted((out / "dicom").iterdir())[::17]:
        done = subprocess.run([tool, "-new", str(path)], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        assert "Error" not in said, said


def test_nifti_masks_and_truth_agree_with_make(written: tuple[Phantom, Path]) -> None:
    import nibabel as nib

    phantom, out = written
    image = nib.load(out / "image.nii.gz")
    assert Grid.from_ras(image.shape, image.affine).same_as(phantom.volume.grid)
    assert np.array_equal(np.asarray(image.dataobj), phantom.volume.data)
    for name in ("liver", "lesions", "segments", "structures"):
        labels = nib.load(out / "truth" / f"{name}.nii.gz")
        assert np.array_equal(np.asarray(labels.dataobj), getattr(phantom.truth, name).data)
    table = json.loads((out / "truth.json").read_text())
    assert table["facts"]["tumor.volume"]["value"] == pytest.approx(phantom.facts["tumor.volume"].best)
    assert [row["id"] for row in table["lesions"]] == [1, 2]
    assert load_spec(out / "spec.yaml") == phantom.spec


def test_writing_twice_gives_equal_dicom_files(tmp_path: Path) -> None:
    spec = replace(SMALL, shape=(40, 40, 8), lesions=())
    for name in ("a", "b"):
        write_phantom(spec, tmp_path / name)
    first = {p.name: p.read_bytes() for p in (tmp_path / "a" / "dicom").iterdir()}
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "b" / "dicom").iterdir()}
    assert len(first) == 8


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="exists"):
        write_phantom(SMALL, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unwritable_place_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        write_phantom(replace(SMALL, lesions=()), blocked / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
