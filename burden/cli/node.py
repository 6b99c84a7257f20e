"""The command that runs a DICOM node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from burden.cli.options import FILE, common, console_of


@click.command()
@click.option("--config", "-c", type=FILE, help="Settings; see --template.")
@click.option("--template", "wanted", is_flag=True, help="Print commented settings and end.")
@click.option("--check", is_flag=True, help="Check the settings and end.")
@common
def node(config: Path | None, wanted: bool, check: bool, **options: Any) -> None:
    """Run a DICOM node: studies come in, results go back.

    It logs JSON lines on stderr and ends in order at SIGTERM.
    """
    from burden.errors import UsageError
    from burden.node.read import read_settings, template

    console = console_of(options)
    if wanted:
        text = template()
        if console.json:
            console.result({"template": text}, "")
        else:
            sys.stdout.write(text)
        return
    if config is None:
        raise UsageError("--config is missing.", hint="Begin with `burden node --template > node.yaml`.")
    if config.is_dir():
        raise UsageError(
            "a folder, not a settings file.", where=config, hint="Give the YAML file in it."
        )
    settings = read_settings(config)
    if check:
        console.result({"config": str(config), "ok": True}, f"{config}: sound")
        return
    try:
        from burden.node.log import Log
        from burden.node.service import serve
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{error.name} is not installed.", hint="pip install 'liver-burden[node]'"
        ) from error
    left = serve(settings, Log(quiet=console.quiet))
    if console.json:
        console.result(left, "")
