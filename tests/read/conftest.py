"""Small DICOM series with a known answer, and whatever a test does to spoil them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, RLELossless, generate_uid

CT, ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1"


@dataclass
class Series:
    """A volume to be written as DICOM; ``values[i, j, k]`` are stored values.

    ``axes`` holds the directions of i, j and k as columns (LPS); ``edit(ds, k)`` may change a
    slice before it is written, or return False to leave it out.
    """

    values: NDArray[Any]
    spacing: tuple[float, float, float] = (0.8, 0.7, 2.5)
    origin: tuple[float, float, float] = (-10.0, 20.0, -30.0)
    axes: NDArray[Any] = field(default_factory=lambda: np.eye(3))
    modality: str = "CT"
    description: str = "abdomen"
    slope: float = 1.0
    intercept: float = 0.0
    syntax: str = ExplicitVRLittleEndian
    tags: dict[str, Any] = field(default_factory=dict)
    edit: Callable[[Dataset, int], Any] = lambda ds, k: None
    uid: str = field(default_factory=generate_uid)
    study: str = "1.2.3.4"
    frame: str = "1.2.3.5"

    def position(self, k: float) -> NDArray[Any]:
        """Centre of voxel (0, 0, k), LPS mm."""
        return np.array(self.origin) + self.axes[:, 2] * self.spacing[2] * k

    def common(self, sop_class: str) -> Dataset:
        """What all files of the series share."""
        ds = Dataset()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = self.syntax
        ds.SOPClassUID, ds.SOPInstanceUID = sop_class, generate_uid()
        ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.StudyInstanceUID, ds.SeriesInstanceUID = self.study, self.uid
        ds.FrameOfReferenceUID = self.frame
        ds.PatientName, ds.PatientID = "Secret^Name", "SECRET-ID"
        ds.Modality, ds.SeriesDescription = self.modality, self.description
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.Columns, ds.Rows = self.values.shape[:2]
        bits = self.values.dtype.itemsize * 8
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = bits, bits, bits - 1
        ds.PixelRepresentation = int(self.values.dtype.kind == "i")
        for key, value in self.tags.items():
            setattr(ds, key, value)
        return ds

    def slice(self, k: int) -> Dataset:
        """One classic file."""
        ds = self.common(CT)
        ds.ImagePositionPatient = [f"{x:.10g}" for x in self.position(k)]
        ds.ImageOrientationPatient = [f"{x:.9f}" for x in self.axes[:, :2].T.ravel()]
        ds.PixelSpacing = [self.spacing[1], self.spacing[0]]
        ds.SliceThickness = f"{self.spacing[2]:.6g}"
        ds.RescaleSlope, ds.RescaleIntercept = self.slope, self.intercept
        ds.InstanceNumber = 1 + (7 * k) % 5  # nonsense on purpose: nobody may rely on it
        self.set_pixels(ds, self.values[:, :, k].T)
        return ds

    def set_pixels(self, ds: Dataset, stored: NDArray[Any]) -> None:
        """Store ``[row, column]`` or ``[frame, row, column]`` in the wanted syntax."""
        order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        raw = np.ascontiguousarray(stored).astype(stored.dtype.newbyteorder(order)).tobytes()
        ds.PixelData = raw + b"\0" * (len(raw) % 2)
        ds["PixelData"].VR = "OW"

    def write(self, folder: Path) -> Path:
        """Write classic files under names in no order; return the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        names = np.random.default_rng(0).permutation(self.values.shape[2])
        for k, name in enumerate(names):
            ds = self.slice(k)
            if self.edit(ds, k) is not False:
                save(ds, folder / f"IM{name:04d}")
        return folder

    def write_enhanced(self, path: Path, *, reverse: bool = False) -> Path:
        """Write one Enhanced multi-frame file, frames in reverse order if wanted."""
        ds = self.common(ENHANCED_CT)
        order = list(range(self.values.shape[2]))[:: -1 if reverse else 1]
        ds.NumberOfFrames = len(order)
        shared, measures, plane, rescale = Dataset(), Dataset(), Dataset(), Dataset()
        measures.PixelSpacing = [self.spacing[1], self.spacing[0]]
        measures.SliceThickness = self.spacing[2]
        plane.ImageOrientationPatient = [f"{x:.9f}" for x in self.axes[:, :2].T.ravel()]
        rescale.RescaleSlope, rescale.RescaleIntercept = self.slope, self.intercept
        shared.PixelMeasuresSequence = Sequence([measures])
        shared.PlaneOrientationSequence = Sequence([plane])
        shared.PixelValueTransformationSequence = Sequence([rescale])
        ds.SharedFunctionalGroupsSequence = Sequence([shared])
        groups = []
        for k in order:
            group, place = Dataset(), Dataset()
            place.ImagePositionPatient = [f"{x:.10g}" for x in self.position(k)]
            group.PlanePositionSequence = Sequence([place])
            groups.append(group)
        ds.PerFrameFunctionalGroupsSequence = Sequence(groups)
        self.set_pixels(ds, self.values.transpose(2, 1, 0)[order])
        self.edit(ds, 0)
        save(ds, path)
        return path


def save(ds: Dataset, path: Path) -> None:
    """Write a file with its meta header, compressing where the syntax asks for it."""
    syntax = ds.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(syntax, generate_instance_uid=False)
    elif syntax.is_encapsulated:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.save_as(path, enforce_file_format=True)
    if ds.file_meta.TransferSyntaxUID != syntax:
        _compressed_by_gdcm(path, syntax)


def _compressed_by_gdcm(path: Path, syntax: str) -> None:
    """Rewrite a file in another transfer syntax; pydicom has no encoder for these."""
    import gdcm

    change, reader, writer = gdcm.ImageChangeTransferSyntax(), gdcm.ImageReader(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.fixture(scope="session")
def phantom() -> Callable[..., NDArray[np.int16]]:
    """Random but smooth-free stored values: any swap of two voxels is seen."""

    def values(shape: tuple[int, int, int] = (9, 7, 5), seed: int = 0) -> NDArray[np.int16]:
        rng = np.random.default_rng(seed)
        return rng.integers(-1000, 1000, size=shape).astype(np.int16)

    return values


@pytest.fixture(scope="session")
def series_type() -> type[Series]:
    """The class above, for tests (test modules cannot import one another)."""
    return Series


@pytest.fixture
def make(tmp_path: Path, phantom: Callable[..., NDArray[np.int16]]) -> Callable[..., Path]:
    """Write a classic series with the given differences from the default; return its folder."""

    def write(name: str = "series", **different: Any) -> Path:
        shape = different.pop("shape", (9, 7, 5))
        different.setdefault("values", phantom(shape))
        return Series(**different).write(tmp_path / name)

    return write
