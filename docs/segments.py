"""Draw Couinaud segments, lesions, vessels and hilum on three views.

    python docs/segments.py OUT.png IMAGE LIVER [--lesions M] [--segments M] [--structure NAME=MASK]...

Files are NIfTI on one grid; IMAGE is a DICOM folder or NIfTI, or ``-`` for none. Without
``--segments`` they are predicted, as ``burden run`` does it.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from burden.facts import Facts
from burden.image import Labels, Origin, Segmentation, Volume
from burden.measure import Measured, measure
from burden.measure.hilum import hilum_point
from burden.read import read_mask, read_study

COLORS = ["#000000", "#e6d27a", "#8dc6e8", "#3f7fbf", "#7a5fb0"]
COLORS += ["#e08a4f", "#c94f4f", "#7fb86b", "#3f8f7a"]
NAMES = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII"]


def main() -> None:
    """Read the arguments, measure, draw."""
    parser = argparse.ArgumentParser()
    for name in ("out", "image", "liver"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--segments", type=Path)
    parser.add_argument("--structure", action="append", default=[])
    asked = parser.parse_args()
    volume, found = load(asked)
    result = measure(volume, found, Facts(), draws=256)
    for plan in ("right_hepatectomy", "left_hepatectomy", "extended_right", "left_lateral"):
        fact = result.facts[f"flr.{plan}.percent"]
        print(f"{plan}: FLR {fact.best:.1f} %, 90 % {[round(q, 1) for q in fact.quantiles() or ()]}")
    for finding in result.findings:
        if finding.code.startswith(("segments", "touching", "vessels")):
            print(f"{finding.severity}: {finding.text}")
    draw(asked.out, volume, found, result)


def load(asked: argparse.Namespace) -> tuple[Volume, Segmentation]:
    """Image and masks; without an image ("-") an even one on the grid of the liver mask."""
    if str(asked.image) == "-":
        grid = read_study(asked.liver, modality="CT").volume.grid
        volume = Volume(np.zeros(grid.shape, np.int16), grid, "CT", Origin("nifti", ""))
    else:
        volume = read_study(asked.image).volume
    grid = volume.grid
    liver = read_mask(asked.liver, grid)
    empty = Labels(np.zeros(grid.shape, np.uint8), grid)
    found = Segmentation(
        Labels((liver.data > 0).astype(np.uint8), grid),
        read_mask(asked.lesions, grid) if asked.lesions else empty,
        "masks",
        segments=read_mask(asked.segments, grid) if asked.segments else None,
    )
    if asked.structure:
        data, names = np.zeros(grid.shape, np.uint8), {}
        for n, text in enumerate(asked.structure, 1):
            names[n], _, path = text.partition("=")
            path, _, label = path.partition("@")
            mask = read_mask(Path(path), grid).data
            data[(mask == int(label)) if label else (mask > 0)] = n
        found = replace(found, structures=Labels(data, grid, names))
    return volume, found


def draw(out: Path, volume: Volume, found: Segmentation, result: Measured) -> None:
    """Three views through the liver with its segments and the hilum."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    grid = volume.grid
    portal = None if found.structures is None else found.structures.named("portal_vein")
    hilum = hilum_point(portal, result.liver.data > 0, grid)
    at = np.argwhere(result.liver.data > 0)
    middle = np.median(at, axis=0) if hilum is None else grid.index(np.array(hilum))
    axes_of = [int(np.argmax(np.abs(grid.axes[a]))) for a in range(3)]  # array axis along L, P, S
    figure = Figure(figsize=(13, 4.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    views = (("axial", 0, 1, 2), ("coronal", 0, 2, 1), ("sagittal", 1, 2, 0))
    for place, (name, across, down, through) in zip(figure.subplots(1, 3), views, strict=True):
        a, d, t = axes_of[across], axes_of[down], axes_of[through]
        k = int(np.clip(round(middle[t]), 0, grid.shape[t] - 1))

        def flat(data: np.ndarray, t: int = t, k: int = k, a: int = a, d: int = d) -> np.ndarray:
            part = np.take(data, k, axis=t)
            return part.T if a < d else part

        extent_a, extent_d = grid.spacing[a] * grid.shape[a], grid.spacing[d] * grid.shape[d]
        shown = {"extent": (0, extent_a, extent_d, 0), "interpolation": "nearest"}
        place.imshow(flat(volume.data).astype(float), cmap="gray", vmin=-80, vmax=220, **shown)
        segment = np.ma.masked_equal(flat(result.segments.data), 0)
        place.imshow(segment, cmap=ListedColormap(COLORS), vmin=0, vmax=8, alpha=0.5, **shown)
        x = (np.arange(grid.shape[a]) + 0.5) * grid.spacing[a]
        y = (np.arange(grid.shape[d]) + 0.5) * grid.spacing[d]
        outlines = [(flat(result.lesion_labels.data > 0), "white")]
        if found.structures is not None:
            vessels = {"portal_vein": "#4040ff", "inferior_vena_cava": "cyan", "gallbladder": "lime",
                       "hepatic_veins": "magenta"}  # fmt: skip
            for title, color in vessels.items():
                mask = found.structures.named(title)
                outlines += [] if mask is None else [(flat(mask), color)]
        for mask, color in outlines:
            if mask.any():
                place.contour(x, y, mask, [0.5], colors=color, linewidths=0.9)
        for n in range(1, 9):
            where = np.argwhere(segment == n)
            if len(where) * grid.spacing[a] * grid.spacing[d] > 150:
                row, column = np.median(where, axis=0)
                style = {
                    "color": "white",
                    "ha": "center",
                    "va": "center",
                    "fontsize": 11,
                    "weight": "bold",
                }
                place.text(x[int(column)], y[int(row)], NAMES[n], **style)
        if hilum is not None:
            index = grid.index(np.array(hilum))
            along, down = ((index[axis] + 0.5) * grid.spacing[axis] for axis in (a, d))
            place.plot(along, down, "y+", ms=11)
        # Radiological: the patient's right on the left, anterior and superior up.
        if grid.axes[across, a] < 0:
            place.invert_xaxis()
        if (grid.axes[down, d] < 0) != (down == 2):
            place.invert_yaxis()
        lows, highs = at.min(0), at.max(0)
        ends = [((lows[i] - 12) * grid.spacing[i], (highs[i] + 12) * grid.spacing[i]) for i in (a, d)]
        place.set_xlim(*(ends[0] if place.get_xlim()[0] < place.get_xlim()[1] else ends[0][::-1]))
        place.set_ylim(*(ends[1][::-1] if place.get_ylim()[0] > place.get_ylim()[1] else ends[1]))
        place.set_title(name, fontsize=10)
        place.axis("off")
    figure.savefig(out)


if __name__ == "__main__":
    main()
