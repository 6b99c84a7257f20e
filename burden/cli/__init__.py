"""The command line. Each command imports what it needs when it runs, so that help is instant."""

from __future__ import annotations

import sys

import click

from burden import __version__
from burden.cli import assess, batch, cohort, evaluate, learn, node, review, rules, study, tools
from burden.console import fail
from burden.errors import UsageError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

COMMANDS: tuple[click.Command, ...] = (
    study.run,
    study.series,
    study.plan,
    study.compare,
    assess.assess,
    batch.batch,
    cohort.cohort,
    rules.rules,
    tools.facts,
    tools.models,
    tools.doctor,
    tools.phantom,
    learn.train,
    evaluate.evaluate,
    node.node,
    review.review,
)
"""Every command, in one place; a new one is a module here and a line."""


@click.group(context_settings=CONTEXT, invoke_without_command=True)
@click.version_option(__version__, prog_name="burden")
@click.pass_context
def cli(context: click.Context, /) -> None:
    """Liver tumor burden from CT and MR, with reasoned eligibility rules.

    Research use only. Not a medical device.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for command in COMMANDS:
    cli.add_command(command)


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
