"""Commands about one study, from its images to its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from burden.cli.options import FACTS, FILE, OUT, POLICY, SEED, Finite, common, console_of


@click.command()
@click.argument("input", type=FILE)
@click.option("--out", "-o", type=OUT, required=True, help="Folder for the results; must not exist.")
@click.option("--facts", type=FILE, multiple=True, help=FACTS + "; see `burden facts`.")
@click.option("--model", help="Model id or bundle folder; see `burden models`.")
@click.option(
    "--liver", help="Liver mask instead of the model: NIfTI or DICOM SEG, PATH or PATH@LABELS."
)
@click.option("--lesions", help="Lesion mask instead of the model, likewise.")
@click.option("--segments", help="Couinaud segment mask, labels 1 to 8.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--series", help="Series to use: UID, or row of `burden series`.")
@click.option(
    "--with-phase",
    multiple=True,
    metavar="PHASE=SERIES",
    help="Series of another phase to use beside it, like arterial=3, or `none`; by default the arterial "
    "one, for viable tumor, if it is on the same frame of reference.",
)
@click.option(
    "--modality", type=click.Choice(["CT", "MR"]), help="What a NIfTI holds; guessed if left out."
)
@click.option("--book", "books", multiple=True, help="Rule book to apply; all of them by default.")
@click.option(
    "--policy", type=POLICY, help="Folder with the site's own limits and books; both are shown."
)
@click.option(
    "--draws",
    type=click.IntRange(0, 10000),
    default=256,
    show_default=True,
    help="Perturbed segmentations behind every probability; 0 turns them off.",
)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--split/--no-split", default=True, show_default=True, help="Tell touching lesions apart.")
@click.option("--readers", type=FILE, help="Errors of masks that people drew; see configs/readers.yaml.")
@click.option(
    "--seg",
    type=click.Choice(["binary", "labelmap"]),
    default="binary",
    show_default=True,
    help="Encoding of dicom/seg.dcm; few archives know label maps yet.",
)
@click.option(
    "--deidentify",
    is_flag=True,
    help="Pseudonyms instead of names, numbers and UIDs in everything written; dates are shifted.",
)
@click.option(
    "--key",
    type=FILE,
    help="File with the secret behind the pseudonyms, made if it is not there; by default the variable "
    "BURDEN_PSEUDONYM_KEY, else a file in your configuration folder.",
)
@click.option("--strict", is_flag=True, help="Refuse (exit 3) where there is an error-level finding.")
@click.option("--force", is_flag=True, help="Replace earlier results in OUT.")
@common
def run(**options: Any) -> None:
    """Do the main job: a study in, a burden report with verdicts out.

    INPUT is a DICOM folder, file or zip, or a NIfTI file.
    """
    from burden.pipeline import Job
    from burden.pipeline import run as run_job
    from burden.summary import summary
    from burden.write.record import case_record

    console = console_of(options)
    if options["deidentify"]:
        from burden.write import check_out, pseudonym_key

        check_out(options["out"], force=options["force"])  # no key is made for a run that cannot be
        _, news = pseudonym_key(options["key"])
        if news:
            console.note(news)
    with console.progress() as progress:
        case = run_job(Job(**options), progress)
    if console.json or not console.quiet:
        console.result(case_record(case), summary(case, options["out"]))


@click.command()
@click.argument("input", type=FILE)
@common
def series(**options: Any) -> None:
    """List the series of INPUT: which would be used, and why the others not."""
    from dataclasses import asdict

    from burden.read import list_series
    from burden.summary import series_table

    console = console_of(options)
    candidates = list_series(options["input"])
    console.result([asdict(c) for c in candidates], series_table(candidates))


@click.command()
@click.argument("case_file", metavar="CASE", type=FILE)
@click.option(
    "--min-flr",
    type=Finite(0, 100),
    default=30.0,
    show_default=True,
    help="Liver remnant that has to stay, % of (total liver - tumor).",
)
@click.option(
    "--max-ablation-mm",
    type=Finite(min=0),
    default=30.0,
    show_default=True,
    help="Longest lesion that may be ablated.",
)
@click.option("--remove", help="Remnant of this set of segments alone, as 5,6,7,8, instead of a search.")
@common
def plan(
    case_file: Path, min_flr: float, max_ablation_mm: float, remove: str | None, **options: Any
) -> None:
    """Search resection plans for CASE: case.json of an earlier run, or its folder."""
    from dataclasses import asdict

    from burden.plan import Options, make_plans
    from burden.plan.custom import parse_segments, remnant_without
    from burden.summary import plan_page, remnant_page
    from burden.write import read_case

    console = console_of(options)
    removed = None if remove is None else parse_segments(remove)
    case = read_case(case_file)
    if removed is not None:
        left = remnant_without(case.facts, case.lesions, removed, min_flr)
        console.result(left, remnant_page(left))
        return
    found = make_plans(
        case.facts, case.lesions, Options(min_flr=min_flr, max_ablation_mm=max_ablation_mm)
    )
    console.result(asdict(found), plan_page(found))


@click.command()
@click.argument("studies", type=FILE, nargs=-1, required=True, metavar="BASE FOLLOWUP...")
@click.option(
    "--weeks",
    type=Finite(min=0, min_open=True),
    multiple=True,
    help="Time since BASE; once for each study after it.",
)
@click.option(
    "--remnant",
    default="right_hepatectomy",
    show_default=True,
    help="Plan whose liver remnant is followed, as in flr.PLAN.volume.",
)
@click.option(
    "--nadir-mm",
    type=Finite(min=0),
    help="Smallest sum of diameters of the same targets so far, if studies lie between.",
)
@click.option("--out", "-o", type=OUT, help="New folder for compare.json and compare.png.")
@common
def compare(studies: tuple[Path, ...], out: Path | None, **options: Any) -> None:
    """Compare finished studies of one patient in order of time, each a case.json or its folder.

    The last is held against the first; progression is counted from the smallest sum in between.
    """
    from burden.compare import compare_all, open_finished, write_comparison
    from burden.summary import comparison_page
    from burden.write import check_out

    console = console_of(options)
    if out is not None:
        check_out(out)
    record = compare_all([open_finished(path) for path in studies], **options)
    if out is not None:
        write_comparison(record, out)
    console.result(record, comparison_page(record))
