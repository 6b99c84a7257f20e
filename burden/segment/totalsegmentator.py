"""Back end: TotalSegmentator, from a folder of its results or by running its program.

Results are one file a structure (``liver.nii.gz``, ``liver_lesions.nii.gz``, ``liver_segment_1.nii.gz``
...) or multilabel files (its ``--ml``), whose names are in the file's header; of `total`,
`liver_segments`, `liver_lesions` and `liver_vessels`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from burden.errors import ModelError
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Segmentation
from burden.segment import description as say
from burden.segment.description import read_description
from burden.segment.naming import Naming, Terms, assemble

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from burden.image import Volume

    Progress = Callable[[str, float], None]

LESION_FILES = ("liver_lesions", "liver_tumor")
"""Whichever comes first holds: `liver_vessels` also marks tumor, but is no lesion task."""
LIVER, LESION, SEGMENT = 1, 2, 10
_STRUCTURES = {
    "inferior_vena_cava": ("inferior_vena_cava",),
    "portal_vein": ("portal_vein_and_splenic_vein",),
    "gallbladder": ("gallbladder",),
    "spleen": ("spleen",),
    "aorta": ("aorta",),
    "kidneys": ("kidney_left", "kidney_right"),
}
STRUCTURE = {name: number for number, name in enumerate(_STRUCTURES, start=20)}
NAMES = ("liver", *LESION_FILES, *(n for group in _STRUCTURES.values() for n in group),
         *(f"liver_segment_{n}" for n in range(1, 9)))  # fmt: skip
"""Every name of TotalSegmentator that is used here."""
_LABEL = re.compile(r'<Label\s[^>]*Key="(\d+)"[^>]*>\s*(?:<!\[CDATA\[)?([\w .-]+?)(?:\]\]>)?\s*</Label>')
_EXTENT_MM = 5.0


@dataclass(frozen=True, eq=False)
class Part:
    """One structure of a result folder: where its mask is, and which label it has there."""

    name: str
    path: Path
    label: int | None


@dataclass(frozen=True)
class ResultSegmenter:
    """The results in a folder (or one multilabel file) as a `Segmenter`."""

    path: Path
    terms: Terms

    def __call__(self, volume: Volume, *, device: str, progress: Progress) -> Segmentation:
        """Read the masks onto the grid of the volume that they were made from.

        Raises
        ------
        ModelError
            If they were made from another image.
        """
        parts = find_parts(self.path)
        masks: dict[str, NDArray[np.bool_]] = {}
        for number, (name, part) in enumerate(parts.items()):
            progress("read", number / len(parts))
            masks[name] = _mask(part, volume.grid)
        return from_masks(masks, volume, self.terms)


def from_results(path: Path) -> ResultSegmenter:
    """Segmenter of a result folder or multilabel file.

    Raises
    ------
    ModelError
        If it holds no liver.
    """
    table = read_description(path) if path.is_dir() else {}
    parts = find_parts(path)
    if "liver" not in parts and not any(name.startswith("liver_segment_") for name in parts):
        raise ModelError(
            f"these results hold no liver; there is: {', '.join(parts) or 'nothing that is known'}.",
            where=path,
            hint="Run TotalSegmentator's tasks total and liver_lesions into this folder.",
        )
    return ResultSegmenter(path, say.terms(table, "TotalSegmentator results", path))


def find_parts(path: Path) -> dict[str, Part]:
    """The structures that are used here, by name; files of one structure go before multilabel ones.

    Raises
    ------
    ModelError
        If a multilabel file does not say what its labels mean.
    """
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.is_file())
    images = {_stem(p): p for p in files if p.name.endswith((".nii", ".nii.gz"))}
    parts = {name: Part(name, images[name], None) for name in NAMES if name in images and path.is_dir()}
    for stem, file in images.items():
        if stem in parts and not _labels(file):
            continue
        labels = _labels(file)
        if not labels and path.is_file():
            raise ModelError(
                "the file does not say what its labels mean.",
                where=path,
                hint="Give TotalSegmentator's own file, or masks with --liver PATH@LABELS.",
            )
        for number, name in labels.items():
            if name in NAMES and (name not in parts or parts[name].path == file):
                parts[name] = Part(name, file, number)
    return parts


def from_masks(
    masks: dict[str, NDArray[np.bool_]],
    volume: Volume,
    terms: Terms,
    said: tuple[Finding, ...] = (),
) -> Segmentation:
    """Segmentation of TotalSegmentator's masks by its own names, all on the grid of the volume."""
    labels = np.zeros(volume.grid.shape, np.uint8)
    structures, segments = {}, {}
    for name, files in _STRUCTURES.items():
        for file in files:
            if file in masks:
                labels[masks[file]] = STRUCTURE[name]
                structures[name] = (STRUCTURE[name],)
    if "liver" in masks:
        labels[masks["liver"]] = LIVER
    inside = masks.get("liver", np.ones(volume.grid.shape, bool))
    for n in range(1, 9):
        segment = masks.get(f"liver_segment_{n}")
        if segment is not None:
            labels[segment & inside] = SEGMENT + n - 1
            segments[n] = (SEGMENT + n - 1,)
    lesions = next((masks[name] for name in LESION_FILES if name in masks), None)
    naming = Naming(
        (LIVER, *(v for group in segments.values() for v in group)), (), structures, segments
    )
    found = assemble(labels, naming, volume, terms, lesions=lesions)
    if lesions is not None and LESION_FILES[0] not in masks:
        text = (
            "Lesions are the tumor class of the task liver_vessels, which is not made to find them all."
        )
        said += (Finding("lesions-of-vessel-task", "warning", text),)
    return replace(found, findings=(*found.findings, *said))


def _mask(part: Part, grid: Grid) -> NDArray[np.bool_]:
    """One structure on the grid of the volume."""
    data, own = _load(part.path)
    mask = data != 0 if part.label is None else data == part.label
    if own.same_as(grid, tolerance_mm=0.1):
        return np.asarray(mask)
    return _moved(np.asarray(mask), own, grid, part.path)


def _moved(mask: NDArray[np.bool_], own: Grid, grid: Grid, path: Path) -> NDArray[np.bool_]:
    """The same voxels in another order; exact where the grids share them, else nearest.

    Raises
    ------
    ModelError
        If the grids do not cover the same space.
    """
    from scipy.ndimage import affine_transform

    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    boxes = [g.world(corners * np.array(g.shape) - 0.5) for g in (own, grid)]
    apart = max(
        float(np.abs(boxes[0].min(0) - boxes[1].min(0)).max()),
        float(np.abs(boxes[0].max(0) - boxes[1].max(0)).max()),
    )
    if apart > max(_EXTENT_MM, *own.spacing, *grid.spacing):
        raise ModelError(
            f"this mask was made from another image: its edges are up to {apart:.0f} mm off.",
            where=path,
            hint="Give the results of the same series.",
        )
    offset = own.index(grid.world(np.zeros(3)))
    matrix = (own.index(grid.world(np.eye(3))) - offset).T
    moved = affine_transform(mask.astype(np.uint8), matrix, offset, output_shape=grid.shape, order=0)
    return np.asarray(moved > 0)


def _load(path: Path) -> tuple[NDArray[np.generic], Grid]:
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        data = np.asarray(image.dataobj)
        data = data[..., 0] if data.ndim == 4 and data.shape[3] == 1 else data
        grid = Grid.from_ras(data.shape, image.affine)
        whole = data.ndim == 3 and np.array_equal(data, np.rint(data))
    except Exception as error:  # any byte may be wrong
        raise ModelError("this mask cannot be read.", where=path, hint="Copy it again.") from error
    if not whole:
        hint = "A mask is one volume of whole numbers, 0 outside; probabilities are none."
        raise ModelError("not a mask.", where=path, hint=hint)
    return data, grid


def _labels(path: Path) -> dict[int, str]:
    """Label names in the header of a multilabel file, or none."""
    import nibabel as nib

    try:
        image: Any = nib.load(path)
        texts = [bytes(e.get_content()).decode("utf-8", "replace") for e in _extensions(image)]
    except Exception as error:  # any byte may be wrong
        raise ModelError("this mask cannot be read.", where=path, hint="Copy it again.") from error
    return {int(key): name for text in texts for key, name in _LABEL.findall(text)}


def _extensions(image: Any) -> Iterator[Any]:
    yield from getattr(image.header, "extensions", ())


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")
