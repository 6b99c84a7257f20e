"""Commands about what is installed, and a template for facts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from burden.cli.options import OUT, common, console_of


@click.command()
@click.argument("what", type=click.Choice(["template"]), default="template")
@common
def facts(what: str, **options: Any) -> None:
    """Print a commented facts file (YAML) with everything that the rules can ask."""
    from burden.summary import facts_template

    console = console_of(options)
    template = facts_template()
    console.result({"template": template}, template)


@click.command()
@common
def models(**options: Any) -> None:
    """List the segmentation models and whether they are sound."""
    from burden.doctor import check_models
    from burden.summary import model_table

    console = console_of(options)
    checked = check_models()
    console.result(checked, model_table(checked))


@click.command()
@common
def doctor(**options: Any) -> None:
    """Check that everything this machine needs is there."""
    from burden.console import fail
    from burden.doctor import check_all
    from burden.errors import ModelError
    from burden.summary import check_table

    console = console_of(options)
    checks = check_all()
    console.result(checks, check_table(checks))
    broken = [c["what"] for c in checks if c["state"] == "broken"]
    if broken:
        error = ModelError("something is broken.", where=", ".join(broken))
        sys.exit(fail(error, as_json=False))  # the result is out already, and is the only JSON


@click.command()
@click.argument("spec")
@click.option("--out", "-o", type=OUT, required=True, help="Folder for image, DICOM series and truth.")
@common
def phantom(**options: Any) -> None:
    """Make a digital liver from SPEC: a YAML file, or the name of a shipped one."""
    from burden.errors import InputError, OutputError
    from burden.phantom import load_spec, write_phantom
    from burden.resources import shipped

    console = console_of(options)
    if options["out"].exists():
        raise OutputError("exists already.", where=options["out"], hint="Give a new folder.")
    named = shipped("configs", "phantoms", options["spec"] + ".yaml")
    path = named if named.exists() else Path(options["spec"])
    if not path.is_file():
        shipped_ones = ", ".join(
            sorted(one.stem for one in shipped("configs", "phantoms").glob("*.yaml"))
        )
        hint = f"Give a YAML file, or one of: {shipped_ones}."
        raise InputError("no such phantom.", where=path, hint=hint)
    spec = load_spec(path)
    write_phantom(spec, options["out"])
    console.result(
        {"out": str(options["out"])}, f"{options['out']}: image, dicom/, truth/ and truth.json"
    )
