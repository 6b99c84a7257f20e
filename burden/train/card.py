"""The measured part of a model card: figures, how good its answers are, where it was worst."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from burden.train.examine import BANDS_MM, Examined

FIGURES = "<!-- figures: written by burden train -->", "<!-- end of figures -->"
"""What `write_figures` replaces stands between these lines."""
KINDS = {"CT": "CT with lesions", "healthy CT": "CT without", "MR": "MR-like"}
COLUMNS = (
    "images",
    "liver Dice (worst)",
    "lesion Dice",
    "lesions found: all / 10 mm and more",
    "precision",
    "false lesions an image",
    "burden, mean absolute / root mean square error (bias), points",
)


def new_card(name: str) -> str:
    """Card of weights just trained, without figures yet; the shipped card speaks of other weights."""
    return "\n".join(
        (
            f"# {name}: liver and lesions on CT and MR",
            "",
            "**Research use only.** Not a medical device; not for diagnosis or treatment decisions. "
            "Every mask needs a person's review.",
            "",
            "Made by `burden train`: the settings are in `configs/train.yaml`, steps and minutes in "
            "`configs/metadata.json`, the losses in `train.png` beside the checkpoints.",
            "",
            "## How good it is",
            "Held-out cases of the training data with synthetic lesions, through the whole back end; "
            "real lesions are harder. A lesion is found, and a found one true, at 10 % overlap.",
            "",
            FIGURES[0],
            "Not measured: the held-out cases that `configs/train.yaml` names are not in the data. "
            "The calibration in `configs/metadata.json` is that of the weights before.",
            FIGURES[1],
            "",
        )
    )


def write_figures(meta: dict[str, Any], card: Path) -> None:
    """Put the figures of metadata.json into a card, between the lines of `FIGURES`.

    Parameters
    ----------
    meta : dict
        "held_out" as `burden.train.examine.summarise` makes it for each kind of image, and
        "structures_dice_on_ct".
    card : Path
        Markdown; a card without those lines stays as it is.
    """
    before, start, rest = card.read_text(encoding="utf-8").partition(FIGURES[0])
    _, end, after = rest.partition(FIGURES[1])
    if start and end:
        text = f"{before}{start}\n{_figures(meta)}\n{end}{after}"
        card.write_text(text, encoding="utf-8")


def _figures(meta: dict[str, Any]) -> str:
    """A table of all kinds of images, then what is said of the diseased CTs alone."""
    told = {kind: figures for kind, figures in meta["held_out"].items() if figures}
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    lines += [_row(KINDS[kind], figures) for kind, figures in told.items()]
    ct, organs = told.get("CT", {}), meta.get("structures_dice_on_ct", {})
    for name, key in (
        ("Lesions found by diameter (mm)", "recall_by_size"),
        (
            "Lesions of 10 mm and more found by contrast-to-noise ratio",
            "recall_10mm_by_contrast_to_noise",
        ),
    ):
        bands = [
            f"{band.removesuffix(' mm').replace('-inf', ' and more').replace('-', ' to ')}: "
            f"{share:.0%} of {number}"
            for band, (number, share) in ct.get(key, {}).items()
        ]
        lines += ["", f"{name}: {'; '.join(bands)}."] if bands else []
    held = [
        f"{fact.replace('.', ' ').replace('_', ' ')} {share:.0%}"
        for fact, share in ct.get("coverage_90", {}).items()
    ]
    lines += (
        ["", f"90 % intervals that hold the truth (of tumor where any was found): {', '.join(held)}."]
        if held
        else []
    )
    dice = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in organs.items()]
    lines += ["", f"Organs and vessels on CT (Dice): {', '.join(dice)}."] if dice else []
    return "\n".join(lines)


def _row(name: str, figures: dict[str, Any]) -> str:
    """One kind of images; a dash for what could not be measured."""

    def value(key: str, how: str = ".3f") -> str:
        return format(figures[key], how) if key in figures else "-"

    cells = (
        name,
        value("images", "d"),
        f"{value('liver_dice')} ({value('worst_liver_dice')})",
        value("lesion_dice"),
        f"{value('lesion_recall', '.0%')} / {value('lesion_recall_10mm', '.0%')}",
        value("lesion_precision", ".0%"),
        value("false_lesions_per_image", ".2f"),
        f"{value('burden_mean_absolute_error_points', '.1f')} / {value('burden_rmse_points', '.1f')} "
        f"({value('burden_bias_points', '+.1f')})",
    )
    return "| " + " | ".join(cells) + " |"


def draw_card(images: Sequence[Examined], out: Path) -> Path:
    """Three panels of the held-out CTs as one PNG.

    Parameters
    ----------
    images : sequence of Examined
        CTs with and without lesions.
    out : Path
        File to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 3.6), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    chances = np.array([chance for image in images for chance, _ in image.spots])
    true = np.array([is_true for image in images for _, is_true in image.spots], float)
    left.plot([0, 1], [0, 1], color="0.7", lw=1)
    for low, high in pairwise(np.linspace(0.3, 1, 6)):
        inside = (chances >= low) & (chances < high + 1e-9)
        if inside.sum() >= 5:
            error = np.sqrt(true[inside].mean() * (1 - true[inside].mean()) / inside.sum())
            left.errorbar(chances[inside].mean(), true[inside].mean(), error, fmt="o", color="C0")
    left.set(
        xlabel="stated chance of being a lesion",
        ylabel="share that are",
        xlim=(0, 1),
        ylim=(0, 1.02),
        title="Reliability",
    )
    names, shares, counts = [], [], []
    for low, high in pairwise(BANDS_MM):
        hits = [one.found for image in images for one in image.lesions if low <= one.diameter_mm < high]
        names.append(f"{low:g}-{high:g}" if np.isfinite(high) else f"> {low:g}")
        shares.append(np.mean(hits) if hits else 0.0)
        counts.append(len(hits))
    bars = middle.bar(names, shares, color="C0")
    middle.bar_label(bars, [f"n = {count}" for count in counts])
    middle.set(xlabel="diameter, mm", ylabel="share found", ylim=(0, 1.1), title="Lesions found")
    burdens = [image.values["tumor.burden"][:2] for image in images if image.values]
    burdens = [pair for pair in burdens if np.isfinite(pair).all()]
    top = 1.05 * max([5.0, *(value for pair in burdens for value in pair)])
    right.plot([0, top], [0, top], color="0.7", lw=1)
    right.plot([true for true, _ in burdens], [found for _, found in burdens], "o", color="C0", ms=4)
    right.set(xlabel="true burden, %", ylabel="burden found, %", title="Burden")
    figure.savefig(out, dpi=110)
    return out


def draw_failures(images: Sequence[Examined], out: Path) -> Path:
    """The held-out images that went worst, each where most was wrong: truth drawn out, found dashed.

    Parameters
    ----------
    images : sequence of Examined
        Of any kind; the four lowest lesion Dice and the two lowest liver Dice are shown.
    out : Path
        File to write.
    """
    from matplotlib.figure import Figure

    seen = [image for image in images if image.view is not None]
    by_lesion = sorted((i for i in seen if np.isfinite(i.lesion_dice)), key=lambda i: i.lesion_dice)[:4]
    rest = [image for image in seen if image not in by_lesion]
    worst = by_lesion + sorted(rest, key=lambda i: i.liver_dice)[:2]
    figure = Figure(figsize=(10.5, 6.0), layout="constrained")
    for panel, image in zip(figure.subplots(2, 3).flat, worst, strict=False):
        assert image.view is not None  # noqa: S101 - chosen above
        low, high = np.quantile(image.view.image, (0.02, 0.995))
        window = (-60, 200) if "CT" in image.kind else (low, high)
        panel.imshow(image.view.image.T, cmap="gray", vmin=window[0], vmax=window[1])
        for labels, style in ((image.view.true, "solid"), (image.view.found, "dashed")):
            for value, color in ((1, "#7fc97f"), (2, "#f0a04b")):
                if (labels >= value).any():
                    panel.contour(
                        (labels >= value).T, [0.5], colors=color, linestyles=style, linewidths=1.1
                    )
        tumor = "" if np.isnan(image.lesion_dice) else f", lesions {image.lesion_dice:.2f}"
        panel.set_title(f"{image.kind}: liver {image.liver_dice:.2f}{tumor}", fontsize=9)
    for panel in figure.axes:
        panel.set_axis_off()
    figure.suptitle("Dice of the images that went worst; truth drawn out, found dashed", fontsize=10)
    figure.savefig(out, dpi=100)
    return out
