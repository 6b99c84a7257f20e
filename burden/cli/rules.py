"""Commands about the rule books."""

from __future__ import annotations

from typing import Any

import click

from burden.cli.options import FILE, common, console_of


@click.group()
def rules() -> None:
    """What the rule books say, and whether they are sound."""


@rules.command("list")
@common
def rules_list(**options: Any) -> None:
    """List the rule books."""
    from burden.assess import load_books
    from burden.summary import book_table

    console = console_of(options)
    books = load_books()
    console.result(
        [{"id": b.id, "title": b.title, "version": b.version} for b in books], book_table(books)
    )


@rules.command("show")
@click.argument("book")
@common
def rules_show(**options: Any) -> None:
    """Show every criterion of a book with its source."""
    from burden.assess import describe_book, load_books
    from burden.summary import book_page

    console = console_of(options)
    described = describe_book(load_books([options["book"]])[0])
    console.result(described, book_page(described))


@rules.command("check")
@click.argument("folder", type=FILE, required=False)
@common
def rules_check(**options: Any) -> None:
    """Check the books of FOLDER, or the shipped ones."""
    from burden.assess import check_books
    from burden.errors import RuleError
    from burden.resources import shipped

    console = console_of(options)
    folder = options["folder"] or shipped("configs", "rulebooks")
    problems = [str(problem) for problem in check_books(folder)]
    if problems:
        raise RuleError(f"{len(problems)} problem(s): " + "; ".join(problems), where=folder)
    console.result({"problems": []}, f"{folder}: no problems.")
