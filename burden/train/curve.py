"""How a training run went: one line of ``train.csv`` every few steps, drawn as ``train.png``."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

COLUMNS = ("stage", "step", "loss", "done", "elapsed_s")
"""Loss is the mean since the line before; done the part of the stage; seconds those of the stage."""
SMOOTH = 15
"""Lines in the mean that is drawn over the losses."""


def note(journal: Path, stage: str, step: int, loss: float, done: float, elapsed_s: float) -> None:
    """Add a line to the journal, which starts with the names of its columns."""
    fresh = not journal.exists()
    with journal.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(COLUMNS)
        writer.writerow((stage, step, f"{loss:.4f}", f"{done:.4f}", f"{elapsed_s:.0f}"))


def draw(journal: Path, out: Path) -> Path | None:
    """Loss against step, a panel for each stage; None where nothing was written yet.

    A run that was cut and resumed did some steps twice: the later line counts.
    """
    from matplotlib.figure import Figure

    if not journal.exists():
        return None
    stages: dict[str, dict[int, float]] = {}
    with journal.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            stages.setdefault(row["stage"], {})[int(row["step"])] = float(row["loss"])
    if not stages:
        return None
    figure = Figure(figsize=(4.2 * len(stages), 3.4), layout="constrained")
    for panel, (stage, losses) in zip(
        figure.subplots(1, len(stages), squeeze=False).flat, stages.items(), strict=True
    ):
        steps = np.array(sorted(losses))
        values = np.array([losses[step] for step in steps])
        known = np.isfinite(values)
        panel.plot(steps[known], values[known], ".", color="0.75", ms=3)
        if known.sum() >= SMOOTH:
            mean = np.convolve(values[known], np.ones(SMOOTH) / SMOOTH, mode="valid")
            panel.plot(steps[known][SMOOTH - 1 :], mean, color="C0")
        panel.set(title=stage, xlabel="step", ylabel="loss")
    figure.savefig(out, dpi=110)
    return out
