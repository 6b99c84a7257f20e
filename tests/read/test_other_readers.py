"""The same files read by SimpleITK, dcm2niix and highdicom, compared in world space.

Every image here is a ramp: a voxel's value follows from its place, so that whatever a reader
returns can be judged without knowing how it orders slices, rows and columns.

``right``: every voxel holds the value of the place where the reader says it is. ``parts``: so do
those of several images that together hold all slices. ``refuses``: an error, or no image.
``wrong``: an image that is not what the files hold, without any error. ``mixed``: such an image
beside a right one. dcm2niix and SimpleITK may warn on the terminal; that is no error here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from scipy.ndimage import binary_erosion

from burden.errors import BurdenError
from burden.read import list_series, read_study

SHAPE, SPACING, ORIGIN = (24, 20, 12), (0.8, 0.7, 2.5), (-10.0, 20.0, -30.0)
SLOPES = np.array([11.0, -7.0, 5.0])  # values per mm along L, P, S
MIDDLE = np.array([0.0, 27.0, -16.0])
SECOND = 3000.0  # what a second volume at the same place has more
TILT = np.deg2rad(12.0)


def ramp(world: np.ndarray) -> np.ndarray:
    """Value of a place, LPS mm."""
    return (world - MIDDLE) @ SLOPES


@dataclass
class Files:
    """What is written: a series, and whatever is odd about its slices."""

    series: dict[str, Any] = field(default_factory=dict)
    step: tuple[float, float, float] | None = None  # where slices do not follow the normal
    place: Callable[[int], float] = float  # slice number -> distance in steps
    spacing: Callable[[int], tuple[float, float]] = lambda k: SPACING[:2]
    lean: Callable[[int], float] = lambda k: 0.0  # degrees: turn of a slice about the left-right axis
    slope: Callable[[int], float] = lambda k: 1.0
    intercept: Callable[[int], float] = lambda k: 0.0
    skip: tuple[int, ...] = ()
    edit: Callable[[Any, int], None] = lambda ds, k: None
    more: float | None = None  # a second volume with this added to every value
    more_edit: Callable[[Any, int], None] = lambda ds, k: None
    more_slices: tuple[int, ...] | None = None
    multi: bool = False
    spoil: Callable[[Path], None] = lambda folder: None
    tolerance: float = 0.6  # values are rounded to whole numbers


def write(series_type, files: Files, folder: Path) -> None:
    """Write what ``files`` says, with image numbers that follow the slices."""
    volumes = [(0.0, files.edit, None)]
    if files.more is not None:
        volumes.append((files.more, files.more_edit, files.more_slices))
    for number, (plus, change, only) in enumerate(volumes):
        made = series_type(np.zeros(SHAPE, np.int16), SPACING, ORIGIN, uid="1.2.3", **files.series)
        step = made.axes[:, 2] * SPACING[2] if files.step is None else np.array(files.step)
        starts = np.array([np.array(ORIGIN) + step * files.place(k) for k in range(SHAPE[2])])
        i, j = np.meshgrid(np.arange(SHAPE[0]), np.arange(SHAPE[1]), indexing="ij")
        axes = [turned((0, files.lean(k))) @ made.axes for k in range(SHAPE[2])]
        for k in range(SHAPE[2]):
            (right, down), (across, along) = axes[k].T[:2], files.spacing(k)
            world = starts[k] + i[..., None] * right * across + j[..., None] * down * along
            stored = (ramp(world) + plus - files.intercept(k)) / files.slope(k)
            made.values[:, :, k] = np.rint(stored)

        def edit(ds, k, starts=starts, axes=axes, change=change, only=only, number=number):
            ds.ImagePositionPatient = [f"{x:.10g}" for x in starts[k]]
            ds.ImageOrientationPatient = [f"{x:.9f}" for x in axes[k].T[:2].ravel()]
            ds.PixelSpacing = list(files.spacing(k)[::-1])
            ds.RescaleSlope, ds.RescaleIntercept = files.slope(k), files.intercept(k)
            ds.InstanceNumber, ds.SeriesNumber = number * SHAPE[2] + k + 1, 1
            ds.StudyDate, ds.StudyTime = "20200101", "100000"  # else gdcm writes the time of the day
            change(ds, k)
            return k not in files.skip and (only is None or k in only)

        if files.multi:
            made.edit = lambda ds, k: without_frame(ds, *files.skip) if files.skip else None
            made.write_enhanced(folder / "multi.dcm")
        else:
            made.edit = edit
            part = made.write(folder / "part")  # in the end all lie in one folder
            for file in sorted(part.iterdir()):
                file.rename(folder / f"{number}{file.name}")
            part.rmdir()
    files.spoil(folder)


def without_frame(ds: Any, number: int) -> None:
    """Take one frame out of an Enhanced file."""
    frames = np.frombuffer(ds.PixelData, "<i2").reshape(SHAPE[::-1])
    ds.PixelData = np.delete(frames, number, axis=0).tobytes()
    del ds.PerFrameFunctionalGroupsSequence[number]
    ds.NumberOfFrames = len(ds.PerFrameFunctionalGroupsSequence)


Image = tuple[np.ndarray, np.ndarray]  # [a, b, c] and the affine to LPS


def by_us(folder: Path) -> list[Image]:
    uids = [c.uid for c in list_series(folder) if not c.refused]
    uids = uids or [None]
    volumes = [read_study(folder, series=uid).volume for uid in uids]
    return [(v.data, v.grid.affine) for v in volumes]


def by_simpleitk(folder: Path) -> list[Image]:
    files = sorted(folder.iterdir())
    if len(files) == 1:
        return [_of_simpleitk(sitk.ReadImage(str(files[0])))]
    images = []
    for uid in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid))
        images.append(reader.Execute())
    return [_of_simpleitk(image) for image in images]


def _of_simpleitk(image: sitk.Image) -> Image:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), affine


def by_dcm2niix(folder: Path) -> list[Image]:
    program = shutil.which("dcm2niix")
    if program is None:
        assert os.environ.get("CI") != "true", "CI needs dcm2niix"
        pytest.skip("NOT COMPARED with dcm2niix: it is not installed")
    with tempfile.TemporaryDirectory() as out:
        arguments = ["-b", "n", "-z", "n", "-f", "x", "-o", out, str(folder)]
        subprocess.run([program, *arguments], check=False, capture_output=True, timeout=60)
        images = []
        for file in sorted(Path(out).glob("*.nii")):
            image = nib.load(file)
            data = np.asarray(image.dataobj)
            parts = [data] if data.ndim == 3 else [data[..., t] for t in range(data.shape[3])]
            images += [(part, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine) for part in parts]
        return images


def by_highdicom(folder: Path) -> list[Image]:
    import highdicom as hd

    files = sorted(f for f in folder.rglob("*") if f.is_file())
    if len(files) == 1:
        volume = hd.imread(files[0]).get_volume()
    else:
        volume = hd.get_volume_from_series([dcmread(f) for f in files])
    return [(volume.array, volume.affine)]


READERS = {
    "burden": by_us,
    "SimpleITK": by_simpleitk,
    "dcm2niix": by_dcm2niix,
    "highdicom": by_highdicom,
}


def judged(read: Callable[[Path], list[Image]], folder: Path, files: Files) -> str:
    """``right``, ``parts``, ``mixed``, ``wrong`` or ``refuses``."""
    try:
        images = read(folder)
    except (BurdenError, RuntimeError, ValueError, KeyError, AttributeError, TypeError, IndexError):
        return "refuses"
    images = [image for image in images if min(image[0].shape) > 1]  # a scout is nobody's volume
    if not images:
        return "refuses"
    rests = [fits(image, files.tolerance) for image in images]
    right = {plus for plus, _ in rests if plus is not None}
    voxels = sum(count for plus, count in rests if plus is not None)
    volumes = {0.0, files.more or 0.0}
    slices = len(volumes) * (SHAPE[2] - len(files.skip)) if files.more_slices is None else SHAPE[2]
    whole = right == volumes and voxels >= 0.9 * slices * SHAPE[0] * SHAPE[1]
    if not whole:
        return "wrong"
    if any(plus is None for plus, _ in rests):
        return "mixed"
    return "right" if len(images) == 1 else "parts"


def fits(image: Image, tolerance: float) -> tuple[float | None, int]:
    """What every voxel has more than its place says, None where that differs; and how many.

    A straightened image holds air at its edge: it and its neighbours are left out.
    """
    data, affine = image
    if data.ndim != 3:
        return None, 0
    index = np.stack(np.meshgrid(*map(np.arange, data.shape), indexing="ij"), axis=-1)
    rest = data - ramp(index @ affine[:3, :3].T + affine[:3, 3])
    inside = data > -900
    sure = binary_erosion(inside, border_value=1) if not inside.all() else inside
    if not sure.any():
        return None, 0
    plus = round(float(np.median(rest[sure])) / 10) * 10.0
    even = bool(np.abs(rest[sure] - plus).max() <= tolerance)
    return plus if even else None, int(np.count_nonzero(inside))


def turned(degrees: tuple[float, float]) -> np.ndarray:
    (c, s), (d, t) = [(np.cos(a), np.sin(a)) for a in np.deg2rad(degrees)]
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return about_z @ np.array([[1, 0, 0], [0, d, -t], [0, t, d]])


def tags(**values: Any) -> Callable[[Any, int], None]:
    """Set these in every slice; a list or tuple gives each slice its own."""

    def edit(ds, k):
        for key, value in values.items():
            setattr(ds, key, value[k] if isinstance(value, tuple) else value)

    return edit


def last_cut_short(folder: Path) -> None:
    file = sorted(folder.iterdir())[3]
    file.write_bytes(file.read_bytes()[:-300])


def copied(folder: Path) -> None:
    for file in sorted(folder.iterdir())[:3]:
        shutil.copy(file, folder / f"copy of {file.name}")


def upper_bits(ds: Any, k: int) -> None:
    """An overlay in the four bits above twelve bit values, as older scanners wrote it."""
    stored = np.frombuffer(ds.PixelData, "<i2") + 1024
    ds.PixelData = (
        (stored.astype("<u2") | np.where(np.arange(stored.size) % 3, 0, 0x8000)).astype("<u2").tobytes()
    )
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.RescaleIntercept = 12, 11, 0, -1024


def unsigned(ds: Any, k: int) -> None:
    stored = np.frombuffer(ds.PixelData, "<i2").astype(np.int32) + 1024
    ds.PixelData, ds.PixelRepresentation, ds.RescaleIntercept = stored.astype("<u2").tobytes(), 0, -1024


CORONAL = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
SAGITTAL = np.array([[0.0, 0, -1], [1, 0, 0], [0, -1, 0]])
CASES = {
    "axial": Files(),
    "coronal": Files({"axes": CORONAL}),
    "sagittal": Files({"axes": SAGITTAL}),
    "oblique": Files({"axes": turned((14, 9))}),
    "from feet to head": Files({"axes": np.diag([1.0, -1.0, -1.0])}),
    "unsigned": Files(edit=unsigned),
    "implicit": Files({"syntax": ImplicitVRLittleEndian}),
    "big endian": Files({"syntax": ExplicitVRBigEndian}),
    "deflated": Files({"syntax": DeflatedExplicitVRLittleEndian}),
    "RLE": Files({"syntax": RLELossless}),
    "JPEG lossless": Files({"syntax": JPEGLosslessSV1}),
    "JPEG-LS": Files({"syntax": JPEGLSLossless}),
    "JPEG 2000": Files({"syntax": JPEG2000Lossless}),
    "JPEG lossless, unsigned": Files({"syntax": JPEGLosslessSV1}, edit=unsigned),
    "JPEG 2000, unsigned": Files({"syntax": JPEG2000Lossless}, edit=unsigned),
    "rescaled by one slope": Files(slope=lambda k: 0.5, intercept=lambda k: 3.5),
    "Enhanced CT": Files(multi=True),
    "Enhanced CT, compressed": Files({"syntax": RLELossless}, multi=True),
    "MR": Files({"modality": "MR"}),
    "positions rounded": Files(
        edit=lambda ds, k: setattr(
            ds, "ImagePositionPatient", [round(float(x), 1) for x in ds.ImagePositionPatient]
        ),
        tolerance=1.3,
    ),
    "first and last slices missing": Files(skip=(0, 11)),
    # --- from here on somebody is wrong, or nearly
    "a slice missing": Files(skip=(5,)),
    "two slices missing": Files(skip=(5, 6)),
    "gantry tilt": Files({"axes": turned((0, 12))}, step=(0, 0, 2.5), tolerance=1.3),
    "slices shifted sideways": Files(
        edit=lambda ds, k: setattr(
            ds,
            "ImagePositionPatient",
            [float(ds.ImagePositionPatient[0]) + (5 if k > 6 else 0), *ds.ImagePositionPatient[1:]],
        )
    ),
    "distances uneven": Files(place=lambda k: k + 0.4 * (k > 5)),
    "two distances": Files(place=lambda k: k if k < 6 else 6 + 2 * (k - 6)),
    "a creeping distance": Files(place=lambda k: k + 0.02 * k * k),
    "slices there twice": Files(spoil=copied),
    "two volumes, nothing tells them apart": Files(more=SECOND),
    "a slice there twice with other pixels": Files(more=SECOND, more_slices=(4,)),
    "two time points": Files(
        more=SECOND,
        edit=tags(TemporalPositionIdentifier=1),
        more_edit=tags(TemporalPositionIdentifier=2),
    ),
    "two b-values": Files(
        {"modality": "MR"},
        more=SECOND,
        edit=tags(DiffusionBValue=0.0),
        more_edit=tags(DiffusionBValue=800.0),
    ),
    "two echoes": Files(
        {"modality": "MR"},
        more=SECOND,
        edit=tags(EchoTime=1.2, EchoNumbers=1),
        more_edit=tags(EchoTime=2.4, EchoNumbers=2),
    ),
    "two acquisition times": Files(
        more=SECOND, edit=tags(AcquisitionTime="101010"), more_edit=tags(AcquisitionTime="101045")
    ),
    "rescaled slice by slice": Files(
        slope=lambda k: 1.0 + k % 3, intercept=lambda k: -30.0 * k, tolerance=1.6
    ),
    "matrix smaller in one slice": Files(edit=lambda ds, k: setattr(ds, "Rows", ds.Rows - (k == 6))),
    "pixel spacing changes on the way": Files(spacing=lambda k: (0.9, 0.9) if k == 6 else SPACING[:2]),
    "pixel spacing of the last slices": Files(spacing=lambda k: (0.9, 0.9) if k > 7 else SPACING[:2]),
    "orientation changes": Files(lean=lambda k: 4.0 if k > 5 else 0.0, tolerance=1.3),
    "image numbers in no order": Files(edit=lambda ds, k: setattr(ds, "InstanceNumber", 1 + 7 * k % 12)),
    "image numbers all one": Files(edit=tags(InstanceNumber=1)),
    "no image numbers": Files(edit=lambda ds, k: ds.pop("InstanceNumber")),
    "overlay in the upper bits": Files(edit=upper_bits),
    "a scout in the series": Files(
        more=0.0,
        more_slices=(0,),
        more_edit=tags(
            ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[0, 1, 0, 0, 0, -1]
        ),
    ),
    "pixels cut short in one slice": Files(spoil=last_cut_short),
    "Enhanced CT, a frame missing": Files(multi=True, skip=(5,)),
    "no positions": Files(edit=lambda ds, k: ds.pop("ImagePositionPatient")),
    "slice thickness wrong": Files(edit=tags(SliceThickness=5.0)),
    "spacing between slices wrong": Files({"modality": "MR"}, edit=tags(SpacingBetweenSlices=5.0)),
}

TABLE = """
                                        burden   SimpleITK dcm2niix highdicom
axial                                   right    right     right    right
coronal                                 right    right     right    right
sagittal                                right    right     right    right
oblique                                 right    right     right    right
from feet to head                       right    right     right    right
unsigned                                right    right     right    right
implicit                                right    right     right    right
big endian                              right    right     right    right
deflated                                right    right     refuses  right
RLE                                     right    right     right    right
JPEG lossless                           right    right     right    right
JPEG-LS                                 right    right     refuses  right
JPEG 2000                               right    right     right    right
JPEG lossless, unsigned                 right    right     right    right
JPEG 2000, unsigned                     right    right     right    right
rescaled by one slope                   right    right     right    right
Enhanced CT                             right    right     right    right
Enhanced CT, compressed                 right    right     refuses  right
MR                                      right    right     right    right
positions rounded                       right    right     right    right
first and last slices missing           right    right     right    right
a slice missing                         refuses  wrong     wrong    refuses
two slices missing                      refuses  wrong     mixed    refuses
gantry tilt                             right    wrong     wrong    refuses
slices shifted sideways                 refuses  wrong     wrong    refuses
distances uneven                        refuses  wrong     mixed    refuses
two distances                           refuses  wrong     wrong    refuses
a creeping distance                     refuses  wrong     wrong    refuses
slices there twice                      right    wrong     right    refuses
two volumes, nothing tells them apart   refuses  wrong     parts    refuses
a slice there twice with other pixels   refuses  wrong     wrong    refuses
two time points                         parts    wrong     parts    refuses
two b-values                            parts    wrong     parts    refuses
two echoes                              parts    wrong     parts    refuses
two acquisition times                   parts    wrong     parts    refuses
rescaled slice by slice                 right    right     right    right
matrix smaller in one slice             refuses  refuses   wrong    refuses
pixel spacing changes on the way        refuses  wrong     wrong    refuses
pixel spacing of the last slices        parts    wrong     wrong    refuses
orientation changes                     parts    wrong     mixed    refuses
image numbers in no order               right    right     right    right
image numbers all one                   right    right     right    right
no image numbers                        right    right     right    right
overlay in the upper bits               right    right     right    right
a scout in the series                   right    wrong     right    refuses
pixels cut short in one slice           refuses  wrong     refuses  refuses
Enhanced CT, a frame missing            refuses  wrong     wrong    refuses
no positions                            refuses  wrong     wrong    refuses
slice thickness wrong                   right    right     right    right
spacing between slices wrong            right    right     right    right
"""
"""What each reader makes of each case, with the versions of constraints.txt and of Debian 12."""
OUTCOMES = {
    row[:40].strip(): dict(zip(READERS, row[40:].split(), strict=True))
    for row in TABLE.strip("\n").splitlines()[1:]
}
# dcm2niix straightens a tilt too, but leaves the image some millimetres from its place: "wrong".
BY_LUCK = "two volumes, nothing tells them apart"  # dcm2niix goes by image numbers, which may lie


@pytest.fixture(scope="module")
def written(series_type, tmp_path_factory):
    """Folder of a case, written once."""
    folders: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp("case")
            write(series_type, CASES[name], folders[name])
        return folders[name]

    return folder


@pytest.mark.filterwarnings("ignore")  # highdicom and pydicom warn about what is odd; we look
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", CASES)
def test_outcome(written, name, reader):
    found = judged(READERS[reader], written(name), CASES[name])
    if found != OUTCOMES[name][reader]:
        print(f"{reader} may have learnt something: mend the table.")
    assert found == OUTCOMES[name][reader], f"{reader} may have learnt something: mend the table"


def test_the_table_says_what_it_is_for():
    assert set(OUTCOMES) == set(CASES)
    for name, row in OUTCOMES.items():
        assert row["burden"] in ("right", "parts", "refuses"), name
        if name != BY_LUCK and {"right", "parts"} & set(row.values()):
            assert row["burden"] in ("right", "parts"), name
    wrong = {
        reader: sum(row[reader] in ("wrong", "mixed") for row in OUTCOMES.values()) for reader in READERS
    }
    assert wrong["burden"] == 0
    assert wrong["SimpleITK"] >= 10
    assert wrong["dcm2niix"] >= 10


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", ["SimpleITK", "dcm2niix", "highdicom"])
@pytest.mark.parametrize("name", [n for n in OUTCOMES if OUTCOMES[n]["burden"] == "right"])
def test_identical_geometry_and_values_wherever_both_are_right(written, name, reader):
    if OUTCOMES[name][reader] != "right" or name == "gantry tilt":
        return
    (ours,) = by_us(written(name))
    theirs = next(image for image in READERS[reader](written(name)) if min(image[0].shape) > 1)
    there = np.linalg.inv(theirs[1]) @ ours[1]  # from our voxels to theirs
    assert np.abs(there[:3] - np.rint(there[:3])).max() < 1e-3
    index = np.stack(np.meshgrid(*map(np.arange, ours[0].shape), indexing="ij"), axis=-1)
    index = index @ np.rint(there[:3, :3]).astype(int).T + np.rint(there[:3, 3]).astype(int)
    assert index.min() == 0
    assert tuple(index.reshape(-1, 3).max(axis=0) + 1) == theirs[0].shape
    assert np.abs(theirs[0][tuple(np.moveaxis(index, -1, 0))] - ours[0].astype(np.float64)).max() < 1e-3
