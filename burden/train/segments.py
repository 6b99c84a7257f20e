"""Fit the segment model of :mod:`burden.measure.couinaud` to livers with Couinaud labels.

``python -m burden.train.segments FOLDER`` reads ``FOLDER/*_couinaud.nii.gz``, prints the
cross-validated Dice and the error of the right-hepatectomy remnant, and writes
``configs/segments.npz``. Livers are turned, stretched and bent anew in every step.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from burden.grid import Grid
from burden.measure.anatomy import BORDERS, LEFT, RIGHT, border, border_areas
from burden.measure.couinaud import (
    CELL_MM,
    CELLS,
    STEP_MM,
    ShapeModel,
    cells,
    coarse_liver,
    descriptors,
    inputs,
    shape_net,
)
from burden.resources import shipped

STEPS = 1700
BATCH = 2
LEARNING_RATE = 1.5e-3
WEIGHT_DECAY = 0.1
AVERAGE = 0.995
FOLDS = 5
TURN_DEG, STRETCH, SHIFT_MM = 7.0, 0.08, 5.0
BENT, BENDS, BEND_CELLS = 0.6, 5, 1.3
"""Share of livers that are bent, control points along each side, and the most they move (1 sd)."""

Labels8 = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Liver:
    """One liver: labels on their grid; its mask on the 5 mm grid, labels of those points (0 unknown)."""

    native: Labels8
    grid: Grid
    middle: NDArray[np.float64]
    mask: NDArray[np.bool_]
    labels: Labels8


def load(path: Path) -> Liver:
    """Read the labels of one liver."""
    import nibabel as nib

    image = nib.load(path)
    labels = np.asarray(image.dataobj).astype(np.uint8)
    grid = Grid.from_ras(labels.shape, image.affine)
    mask, coarse = coarse_liver(labels > 0, grid)
    places = coarse.world(np.argwhere(mask))
    index = np.clip(np.round(grid.index(places)).astype(int), 0, np.array(labels.shape) - 1)
    middle = (places.min(0) + places.max(0)) / 2.0
    return Liver(labels, grid, middle, mask, labels[tuple(index.T)])


def seen(liver: Liver, rng: np.random.Generator) -> Labels8:
    """Labels on the grid of the network, turned, stretched, shifted and bent at random."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", rng.normal(0, TURN_DEG, 3), degrees=True).as_matrix()
    change = turn @ np.diag(np.exp(rng.normal(0, STRETCH, 3))) * CELL_MM
    places = cells()
    if rng.random() < BENT:
        knots = rng.normal(0, rng.uniform(0, BEND_CELLS), (3, BENDS, BENDS, BENDS))
        places = places + np.stack([zoom(k, CELLS / BENDS, order=1).ravel() for k in knots], axis=1)
    index = liver.grid.index(places @ change.T + liver.middle + rng.normal(0, SHIFT_MM, 3))
    found = map_coordinates(liver.native, index.T, order=0, mode="constant")
    return np.asarray(found, dtype=np.uint8).reshape((CELLS,) * 3)


def fit(livers: Sequence[Liver], seed: int = 0) -> ShapeModel:
    """Train the network; the model has the moving average of its weights."""
    import torch

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = shape_net().train()
    average = {name: value.clone() for name, value in net.state_dict().items()}
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for step in range(STEPS):
        rate = LEARNING_RATE * min(1.0, (step + 1) / 50) * (1.0 - step / STEPS) ** 0.9
        for group in optimiser.param_groups:
            group["lr"] = rate
        labels = [seen(livers[k], rng) for k in rng.integers(len(livers), size=BATCH)]
        x = torch.from_numpy(np.stack([inputs(one > 0) for one in labels]))
        y = torch.from_numpy(np.stack(labels).astype(np.int64))
        with torch.autocast("cpu", torch.bfloat16):
            logits = net(x)
        known = y > 0
        loss = torch.nn.functional.cross_entropy(
            logits.float().permute(0, 2, 3, 4, 1)[known], y[known] - 1, label_smoothing=0.02
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        # Now and then a gradient overflows; such a step is left out.
        if torch.isfinite(torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)):
            optimiser.step()
        with torch.no_grad():
            for name, value in net.state_dict().items():
                average[name].lerp_(value, 1.0 - min(AVERAGE, (step + 1) / (step + 10)))
    shapes = np.stack([descriptors(v.mask) for v in livers])
    weights = {name: value.numpy() for name, value in average.items()}
    return ShapeModel(weights, shapes.mean(0), shapes.std(0) + 1e-6, {})


def errors(model: ShapeModel, liver: Liver) -> dict[str, float]:
    """Dice of each side and segment, remnant error (points); wrong tissue and area of each border."""
    known = liver.labels > 0
    truth = liver.labels[known]
    guess = (model.probabilities(liver.mask).argmax(1) + 1)[known]
    found = {f"segment {n}": _dice(guess == n, truth == n) for n in range(1, 9)}
    found |= {
        name: _dice(np.isin(guess, g), np.isin(truth, g))
        for name, g in (("right", RIGHT), ("left", LEFT))
    }
    found["remnant"] = 100.0 * float((guess < 5).mean() - (truth < 5).mean())
    labels = np.zeros(liver.mask.shape, np.uint8)
    labels[liver.mask] = liver.labels
    areas = border_areas(labels, liver.mask, (STEP_MM,) * 3)
    for name in BORDERS:
        pairs = [(a, b) for a in range(1, 9) for b in range(a + 1, 9) if border(a, b) == name]
        found[f"{name} mm2"] = float(sum(areas[p] for p in pairs))
        moved = sum(
            ((truth == b) & (guess == a)).sum() - ((truth == a) & (guess == b)).sum() for a, b in pairs
        )
        found[f"{name} mm3"] = float(moved) * STEP_MM**3
    return found


def _dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float(2 * (a & b).sum() / max(a.sum() + b.sum(), 1))


def main(folder: Path, out: Path) -> None:
    """Cross-validate, fit to all, write."""
    livers = [load(path) for path in sorted(folder.glob("*_couinaud.nii.gz"))]
    rows = []
    for fold in range(FOLDS):
        model = fit([v for k, v in enumerate(livers) if k % FOLDS != fold])
        rows += [errors(model, v) for k, v in enumerate(livers) if k % FOLDS == fold]
    write(fit(livers), rows, out)


def write(model: ShapeModel, rows: Sequence[dict[str, float]], out: Path) -> None:
    """Print the errors of cross-validation; write the model with those of its borders."""
    table = {name: np.array([r[name] for r in rows]) for name in rows[0]}
    for name, values in table.items():
        middle, most = np.quantile(np.abs(values), (0.5, 0.9))
        print(f"{name:16s} mean {values.mean():7.4f}  |.| median {middle:.3f}  p90 {most:.3f}")
    arrays: dict[str, NDArray[np.generic]] = {
        f"net.{name}": value.astype(np.float16) for name, value in model.weights.items()
    }
    arrays |= {"mean": model.mean.astype(np.float32), "scale": model.scale.astype(np.float32)}
    arrays["borders"] = np.array(BORDERS)
    # Tissue on the wrong side over border area: a small border weighs little, as it does in draws.
    moved = [np.sqrt((table[f"{name} mm3"] ** 2).mean()) for name in BORDERS]
    area = [np.sqrt((table[f"{name} mm2"] ** 2).mean()) for name in BORDERS]
    arrays["border_sd_mm"] = np.divide(moved, area)
    np.savez_compressed(out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), shipped("configs", "segments.npz"))
