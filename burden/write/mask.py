"""masks/*.nii.gz: liver, lesions and segments on the grid of the input series."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from burden.case import Case
from burden.image import Labels

_DESCRIPTION = b"Research use only; not a medical device"  # the header field holds 80 bytes


def write_masks(case: Case, folder: Path) -> None:
    """Write ``masks/liver``, ``lesions`` and ``segments``; nothing for a case without images.

    Liver includes lesions; lesion n is row n of lesions.csv; segments are Couinaud 1..8.
    """
    if case.images is None:
        return
    masks = folder / "masks"
    masks.mkdir()
    images = case.images
    parts = {"liver": images.liver, "lesions": images.lesions, "segments": images.segments}
    for name, labels in parts.items():
        (masks / f"{name}.nii.gz").write_bytes(nifti_bytes(labels))


def nifti_bytes(labels: Labels) -> bytes:
    """Labels as a compressed NIfTI-1 file, the same bytes every time.

    Stored as uint8 where the labels fit, else uint16; qform and sform both say scanner space.
    """
    import nibabel as nib

    highest = int(labels.data.max(initial=0))
    kind = np.uint8 if highest <= 255 else np.uint16
    image = nib.Nifti1Image(labels.data.astype(kind), labels.grid.ras)
    image.set_sform(labels.grid.ras, code=1)
    image.set_qform(labels.grid.ras, code=1)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = _DESCRIPTION
    # mtime=0: the file's hash then says whether the mask changed.
    return gzip.compress(image.to_bytes(), compresslevel=5, mtime=0)
