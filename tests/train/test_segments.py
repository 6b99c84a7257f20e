"""The fit of the segment model runs, writes what measuring reads, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from burden.measure.couinaud import coarse_liver, features
from burden.phantom import random_spec
from burden.phantom.make import masks
from burden.phantom.scatter import settle
from burden.train import segments


def test_fit_to_a_few_livers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import nibabel as nib

    for seed in range(3):
        found = masks(settle(random_spec(seed, frilling="none")), ())
        assert found.segments is not None
        image = nib.Nifti1Image(found.segments.data, found.segments.grid.ras)
        nib.save(image, tmp_path / f"liver{seed}_couinaud.nii.gz")
    monkeypatch.setattr(segments, "COPIES", 1)
    monkeypatch.setattr(segments, "FOLDS", 3)
    monkeypatch.setattr(segments, "EPOCHS", 40)
    segments.main(tmp_path, tmp_path / "model.npz")
    report = {
        line.split()[0]: float(line.split("mean")[1].split()[0])
        for line in capsys.readouterr().out.splitlines()
    }
    assert report["right"] > 0.9
    assert report["left"] > 0.85
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        liver = found.liver.data > 0
        small, _ = coarse_liver(liver, found.liver.grid)
        assert file["weight0"].shape[0] == features(small).shape[1]
        assert len(file["borders"]) == len(file["border_sd_mm"]) == 5
