"""Whole held-out images with synthetic lesions, as a scanner would give them, and their truth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from burden.grid import Grid
from burden.image import Labels, Modality, Origin, Segmentation, Volume
from burden.train import augment
from burden.train.draw import Draw
from burden.train.lesions import LESION, LIVER
from burden.train.pack import load_pack
from burden.train.settings import Settings

SPACING_MM = 2.0


@dataclass(frozen=True, eq=False)
class Trial:
    """One held-out image.

    Attributes
    ----------
    case : str
        The liver it was made from.
    kind : str
        "CT", "healthy CT" or "MR".
    volume : Volume
        HU or MR intensities, float32, at 2 mm.
    classes : uint8 (i, j, k)
        `burden.segment.network.CLASS_NAMES` indices.
    """

    case: str
    kind: str
    volume: Volume
    classes: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

    @property
    def truth(self) -> Segmentation:
        """The true masks as if a reader had given them."""
        liver = ((self.classes == LIVER) | (self.classes == LESION)).astype(np.uint8)
        lesions = (self.classes == LESION).astype(np.uint8)
        grid = self.volume.grid
        return Segmentation(
            Labels(liver, grid, {1: "liver"}), Labels(lesions, grid, {1: "lesion"}), source="truth"
        )


def trials(pack: Path, settings: Settings, *, repeats: int, seed: int) -> Iterator[Trial]:
    """Draw the images: of each held-out case `repeats` diseased CTs, a third as many healthy and MR.

    Parameters
    ----------
    pack : Path
        File made by `burden.train.pack.pack_folder`.
    settings : Settings
        Names the held-out cases; lesions and looks are those of the fine network's last phase.
    """
    recipe = next(stage.phases[-1].recipe for stage in settings.stages if stage.name == "fine")
    few = max(1, repeats // 3)
    kinds = {"CT": (0.0, 0.0, repeats), "healthy CT": (1.0, 0.0, few), "MR": (0.0, 1.0, few)}
    cases = load_pack(pack)
    for number, case in enumerate(settings.held_out):
        one = augment.prepare(*cases[case], 1)
        hu, classes = one.hu[0, 0] + augment.AIR_HU, one.classes[0, 0].byte()
        for kind, (healthy, mr, times) in kinds.items():
            modality: Modality = "MR" if kind == "MR" else "CT"
            for turn in range(times):
                draw = Draw(seed, 1000 * number + 100 * len(kind) + turn)
                image, truth, _ = augment.scene(
                    hu, classes, replace(recipe, healthy=healthy, mr=mr), draw
                )
                grid = Grid.from_axes(tuple(image.shape), [SPACING_MM] * 3, np.zeros(3))
                volume = Volume(image.numpy(), grid, modality, Origin("synthetic", f"{case}-{turn}"))
                yield Trial(case, kind, volume, truth.numpy())
