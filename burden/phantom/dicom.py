"""A phantom as a classic single-frame CT or MR series.

Attributes follow PS3.3 A.3 (CT Image) and A.4 (MR Image). UIDs come from the digest of the spec,
so the same spec gives the same files. File names are hashes: they must not be trusted for order.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from burden.phantom.make import Phantom

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_MR = {  # TR, TE, flip angle, sequence, variant, 2-D or 3-D
    "t1": (4.1, 1.9, 12.0, "GR", "SP", "3D"),
    "t2": (2400.0, 84.0, 90.0, "SE", "SK", "2D"),
    "dwi": (5200.0, 62.0, 90.0, "EP", "SK", "2D"),
}
_TEXT = {
    "non-contrast": "Abdomen without contrast",
    "arterial": "Abdomen arterial phase",
    "portal": "Abdomen portal venous phase",
    "delayed": "Abdomen delayed phase",
    "t1_pre": "T1 GRE fat-sat pre contrast",
    "t1_arterial": "T1 GRE fat-sat arterial phase",
    "t1_portal": "T1 GRE fat-sat portal venous phase",
    "t1_hepatobiliary": "T1 GRE fat-sat hepatobiliary phase 20 min",
    "t2": "T2 TSE fat-sat",
    "dwi": "DWI b 500",
}


def uid(digest: str, role: str) -> str:
    """A UID of the 2.25 root that depends only on the spec and the role."""
    number = int(hashlib.sha256(f"{digest}/{role}".encode()).hexdigest()[:32], 16)
    return f"2.25.{number}"


def write_series(phantom: Phantom, folder: Path, compress: bool = True) -> None:
    """Write one file a slice into ``folder``; lossless JPEG-LS where an encoder is installed."""
    from pydicom.uid import JPEGLSLossless

    grid, axis = phantom.volume.grid, phantom.volume.grid.slice_axis
    count = grid.shape[axis]
    downward = -1 if grid.axes[2, axis] > 0 else 1  # instance 1 is the highest slice
    encode = compress and _can_encode()
    folder.mkdir(parents=True)
    for k in range(count):
        number = k + 1 if downward > 0 else count - k
        data = _slice(phantom, k, number)
        if encode:
            data.compress(JPEGLSLossless, generate_instance_uid=False)
        name = hashlib.sha256(data.SOPInstanceUID.encode()).hexdigest()[:12]
        data.save_as(folder / f"{name}.dcm", enforce_file_format=True)


def _can_encode() -> bool:
    from pydicom.pixels.encoders import JPEGLSLosslessEncoder

    return bool(JPEGLSLosslessEncoder.is_available)


def _slice(phantom: Phantom, k: int, number: int) -> FileDataset:
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

    spec = phantom.spec
    ct = spec.modality == "CT"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage if ct else MRImageStorage
    meta.MediaStorageSOPInstanceUID = uid(spec.digest, f"instance {number}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = uid("burden", "implementation")
    ds = FileDataset("", Dataset(), file_meta=meta, preamble=b"\0" * 128)
    _patient(ds, phantom)
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.InstanceNumber = number
    _position(ds, phantom, k)
    if ct:
        _ct(ds, spec.phase)
    else:
        _mr(ds, spec.phase, spec.noise)
    _pixels(ds, phantom, k)
    return ds


def _patient(ds: FileDataset, phantom: Phantom) -> None:
    spec = phantom.spec
    digest = spec.digest
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName = f"Phantom^{spec.name.replace('_', ' ').title()}"[:60]
    ds.PatientID = f"PHANTOM-{digest[:10].upper()}"
    ds.PatientBirthDate, ds.PatientSex = "", ""  # no person, no sex
    ds.StudyInstanceUID, ds.SeriesInstanceUID = uid(digest, "study"), uid(digest, "series")
    ds.FrameOfReferenceUID = uid(digest, "frame")
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = "20240102"
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = "120000"
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "", ""
    ds.StudyDescription = "Digital liver phantom (synthetic)"
    ds.Modality, ds.SeriesNumber = spec.modality, 2
    ds.SeriesDescription = f"{_TEXT[spec.phase]} (synthetic)"
    ds.Manufacturer, ds.ManufacturerModelName = "liver-burden", "digital liver phantom"
    ds.SoftwareVersions, ds.DeviceSerialNumber = "1", "0"
    ds.BodyPartExamined, ds.PatientPosition, ds.PositionReferenceIndicator = "ABDOMEN", "HFS", ""
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"


def _position(ds: FileDataset, phantom: Phantom, k: int) -> None:
    grid = phantom.volume.grid
    axis, spacing, axes = grid.slice_axis, grid.spacing, grid.axes
    across, down = (a for a in range(3) if a != axis)
    corner = [0, 0, 0]
    corner[axis] = k
    ds.ImagePositionPatient = [_decimal(v) for v in grid.world(corner)]
    ds.ImageOrientationPatient = [_decimal(v) for v in (*axes[:, across], *axes[:, down])]
    ds.PixelSpacing = [_decimal(spacing[down]), _decimal(spacing[across])]
    ds.SliceThickness = _decimal(phantom.spec.thickness or spacing[axis])
    if phantom.spec.modality == "MR":
        ds.SpacingBetweenSlices = _decimal(spacing[axis])
    ds.SliceLocation = _decimal(float(axes[:, axis] @ grid.world(corner)))
    ds.AcquisitionNumber = 1


def _decimal(value: float) -> str:
    """A decimal string of at most 16 characters."""
    for digits in range(12, 0, -1):
        text = f"{float(value) + 0.0:.{digits}g}"
        if len(text) <= 16:
            return text
    return "0"


def _ct(ds: FileDataset, phase: str) -> None:
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.KVP, ds.XRayTubeCurrent, ds.ConvolutionKernel = "120", "250", "SOFT"
    if phase != "non-contrast":
        ds.ContrastBolusAgent = "synthetic"
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
    ds.WindowCenter, ds.WindowWidth = "60", "400"


def _mr(ds: FileDataset, phase: str, noise: float) -> None:
    tr, te, flip, sequence, variant, kind = _MR[phase.split("_")[0]]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = sequence, variant, "FS"
    ds.MRAcquisitionType, ds.EchoTrainLength = kind, 1
    ds.RepetitionTime, ds.EchoTime, ds.FlipAngle = f"{tr:g}", f"{te:g}", f"{flip:g}"
    ds.MagneticFieldStrength, ds.ImagedNucleus = "1.5", "1H"
    if phase in ("t1_arterial", "t1_portal", "t1_hepatobiliary"):
        ds.ContrastBolusAgent = "synthetic"
    if phase == "dwi":
        ds.DiffusionBValue = 500.0
    ds.WindowCenter, ds.WindowWidth = "400", "800"


def _pixels(ds: FileDataset, phantom: Phantom, k: int) -> None:
    axis = phantom.volume.grid.slice_axis
    plane = np.take(phantom.volume.data, k, axis=axis).T  # rows down, columns across
    stored = plane.astype(np.int32) + (1024 if phantom.spec.modality == "CT" else 0)
    stored = np.ascontiguousarray(np.clip(stored, 0, 4095).astype("<u2"))
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = stored.tobytes()
