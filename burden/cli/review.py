"""The command that opens a finished run for correction in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from burden.cli.options import FILE, OUT, POLICY, common, console_of


@click.command()
@click.argument("out", type=FILE)
@click.argument("study", type=FILE, required=False)
@click.option("--reader", default="", help="Your name, for the record; the page asks if left out.")
@click.option("--save-to", type=OUT, help="New folder for the corrected case; OUT-reviewed if left out.")
@click.option(
    "--policy", type=POLICY, help="Folder with the site's own limits, if the run was given one."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free one."
)
@click.option("--no-browser", is_flag=True, help="Print the address and open nothing.")
@common
def review(
    out: Path, study: Path | None, save_to: Path | None, policy: Path | None, **options: Any
) -> None:
    """Correct the masks of OUT in the browser; numbers and verdicts follow each edit.

    OUT is the folder of a finished run, STUDY the images it was made from. OUT stays as it is: the
    corrected case is saved into a new folder. The page is for this machine alone.
    """
    import sys
    import webbrowser

    from burden.review.serve import serve

    console = console_of(options)

    def ready(url: str) -> None:
        console.result({"url": url}, f"Review: {url}\nStop it with Ctrl-C.")
        sys.stdout.flush()  # whoever reads a pipe waits for the address
        if not options["no_browser"]:
            webbrowser.open(url)

    serve(
        out,
        study,
        ready,
        reader=options["reader"],
        save_to=save_to,
        policy=policy,
        port=options["port"],
    )
