"""Fit the segment model of :mod:`burden.measure.couinaud` to livers with Couinaud labels.

``python -m burden.train.segments FOLDER`` reads ``FOLDER/*_couinaud.nii.gz``, prints the
cross-validated Dice and the error of the right-hepatectomy remnant, and writes
``configs/segments.npz``. Each liver is also seen three times turned and stretched a little.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from burden.grid import Grid
from burden.measure.anatomy import BORDERS, LEFT, RIGHT, border, border_areas
from burden.measure.couinaud import STEP_MM, ShapeModel, coarse_liver, features
from burden.resources import shipped

COPIES = 4
POINTS = 2500
HIDDEN = 64
EPOCHS = 4
DROPOUT = 0.3
WEIGHT_DECAY = 1.0
FOLDS = 5

Labels8 = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Liver:
    """One liver on the 5 mm grid: the mask, features and labels (0 unknown) of its points."""

    mask: NDArray[np.bool_]
    features: NDArray[np.float32]
    labels: Labels8


def load(path: Path, seed: int) -> list[Liver]:
    """A liver as it is, and turned and stretched copies of it."""
    import nibabel as nib

    image = nib.load(path)
    labels = np.asarray(image.dataobj).astype(np.uint8)
    grid = Grid.from_ras(labels.shape, image.affine)
    rng = np.random.default_rng(seed)
    found = []
    for copy in range(COPIES):
        affine = grid.affine.copy()
        if copy:  # a turned and stretched liver is the same array on a turned, stretched grid
            affine[:3, :3] = _turn(rng) @ np.diag(np.exp(rng.normal(0, 0.06, 3))) @ affine[:3, :3]
        found.append(_liver(labels, Grid(grid.shape, affine)))
    return found


def _turn(rng: np.random.Generator) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_euler("xyz", rng.normal(0, 6, 3), degrees=True).as_matrix())


def _liver(labels: Labels8, grid: Grid) -> Liver:
    mask, coarse = coarse_liver(labels > 0, grid)
    index = np.round(grid.index(coarse.world(np.argwhere(mask)))).astype(int)
    index = np.clip(index, 0, np.array(labels.shape) - 1)
    return Liver(mask, features(mask).astype(np.float32), labels[tuple(index.T)])


def fit(livers: Sequence[Liver], seed: int = 0) -> ShapeModel:
    """Train the network on points drawn from every liver."""
    import torch

    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    picks = [(v, rng.choice(np.flatnonzero(v.labels), POINTS)) for v in livers]
    raw = np.concatenate([v.features[p] for v, p in picks])
    mean, scale = raw.mean(0), raw.std(0) + 1e-6
    x = torch.from_numpy(np.clip((raw - mean) / scale, -4, 4))
    y = torch.from_numpy(np.concatenate([v.labels[p] for v, p in picks]).astype(np.int64) - 1)
    sizes = (x.shape[1], HIDDEN, HIDDEN, 8)
    layers: list[torch.nn.Module] = [torch.nn.Dropout(DROPOUT / 3)]
    for k in range(3):
        layers.append(torch.nn.Linear(sizes[k], sizes[k + 1]))
        layers += [torch.nn.ReLU(), torch.nn.Dropout(DROPOUT)] if k < 2 else []
    net = torch.nn.Sequential(*layers)
    batch, steps = 4096, EPOCHS * len(x) // 4096
    optimiser = torch.optim.AdamW(net.parameters(), lr=6e-3, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps + 1)
    for _ in range(steps):
        pick = torch.randint(0, len(x), (batch,))
        loss = torch.nn.functional.cross_entropy(net(x[pick]), y[pick], label_smoothing=0.02)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    linear = [m for m in net if isinstance(m, torch.nn.Linear)]
    weights = tuple(
        (m.weight.detach().numpy().T.astype(float), m.bias.detach().numpy().astype(float))
        for m in linear
    )
    return ShapeModel(weights, mean.astype(float), scale.astype(float), {})


def errors(model: ShapeModel, liver: Liver) -> dict[str, float]:
    """Dice of each side and segment, remnant error (points); wrong tissue and area of each border."""
    known = liver.labels > 0
    truth = liver.labels[known]
    guess = (model.probabilities(liver.features.astype(float)).argmax(1) + 1)[known]
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
    paths = sorted(folder.glob("*_couinaud.nii.gz"))
    livers = [load(path, k) for k, path in enumerate(paths)]
    rows = []
    for fold in range(FOLDS):
        model = fit([v for k, copies in enumerate(livers) if k % FOLDS != fold for v in copies])
        rows += [errors(model, copies[0]) for k, copies in enumerate(livers) if k % FOLDS == fold]
    table = {name: np.array([r[name] for r in rows]) for name in rows[0]}
    for name, values in table.items():
        middle, most = np.quantile(np.abs(values), (0.5, 0.9))
        print(f"{name:16s} mean {values.mean():7.3f}  |.| median {middle:.3f}  p90 {most:.3f}")
    model = fit([v for copies in livers for v in copies])
    arrays: dict[str, NDArray[np.generic]] = {"layers": np.array(len(model.layers))}
    for k, (weight, bias) in enumerate(model.layers):
        arrays |= {f"weight{k}": weight.astype(np.float16), f"bias{k}": bias.astype(np.float32)}
    arrays |= {"mean": model.mean.astype(np.float32), "scale": model.scale.astype(np.float32)}
    arrays["borders"] = np.array(BORDERS)
    # Tissue on the wrong side over border area: a small border weighs little, as it does in draws.
    moved = [np.sqrt((table[f"{name} mm3"] ** 2).mean()) for name in BORDERS]
    area = [np.sqrt((table[f"{name} mm2"] ** 2).mean()) for name in BORDERS]
    arrays["border_sd_mm"] = np.divide(moved, area)
    np.savez_compressed(out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main(Path(sys.argv[1]), shipped("configs", "segments.npz"))
