"""The node between a scanner and a real archive: pushed by dcmtk, pulled by QIDO and WADO, sent back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .kit import as_bytes, c_store, save, tiny_study, until


def to_orthanc(orthanc: Any, **more: Any) -> dict[str, Any]:
    return {"name": "orthanc", "kind": "dicom", "host": "127.0.0.1", "port": orthanc.dicom_port,
            "ae_title": orthanc.aet} | more  # fmt: skip


def over_web(orthanc: Any, folder: Path) -> dict[str, Any]:
    token = folder / "orthanc-token"
    token.write_text(":".join(orthanc.auth))
    return {"name": "orthanc-web", "url": orthanc.dicomweb, "token_file": str(token)}


def instances(orthanc: Any, study: str) -> dict[str, list[str]]:
    """SOP Instance UIDs that QIDO finds, by modality."""
    found: dict[str, list[str]] = {}
    for one in orthanc.get(f"/dicom-web/studies/{study}/instances?includefield=00080060"):
        found.setdefault(one["00080060"]["Value"][0], []).append(one["00080018"]["Value"][0])
    return found


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small digital liver as a DICOM series."""
    from burden.phantom import LesionSpec, Spec, write_phantom

    lesion = LesionSpec(look="hypo", segment=6, diameters=(40.0, 40.0, 40.0))
    spec = Spec(shape=(48, 44, 30), spacing=(7.0, 7.0, 7.0), detail="plain", lesions=(lesion,))
    out = tmp_path_factory.mktemp("phantom") / "p"
    write_phantom(spec, out)
    return out / "dicom"


def test_a_study_pushed_with_dcmtk_comes_back_as_results(
    make_node: Any, orthanc: Any, phantom: Path, program: Any, tmp_path: Path
) -> None:
    """The whole thing with the real model: storescu, node, worker, Orthanc, QIDO."""
    import pydicom

    program("dcmdump")
    node = make_node(
        send=[to_orthanc(orthanc)],
        job={"command": [], "device": "cpu", "draws": 32},
        complete={"quiet_s": 2},
    )
    command = ["/usr/bin/storescu", "-R", "-xs", "-aet", "TESTER", "-aec", "BURDEN", "+sd"]
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in phantom.iterdir():  # dcmtk's storescu has no encoder for what it would have to convert
        data = pydicom.dcmread(path)
        if data.file_meta.TransferSyntaxUID.is_compressed:
            data.decompress()
        data.save_as(plain / path.name)
    place = ["127.0.0.1", str(node.ports["dicom"]), str(plain)]
    sent = subprocess.run([*command, *place], capture_output=True, text=True)
    assert sent.returncode == 0, sent.stderr
    study = str(pydicom.dcmread(next(phantom.iterdir())).StudyInstanceUID)
    until(lambda: node.jobs("done") or node.jobs("failed"), 400)
    assert node.counts() == {"done": 1}, node.raw[-3:]
    assert [s["0020000D"]["Value"] for s in orthanc.get("/dicom-web/studies")] == [[study]]
    found = instances(orthanc, study)
    assert {"SEG", "SR", "DOC"} <= found.keys()
    (job,) = node.jobs("done")
    objects = (job / "result" / "dicom").rglob("*.dcm")
    made = {str(pydicom.dcmread(path).SOPInstanceUID) for path in objects}
    assert {uid for one in found.values() for uid in one} == made
    # The objects lie in the patient's own study, and the images did not come along.
    assert "CT" not in found
    # The same study again is known: the archive gets nothing twice.
    assert subprocess.run([*command, *place], capture_output=True).returncode == 0
    until(lambda: node.events("known"))
    assert instances(orthanc, study) == found
    # Run again by hand, the results are the same instances.
    before = orthanc.get("/statistics")["CountInstances"]
    job.rename(node.folder / "queued" / job.name.partition(".")[0])
    until(lambda: node.jobs("done"), 400)
    assert orthanc.get("/statistics")["CountInstances"] == before
    assert instances(orthanc, study) == found
    assert node.metric("burden_node_worker_starts_total") == 1, "the model stays loaded"


def test_pull_and_stow(make_node: Any, orthanc: Any, tmp_path: Path) -> None:
    """Fetched from Orthanc's DICOMweb, results stored there by STOW-RS, nothing fetched twice."""
    web = over_web(orthanc, tmp_path)
    source = web | {"name": "in", "every_s": 0.5, "filters": ["ModalitiesInStudy=CT"]}
    target = web | {"name": "out", "kind": "stow"}
    studies = [tiny_study("pull1", 3), tiny_study("pull2", 2)]
    other = tiny_study("other", 1)
    other[0].Modality = "PT"
    for study in [*studies, other]:
        for number, path in enumerate(sorted(save(study, tmp_path / study[0].PatientID).iterdir())):
            assert orthanc.store(path)["Status"] == "Success", number
    node = make_node(dicom=None, send=[target], pull=[source])
    jobs = node.done(2)
    assert sorted(len(list((j / "images").iterdir())) for j in jobs) == [2, 3]
    for study in studies:
        found = instances(orthanc, study[0].StudyInstanceUID)
        assert sorted(found["CT"]) == sorted(d.SOPInstanceUID for d in study)
        assert len(found["SR"]) == 1
    asked = len(node.events("pulled"))
    assert asked == 2
    # More images of a study appear there: it is fetched and run again, whole.
    more = tiny_study("pull2", 3)[2:]
    (path,) = save(more, tmp_path / "more").iterdir()
    orthanc.store(path)
    jobs = node.done(3)
    assert sorted(len(list((j / "images").iterdir())) for j in jobs) == [2, 3, 3]
    assert len(node.events("pulled")) == 3
    assert len(instances(orthanc, studies[1][0].StudyInstanceUID)["SR"]) == 2, "of 2 and of 3 images"
    # Remembered over a restart.
    assert node.stop() == 0
    node.start()
    until(lambda: node.metric("burden_node_queue{") == 3)
    assert len(node.events("pulled")) == 3


def test_pull_waits_for_an_archive_that_is_down(make_node: Any, orthanc: Any, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    web = over_web(orthanc, tmp_path)
    source = web | {"url": f"http://127.0.0.1:{port}/dicom-web", "every_s": 0.3}
    wrong = web | {"name": "wrong", "every_s": 0.3, "token_file": str(tmp_path / "wrong")}
    (tmp_path / "wrong").write_text("tests:not-the-password")
    node = make_node(dicom=None, pull=[source, wrong])
    until(lambda: {e["from"] for e in node.events("pull-failed")} == {"orthanc-web", "wrong"})
    body_ok = node.http("/healthz")[0]
    assert body_ok == 200


def test_orthanc_pushes_to_the_node(make_node: Any, orthanc: Any, tmp_path: Path) -> None:
    """Orthanc as the sender, and its own routing back: the results do not start a study."""
    peers = [{"ae_title": "ORTHANC", "address": "127.0.0.1"}]
    dicom = {"port": orthanc.peer_port, "peers": peers, "accept": "everything"}
    node = make_node(dicom=dicom, send=[to_orthanc(orthanc)])
    study = tiny_study("routed", 3)
    for path in sorted(save(study, tmp_path / "s").iterdir()):
        orthanc.store(path)
    (found,) = orthanc.get("/studies")
    orthanc.send_to_peer([found])
    node.done()
    assert len(instances(orthanc, study[0].StudyInstanceUID)["SR"]) == 1
    orthanc.send_to_peer([found])  # now with the result among the images
    until(lambda: node.events("known"))
    assert node.counts() == {"done": 1}


def test_two_archives_one_down(make_node: Any, orthanc: Any, tmp_path: Path) -> None:
    """The one that works gets its results at once; the study is done when both have them."""
    down = to_orthanc(orthanc, name="down", port=1)
    node = make_node(send=[down, to_orthanc(orthanc)])
    study = tiny_study("two", 1)
    assert c_store(node.ports["dicom"], study) == [0]
    until(lambda: node.events("sent") and node.events("unreachable"))
    assert len(instances(orthanc, study[0].StudyInstanceUID)["SR"]) == 1
    (job,) = node.jobs("sending")
    assert json.loads((job / "note.json").read_text())["sent"] == ["orthanc"]
    assert as_bytes(study[0])
