"""What several commands share: option texts, ``--json`` and ``--quiet``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from burden.console import Console

FILE = click.Path(path_type=Path)
FACTS = "Clinical facts: YAML, FHIR Bundle or TABLE.csv@CASE; may be repeated, the last one holds"


def common(command: Any) -> Any:
    """Give a command ``--json`` and ``--quiet``; `console_of` takes them out of its options."""
    command = click.option("--json", "as_json", is_flag=True, help="Result as JSON, alone on stdout.")(
        command
    )
    return click.option("--quiet", "-q", is_flag=True, help="No progress and no messages.")(command)


def console_of(options: dict[str, Any]) -> Console:
    """Take the common options out of a command's own."""
    return Console(json=options.pop("as_json"), quiet=options.pop("quiet"))
