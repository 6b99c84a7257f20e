"""The command for many studies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from burden.cli.options import FILE, OUT, common, console_of
from burden.cli.study import run

_OWN = {"input", "out", "liver", "lesions", "segments", "series", "force", "as_json", "quiet"}
_RUN_OPTIONS = [p for p in run.params if p.name not in _OWN]
"""Those of `burden run` that hold for every case; the others are columns of the manifest."""


def _with_run_options(command: click.Command) -> click.Command:
    last = next(n for n, p in enumerate(command.params) if p.name == "force")
    command.params[last:last] = _RUN_OPTIONS
    return command


@_with_run_options
@click.command()
@click.argument("input", metavar="INPUT_DIR_OR_MANIFEST", type=FILE)
@click.option("--out", "-o", type=OUT, required=True, help="Folder for the results; taken up again.")
@click.option("--workers", type=click.IntRange(1, 256), help="Local processes; by default as fit.")
@click.option("--scheduler", help="Dask scheduler to use instead, e.g. tcp://host:8786.")
@click.option("--retry", is_flag=True, help="Try again all cases that failed.")
@click.option("--force", is_flag=True, help="Do all again where OUT was made with other options.")
@common
def batch(input: Path, **options: Any) -> None:
    """Do many studies: one folder and one row a case; the same command again does what is missing.

    INPUT_DIR_OR_MANIFEST is a folder whose subfolders, NIfTI files and zips are the studies, or a CSV
    or Parquet table with a row a case: case, input, facts, liver, lesions, segments, series,
    modality, facts by their ids (patient.age), and anything else to be carried into the results.
    """
    from burden.batch import run_batch
    from burden.console import fail
    from burden.errors import InputError, OutputError, PartialBatchError
    from burden.pipeline import Job
    from burden.write import pseudonym_key

    console = console_of(options)
    if not input.exists():
        hint = "Give a folder of studies, or a table with a row a case."
        raise InputError("no such folder or table.", where=input, hint=hint)
    if options["out"].is_file():
        raise OutputError(
            "this is a file, not a folder.", where=options["out"], hint="Choose another OUT."
        )
    if options["deidentify"]:  # once, before the workers: an unusable key is no fault of a case
        _, news = pseudonym_key(options["key"])
        if news:
            console.note(news)
        console.note("names of cases and columns carried along stay as given: let them name nobody.")
    how = {name: options.pop(name) for name in ("workers", "scheduler", "retry")}
    ended = run_batch(input, Job(input=input, **options), console, **how)
    lines = [f"{len(ended.done)} cases done, {len(ended.failed)} failed: {ended.out}"]
    lines += [f"  {case}: {reason}" for case, reason in list(ended.failed.items())[:20]]
    if console.json or not console.quiet:
        console.result(ended.record(), "\n".join(lines))
    if ended.failed:  # the result is out already, so only the line and the code are left
        hint = "The reasons are in cases.csv; --retry tries these cases again."
        many = "1 case" if len(ended.failed) == 1 else f"{len(ended.failed)} cases"
        error = PartialBatchError(f"{many} failed.", where=ended.out, hint=hint)
        sys.exit(fail(error, as_json=False))
