"""What must hold of OUT at every moment, and when a batch has ended."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path


def assert_nothing_half(out: Path) -> dict[str, str]:
    """Every folder that can be seen is whole; gives the times at which the cases were made."""
    made = {}
    for folder in sorted(p for p in (out / "cases").glob("[!.]*")):
        case = json.loads((folder / "case.json").read_text())
        listed = case["manifest"]["files"]
        there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert there == {*listed, "case.json"}, folder
        for name, digest in listed.items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, (folder, name)
        made[folder.name] = str((folder / "case.json").stat().st_mtime_ns)
    for record in (out / "state").glob("[!.]*.json"):
        assert json.loads(record.read_text())["state"] in ("running", "done", "failed")
    return made


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    """The rows of cases.csv by case; a case that is there twice is an error."""
    with (out / "cases.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len({row["case"] for row in rows}) == len(rows)
    return {row["case"]: row for row in rows}
