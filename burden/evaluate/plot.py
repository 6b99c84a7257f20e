"""A picture of an evaluation: agreement of burden and liver volume, and lesions found by size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from burden.evaluate.lesions import bands
from burden.evaluate.score import Score
from burden.evaluate.statistics import LIMITS_SD, liver_error

INK, FAINT, FALSE = "#1f4e79", "#9aa5b1", "#b3392f"
Points = list[tuple[float, float]]


def draw_evaluation(scores: Sequence[Score], overlaps: tuple[float, ...], path: Path) -> None:
    """Bland-Altman of burden and of liver volume, and recall by lesion size, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    burden, liver, size = figure.subplots(1, 3)
    _bland_altman(burden, _burdens(scores), "burden", "%", "points")
    _bland_altman(liver, _livers(scores), "liver volume", "mL", "mL")
    _by_size(size, scores, overlaps)
    figure.savefig(path, dpi=120)


def _burdens(scores: Sequence[Score]) -> Points:
    """Mean of both burdens and their difference."""
    both = [s.burden for s in scores]
    return [((a + b) / 2, a - b) for a, b in both if a is not None and b is not None]


def _livers(scores: Sequence[Score]) -> Points:
    return [
        ((s.liver.predicted_ml + s.liver.reference_ml) / 2, error)
        for s in scores
        if s.liver is not None and (error := liver_error(s)) is not None
    ]


def _bland_altman(axes: Any, points: Points, name: str, unit: str, difference: str) -> None:
    axes.set_title(f"{name[0].upper()}{name[1:]}: agreement", loc="left")
    if not points:
        _nothing(axes, f"no case tells the {name}")
        return
    middle, errors = np.array(points).T
    axes.axhline(0, color=FAINT, linewidth=0.8)
    axes.plot(middle, errors, "o", color=INK, alpha=0.7, markersize=5)
    bias = float(errors.mean())
    axes.axhline(bias, color=INK, linewidth=1.2)
    label = f"bias {bias:+.3g}"
    if errors.size > 1:
        spread = LIMITS_SD * float(errors.std(ddof=1))
        for limit in (bias - spread, bias + spread):
            axes.axhline(limit, color=INK, linewidth=1.0, linestyle="--")
        label += f", 95 % limits {bias - spread:+.3g} to {bias + spread:+.3g} {difference}"
    else:
        label += f" {difference}, one case: no limits"
    axes.set_xlabel(f"mean of prediction and reference, {unit}\n{label}")
    axes.set_ylabel(f"prediction - reference, {difference}")
    _plain(axes)


def _by_size(axes: Any, scores: Sequence[Score], overlaps: tuple[float, ...]) -> None:
    """Share of reference lesions found in each band, at the largest overlap asked for."""
    least = max(overlaps)
    at = "any overlap" if least <= 0 else f"IoU >= {least:g}"
    axes.set_title(f"Reference lesions found ({at})", loc="left")
    lesions = [c for s in scores for c in s.components if c.side == "reference"]
    false = sum(not c.matched(least) for s in scores for c in s.components if c.side == "predicted")
    if not lesions:
        _nothing(axes, "no reference lesion")
        return
    for place, (_, low, high) in enumerate(bands()):
        inside = [c for c in lesions if low <= c.diameter_mm < high]
        found = sum(c.matched(least) for c in inside)
        share = found / len(inside) if inside else 0.0
        axes.bar(place, share, color=INK, width=0.6)
        text = f"{found} of {len(inside)}" if inside else "none"
        axes.text(place, share + 0.02, text, ha="center", va="bottom", fontsize=9)
    axes.set_xticks(range(len(bands())), [name for name, _, _ in bands()])
    axes.set_ylim(0, 1.12)
    axes.set_xlabel(f"diameter of the sphere of the same volume\n{false} false lesions")
    axes.set_ylabel("recall")
    _plain(axes)


def _nothing(axes: Any, text: str) -> None:
    axes.text(0.5, 0.5, text, ha="center", va="center", color=FALSE, transform=axes.transAxes)
    axes.set_axis_off()


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
