"""Random digital livers with truth masks: types, volumes and diameters are those of the formulas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    for side in ("right", "left"):
        share = result.facts[f"treated.{side}"].best
        assert share == pytest.approx(facts[f"treated.{side}"].best, abs=1.0)
    diagonal = float(np.linalg.norm(np.delete(spec.grid.spacing, spec.grid.slice_axis)))
    for row in result.lesions:
        same = min(
            truth, key=lambda t: float(np.linalg.norm(np.subtract(t.centroid_mm, row.centroid_mm)))
        )
        assert row.lobe == same.lobe
        if same.volume_ml > 500 * spec.grid.voxel_ml:
            assert row.volume_ml == pytest.approx(same.volume_ml, rel=0.05)
            assert abs(row.recist_long_mm - same.recist_long_mm) <= diagonal


def test_the_treated_share_of_the_liver(toy: Callable[..., Any], three: Any) -> None:
    """Of a hemiliver, and of the segments that hold a tenth or more of some lesion."""
    volume, found = toy(three).make()
    result = measure(volume, found, Facts(), draws=64)
    sizes = np.bincount(found.segments.data.ravel(), minlength=9)
    held = sorted({n for row in result.lesions for n, share in row.segments.items() if share >= 0.1})
    assert 1 < len(held) < 6
    for name, group in (("right", [5, 6, 7, 8]), ("left", [2, 3, 4]), ("involved", held)):
        fact = result.facts[f"treated.{name}"]
        assert fact.best == pytest.approx(100 * sizes[group].sum() / sizes[1:].sum(), abs=0.01)
        low, _, high = fact.quantiles()
        assert low < fact.best < high
        assert 0 <= fact.draws.min() <= fact.draws.max() <= 100
    cut = measure(*toy(three, cut_top=True).make(), Facts(), draws=0).facts
    assert cut["treated.right"].best is None, "a part of the liver was not seen"
