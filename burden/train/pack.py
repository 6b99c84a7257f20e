"""Pack a folder of labelled abdominal CTs into one small file at an isotropic spacing.

Each case becomes ``<id>_ct`` (int16 HU) and ``<id>_label`` (uint8,
`burden.segment.network.CLASS_NAMES`), with axes pointing to the patient's left, back and head.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from burden.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

AIR_HU = -125
"""Fill value outside a scan: the lower end of the CT window."""

BTCV_TO_CLASS: dict[int, int] = {1: 6, 2: 8, 3: 8, 4: 5, 6: 1, 8: 7, 9: 3, 10: 4}
"""BTCV organ label -> our class; the other organs become background."""


def pack_folder(folder: Path, target: Path, spacing_mm: float = 2.0) -> Path:
    """Write `target` (.npz) from every ``*_ct.nii.gz`` with a ``*_label.nii.gz`` beside it.

    Raises
    ------
    InputError
        If the folder holds no such pair, or one that cannot be read.
    """
    from nibabel.filebasedimages import ImageFileError

    arrays: dict[str, NDArray[Any]] = {"spacing_mm": np.array(spacing_mm)}
    for ct_path in sorted(folder.glob("*_ct.nii.gz")):
        label_path = ct_path.with_name(ct_path.name.replace("_ct.nii.gz", "_label.nii.gz"))
        if label_path.exists():
            case = ct_path.name.removesuffix("_ct.nii.gz")
            try:
                packed = _pack_case(ct_path, label_path, spacing_mm)
            except (OSError, EOFError, ValueError, zlib.error, ImageFileError) as error:
                raise InputError(f"this pair cannot be read ({error}).", where=ct_path) from error
            arrays[f"{case}_ct"], arrays[f"{case}_label"] = packed
    if len(arrays) == 1:
        hint = "Give the folder that holds them, or a pack made from one."
        raise InputError("no *_ct.nii.gz with a *_label.nii.gz beside it here.", where=folder, hint=hint)
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target, **arrays)  # type: ignore[arg-type]  # ** taken for allow_pickle
    return target


def load_pack(path: Path) -> dict[str, tuple[NDArray[np.int16], NDArray[np.uint8]]]:
    """Case id -> (HU, classes), both (left, back, head).

    Raises
    ------
    InputError
        If it is damaged, or no pack.
    """
    hint = "Make it again from the folder of its cases."
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as pack:
            cases = sorted(name.removesuffix("_ct") for name in pack.files if name.endswith("_ct"))
            found = {case: (pack[f"{case}_ct"], pack[f"{case}_label"]) for case in cases}
    except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise InputError(f"not a readable pack ({error}).", where=path, hint=hint) from error
    if not found:
        raise InputError("this pack holds no case.", where=path, hint=hint)
    return found


def _pack_case(
    ct_path: Path, label_path: Path, spacing_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Resample one case; class borders come from smoothed memberships, not from nearest neighbours."""
    ct, steps = _read_lps(ct_path)
    organs, _ = _read_lps(label_path)
    hu = _resample(np.clip(ct, AIR_HU, 275).astype(np.float32), steps, spacing_mm)
    best = np.full(hu.shape, 0.5, np.float32)
    classes = np.zeros(hu.shape, np.uint8)
    for value in sorted(set(BTCV_TO_CLASS.values())):
        sources = [organ for organ, to in BTCV_TO_CLASS.items() if to == value]
        share = _resample(np.isin(np.rint(organs), sources).astype(np.float32), steps, spacing_mm)
        wins = share > best
        classes[wins] = value
        best[wins] = share[wins]
    return np.rint(hu).astype(np.int16), classes


def _read_lps(path: Path) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Read a NIfTI file with axes (left, back, head) and its voxel size in mm."""
    import nibabel
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    image = nibabel.load(path)
    turned = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt("LPS")))
    zooms = turned.header.get_zooms()[:3]
    return np.asarray(turned.dataobj, np.float32), tuple(float(step) for step in zooms)


def _resample(
    values: NDArray[np.float32], steps: tuple[float, ...], spacing_mm: float
) -> NDArray[np.float32]:
    """Linear resampling; axes that lose resolution are smoothed first so that noise does not alias."""
    import torch
    from scipy.ndimage import gaussian_filter

    sigma = [0.5 * max((spacing_mm / step) ** 2 - 1, 0) ** 0.5 for step in steps]
    size = [
        max(1, round(count * step / spacing_mm)) for count, step in zip(values.shape, steps, strict=True)
    ]
    smooth = torch.from_numpy(np.ascontiguousarray(gaussian_filter(values, sigma)))
    resized = torch.nn.functional.interpolate(
        smooth[None, None], size=size, mode="trilinear", align_corners=False
    )
    out: NDArray[np.float32] = resized[0, 0].numpy()
    return out
