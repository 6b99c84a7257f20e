"""The Segmentation as others read it: dcmqi, and an archive that stores it and gives it back.

``BURDEN_DICOM_ORDERS=48`` runs every axis order; highdicom reads all 48 in test_dicom_seg.py.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from email.parser import BytesParser
from itertools import permutations, product
from pathlib import Path
from typing import Any

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from burden.case import Case
from burden.grid import Grid
from burden.write import write_case
from burden.write.dicom_seg import parts, segmentation

ORDERS = list(product(permutations(range(3)), product((False, True), repeat=3)))
COUNT = int(os.environ.get("BURDEN_DICOM_ORDERS", "4"))
SOME = ORDERS if len(ORDERS) <= COUNT else [ORDERS[n] for n in (3, 13, 29, 46)[:COUNT]]
TURN = Rotation.from_euler("xyz", [9, -14, 23], degrees=True).as_matrix()
Make = Callable[..., Case]


def sorted_points(points: np.ndarray) -> np.ndarray:
    points = points.round(2) + 0.0
    return points[np.lexsort(points.T)]


def truth(case: Case) -> dict[int, np.ndarray]:
    """World positions (LPS mm) of every part's voxels."""
    assert case.images is not None
    grid = case.images.liver.grid
    return {
        part.number: sorted_points(
            grid.world(np.argwhere(getattr(case.images, part.mask).data == part.value))
        )
        for part in parts(case)
    }


def same(found: np.ndarray, expected: np.ndarray, what: Any) -> None:
    assert len(found) == len(expected), what
    np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), atol=0.02, err_msg=str(what))
    np.testing.assert_allclose(found, expected, atol=0.03, err_msg=str(what))


def by_dcmqi(path: Path, folder: Path) -> dict[int, np.ndarray]:
    """What dcmqi makes of a SEG: one NIfTI a segment, without its empty slices."""
    program = Path(sys.executable).with_name("segimage2itkimage")
    folder.mkdir()
    subprocess.run(
        [program, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nifti"],
        check=True,
        capture_output=True,
    )
    out = {}
    for file in folder.glob("*.nii.gz"):
        image = nib.load(file)
        data = np.asarray(image.dataobj)
        grid = Grid.from_ras(data.shape, image.affine)
        out[int(file.name.split(".")[0])] = sorted_points(grid.world(np.argwhere(data > 0)))
    return out


def by_highdicom(content: bytes) -> dict[int, np.ndarray]:
    seg = hd.seg.segread(io.BytesIO(content))
    out = {}
    for number in seg.segment_numbers:
        volume = seg.get_volume(segment_numbers=[number], combine_segments=False)
        index = np.argwhere(volume.array[..., 0] > 0)
        out[int(number)] = sorted_points(index @ volume.affine[:3, :3].T + volume.affine[:3, 3])
    return out


@pytest.mark.parametrize("turn", [None, TURN], ids=["straight", "oblique"])
def test_dcmqi_finds_the_same_voxels(
    turn: np.ndarray | None, small: Make, case_of: Make, filed: Make, tmp_path: Path
) -> None:
    for n, order in enumerate(SOME):
        case = filed(small(case_of("bilobar"), order, turn), tmp_path / str(n))
        path = tmp_path / f"{n}.dcm"
        segmentation(case).save_as(path, enforce_file_format=True)
        found = by_dcmqi(path, tmp_path / f"{n}.nii")
        expected = truth(case)
        assert set(found) == set(expected)
        for number, points in expected.items():
            same(found[number], points, (order, number))


@pytest.mark.parametrize("turn", [None, TURN], ids=["straight", "oblique"])
def test_an_archive_gives_back_the_same_voxels(
    turn: np.ndarray | None, small: Make, case_of: Make, filed: Make, orthanc: Any, tmp_path: Path
) -> None:
    for n, order in enumerate(SOME):
        case = filed(small(case_of("bilobar"), order, turn), tmp_path / str(n))
        path = tmp_path / f"{n}.dcm"
        made = segmentation(case)
        made.save_as(path, enforce_file_format=True)
        done = orthanc.store(path)
        assert done["Status"] == "Success"
        place = f"/dicom-web/studies/{made.StudyInstanceUID}/series/{made.SeriesInstanceUID}"
        (listed,) = orthanc.get(f"{place}/instances")
        assert listed["00080018"]["Value"] == [str(made.SOPInstanceUID)]
        answers = [
            orthanc.call("GET", f"/instances/{done['ID']}/file"),
            retrieved(orthanc, f"{place}/instances/{made.SOPInstanceUID}"),
        ]
        for answer in answers:
            found = by_highdicom(answer)
            for number, points in truth(case).items():
                same(found[number], points, (order, number))
        orthanc.clear()


def test_every_result_is_stored_by_association_and_found_again(
    case_of: Make, filed: Make, orthanc: Any, program: Callable[[str], str], tmp_path: Path
) -> None:
    case = filed(case_of("bilobar"), tmp_path / "in")
    assert write_case(case, tmp_path / "out") == ()
    paths = sorted((tmp_path / "out" / "dicom").rglob("*.dcm"))
    sender = "/usr/bin/storescu" if Path("/usr/bin/storescu").exists() else program("storescu")
    command = [sender, "-R", "-aet", "TESTER", "-aec", "ORTHANC", "127.0.0.1", str(orthanc.dicom_port)]
    subprocess.run([*command, *map(str, paths)], check=True, capture_output=True)
    found = orthanc.get("/dicom-web/studies/1.2.3/series")
    assert sorted(one["00080060"]["Value"][0] for one in found) == ["DOC", "OT", "SEG", "SR"]
    (study,) = orthanc.get("/studies")
    tags = orthanc.get(f"/studies/{study}")
    assert tags["PatientMainDicomTags"]["PatientName"] == "QUIXANO^ALONSO"
    for path in paths:
        sent = pydicom.dcmread(path)
        place = f"/dicom-web/studies/1.2.3/series/{sent.SeriesInstanceUID}/instances"
        back = pydicom.dcmread(io.BytesIO(retrieved(orthanc, f"{place}/{sent.SOPInstanceUID}")))
        assert back == sent, path.name


def retrieved(orthanc: Any, path: str) -> bytes:
    """The one instance of a WADO-RS answer."""
    body = orthanc.call("GET", path, Accept='multipart/related; type="application/dicom"')
    boundary = body[2 : body.index(b"\r\n")]
    header = b'Content-Type: multipart/related; boundary="' + boundary + b'"\r\n\r\n'
    (part,) = BytesParser().parsebytes(header + body).get_payload()
    content: bytes = part.get_payload(decode=True)
    return content
