"""The last step of a training run: calibrate the bundle, state its errors, examine it, draw its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from burden.train.calibrate import calibrate
from burden.train.card import draw_card, draw_failures, write_figures
from burden.train.examine import examine, summarise, total_errors, widening
from burden.train.export import export


def finish(
    pack: Path,
    bundle: Path,
    *,
    repeats: int = 3,
    progress: Callable[[str, float], None] = lambda _step, _done: None,
) -> dict[str, Any]:
    """Fill in what a bundle says of itself, each figure from other images than those before it.

    Parameters
    ----------
    pack : Path
        Pack of the data, held-out cases included.
    bundle : Path
        Bundle with weights; its metadata.json and the pictures of ``docs/`` are written.
    repeats : int
        Diseased CTs of each held-out case in each of the three rounds.
    progress : callable
        Told the step and the part of it that is done.

    Returns
    -------
    dict
        What was written to metadata.json.
    """
    progress("calibrate", 0.0)
    facts = calibrate(pack, bundle, repeats=repeats, seed=1)
    export([], bundle, facts=facts)
    progress("calibrate", 0.4)
    first = examine(pack, bundle, repeats=repeats, seed=2)
    calibration = facts["calibration"]
    calibration["total_errors"] = total_errors(first)
    sd = calibration["liver_boundary_sd_mm"] * widening(first, "liver.volume")
    calibration["liver_boundary_sd_mm"] = round(sd, 2)
    export([], bundle, facts=facts)
    progress("calibrate", 1.0)
    progress("examine", 0.0)
    images = examine(pack, bundle, repeats=repeats, seed=3)
    mr = examine(pack, bundle, repeats=repeats, seed=3, draws=0, modality="MR")
    kinds = {kind: [image for image in images if image.kind == kind] for kind in ("CT", "healthy CT")}
    facts["held_out"] = {kind: summarise(found) for kind, found in (kinds | {"MR": mr}).items()}
    export([], bundle, facts=facts)
    write_figures(facts, bundle / "docs" / "README.md")
    draw_card(images, bundle / "docs" / "held_out.png")
    draw_failures([*images, *mr], bundle / "docs" / "failures.png")
    progress("examine", 1.0)
    return facts
