"""Finished runs to be corrected: a digital liver, oblique, with voxels that are no cubes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import burden.pipeline
import burden.write
from burden.image import Labels, Segmentation, Volume
from burden.phantom.make import Phantom, make
from burden.phantom.spec import LesionSpec, Spec
from burden.phantom.write import save
from burden.pipeline import Job, run
from burden.review.base import Base, open_base
from burden.segment.trust import misses

FACTS = Path(__file__).resolve().parents[2] / "sample_data" / "bilobar_type2" / "facts.yaml"
LESIONS = (
    LesionSpec(centre=(-69.0, -39.0, -60.0), diameters=(70.0, 62.0, 66.0)),
    LesionSpec(centre=(-89.0, -11.0, -116.0), diameters=(34.0, 30.0, 36.0)),
    LesionSpec(centre=(31.0, -56.0, -54.0), diameters=(26.0, 22.0, 24.0)),
)


@dataclass(frozen=True)
class Made:
    """A finished run: its folder, its study and the phantom it shows."""

    out: Path
    study: Path
    phantom: Phantom

    def open(self) -> Base:
        return open_base(self.out, self.study)


def phantom(**more: Any) -> Phantom:
    settings = {"shape": (92, 80, 46), "spacing": (3.1, 3.5, 4.6), "rotation": (6.0, -5.0, 9.0)}
    return make(Spec(name="review", detail="plain", lesions=LESIONS, **settings | more))


def finished(job: Job) -> None:
    """Run a job; its pictures and reports are not needed here."""
    write = burden.write.write_case

    def few(case: Any, out: Path, *, force: bool = False) -> Any:
        return write(case, out, force=force, writers=["table", "mask"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(burden.write, "write_case", few)
        run(job)


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A DICOM study measured with given masks."""
    folder = tmp_path_factory.mktemp("given")
    made = phantom()
    (folder / "phantom").mkdir()
    save(made, folder / "phantom")
    truth = folder / "phantom" / "truth"
    job = Job(folder / "phantom" / "dicom", folder / "out", facts=(FACTS,), draws=64,
              liver=str(truth / "liver.nii.gz"), lesions=str(truth / "lesions.nii.gz"))  # fmt: skip
    finished(job)
    return Made(job.out, job.input, made)


@dataclass(frozen=True)
class Doubtful:
    """Stands in for the model: the true masks, with errors, doubts and a warning."""

    phantom: Phantom

    def __call__(self, volume: Volume, *, device: str, progress: Any) -> Segmentation:
        truth = self.phantom.truth
        chance = np.where(truth.lesions.data == 3, 0.35, 0.9) * (truth.lesions.data > 0)
        return replace(
            truth,
            liver=Labels(truth.liver.data, volume.grid),
            lesions=Labels((truth.lesions.data > 0).astype(np.uint8), volume.grid),
            separate=False,
            segments=None,
            structures=None,
            lesion_probability=chance.astype(np.float32),
            liver_boundary_sd_mm=1.1,
            lesion_boundary_sd_mm=1.9,
            lesion_existence=(-2.0, 4.0, 0.8),
            total_errors=((-0.2, -0.3, -0.1), (0.1, 0.2, 0.0), (0.6, 1.0, 0.4)),
            source="stand-in 1",
            findings=misses((0.5, 0.5)),
        )


@pytest.fixture(scope="session")
def modelled(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A NIfTI image measured with masks of a model that overlooks lesions."""
    folder = tmp_path_factory.mktemp("modelled")
    made = phantom(order="RAI")
    (folder / "phantom").mkdir()
    save(made, folder / "phantom")
    image = folder / "phantom" / "image.nii.gz"
    job = Job(image, folder / "out", facts=(FACTS,), draws=64, modality="CT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(burden.pipeline, "_loaded", lambda _entry: Doubtful(made))
        finished(job)
    return Made(job.out, image, made)
