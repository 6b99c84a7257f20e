"""Random digital livers with truth masks: types, volumes and diameters are those of the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from burden.facts import Facts
from burden.image import Origin, Volume
from burden.measure import measure
from burden.phantom import random_spec
from burden.phantom.blobs import Blob
from burden.phantom.make import masks
from burden.phantom.scatter import settle
from burden.phantom.truth import fact_truth, lesion_truth

READINGS = ("frilling.type", "frilling.type.enets2012", "frilling.type.frilling2009")


@pytest.mark.parametrize("seed", range(24))
def test_random_livers(seed: int) -> None:
    kind = ("I", "II", "III", "unilobar")[seed % 4]
    spec = settle(random_spec(seed, frilling=kind, oblique=seed % 2 == 0, any_order=seed % 3 == 0))
    blobs = [Blob.of(lesion, spec.seed + n) for n, lesion in enumerate(spec.lesions)]
    ordered = tuple(sorted(blobs, key=lambda b: -b.volume_ml))
    truth = lesion_truth(spec, ordered)
    facts = fact_truth(spec, truth)
    volume = Volume(np.zeros(spec.grid.shape, np.int16), spec.grid, "CT", Origin("phantom", str(seed)))
    result = measure(volume, masks(spec, ordered), Facts(), draws=0)
    for reading in READINGS:
        if reading in facts:
            assert result.facts[reading].best == facts[reading].best, result.facts[reading].note
    assert result.facts["liver.volume"].best == pytest.approx(facts["liver.volume"].best, rel=0.01)
    diagonal = float(np.linalg.norm(np.delete(spec.grid.spacing, spec.grid.slice_axis)))
    for row in result.lesions:
        same = min(
            truth, key=lambda t: float(np.linalg.norm(np.subtract(t.centroid_mm, row.centroid_mm)))
        )
        assert row.lobe == same.lobe
        if same.volume_ml > 500 * spec.grid.voxel_ml:
            assert row.volume_ml == pytest.approx(same.volume_ml, rel=0.05)
            assert abs(row.recist_long_mm - same.recist_long_mm) <= diagonal
