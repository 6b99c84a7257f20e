"""Both doors of a running node: what comes in, what is answered, what is on the disk then."""

from __future__ import annotations

import json
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest

from .kit import as_bytes, c_store, multipart, save, tiny_study, to_archive, until


def test_study_goes_through_to_the_archive(make_node: Any, make_archive: Any) -> None:
    archive = make_archive()
    node = make_node(send=to_archive(archive.port))
    study = tiny_study("one")
    assert c_store(node.ports["dicom"], study) == [0, 0, 0]
    (job,) = node.done()
    assert list(archive.studies) == [study[0].StudyInstanceUID]
    assert set(archive.got.values()) == {1}
    note = json.loads((job / "note.json").read_text())
    assert note["sent"] == ["pacs"]
    assert node.counts() == {"done": 1}
    # What came is what lies there, element by element.
    import pydicom

    kept = {d.SOPInstanceUID: d for d in map(pydicom.dcmread, (job / "images").iterdir())}
    assert kept == {d.SOPInstanceUID: d for d in study}

    # The same again is known, and does nothing.
    assert c_store(node.ports["dicom"], study) == [0, 0, 0]
    until(lambda: node.events("known"))
    assert node.counts() == {"done": 1}
    assert set(archive.got.values()) == {1}

    # A late image runs the study again, with the images from before.
    assert c_store(node.ports["dicom"], tiny_study("one", slices=4)[3:]) == [0]
    jobs = node.done(2)
    assert [len(list((j / "images").iterdir())) for j in jobs] == [3, 4]
    assert json.loads((jobs[1] / "result" / "case.json").read_text()) == {"images": 4}

    # One process did all of it.
    assert node.metric("burden_node_worker_starts_total") == 1
    assert node.stop() == 0
    secrets = (
        "SECRET",
        "ID-one",
        "ACCone",
        *(d.SOPInstanceUID for d in study),
        study[0].StudyInstanceUID,
    )
    assert not [word for word in secrets if word in "\n".join(node.raw)]
    for line in node.raw:
        assert set(json.loads(line)) >= {"time", "level", "event"}


def test_echo_with_dcmtk(shared_node: Any, program: Any) -> None:
    node = shared_node()
    port = str(node.ports["dicom"])
    ask = ["/usr/bin/echoscu", "-aet", "TESTER", "-aec"]  # not the one pynetdicom installs
    program("dcmdump")  # of the same package
    assert subprocess.run([*ask, "BURDEN", "127.0.0.1", port], capture_output=True).returncode == 0
    assert subprocess.run([*ask, "WRONG", "127.0.0.1", port], capture_output=True).returncode != 0


def test_stow_answers_for_each_instance(make_node: Any) -> None:
    node = make_node()
    good, other = tiny_study("a", 2), tiny_study("b", 1)[0]
    report = tiny_study("c", 1)[0]
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"
    body, kind = multipart([as_bytes(d) for d in (*good, report)] + [b"no DICOM at all"])
    status, text = node.http("/dicom-web/studies", body, Content_Type=kind)
    assert status == 202
    answer = json.loads(text)
    stored = [one["00081155"]["Value"] for one in answer["00081199"]["Value"]]
    assert stored == [[d.SOPInstanceUID] for d in good]
    reasons = [one["00081197"]["Value"] for one in answer["00081198"]["Value"]]
    assert reasons == [[0x0122], [0xC000]]

    body, kind = multipart([as_bytes(other)])
    path = f"/dicom-web/studies/{good[0].StudyInstanceUID}"
    status, text = node.http(path, body, Content_Type=kind)
    assert status == 409
    assert json.loads(text)["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]
    assert node.http("/dicom-web/studies", body, Content_Type="application/dicom")[0] == 415
    assert node.http("/dicom-web/studies", b"nothing", Content_Type=kind)[0] in (400, 409)
    (job,) = node.done()
    assert len(list((job / "images").iterdir())) == 2
    assert node.metric('burden_node_images_received_total{door="stow"}') == 2


def test_status_page_and_metrics(make_node: Any) -> None:
    node = make_node(send=to_archive(1))  # nobody there
    c_store(node.ports["dicom"], tiny_study("BAD", 1))
    c_store(node.ports["dicom"], tiny_study("good", 1))
    until(lambda: node.jobs("failed") and node.events("unreachable"))
    status, page = node.http("/")
    assert status == 200
    assert "does not answer since" in page
    assert node.jobs("failed")[0].name in page
    assert "SECRET" not in page
    assert "<script" not in page
    assert node.http("/healthz") == (200, "ok\n")
    from prometheus_client.parser import text_string_to_metric_families

    families = {one.name for one in text_string_to_metric_families(node.http("/metrics")[1])}
    assert {"burden_node_images_received", "burden_node_queue", "burden_node_job_seconds"} <= families
    assert node.http("/nothing")[0] == 404


def test_count_completes_a_study_at_once(make_node: Any) -> None:
    node = make_node(complete={"quiet_s": 600, "instances": 3})
    c_store(node.ports["dicom"], tiny_study("one", 2))
    c_store(node.ports["dicom"], tiny_study("two", 3))
    (job,) = node.done()
    assert len(list((job / "images").iterdir())) == 3
    assert node.counts() == {"incoming": 1, "done": 1}


def test_http_wants_the_token(make_node: Any, tmp_path: Path) -> None:
    import base64

    token = tmp_path / "token"
    token.write_text("a-long-secret\n")
    node = make_node(http={"token_file": str(token)})
    body, kind = multipart([as_bytes(tiny_study("a", 1)[0])])
    assert node.http("/")[0] == node.http("/metrics")[0] == 401
    assert node.http("/dicom-web/studies", body, Content_Type=kind)[0] == 401
    assert node.http("/", Authorization="Bearer a-long-secre")[0] == 401
    assert node.http("/", Authorization="Basic !!!")[0] == 401
    assert node.http("/healthz")[0] == 200
    assert node.http("/", Authorization="Bearer a-long-secret")[0] == 200
    word = base64.b64encode(b"anybody:a-long-secret").decode()
    assert node.http("/metrics", Authorization=f"Basic {word}")[0] == 200
    assert not node.jobs("incoming")


def test_http_turns_other_addresses_away(make_node: Any) -> None:
    node = make_node(http={"allow": ["10.1.2.3"]})
    assert node.http("/")[0] == node.http("/healthz")[0] == 403


def test_http_turns_other_names_away_where_no_token_is_asked(make_node: Any, tmp_path: Path) -> None:
    """A page elsewhere can have its own name lead to this machine, and the browser lets it post."""
    node = make_node()
    port = node.ports["http"]
    for name in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", ""):
        assert node.http("/", Host=name)[0] in (400, 403), name
    for name in (f"localhost:{port}", "127.0.0.1", "[::1]:8042", "[::1]"):
        assert node.http("/", Host=name)[0] == 200, name
    (tmp_path / "token").write_text("a-long-secret")
    behind_a_proxy = make_node(http={"token_file": str(tmp_path / "token")})
    word = "Bearer a-long-secret"
    assert behind_a_proxy.http("/", Host="node.example", Authorization=word)[0] == 200


@pytest.mark.parametrize("accept", ["images", "everything"])
def test_other_objects_are_refused_or_dropped_as_set(make_node: Any, accept: str) -> None:
    """Our own results come back from many archives: they must never start a study."""
    node = make_node(dicom={"accept": accept})
    own = tiny_study("own", 1)[0]
    own.SOPClassUID = own.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"
    if accept == "everything":
        assert c_store(node.ports["dicom"], [own]) == [0]
    else:
        with pytest.raises(ConnectionError):
            c_store(node.ports["dicom"], [own])
    assert c_store(node.ports["dicom"], tiny_study("image", 1)) == [0]
    node.done()
    assert node.counts() == {"done": 1}
    assert len(node.events("complete")) == 1


def test_no_tag_becomes_a_path(shared_node: Any) -> None:
    node = shared_node()
    from pydicom import config

    bad = tiny_study("evil", 1)[0]
    with config.disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that these are no UIDs
        for name in (
            "../../../escaped",
            "/etc/burden",
            "1.2\\..\\x",
            "a" * 70,
            "1." * 40 + "1",
            "",
            ".",
        ):
            bad.StudyInstanceUID = name
            body, kind = multipart([as_bytes(bad)])
            status, text = node.http("/dicom-web/studies", body, Content_Type=kind)
            assert status == 409, name
            assert json.loads(text)["00081198"]["Value"][0]["00081197"]["Value"] == [0xC000]
    before = len(node.jobs("done"))
    fine = tiny_study("fine", 1)[0]
    assert c_store(node.ports["dicom"], [fine]) == [0]
    job = node.done(before + 1)[-1]
    names = [p.name for p in job.rglob("*") if p.is_file() and p.parent.name == "images"]
    assert all(set(n.removesuffix(".dcm")) <= set("0123456789abcdef") for n in names)
    assert {p.name for p in node.folder.iterdir()} == {
        "incoming", "queued", "processing", "sending", "done", "failed", "tmp", "lock"}  # fmt: skip
    assert not list(node.folder.parent.rglob("*escaped*"))


def test_folder_is_private(shared_node: Any) -> None:
    node = shared_node()
    before = len(node.jobs("done"))
    c_store(node.ports["dicom"], tiny_study("a", 1))
    node.done(before + 1)
    assert not [p for p in node.folder.rglob("*") if p.stat().st_mode & 0o077]


def test_storescu_of_dcmtk_sends_a_folder(shared_node: Any, program: Any, tmp_path: Path) -> None:
    program("dcmdump")
    node = shared_node()
    before = len(node.jobs("done"))
    folder = save(tiny_study("dcmtk", 3), tmp_path / "study")
    sent = subprocess.run(
        ["/usr/bin/storescu", "-R", "-aet", "TESTER", "-aec", "BURDEN", "+sd", "127.0.0.1",
         str(node.ports["dicom"]), str(folder)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr
    node.done(before + 1)
