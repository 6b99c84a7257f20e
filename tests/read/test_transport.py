"""Discs, images sent in parts, and pixels of every width in every encoding, as real bytes."""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.fileset import FileSet
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from burden.errors import GeometryError, InputError, NotAnImageError
from burden.read import list_series, read_study

# --- encodings ----------------------------------------------------------------------------

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLossless,
    JPEGLSLossless,
    JPEG2000Lossless,
]
KINDS: dict[str, tuple[type, int, int, int]] = {  # stored type, bits stored, least, most
    "8 bit unsigned": (np.uint8, 8, 0, 255),
    "8 bit signed": (np.int8, 8, -128, 127),
    "12 bit unsigned": (np.uint16, 12, 0, 4095),
    "12 bit signed": (np.int16, 12, -2048, 2047),
    "16 bit unsigned": (np.uint16, 16, 0, 33000),
    "16 bit signed": (np.int16, 16, -1000, 32767),
}


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name[:24])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_of_every_width_in_every_encoding(make, syntax, kind):
    dtype, bits, least, most = KINDS[kind]
    stored = np.random.default_rng(1).integers(least, most + 1, size=(16, 12, 3)).astype(dtype)
    stored[0, 0, :], stored[1, 0, :] = least, most
    folder = make(
        values=stored, syntax=syntax, intercept=-1024.0, tags={"BitsStored": bits, "HighBit": bits - 1}
    )
    assert {dcmread(f).file_meta.TransferSyntaxUID for f in folder.iterdir()} == {syntax}
    assert {dcmread(f).BitsStored for f in folder.iterdir()} == {bits}
    volume = read_study(folder).volume
    assert np.array_equal(volume.data, np.maximum(stored.astype(int) - 1024, -1024))


def test_values_outside_the_circle_of_reconstruction_are_air(make, phantom):
    """-3024 HU, written without a padding tag."""
    stored = phantom()
    stored[:2] = -2000
    volume = read_study(make(values=stored, intercept=-1024.0)).volume
    assert (volume.data[:2] == -1024).all()
    assert np.array_equal(volume.data[2:], np.maximum(phantom()[2:] - 1024, -1024))


GEOMETRY = (0x00200032, 0x00200037, 0x00280030, 0x00281052, 0x00280010)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_value_representations_that_a_gateway_lost(make, phantom, syntax):
    """Elements written as UN, as systems do that do not know a tag; and private ones of nobody."""

    def edit(ds, k):
        ds.add_new((0x0099, 0x0010), "LO", "NOBODY 1.0")
        ds.add_new((0x0099, 0x1001), "UN", b"\x01\x02\x03\x04")

    folder = make(edit=edit, intercept=-5.0, syntax=syntax)
    short, long = (">HH", ">I") if syntax == ExplicitVRBigEndian else ("<HH", "<I")
    for file in folder.iterdir():
        raw = file.read_bytes()
        for tag in GEOMETRY:
            at = raw.index(struct.pack(short, tag >> 16, tag & 0xFFFF))
            (length,) = struct.unpack(short[:2], raw[at + 6 : at + 8])
            raw = raw[: at + 4] + b"UN\0\0" + struct.pack(long, length) + raw[at + 8 :]
        file.write_bytes(raw)
    study = read_study(folder)
    assert np.array_equal(study.volume.data, np.maximum(phantom() - 5, -1024))
    assert study.volume.grid.spacing == pytest.approx((0.8, 0.7, 2.5))


# --- images sent in parts -----------------------------------------------------------------


def parts(series_type, phantom, folder: Path, sizes: tuple[int, ...]) -> list[Path]:
    """One Enhanced image as a concatenation: several objects that share its frames."""
    folder.mkdir()
    whole = dcmread(series_type(phantom((9, 7, sum(sizes)))).write_enhanced(folder / "whole"))
    (folder / "whole").unlink()
    frames = list(whole.PerFrameFunctionalGroupsSequence)
    pixels = np.frombuffer(whole.PixelData, "<i2").reshape(sum(sizes), -1)
    concatenation, start, files = generate_uid(), 0, []
    for number, size in enumerate(sizes, 1):
        ds = dcmread(dumped(whole, folder / "whole"))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.SOPInstanceUIDOfConcatenationSource = whole.SOPInstanceUID
        ds.ConcatenationUID, ds.ConcatenationFrameOffsetNumber = concatenation, start
        ds.InConcatenationNumber, ds.InConcatenationTotalNumber = number, len(sizes)
        ds.NumberOfFrames = size
        ds.PerFrameFunctionalGroupsSequence = Sequence(frames[start : start + size])
        ds.PixelData = pixels[start : start + size].tobytes()
        file = folder / f"{(7 * number) % 5}.dcm"  # in no order
        ds.save_as(file, enforce_file_format=True)
        files.append(file)
        start += size
    (folder / "whole").unlink()
    return files


def dumped(ds, path: Path) -> Path:
    ds.save_as(path, enforce_file_format=True)
    return path


def test_the_parts_of_a_concatenation_are_joined(series_type, phantom, tmp_path):
    parts(series_type, phantom, tmp_path / "c", (4, 4, 3))
    study = read_study(tmp_path / "c")
    assert np.array_equal(study.volume.data, phantom((9, 7, 11)))
    assert [c.slices for c in study.candidates] == [11]
    assert len(set(study.volume.origin.files)) == 3


@pytest.mark.parametrize(("lost", "words"), [(0, "part(s) 1 of 3"), (1, "2 of 3"), (2, "3 of 3")])
def test_a_part_that_is_missing_is_named(series_type, phantom, tmp_path, lost, words):
    parts(series_type, phantom, tmp_path / "c", (4, 4, 3))[lost].unlink()
    with pytest.raises(GeometryError) as error:
        read_study(tmp_path / "c")
    assert words in str(error.value)
    assert error.value.exit_code == 3


# --- discs --------------------------------------------------------------------------------


@pytest.fixture
def disc(make, tmp_path, phantom) -> Callable[..., Path]:
    """A disc with a DICOMDIR, and a file that it does not list."""

    def write(prepare: Callable[[Path], None] = lambda root: None) -> Path:
        fileset = FileSet()
        for file in make("images", tags={"InstanceNumber": 1}, edit=complete).iterdir():
            fileset.add(file)
        root = tmp_path / "disc"
        fileset.write(root)
        fileset._stage["t"].cleanup()  # else it complains when it is collected
        make("other", values=phantom(seed=9), description="portal venous", study="8.8")
        shutil.copytree(tmp_path / "other", root / "OTHER")
        prepare(root)
        return root

    return write


def complete(ds, k):
    """What a directory record asks for."""
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20200101", "1000", "1", ""
    ds.SeriesNumber, ds.InstanceNumber = 1, k + 1


def images(root: Path) -> list[Path]:
    return sorted(
        f for f in root.rglob("*") if f.is_file() and f.name.startswith("IM") and "OTHER" not in str(f)
    )


@pytest.mark.filterwarnings("ignore")  # pydicom's own, on writing a set in the usual place
class TestDisc:
    def test_the_directory_says_which_files_count(self, disc, phantom):
        study = read_study(disc() / "DICOMDIR")
        assert np.array_equal(study.volume.data, phantom())
        assert len(study.candidates) == 1
        assert not [f for f in study.findings if "listed" in f.code]

    def test_the_folder_of_the_disc_holds_all_of_it(self, disc):
        assert len(list_series(disc())) == 2

    @pytest.mark.parametrize("whole", [False, True])
    def test_missing_files_are_named(self, disc, whole):
        root = disc(lambda root: images(root)[-1].unlink())
        study = read_study(root if whole else root / "DICOMDIR", series=None)
        (said,) = [f for f in study.findings if f.code == "listed-files-missing"]
        assert said.severity == "warning"
        assert "1 of 5 images that the DICOMDIR lists are missing: SE000000/" in said.text

    def test_no_file_at_all(self, disc):
        root = disc(lambda root: [f.unlink() for f in images(root)])
        with pytest.raises(NotAnImageError, match="none of the 5 images"):
            read_study(root / "DICOMDIR")

    def test_copied_in_small_letters_with_versions(self, disc, phantom):
        def copied(root):
            for file in images(root):
                file.rename(file.with_name(file.name.lower() + ";1"))
            top = next(p for p in root.iterdir() if p.name.startswith("PT"))
            top.rename(root / top.name.lower())

        root = disc(copied)
        assert np.array_equal(read_study(root / "DICOMDIR").volume.data, phantom())
        assert not [f for f in read_study(root).findings if "listed" in f.code]

    def test_a_disc_in_an_archive(self, disc, tmp_path):
        root = disc(lambda root: images(root)[-1].unlink())
        with zipfile.ZipFile(tmp_path / "disc.zip", "w") as archive:
            for file in root.rglob("*"):
                archive.write(file, "CD/" + str(file.relative_to(root)))
        study = read_study(tmp_path / "disc.zip")
        assert [f.text[:6] for f in study.findings if f.code == "listed-files-missing"] == ["1 of 5"]

    def test_a_way_out_of_the_disc_is_refused(self, disc):
        root = disc()
        file = root / "DICOMDIR"
        first = images(root)[0].relative_to(root).parts[0].encode()
        file.write_bytes(file.read_bytes().replace(first + b"\\", b"..\\..\\ab\\", 1))
        with pytest.raises(InputError, match=r"leads outside|none of the|damaged"):
            read_study(file)
        assert read_study(root, series="2").volume.data.shape == (9, 7, 5)

    def test_a_damaged_directory_is_no_loss_among_its_files(self, disc):
        def cut(root):
            file = root / "DICOMDIR"
            file.write_bytes(file.read_bytes()[:900])

        root = disc(cut)
        with pytest.raises(InputError, match="DICOMDIR"):
            read_study(root / "DICOMDIR")
        assert len(list_series(root)) == 2
