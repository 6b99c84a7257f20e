"""The last step of a training run: calibrate the bundle, state its errors, examine it, draw its card."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from burden.train.calibrate import calibrate
from burden.train.card import draw_card, draw_failures, write_figures
from burden.train.examine import examine, summarise, total_errors, widening
from burden.train.export import export

log = logging.getLogger(__name__)


def finish(pack: Path, bundle: Path, *, repeats: int = 3) -> dict[str, Any]:
    """Fill in what a bundle says of itself, each figure from other images than those before it.

    Parameters
    ----------
    pack : Path
        Pack of the data, held-out cases included.
    bundle : Path
        Bundle with weights; its metadata.json and the pictures of ``docs/`` are written.
    repeats : int
        Diseased CTs of each held-out case in each of the three rounds.

    Returns
    -------
    dict
        What was written to metadata.json.
    """
    facts = calibrate(pack, bundle, repeats=repeats, seed=1)
    export([], bundle, facts=facts)
    log.info("calibrated")
    first = examine(pack, bundle, repeats=repeats, seed=2)
    calibration = facts["calibration"]
    calibration["total_errors"] = total_errors(first)
    sd = calibration["liver_boundary_sd_mm"] * widening(first, "liver.volume")
    calibration["liver_boundary_sd_mm"] = round(sd, 2)
    export([], bundle, facts=facts)
    log.info("errors of totals known")
    images = examine(pack, bundle, repeats=repeats, seed=3)
    mr = examine(pack, bundle, repeats=repeats, seed=3, draws=0, modality="MR")
    kinds = {kind: [image for image in images if image.kind == kind] for kind in ("CT", "healthy CT")}
    facts["held_out"] = {kind: summarise(found) for kind, found in (kinds | {"MR": mr}).items()}
    export([], bundle, facts=facts)
    write_figures(facts, bundle / "docs" / "README.md")
    draw_card(images, bundle / "docs" / "held_out.png")
    draw_failures([*images, *mr], bundle / "docs" / "failures.png")
    return facts
