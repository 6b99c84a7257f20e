"""Which cases there are: a folder of studies, or a manifest with a row a case."""

from __future__ import annotations

import csv
import difflib
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from burden.batch.names import check_names, folder_name
from burden.errors import InputError, UsageError
from burden.pipeline import Job
from burden.vocabulary import vocabulary

COLUMNS = ("case", "input", "facts", "liver", "lesions", "segments", "series", "modality")
"""What a manifest can say of a case; a column named like a fact is a clinical fact; any other
column (an outcome, a reader's number) goes into the results table as it stands."""
_ENDINGS = (".nii.gz", ".nii", ".zip")


@dataclass(frozen=True)
class Task:
    """One case to be done.

    Parameters
    ----------
    case
        Its name, as the user gave it.
    job
        What `burden run` would be told; ``job.out`` is the folder of the case.
    typed
        Clinical facts from columns of the manifest: cells by fact id.
    carried
        Other cells of the manifest.
    settings
        SHA-256 of everything that is the same for all cases and shapes the results.
    """

    case: str
    job: Job
    typed: Mapping[str, str] = field(default_factory=dict)
    carried: Mapping[str, str] = field(default_factory=dict)
    settings: str = ""

    @property
    def folder(self) -> str:
        """Name of its folder, and of its record."""
        return self.job.out.name

    @property
    def root(self) -> Path:
        """OUT of the batch."""
        return self.job.out.parent.parent


def list_tasks(given: Path, base: Job) -> tuple[Task, ...]:
    """The cases of a folder or a manifest.

    Parameters
    ----------
    base
        The options that hold for all; ``base.out`` is OUT of the batch. A facts file
        ``TABLE.csv`` without ``@CASE`` is asked for the row of each case.

    Raises
    ------
    UsageError, InputError
        If there is no case, or the manifest cannot be understood.
    """
    if not given.exists():
        raise InputError("no such folder or manifest.", where=given, hint="Check the path.")
    if given.is_dir():
        if base.out.resolve().is_relative_to(given.resolve()):
            raise UsageError("OUT lies inside the folder of studies.", where=base.out)
        tasks = [_task(case, replace(base, input=path), {}) for case, path in _studies(given)]
    else:
        rows = _rows(given)
        tasks = [_from_row(row, line, given, base) for line, row in rows]
    check_names(task.case for task in tasks)
    return tuple(tasks)


def _task(case: str, job: Job, cells: Mapping[str, str]) -> Task:
    facts = tuple(_for_case(path, case) for path in job.facts)
    beside = job.input / "facts.yaml"
    if not facts and beside.is_file():
        facts = (beside,)
    job = replace(job, facts=facts, out=job.out / "cases" / folder_name(case))
    extra = {k: v for k, v in cells.items() if k not in COLUMNS}
    typed = {k: v for k, v in extra.items() if _is_fact(k)}
    return Task(case, job, typed, {k: v for k, v in extra.items() if k not in typed})


def _for_case(path: Path, case: str) -> Path:
    whole_table = path.suffix.lower() == ".csv" and path.is_file()
    return path.with_name(f"{path.name}@{case}") if whole_table else path


def _studies(folder: Path) -> list[tuple[str, Path]]:
    """Every subfolder, NIfTI file and zip directly in the folder."""
    found = []
    for path in sorted(folder.iterdir()):
        ending = next((e for e in _ENDINGS if path.name.lower().endswith(e)), "")
        if not path.name.startswith(".") and (path.is_dir() or ending):
            found.append((path.name if path.is_dir() else path.name[: -len(ending)], path))
    if not found:
        hint = "Each case is a subfolder, a NIfTI file or a zip; one study alone: `burden run`."
        raise InputError("no studies in this folder.", where=folder, hint=hint)
    times = Counter(folder_name(case).casefold() for case, _ in found)
    return [
        (case if times[folder_name(case).casefold()] == 1 else path.name, path) for case, path in found
    ]


def _rows(manifest: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows of a manifest with their line numbers, cells stripped."""
    is_parquet = manifest.suffix.lower() in (".parquet", ".pq")
    table = _parquet(manifest) if is_parquet else _csv(manifest)
    heads = table[0][1] if table else []
    if "input" not in heads:
        hint = f"A manifest has the columns {', '.join(COLUMNS)}; only input has to be there."
        raise UsageError("no column `input`.", where=manifest, hint=hint)
    _refuse_misspelt(heads, manifest)
    rows = []
    for line, cells in table[1:]:
        if len(cells) != len(heads):
            what = f"{len(cells)} cells for {len(heads)} headings."
            raise UsageError(what, where=f"{manifest}:{line}")
        rows.append((line, dict(zip(heads, cells, strict=True))))
    if not rows:
        raise UsageError("no row below the headings.", where=manifest)
    return rows


def _csv(path: Path) -> list[tuple[int, list[str]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text), delimiter=max(",;\t", key=first.count), strict=True)
        return [(reader.line_num, [c.strip() for c in cells]) for cells in reader if any(cells)]
    except OSError as error:
        raise InputError("cannot be read.", where=path, hint=error.strerror) from error
    except (UnicodeDecodeError, csv.Error) as error:
        hint = "A manifest is CSV or Parquet; for a folder of studies give the folder."
        raise UsageError("not a CSV table in UTF-8.", where=path, hint=hint) from error


def _parquet(path: Path) -> list[tuple[int, list[str]]]:
    from burden.batch.table import arrow

    arrow(needed_for=f"{path.name} is Parquet, and")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError("not a readable Parquet file.", where=path) from error
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    found = [(n, ["" if c is None else str(c).strip() for c in row]) for n, row in enumerate(rows, 2)]
    return [(1, [name.strip() for name in table.column_names]), *found]


def _refuse_misspelt(heads: list[str], manifest: Path) -> None:
    """`lesion` for `lesions` would quietly run the model instead."""
    for head in heads:
        if heads.count(head) > 1:
            raise UsageError(f"the column {head!r} is there twice.", where=manifest)
        near = difflib.get_close_matches(head.lower(), COLUMNS, n=1, cutoff=0.85)
        if near and head not in COLUMNS:
            hint = f"Call it {near[0]!r}, or something that cannot be taken for it."
            raise UsageError(f"no column is called {head!r}.", where=manifest, hint=hint)
        name = _fact_name(head)
        if "." in name and " " not in name and not _is_fact(head):
            hint = "`burden facts` lists them; a column that is only carried has no dot in its name."
            raise UsageError(f"no fact is called {head!r}.", where=manifest, hint=hint)

    facts = Counter(_fact_name(head) for head in heads if _is_fact(head))
    twice = [name for name, times in facts.items() if times > 1]
    if twice:
        raise UsageError(f"{twice[0]} has two columns.", where=manifest, hint="Keep one, in one unit.")


def _is_fact(head: str) -> bool:
    return vocabulary().find(_fact_name(head)) is not None


def _fact_name(head: str) -> str:
    """A heading without its unit."""
    return head.partition("[")[0].strip()


def _from_row(row: Mapping[str, str], line: int, manifest: Path, base: Job) -> Task:
    """A row: its paths are relative to the folder of the manifest."""
    here = manifest.parent
    if not row["input"]:
        raise UsageError("the cell `input` is empty.", where=f"{manifest}:{line}")
    modality = row.get("modality") or base.modality
    if modality not in (None, "CT", "MR"):
        raise UsageError(f"a modality is CT or MR, not {modality!r}.", where=f"{manifest}:{line}")
    own = tuple(here / part.strip() for part in row.get("facts", "").split(";") if part.strip())
    masks = {n: str(here / row[n]) if row.get(n) else None for n in ("liver", "lesions", "segments")}
    job = replace(
        base,
        input=here / row["input"],
        facts=(*base.facts, *own),
        liver=masks["liver"],
        lesions=masks["lesions"],
        segments=masks["segments"],
        series=row.get("series") or base.series,
        modality=modality,  # type: ignore[arg-type]  # checked above
    )
    return _task(row.get("case") or Path(row["input"]).name, job, row)
