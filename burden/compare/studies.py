"""A finished study with its masks, from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from burden.case import Case
from burden.errors import InputError
from burden.grid import Grid
from burden.image import Labels


@dataclass(frozen=True, eq=False)
class Finished:
    """A case read back, with its liver and lesion masks on the grid of its images."""

    case: Case
    liver: Labels
    lesions: Labels

    @property
    def slice_mm(self) -> float:
        """Distance between slices."""
        return self.liver.grid.spacing[self.liver.grid.slice_axis]


def open_finished(path: Path) -> Finished:
    """Read ``case.json`` (or its folder) and the masks beside it.

    Raises
    ------
    InputError
        If the record or a mask is not there, or they do not belong together.
    """
    from burden.read import read_mask
    from burden.write import read_case

    case = read_case(path)
    folder = path if path.is_dir() else path.parent
    origin = case.manifest.input
    if "affine_lps" not in origin or "shape" not in origin:
        raise InputError("the record does not say where its image lies.", where=path)
    grid = Grid(tuple(origin["shape"]), np.array(origin["affine_lps"]))
    masks = []
    for name in ("liver", "lesions"):
        file = folder / "masks" / f"{name}.nii.gz"
        if not file.exists():
            raise InputError(
                "this mask is missing.",
                where=file,
                hint="Give the OUT of `burden run` as it was written.",
            )
        masks.append(read_mask(file, grid))
    liver, lesions = masks
    if not liver.data.any():
        raise InputError("the liver mask is empty.", where=folder)
    found = set(np.unique(lesions.data[lesions.data > 0]).tolist())
    if found != {r.id for r in case.lesions}:
        raise InputError("the lesion mask and the lesion table differ.", where=folder)
    return Finished(case, liver, lesions)
