"""The shipped bundle on real images it has never seen, read as a user would give them."""

from __future__ import annotations

import resource
import time
from pathlib import Path

import numpy as np
import pytest

from burden.read import read_mask, read_study
from burden.resources import shipped
from burden.segment.monai_bundle import from_bundle

pytestmark = pytest.mark.real_data


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_portal_ct_with_two_tumors(real_data: Path) -> None:
    """Liver Dice of 0.95 and lesion Dice of 0.65 on the native grid, in bounded time and memory."""
    folder = real_data / "check_ct"
    volume = read_study(folder / "ircad17_dicom").volume
    truth = read_mask(folder / "ircad17_liver1_tumor2.nii.gz", volume.grid)
    start = time.process_time()
    found = from_bundle(shipped("models", "liver_burden_ctmr"))(
        volume, device="cpu", progress=lambda *_: None
    )
    assert time.process_time() - start < 240  # two cores for two minutes
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 5e6  # kB
    liver = found.liver.data > 0
    assert dice(liver, truth.data > 0) >= 0.95
    assert dice(found.lesions.data > 0, truth.data == 2) >= 0.65
    # one connected piece, and a sane size for a liver
    assert 1200 < liver.sum() * volume.grid.voxel_ml < 2800


def test_the_bladder_of_a_trunk_scan_is_not_the_liver(real_data: Path) -> None:
    """Non-contrast, 3 mm, cut at the top and reaching down to the hips."""
    folder = real_data / "check_ct" / "totalseg_example"
    volume = read_study(folder / "example_ct.nii.gz", modality="CT").volume
    truth = read_mask(folder / "example_liver.nii.gz", volume.grid)
    found = from_bundle(shipped("models", "liver_burden_ctmr"))(
        volume, device="cpu", progress=lambda *_: None
    )
    assert dice(found.liver.data > 0, truth.data > 0) >= 0.9
    assert (found.lesions.data > 0).sum() < 0.02 * (truth.data > 0).sum()
