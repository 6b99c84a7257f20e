"""Commands about the rule books."""

from __future__ import annotations

from typing import Any

import click

from burden.cli.options import FILE, OUT, common, console_of
from burden.errors import UsageError


@click.group(invoke_without_command=True)
@common
@click.pass_context
def rules(context: click.Context, /, **options: Any) -> None:
    """What the rule books say, and whether they are sound; alone it lists them."""
    if context.invoked_subcommand is None:
        context.invoke(rules_list, **options)
    elif any(options.values()):
        name = context.invoked_subcommand
        raise UsageError("--json and --quiet come last.", hint=f"Write burden rules {name} ... --json.")


@rules.command("list")
@common
def rules_list(**options: Any) -> None:
    """List the rule books, and where the rows of the inventory are that are no book."""
    from burden.assess import elsewhere, load_books
    from burden.summary import book_table

    console = console_of(options)
    books = load_books()
    console.result(
        [
            {"id": b.id, "title": b.title, "version": b.version, "inventory": list(b.inventory)}
            for b in books
        ],
        book_table(books, elsewhere()),
    )


@rules.command("show")
@click.argument("book")
@click.option("--html", "html", type=OUT, help="Also write the book as a page of its own.")
@common
def rules_show(**options: Any) -> None:
    """Show every criterion of a book with its source, and what is published about it.

    BOOK is a whole id, its end (milan) or a row of the inventory (C1), which may stand for several.
    """
    from burden.assess import describe_book, load_books
    from burden.summary import book_page
    from burden.write.book_page import write_book_page

    console = console_of(options)
    described = [describe_book(book) for book in load_books([options["book"]])]
    if options["html"]:
        write_book_page(described, options["html"])
    text = "\n\n".join(book_page(one) for one in described)
    console.result(described[0] if len(described) == 1 else described, text)


@rules.command("check")
@click.argument("folder", type=FILE, required=False)
@click.option(
    "--tests", type=FILE, help="Folder with the books' test rows: what lacks one is a problem."
)
@common
def rules_check(**options: Any) -> None:
    """Check the books of FOLDER, or the shipped ones; each problem with its file and line."""
    from burden.assess import check_books
    from burden.errors import RuleError
    from burden.resources import shipped

    console = console_of(options)
    folder = options["folder"] or shipped("configs", "rulebooks")
    problems = [str(problem) for problem in check_books(folder, options["tests"])]
    if problems:
        found = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        if console.json or console.quiet:  # all of it in the one object, or line, that is left
            raise RuleError(f"{found}: {'; '.join(problems)}", where=folder)
        for problem in problems:
            console.note(problem)
        raise RuleError(f"{found}, named above.", where=folder)
    console.result({"problems": []}, f"{folder}: no problems.")
