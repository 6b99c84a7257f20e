"""The contract that every entry of WRITERS inherits."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from burden.case import Case
from burden.errors import UsageError
from burden.findings import Finding
from burden.write import WRITERS, read_case, write_case

PERSON = "QUIXANO^ALONSO"
Filed = Callable[[Case, Path], Case]
KINDS = ["bilobar", "healthy", "truncated"]


def files(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.rglob("*")) if p.is_file())


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("writer", list(WRITERS))
def test_writer_writes_and_is_listed(
    writer: str, kind: str, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert write_case(filed(case_of(kind), tmp_path / "series"), out, writers=[writer]) == ()
    written = {p.relative_to(out).as_posix() for p in files(out)}
    assert written > {"case.json"} or writer == "record"
    assert all(name.startswith("dicom/") for name in written - {"case.json"}) == (
        writer.startswith("dicom_") or writer == "record"
    )
    listed = json.loads((out / "case.json").read_text())["manifest"]["files"]
    assert set(listed) == written - {"case.json"}
    for name, sha in listed.items():
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == sha


@pytest.mark.parametrize("writer", list(WRITERS))
def test_writer_copes_with_a_case_read_back(
    writer: str, case_of: Callable[[str], Case], tmp_path: Path
) -> None:
    write_case(case_of("bilobar"), tmp_path / "first", writers=["record"])
    write_case(read_case(tmp_path / "first"), tmp_path / "out", writers=[writer])
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


@pytest.mark.parametrize("writer", list(WRITERS))
def test_writer_is_deterministic(
    writer: str, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    case = filed(case_of("healthy"), tmp_path / "series")
    for name in ("one", "two"):
        write_case(case, tmp_path / name, writers=[writer])
    for path in files(tmp_path / "one"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


@pytest.mark.parametrize("writer", list(WRITERS))
def test_no_identifier_leaks(
    writer: str, case_of: Callable[[str], Case], filed: Filed, tmp_path: Path
) -> None:
    """Only ``dicom/`` may name the patient: it goes back to where the name came from."""
    case = filed(case_of("bilobar"), tmp_path / PERSON)
    assert case.images is not None
    origin = case.images.volume.origin
    told = Finding(
        "unreadable-file", "warning", f"{origin.files[0]} ({origin.description}) was skipped."
    )
    facts = case.facts
    note = replace(facts["liver.volume"], note=f"from {origin.path}", source=f"read: {origin.files[0]}")
    facts = type(facts)(note if f.id == "liver.volume" else f for f in facts.values())
    planted = replace(case, facts=facts, findings=(*case.findings, told))
    write_case(planted, tmp_path / "out", writers=[writer])
    for path in files(tmp_path / "out"):
        text = content(path).upper()
        if path.parent.name in ("dicom", "sc"):
            assert text.count(b"QUIXANO") == 1, "in PatientName, and nowhere else"
            assert str(tmp_path).upper().encode() not in text
            continue
        assert b"QUIXANO" not in text, path.name
        assert b"ALONSO" not in text, path.name
        assert b"/DATA/" not in text, path.name
    record = json.loads((tmp_path / "out" / "case.json").read_text())
    assert record["manifest"]["input"]["series_uid"] == "1.2.3.4", "what identifies the data stays"
    assert any("was skipped" in finding["text"] for finding in record["findings"])


def test_every_promised_file_is_there(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    write_case(case_of("bilobar"), tmp_path / "out")
    assert {p.relative_to(tmp_path / "out").as_posix() for p in files(tmp_path / "out")} == {
        "case.json", "report.html", "report.pdf", "lesions.csv", "fhir.json",
        "masks/liver.nii.gz", "masks/lesions.nii.gz", "masks/segments.nii.gz",
    }  # fmt: skip


def test_unknown_writer(case_of: Callable[[str], Case], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fax"):
        write_case(case_of("healthy"), tmp_path / "out", writers=["fax"])
    assert not list(tmp_path.iterdir())
