"""A large study is measured in seconds."""

from __future__ import annotations

import time

import numpy as np

from burden.facts import Facts
from burden.grid import Grid
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import measure


def test_512_by_512_by_400_with_100_lesions() -> None:
    """Less than 15 s of processor time; wall time is the machine's affair."""
    grid = Grid.from_axes((512, 512, 400), (0.75, 0.75, 1.0), (-190, -190, -200))
    x, y, z = (np.arange(n, dtype=np.float32) for n in grid.shape)
    x, y, z = (-190 + 0.75 * x)[:, None, None], (-190 + 0.75 * y)[:, None], -200 + z
    liver = ((x / 110) ** 2 + (y / 75) ** 2 + (z / 75) ** 2 <= 1).astype(np.uint8)
    marks = np.zeros(grid.shape, np.uint16)
    rng = np.random.default_rng(0)
    places = rng.permutation(np.argwhere(np.ones((9, 6, 6))) - [4, 2.5, 2.5]) * [22, 22, 22]
    inside = [p for p in places if ((p / [95, 60, 60]) ** 2).sum() < 1][:100]
    assert len(inside) == 100
    for n, centre in enumerate(inside):
        radius = rng.uniform(3, 10)
        middle, reach = np.round(grid.index(centre)).astype(int), int(radius / 0.75) + 2
        box = tuple(slice(m - reach, m + reach) for m in middle)
        near = (x[box[0]] - centre[0]) ** 2 + (y[box[1]] - centre[1]) ** 2 + (z[box[2]] - centre[2]) ** 2
        marks[box][near <= radius**2] = n + 1
    volume = Volume(np.full(grid.shape, 60, np.int16), grid, "CT", Origin("phantom", "large"), "portal")
    segments = Labels(np.where(x < 0, np.uint8(8), np.uint8(4)) * liver, grid)
    found = Segmentation(Labels(liver, grid), Labels(marks, grid), "toy", True, segments)
    start = time.process_time()
    result = measure(volume, found, Facts())
    assert time.process_time() - start < 15.0
    assert len(result.lesions) == 100
