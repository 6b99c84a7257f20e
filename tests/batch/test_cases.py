"""What is taken for a case, from folders and manifests."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from burden.batch import list_tasks
from burden.batch.inputs import content, stamp
from burden.errors import InputError, UsageError
from burden.pipeline import Job

HEADS = ("case", "input", "facts", "liver", "lesions", "series", "modality", "patient.age", "died")


def manifest(folder: Path, *rows: tuple[str, ...], heads: tuple[str, ...] = HEADS) -> Path:
    path = folder / "m.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows((heads, *rows))
    return path


def test_a_row_says_everything_and_paths_start_at_the_manifest(tmp_path: Path, base: Job) -> None:
    path = manifest(
        tmp_path, ("A/1", "ct", "f.yaml; g.csv@7", "m.nii@1,2", "l.nii", "1.2", "MR", "61", "yes")
    )
    (task,) = list_tasks(path, base)
    job = task.job
    assert (task.case, job.out) == ("A/1", base.out / "cases" / "A%2F1")
    assert job.input == tmp_path / "ct"
    assert job.facts == (tmp_path / "f.yaml", tmp_path / "g.csv@7")
    assert (job.liver, job.lesions) == (str(tmp_path / "m.nii@1,2"), str(tmp_path / "l.nii"))
    assert (job.segments, job.series, job.modality) == (None, "1.2", "MR")
    assert (task.typed, task.carried) == ({"patient.age": "61"}, {"died": "yes"})


def test_parquet_and_csv_manifests_are_the_same(tmp_path: Path, base: Job) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    path = manifest(
        tmp_path,
        ("P1", "a", "", "", "", "", "CT", "61", "1"),
        ("P2", "b", "", "", "", "", "", "", "0"),
    )
    pyarrow.parquet.write_table(pyarrow.csv.read_csv(path), tmp_path / "m.parquet")
    assert list_tasks(path, base) == list_tasks(tmp_path / "m.parquet", base)


def test_a_folder_gives_its_subfolders_nifti_files_and_zips(tmp_path: Path, base: Job) -> None:
    studies = tmp_path / "studies"
    for name in ("b", "a", ".git"):
        (studies / name).mkdir(parents=True)
    for name in ("c.nii.gz", "d.zip", "a.nii", "README.md"):
        (studies / name).touch()
    (studies / "b" / "facts.yaml").touch()
    tasks = {task.case: task for task in list_tasks(studies, base)}
    assert set(tasks) == {"a", "a.nii", "b", "c", "d"}
    assert tasks["b"].job.facts == (studies / "b" / "facts.yaml",)
    assert tasks["a"].job.facts == ()


def test_a_table_of_facts_is_asked_for_the_row_of_each_case(tmp_path: Path, base: Job) -> None:
    from dataclasses import replace

    (tmp_path / "clinic.csv").write_text("case,patient.age\nP1,50\n")
    path = manifest(tmp_path, ("P1", "a"), heads=("case", "input"))
    (task,) = list_tasks(path, replace(base, facts=(tmp_path / "clinic.csv",)))
    assert task.job.facts == (tmp_path / "clinic.csv@P1",)


@pytest.mark.parametrize(
    ("heads", "rows", "said"),
    [
        (("case",), [("a",)], "no column `input`"),
        (("case", "input"), [], "no row"),
        (("case", "input"), [("a", "")], "`input` is empty"),
        (("case", "input"), [("a", "x"), ("a", "y")], "there twice"),
        (("case", "input", "lesion"), [("a", "x", "l")], "no column is called 'lesion'"),
        (("case", "input", "patient.agee"), [("a", "x", "5")], "no fact is called"),
        (("case", "input", "patient.agee [year]"), [("a", "x", "5")], "no fact is called"),
        (("input", "lab.bilirubin", "lab.bilirubin [umol/L]"), [("x", "1", "17")], "two columns"),
        (("case", "input"), [("a", "x", "y")], "3 cells for 2 headings"),
        (("case", "input", "modality"), [("a", "x", "PET")], "CT or MR"),
    ],
)
def test_a_manifest_that_cannot_be_meant_is_refused(
    tmp_path: Path, base: Job, heads: tuple[str, ...], rows: list[tuple[str, ...]], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        list_tasks(manifest(tmp_path, *rows, heads=heads), base)


def test_no_studies_and_out_among_the_studies_are_refused(tmp_path: Path, base: Job) -> None:
    (tmp_path / "studies").mkdir()
    with pytest.raises(InputError, match="no studies"):
        list_tasks(tmp_path / "studies", base)
    with pytest.raises(UsageError, match="OUT lies inside"):
        list_tasks(tmp_path, base)
    with pytest.raises(InputError, match="no such"):
        list_tasks(tmp_path / "nowhere", base)
    (tmp_path / "odd.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(UsageError, match="not a CSV"):
        list_tasks(tmp_path / "odd.csv", base)


def test_a_digest_changes_with_what_the_result_hangs_on_and_nothing_else(
    tmp_path: Path, base: Job
) -> None:
    (tmp_path / "ct").mkdir()
    (tmp_path / "ct" / "1.dcm").write_bytes(b"one")
    (tmp_path / "l.nii").write_bytes(b"lesions")
    (tmp_path / "clinic.csv").write_text("case,patient.age\nP1,50\nP2,60\n")
    row = ("P1", "ct", "clinic.csv@P1", "", "l.nii@1", "", "CT", "61", "yes")

    def digest() -> str:
        (task,) = list_tasks(manifest(tmp_path, row), base)
        return content(task)

    first = digest()
    (tmp_path / "clinic.csv").write_text("case,patient.age\nP1,50\nP2,99\n")
    row = (*row[:-1], "no")  # the outcome shapes no result
    assert digest() == first
    seen = {first}
    for change in (
        lambda: (tmp_path / "ct" / "1.dcm").write_bytes(b"two"),
        lambda: (tmp_path / "ct" / "1.dcm").rename(tmp_path / "ct" / "2.dcm"),
        lambda: (tmp_path / "l.nii").write_bytes(b"others"),
        lambda: (tmp_path / "clinic.csv").write_text("case,patient.age\nP1,51\n"),
    ):
        change()
        seen.add(digest())
    for other in (
        (*row[:4], "l.nii@2", *row[5:]),
        (*row[:5], "1.2", *row[6:]),
        (*row[:6], "MR", *row[7:]),
        (*row[:7], "62", row[8]),
    ):
        row = other
        seen.add(digest())
    assert len(seen) == 9


def test_errors_of_readers_count_by_what_they_say(tmp_path: Path, base: Job) -> None:
    from dataclasses import asdict, replace

    import yaml

    from burden.batch.inputs import settings
    from burden.measure.readers import Errors

    said = []
    for name, liver in (("a", 0.4), ("b", 0.4), ("a", 0.9)):
        path = tmp_path / name
        told = asdict(Errors(0.017, 1.35, 0.102, 2.5, liver, 3.0))
        path.write_text(yaml.safe_dump(told))
        said.append(settings(replace(base, readers=path), given_masks=True))
    assert said[0] == said[1] != said[2]


def test_a_touched_file_changes_the_stamp_and_not_the_digest(tmp_path: Path, base: Job) -> None:
    import os

    (tmp_path / "ct.nii").write_bytes(b"one")
    (task,) = list_tasks(manifest(tmp_path, ("P1", "ct.nii"), heads=("case", "input")), base)
    before = stamp(task), content(task)
    os.utime(tmp_path / "ct.nii", ns=(1, 1))
    assert stamp(task) != before[0]
    assert content(task) == before[1]
