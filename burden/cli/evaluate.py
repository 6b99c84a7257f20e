"""The command that compares predicted with reference masks."""

from __future__ import annotations

from typing import Any

import click

from burden.cli.options import FILE, OUT, SEED, Finite, common, console_of


@click.command()
@click.argument("predicted", metavar="PRED")
@click.argument("reference", metavar="REF")
@click.option("--pairs", type=FILE, help="CSV with case,prediction,reference; paths in PRED and REF.")
@click.option("--out", "-o", type=OUT, help="New folder for tables, JSON and a picture.")
@click.option(
    "--overlap",
    "overlaps",
    type=Finite(0, 1),
    multiple=True,
    default=(0.0, 0.5),
    show_default=True,
    help="Intersection over union from which a lesion counts as found; 0: one voxel. Repeatable.",
)
@click.option(
    "--tolerance-mm",
    type=Finite(min=0),
    default=3.0,
    show_default=True,
    help="Of the surface Dice.",
)
@click.option(
    "--bootstrap",
    "draws",
    type=click.IntRange(0, 100000),
    default=2000,
    show_default=True,
    help="Samples of the cases behind each interval; 0 turns them off.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--skip-missing", is_flag=True, help="Leave out references without a prediction.")
@common
def evaluate(predicted: str, reference: str, **options: Any) -> None:
    """Compare predicted masks PRED with reference masks REF.

    Either is a NIfTI file, a DICOM SEG, the OUT folder of a run, or a folder of these; files of the
    same name belong together. PATH@LIVER/LESIONS says which labels are what: truth@1,2/2 (the
    default), truth@6 for a liver alone, truth@/1 for lesions alone. The liver holds the lesions.

    A lesion is a connected component. It is found where it and the parts linked with it (those
    that share most with it) overlap enough, or where one part covers it and its neighbours.
    """
    from burden.evaluate import Options, evaluation_record, write_evaluation
    from burden.evaluate import evaluate as compare
    from burden.evaluate.tables import evaluation_page
    from burden.write import check_out

    console = console_of(options)
    out, pairs = options.pop("out"), options.pop("pairs")
    if out is not None:
        check_out(out)
    with console.progress() as progress:
        found = compare(predicted, reference, Options(**options), pairs=pairs, progress=progress)
    if out is not None:
        write_evaluation(found, out)
    console.result(evaluation_record(found), evaluation_page(found, out))
