"""The command line. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from burden import __version__
from burden.console import Console, fail
from burden.errors import UsageError

FILE = click.Path(path_type=Path)
FACTS = "Clinical facts: YAML, FHIR Bundle or TABLE.csv@CASE; may be repeated, the last one holds"
CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _common(command: Any) -> Any:
    """Give a command ``--json`` and ``--quiet`` as one ``console`` argument."""
    command = click.option("--json", "as_json", is_flag=True, help="Result as JSON, alone on stdout.")(
        command
    )
    return click.option("--quiet", "-q", is_flag=True, help="No progress and no messages.")(command)


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="burden")
def cli() -> None:
    """Liver tumor burden from CT and MR, with reasoned eligibility rules.

    Research use only. Not a medical device.
    """


@cli.command()
@click.argument("input", type=FILE)
@click.option("--out", "-o", type=FILE, required=True, help="Folder for the results; must not exist.")
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
    "--modality", type=click.Choice(["CT", "MR"]), help="What a NIfTI holds; guessed if left out."
)
@click.option("--book", "books", multiple=True, help="Rule book to apply; all of them by default.")
@click.option("--policy", type=FILE, help="Folder with the site's own limits and books; both are shown.")
@click.option(
    "--draws",
    type=click.IntRange(0, 10000),
    default=256,
    show_default=True,
    help="Perturbed segmentations behind every probability; 0 turns them off.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--strict", is_flag=True, help="Refuse (exit 3) where there is an error-level finding.")
@click.option("--force", is_flag=True, help="Replace earlier results in OUT.")
@_common
def run(**options: Any) -> None:
    """Do the main job: a study in, a burden report with verdicts out.

    INPUT is a DICOM folder, file or zip, or a NIfTI file.
    """
    from burden.pipeline import Job
    from burden.pipeline import run as run_job
    from burden.summary import summary
    from burden.write.record import case_record

    console = _console(options)
    with console.progress() as progress:
        case = run_job(Job(**options), progress)
    if console.json or not console.quiet:
        console.result(case_record(case), summary(case, options["out"]))


@cli.command()
@click.argument("input", type=FILE)
@_common
def series(**options: Any) -> None:
    """List the series of INPUT: which would be used, and why the others not."""
    from dataclasses import asdict

    from burden.read import list_series
    from burden.summary import series_table

    console = _console(options)
    candidates = list_series(options["input"])
    console.result([asdict(c) for c in candidates], series_table(candidates))


@cli.command()
@click.option("--facts", type=FILE, multiple=True, help=FACTS + ".")
@click.option("--case", "case_file", type=FILE, help="case.json of an earlier run.")
@click.option("--book", "books", multiple=True, help="Rule book to apply; all of them by default.")
@click.option("--policy", type=FILE, help="Folder with the site's own limits and books; both are shown.")
@click.option("--what-if", "what_if", multiple=True, help="Suppose a fact otherwise: tumor.burden=48.")
@_common
def assess(**options: Any) -> None:
    """Apply the rule books to typed-in facts, a finished case, or both."""
    from dataclasses import asdict

    from burden.assess import assess as decide
    from burden.assess import assess_locally, assess_with, derive, load_books, load_policy, pathway
    from burden.facts import Facts
    from burden.read import agreed_facts, checked_facts
    from burden.summary import verdict_page
    from burden.write import read_case
    from burden.write.record import assessment_record

    console = _console(options)
    if not options["facts"] and options["case_file"] is None:
        raise UsageError("nothing to assess.", hint="Give --facts, --case or both.")
    facts = read_case(options["case_file"]).facts if options["case_file"] else Facts()
    entered = [checked_facts(path) for path in options["facts"]]
    facts, findings = agreed_facts([facts, *(one for one, _ in entered)])
    findings = (*(f for _, said in entered for f in said), *findings)
    books = load_books(options["books"] or None)
    if options["policy"]:
        verdicts = assess_locally(facts, books, load_policy(options["policy"], books))
    else:
        verdicts = decide(derive(facts), books)
    supposed = [text.partition("=")[::2] for text in options["what_if"]]
    changed = [s for s in assess_with(facts, books, dict(supposed)) if s.changes] if supposed else []
    record = {
        "assessments": [assessment_record(v) for v in verdicts],
        "pathway": asdict(pathway(verdicts)),
        "what_if": [{"book": s.now.book, "now": s.now.answer, "then": s.then.answer} for s in changed],
        "findings": [asdict(f) for f in findings],
    }
    console.result(record, verdict_page(verdicts, findings, changed if supposed else None))


@cli.command()
@click.argument("case_file", metavar="CASE", type=FILE)
@click.option(
    "--min-flr",
    type=click.FloatRange(0, 100),
    default=30.0,
    show_default=True,
    help="Liver remnant that has to stay, % of (total liver - tumor).",
)
@click.option(
    "--max-ablation-mm",
    type=click.FloatRange(min=0),
    default=30.0,
    show_default=True,
    help="Longest lesion that may be ablated.",
)
@_common
def plan(case_file: Path, min_flr: float, max_ablation_mm: float, **options: Any) -> None:
    """Search resection plans for CASE: case.json of an earlier run, or its folder."""
    from dataclasses import asdict

    from burden.plan import Options, make_plans
    from burden.summary import plan_page
    from burden.write import read_case

    console = _console(options)
    case = read_case(case_file)
    found = make_plans(
        case.facts, case.lesions, Options(min_flr=min_flr, max_ablation_mm=max_ablation_mm)
    )
    console.result(asdict(found), plan_page(found))


@cli.command()
@click.argument("base", type=FILE)
@click.argument("followup", type=FILE)
@click.option(
    "--weeks", type=click.FloatRange(min=0, min_open=True), help="Time between the two studies."
)
@click.option(
    "--remnant",
    default="right_hepatectomy",
    show_default=True,
    help="Plan whose liver remnant is followed, as in flr.PLAN.volume.",
)
@click.option(
    "--nadir-mm",
    type=click.FloatRange(min=0),
    help="Smallest sum of diameters of the same targets so far, if studies lie between.",
)
@click.option("--out", "-o", type=FILE, help="New folder for compare.json.")
@_common
def compare(base: Path, followup: Path, out: Path | None, **options: Any) -> None:
    """Compare two finished studies of one patient: BASE and FOLLOWUP, each a case.json or its folder."""
    from burden.compare import compare as compare_studies
    from burden.compare import open_finished, write_comparison
    from burden.summary import comparison_page
    from burden.write import check_out

    console = _console(options)
    if out is not None:
        check_out(out)
    record = compare_studies(open_finished(base), open_finished(followup), **options)
    if out is not None:
        write_comparison(record, out)
    console.result(record, comparison_page(record))


@cli.group()
def rules() -> None:
    """What the rule books say, and whether they are sound."""


@rules.command("list")
@_common
def rules_list(**options: Any) -> None:
    """List the rule books."""
    from burden.assess import load_books
    from burden.summary import book_table

    console = _console(options)
    books = load_books()
    console.result(
        [{"id": b.id, "title": b.title, "version": b.version} for b in books], book_table(books)
    )


@rules.command("show")
@click.argument("book")
@_common
def rules_show(**options: Any) -> None:
    """Show every criterion of a book with its source."""
    from burden.assess import describe_book, load_books
    from burden.summary import book_page

    console = _console(options)
    described = describe_book(load_books([options["book"]])[0])
    console.result(described, book_page(described))


@rules.command("check")
@click.argument("folder", type=FILE, required=False)
@_common
def rules_check(**options: Any) -> None:
    """Check the books of FOLDER, or the shipped ones."""
    from burden.assess import check_books
    from burden.errors import RuleError
    from burden.resources import shipped

    console = _console(options)
    folder = options["folder"] or shipped("configs", "rulebooks")
    problems = [str(problem) for problem in check_books(folder)]
    if problems:
        raise RuleError(f"{len(problems)} problem(s): " + "; ".join(problems), where=folder)
    console.result({"problems": []}, f"{folder}: no problems.")


@cli.command()
@click.argument("what", type=click.Choice(["template"]), default="template")
@_common
def facts(what: str, **options: Any) -> None:
    """Print a commented facts file (YAML) with everything that the rules can ask."""
    from burden.summary import facts_template

    console = _console(options)
    template = facts_template()
    console.result({"template": template}, template)


@cli.command()
@_common
def models(**options: Any) -> None:
    """List the segmentation models and whether they are sound."""
    from burden.doctor import check_models
    from burden.summary import model_table

    console = _console(options)
    checked = check_models()
    console.result(checked, model_table(checked))


@cli.command()
@_common
def doctor(**options: Any) -> None:
    """Check that everything this machine needs is there."""
    from burden.doctor import check_all
    from burden.errors import ModelError
    from burden.summary import check_table

    console = _console(options)
    checks = check_all()
    console.result(checks, check_table(checks))
    broken = [c["what"] for c in checks if c["state"] == "broken"]
    if broken:
        raise ModelError("something is broken.", where=", ".join(broken))


@cli.command()
@click.argument("spec")
@click.option("--out", "-o", type=FILE, required=True, help="Folder for image, DICOM series and truth.")
@_common
def phantom(**options: Any) -> None:
    """Make a digital liver from SPEC: a YAML file, or the name of a shipped one."""
    from burden.errors import OutputError
    from burden.phantom import load_spec, write_phantom
    from burden.resources import shipped

    console = _console(options)
    if options["out"].exists():
        raise OutputError("exists already.", where=options["out"], hint="Give a new folder.")
    named = shipped("configs", "phantoms", options["spec"] + ".yaml")
    spec = load_spec(named if named.exists() else Path(options["spec"]))
    write_phantom(spec, options["out"])
    console.result(
        {"out": str(options["out"])}, f"{options['out']}: image, dicom/, truth/ and truth.json"
    )


@cli.command()
@click.argument("data", type=FILE)
@click.option(
    "--out", "-o", type=FILE, required=True, help="Checkpoints and the new bundle; resumed if there."
)
@click.option(
    "--minutes", type=click.FloatRange(min=0), help="Time for both stages; default: until done."
)
@click.option("--steps", type=click.IntRange(1), help="Steps of each stage instead of a time.")
@click.option("--stage", type=click.Choice(["coarse", "fine"]), help="Train only this stage.")
@click.option("--config", type=FILE, help="train.yaml; default: that of the shipped bundle.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@_common
def train(**options: Any) -> None:
    """Train the default model on DATA: a folder of *_ct.nii.gz and *_label.nii.gz.

    Stop it at any time; the same command goes on where it stopped. The bundle in OUT/bundle is
    ready for `burden run --model OUT/bundle`.
    """
    from burden.errors import InputError
    from burden.train.export import new_bundle
    from burden.train.loop import train as run_training

    console = _console(options)
    data, out = options.pop("data"), options.pop("out")
    if not data.exists():
        raise InputError("no such folder or pack.", where=data)
    checkpoints = run_training(data, out, **options)
    bundle = new_bundle(checkpoints, out / "bundle")
    console.result({"bundle": str(bundle)}, f"Bundle: {bundle}")


def _console(options: dict[str, Any]) -> Console:
    """Take the common options out of a command's own."""
    return Console(json=options.pop("as_json"), quiet=options.pop("quiet"))


def main() -> None:
    """Run a command; every error becomes one line and an exit code."""
    import logging
    import warnings

    warnings.simplefilter("ignore")  # libraries warn about files; what matters becomes a finding
    logging.disable(logging.CRITICAL)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        usage = UsageError(error.format_message(), hint="See --help.")
        sys.exit(fail(usage, as_json="--json" in sys.argv))
    except BrokenPipeError:
        sys.exit(0)
    except Exception as error:  # the one place where everything ends as a line and a code
        sys.exit(fail(error, as_json="--json" in sys.argv))
    sys.exit(0)
