"""One rule book, or several, as a page of its own: every criterion, its source, what is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from burden.case import RESEARCH_USE
from burden.errors import OutputError
from burden.options import Published, StudyArm
from burden.write.choices import outcome_table
from burden.write.page import environment


def write_book_page(described: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the books, as the rules engine describes them, into one self-contained HTML file.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    books = [dict(one) | {"outcomes": _outcomes(one)} for one in described]
    html = environment().get_template("book.html").render(books=books, research_use=RESEARCH_USE)
    try:
        path.write_text(html, encoding="utf-8")
    except OSError as error:
        raise OutputError("cannot be written.", where=path, hint="Choose another file.") from error


def _outcomes(book: Mapping[str, Any]) -> Any:
    told = book["published"]
    if not told["arms"]:
        return None
    arms = tuple(StudyArm(**arm) for arm in told["arms"])
    return outcome_table(book["id"], Published(tuple(told["summary"]), arms), book["title"])
