"""The command for threshold studies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from burden.cli.options import FILE, OUT, SEED, common, console_of


@click.command()
@click.argument("tables", metavar="TABLE...", type=FILE, nargs=-1, required=True)
@click.option("--out", "-o", type=OUT, help="New folder for cohort.html, cohort.json and CSV tables.")
@click.option(
    "--fact",
    "facts",
    multiple=True,
    help="Number to move a threshold over; burden and the like by default.",
)
@click.option(
    "--outcome",
    "outcomes",
    multiple=True,
    metavar="COLUMN[=VALUE,...]",
    help="Yes/no outcome; these values mean yes.",
)
@click.option("--time", metavar="COLUMN", help="Survival time.")
@click.option("--event", metavar="COLUMN[=VALUE,...]", help="Whether that time ended in the event.")
@click.option(
    "--reader", "readers", multiple=True, metavar="FACT=COLUMN", help="Columns that should agree."
)
@click.option("--book", "books", multiple=True, help="Rule book whose limits are moved; all by default.")
@click.option("--at", "marks", multiple=True, metavar="FACT=NUMBER", help="Threshold of interest.")
@click.option("--below", is_flag=True, help="A low number is the positive test.")
@click.option(
    "--bootstrap",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help="Resamples; 0 for none.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@common
def cohort(out: Path | None, **options: Any) -> None:
    """Study thresholds in a cohort: against outcomes, survival, readers and published rules.

    TABLE is cases.csv or cases.parquet of a batch, or any table with fact ids as headings; further
    tables are joined by their column `case`.
    """  # fmt: skip
    from burden.cohort import Asked, run_cohort
    from burden.cohort.words import told
    from burden.errors import InputError

    console = console_of(options)
    for table in options["tables"]:
        if table.is_dir():
            hint = "Give the table itself, as cases.csv in the OUT of a batch."
            raise InputError("a folder, not a table.", where=table, hint=hint)
    record = run_cohort(Asked(**options), out)
    if console.json or not console.quiet:
        console.result(record, told(record, out))
