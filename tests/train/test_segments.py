"""The fit of the segment model runs, writes what measuring reads, and learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from burden.measure import couinaud
from burden.measure.anatomy import BORDERS
from burden.measure.couinaud import coarse_liver
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
    monkeypatch.setattr(segments, "FOLDS", 3)
    monkeypatch.setattr(segments, "STEPS", 120)
    monkeypatch.setattr(couinaud, "CELLS", 16)
    monkeypatch.setattr(couinaud, "_ROOM", 13)
    for room in (segments, couinaud):
        monkeypatch.setattr(room, "CELL_MM", 19.0)
    monkeypatch.setattr(segments, "CELLS", 16)
    segments.main(tmp_path, tmp_path / "model.npz")
    report = {
        line.split()[0]: float(line.split("mean")[1].split()[0])
        for line in capsys.readouterr().out.splitlines()
    }
    assert report["right"] > 0.9
    assert report["left"] > 0.85
    monkeypatch.setattr(couinaud, "shipped", lambda *_: tmp_path / "model.npz")
    model = couinaud.shape_model.__wrapped__()
    small, _ = coarse_liver(found.liver.data > 0, found.liver.grid)
    assert model.probabilities(small).shape == (small.sum(), 8)
    assert model.strangeness(small) == 0
    assert set(model.border_sd_mm) == set(BORDERS)


def test_a_liver_is_seen_anew_each_time_and_stays_one(tmp_path: Path) -> None:
    import nibabel as nib

    found = masks(settle(random_spec(3, frilling="none")), ())
    assert found.segments is not None
    path = tmp_path / "one_couinaud.nii.gz"
    nib.save(nib.Nifti1Image(found.segments.data, found.segments.grid.ras), path)
    liver = segments.load(path)
    ml = np.count_nonzero(found.liver.data) * found.liver.grid.voxel_ml
    first, second = (segments.seen(liver, np.random.default_rng(seed)) for seed in (0, 1))
    assert not np.array_equal(first, second)
    for one in (first, second):
        assert set(np.unique(one)) == set(range(9))
        assert np.count_nonzero(one) * segments.CELL_MM**3 / 1000.0 == pytest.approx(ml, rel=0.6)
        right, left = (np.argwhere(np.isin(one, side)).mean(0)[0] for side in ([5, 6, 7, 8], [2, 3, 4]))
        assert right < left, "the first axis goes to the left, as in LPS"
