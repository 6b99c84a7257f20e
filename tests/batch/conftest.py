"""A small digital liver, and a queue of such studies that differ in their pixels."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from burden.pipeline import Job


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with image.nii.gz, dicom/ and truth/."""
    from burden.phantom import LesionSpec, Spec, write_phantom

    lesions = (
        LesionSpec(look="hypo", segment=6, diameters=(40.0, 40.0, 40.0)),
        LesionSpec(look="hypo", segment=2, diameters=(32.0, 32.0, 32.0)),
    )
    spec = Spec(shape=(40, 36, 30), spacing=(8.0, 8.0, 8.0), detail="plain", lesions=lesions)
    out = tmp_path_factory.mktemp("phantom") / "p"
    write_phantom(spec, out)
    return out


@pytest.fixture(scope="session")
def queue(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """``queue(n)``: a manifest of n studies with given masks, each with its own pixels."""

    def make(count: int) -> Path:
        return write_queue(phantom, tmp_path_factory.mktemp("queue"), count)

    return make


def write_queue(phantom: Path, folder: Path, count: int) -> Path:
    image = nib.load(phantom / "image.nii.gz")
    pixels = np.asarray(image.dataobj)
    rows = []
    for n in range(count):
        changed = pixels.copy()
        changed[0, 0, 0] = -1000 + n  # air outside the body
        nib.save(nib.Nifti1Image(changed, image.affine), folder / f"ct{n}.nii.gz")
        rows.append((f"P{n:02}", f"ct{n}.nii.gz", "liver.nii.gz", "lesions.nii.gz", "CT"))
    for name in ("liver", "lesions"):
        shutil.copy(phantom / "truth" / f"{name}.nii.gz", folder)
    manifest = folder / "manifest.csv"
    write_manifest(manifest, rows, ("case", "input", "liver", "lesions", "modality"))
    return manifest


def write_manifest(path: Path, rows: list[tuple[str, ...]], heads: tuple[str, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows((heads, *rows))


@pytest.fixture
def base(tmp_path: Path) -> Job:
    """The options of a cheap batch into tmp_path/out."""
    return Job(input=tmp_path, out=tmp_path / "out", draws=0, books=("nelm.transplant.milan",))
