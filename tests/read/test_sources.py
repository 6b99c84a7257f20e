"""Whatever the transport: folders, files, zips, and things that are none."""

from __future__ import annotations

import stat
import zipfile

import nibabel as nib
import numpy as np
import pytest

from burden.errors import InputError, NotAnImageError
from burden.read import list_series, read_study, sources


def zipped(folder, target):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
    return target


def nifti(path, values=None):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5) if values is None else values
    nib.Nifti1Image(values, np.diag([1.0, 1, 2, 1])).to_filename(path)
    return path


def test_a_zip_equals_its_folder(make, tmp_path, phantom):
    folder = make("study/deep/er")
    (tmp_path / "study" / "notes.txt").write_text("x")
    packed = zipped(tmp_path / "study", tmp_path / "study.zip")
    study = read_study(packed)
    assert np.array_equal(study.volume.data, phantom())
    assert study.volume.origin.sha256 == read_study(folder).volume.origin.sha256
    assert study.volume.origin.path == str(packed)
    assert all("burden-" not in name for name in study.volume.origin.files)


def test_other_files_are_counted_and_ignored(make, tmp_path):
    folder = make()
    (folder / "notes.txt").write_text("x")
    (folder / "report.pdf").write_bytes(b"%PDF-1.4")
    with sources.opened(folder) as source:
        assert (len(source.dicom), source.ignored) == (5, 2)
    assert len(list_series(folder)) == 1


def test_dicom_without_preamble(make, phantom):
    folder = make()
    for file in folder.iterdir():
        file.write_bytes(file.read_bytes()[132:])
    assert np.array_equal(read_study(folder).volume.data, phantom())


def test_one_nifti_in_a_folder_or_zip(tmp_path):
    room = tmp_path / "room"
    room.mkdir()
    nifti(room / "a.nii.gz")
    (room / "a.json").write_text("{}")
    assert read_study(room).volume.data.shape == (3, 4, 5)
    assert read_study(zipped(room, tmp_path / "a.zip")).volume.data.shape == (3, 4, 5)
    nifti(room / "b.nii")
    with pytest.raises(InputError, match="2 NIfTI files"):
        read_study(room)


def test_missing_path(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        read_study(tmp_path / "nothing")


def test_empty_folder(tmp_path):
    with pytest.raises(NotAnImageError, match="the folder is empty"):
        read_study(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.pdf", b"%PDF-1.7 ...", "this is a PDF"),
        ("a.txt", b"hello, this is a letter", "neither DICOM nor NIfTI"),
        ("a.dcm", b"", "the file is empty"),
        ("a.nii", b"not really", "not a readable NIfTI|damaged or cut short"),
        ("a.zip", b"PK\x03\x04 broken", "the zip archive is damaged"),
    ],
)
def test_wrong_files_are_named_for_what_they_are(tmp_path, name, content, what):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=what) as error:
        read_study(tmp_path / name)
    assert error.value.hint
    assert "\n" not in str(error.value)


def test_a_folder_of_letters(tmp_path):
    (tmp_path / "SECRET letter.txt").write_text("x")
    with pytest.raises(NotAnImageError, match="no image among the 1 files") as error:
        read_study(tmp_path)
    assert "SECRET" not in str(error.value)


def test_header_cut_short(make):
    file = sorted(make().iterdir())[0]
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(InputError):
        read_study(file)


@pytest.mark.parametrize(
    "name", ["../out.dcm", "/etc/out.dcm", "a/../../out.dcm", "C:\\out.dcm", "..\\out"]
)
def test_paths_out_of_the_archive_are_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(InputError, match="leads outside"):
        read_study(tmp_path / "a.zip")
    assert not (tmp_path.parent / "out.dcm").exists()


def test_links_in_an_archive_are_refused(tmp_path):
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(InputError, match="symbolic link"):
        read_study(tmp_path / "a.zip")


def test_bombs_stop_before_they_fill_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_UNPACKED", 2**20)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"{number}.dcm", bytes(2**18))
    with pytest.raises(InputError, match="unpacks to more than 1 MiB"):
        read_study(tmp_path / "a.zip")


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_FILES", 10)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number in range(11):
            archive.writestr(f"{number}", b"x")
    with pytest.raises(InputError, match="more than 10 files"):
        read_study(tmp_path / "a.zip")


def test_encrypted_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.dcm", b"x" * 100)
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    raw[6] |= 1  # the flag of the local header, then that of the directory
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(raw)
    with pytest.raises(InputError, match="encrypted"):
        read_study(tmp_path / "a.zip")


def test_deflate_bomb_in_a_dicom_header(make, monkeypatch):
    from burden.read import headers

    folder = make(syntax="1.2.840.10008.1.2.1.99")
    monkeypatch.setattr(headers, "_MAX_INFLATED", 100)
    with pytest.raises(InputError, match="damaged DICOM header"):
        read_study(folder)
