"""The command that applies the rule books."""

from __future__ import annotations

from typing import Any

import click

from burden.cli.options import FACTS, FILE, common, console_of
from burden.errors import UsageError


@click.command()
@click.option("--facts", type=FILE, multiple=True, help=FACTS + ".")
@click.option("--case", "case_file", type=FILE, help="case.json of an earlier run.")
@click.option("--book", "books", multiple=True, help="Rule book to apply; all of them by default.")
@click.option("--policy", type=FILE, help="Folder with the site's own limits and books; both are shown.")
@click.option("--what-if", "what_if", multiple=True, help="Suppose a fact otherwise: tumor.burden=48.")
@common
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

    console = console_of(options)
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
