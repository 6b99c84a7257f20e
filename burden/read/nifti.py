"""NIfTI files, and nothing trusted about them: shape, type, affine and values are checked."""

from __future__ import annotations

import gzip
import hashlib
import warnings
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError, InputError, NotAnImageError
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Modality, Origin, Volume
from burden.read.fitness import fitness
from burden.read.pixels import AIR, MAX_VOXELS
from burden.read.sources import MAX_RATIO
from burden.read.words import phase_of

_APART_MM = 1.0  # sform and qform that differ by more are two different places
_CT_LOW, _CT_HIGH = -200.0, 1e4
_SIDED = (  # facts that need right and left
    "tumor.burden_right",
    "tumor.burden_left",
    "lesion.count_right",
    "lesion.count_left",
    "segment*",
    "treated.*",
    "flr.*",
    "debulk.*",
)

Array = NDArray[Any]


def read_nifti(
    path: Path, name: str, modality: Literal["CT", "MR"] | None = None
) -> tuple[Volume, tuple[Finding, ...]]:
    """Read a 3-D NIfTI image.

    Parameters
    ----------
    name
        What the user calls it, for messages.
    modality
        Known from elsewhere; else guessed from the values, and said so.

    Raises
    ------
    NotAnImageError, GeometryError, InputError
        If it is not one grey-value volume at one finite place.
    """
    data, grid, findings = load(path, name)
    data, more = _finite(data, name)
    findings += more
    if modality is None:
        modality, guess = _guessed(data)
        findings.append(guess)
    digest = hashlib.sha256(np.ascontiguousarray(data.T).data).hexdigest()
    data = _compact(data, modality)
    phase, _ = phase_of(Path(name).name, "", None)
    origin = Origin(kind="nifti", path=name, sha256=digest, description=Path(name).name)
    volume = Volume(data, grid, modality, origin, phase=phase)
    return volume, (*findings, *fitness(volume))


def load(path: Path, name: str) -> tuple[Array, Grid, list[Finding]]:
    """Values (scaled as the header says) and grid of a NIfTI file."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    again = "Convert or copy it again."
    try:
        with _stream(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _image(stream)
            shape = _three_axes(image, name)
            _enough(image, shape, path, name)
            grid, findings = _grid(image, shape, name)
            data = _values(image, shape)
    except InputError:
        raise
    except (ImageFileError, HeaderDataError) as error:
        raise NotAnImageError("not a readable NIfTI file.", where=name, hint=again) from error
    except Exception as error:  # any byte may be wrong: zlib, struct, numpy, memory
        raise InputError("the NIfTI file is damaged or cut short.", where=name, hint=again) from error
    return data, grid, findings


def _stream(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if packed else path.open("rb")


def _image(stream: BinaryIO) -> Any:
    """NIfTI-1 or -2 by its header size; the name of the file does not matter."""
    import nibabel as nib

    size = stream.read(4)
    stream.seek(0)
    second = size in (b"\x1c\x02\0\0", b"\0\0\x02\x1c")
    return (nib.Nifti2Image if second else nib.Nifti1Image).from_stream(stream)


def _enough(image: Any, shape: tuple[int, int, int], path: Path, name: str) -> None:
    """Refuse a header that promises more voxels than the file can hold, before any is read."""
    size = float(np.prod([float(n) for n in shape])) * image.get_data_dtype().itemsize
    with path.open("rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if size > path.stat().st_size * (MAX_RATIO if packed else 1):
        raise InputError("the NIfTI file is cut short.", where=name, hint="Convert or copy it again.")


def _three_axes(image: Any, name: str) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise NotAnImageError(
            f"{len(shape)}-D image {shape}.",
            where=name,
            hint="Give one volume: one phase or time point.",
        )
    if len(shape) < 3 or min(shape) < 3:
        raise GeometryError(
            f"{shape} is not a volume.", where=name, hint="At least 3 slices are needed."
        )
    if np.prod([float(n) for n in shape]) > MAX_VOXELS:
        raise GeometryError(f"a volume of {shape} voxels is too large to measure.", where=name)
    kind = image.get_data_dtype()
    if kind.fields is not None or kind.kind not in "iuf":
        what = "complex" if kind.kind == "c" else "colour"
        raise NotAnImageError(f"{what} image.", where=name, hint="Give grey values.")
    return shape[0], shape[1], shape[2]


def _grid(image: Any, shape: tuple[int, int, int], name: str) -> tuple[Grid, list[Finding]]:
    header = image.header
    sform, has_sform = header.get_sform(coded=True)
    qform, has_qform = header.get_qform(coded=True)
    findings = []
    if has_sform and has_qform and qform is not None:
        corners = np.array([[i, j, k, 1] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        corners = corners * [*(np.array(shape) - 1), 1]
        apart = float(np.abs(corners @ (np.asarray(sform) - np.asarray(qform)).T).max())
        if not apart <= _APART_MM:
            text = (
                "The two positions in the NIfTI header (sform, qform) "
                f"differ by {apart:.3g} mm; sform used."
            )
            findings.append(Finding("sform-qform-differ", "warning", text))
    elif not has_sform and not has_qform:
        text = "The NIfTI header gives no position; left and right cannot be told for certain."
        findings.append(Finding("no-orientation", "warning", text, _SIDED))
    try:
        return Grid.from_ras(shape, image.affine), findings
    except GeometryError as error:
        raise GeometryError(error.what, where=name, hint="Convert it again from DICOM.") from error


def _values(image: Any, shape: tuple[int, int, int]) -> Array:
    """Voxels after the header's scaling: whole numbers where that is exact, else float32."""
    proxy = image.dataobj
    slope, intercept = float(proxy.slope), float(proxy.inter)
    values = np.asarray(proxy.get_unscaled()).reshape(shape)
    if values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
    if (slope, intercept) == (1.0, 0.0):
        return values
    if values.dtype.itemsize <= 2 and slope % 1 == 0 == intercept % 1 and abs(slope) < 2**15:
        return np.asarray(values.astype(np.int64) * int(slope) + int(intercept))
    return np.asarray(values.astype(np.float32) * np.float32(slope) + np.float32(intercept))


def _finite(data: Array, name: str) -> tuple[Array, list[Finding]]:
    if data.dtype.kind != "f":
        return data, []
    bad = ~np.isfinite(data)
    count = int(bad.sum())
    if not count:
        return data, []
    if count > 0.5 * data.size:
        raise InputError("more than half of the voxels are not numbers.", where=name)
    lowest = float(data[~bad].min())
    text = f"{count} voxels are not numbers (NaN or infinite); set to the lowest value, {lowest:g}."
    return np.where(bad, np.float32(lowest), data), [Finding("not-a-number-voxels", "warning", text)]


def _guessed(data: Array) -> tuple[Modality, Finding]:
    low, high = float(data.min()), float(data.max())
    modality: Modality = "CT" if low < _CT_LOW and high < _CT_HIGH else "MR"
    text = f"NIfTI does not say CT or MR; taken as {modality} by its values ({low:g} to {high:g})."
    return modality, Finding("modality-guessed", "info", text)


def _compact(data: Array, modality: Modality) -> Array:
    """int16 for CT where exact, else float32."""
    if modality == "CT":
        data = np.maximum(data, AIR) if float(data.min()) < AIR else data
        whole = data.dtype.kind in "iu" or np.array_equal(data, np.rint(data))
        if whole and float(data.max()) <= 32767:
            return data.astype(np.int16)
    return data.astype(np.float32)
