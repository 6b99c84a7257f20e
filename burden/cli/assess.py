"""The command that applies the rule books."""

from __future__ import annotations

from typing import Any

import click

from burden.cli.options import FACTS, FILE, POLICY, common, console_of
from burden.errors import UsageError


@click.command()
@click.option("--facts", type=FILE, multiple=True, help=FACTS + ".")
@click.option("--case", "case_file", type=FILE, help="case.json of an earlier run.")
@click.option("--book", "books", multiple=True, help="Rule book to apply; all of them by default.")
@click.option(
    "--policy", type=POLICY, help="Folder with the site's own limits and books; both are shown."
)
@click.option("--what-if", "what_if", multiple=True, help="Suppose a fact otherwise: tumor.burden=48.")
@common
def assess(**options: Any) -> None:
    """Apply the rule books to typed-in facts, a finished case, or both."""
    from dataclasses import asdict

    from burden.assess import appraise, assess_with, load_books, load_policy, without_lesions
    from burden.facts import Facts
    from burden.findings import Finding
    from burden.read import agreed_facts, checked_facts
    from burden.summary import verdict_page
    from burden.write import read_case
    from burden.write.record import assessment_record, pathway_record

    console = console_of(options)
    if not options["facts"] and options["case_file"] is None:
        raise UsageError("nothing to assess.", hint="Give --facts, --case or both.")
    supposed = dict(text.partition("=")[::2] for text in options["what_if"])
    case = read_case(options["case_file"]) if options["case_file"] else None
    facts = case.facts if case else Facts()
    entered = [checked_facts(path) for path in options["facts"]]
    facts, findings = agreed_facts([facts, *(one for one, _ in entered)])
    findings = (*(f for _, said in entered for f in said), *findings)
    books = load_books(options["books"] or None)
    policy = load_policy(options["policy"], books) if options["policy"] else None
    lesions, plans = (case.lesions, case.plans) if case else ((), ())
    verdicts, pathway = appraise(facts, books, policy=policy, lesions=lesions, plans=plans)
    compared = assess_with(facts, books, supposed) if supposed else ()
    changed = [s for s in compared if s.changes]
    if without_lesions(facts) or (supposed and not compared):
        text = "Without a lesion no verdict is given: the rule books presuppose liver metastases."
        findings += (Finding("rules-not-applied", "info", text),)
    record = {
        "assessments": [assessment_record(v) for v in verdicts],
        "pathway": pathway_record(pathway),
        "what_if": [{"book": s.now.book, "now": s.now.answer, "then": s.then.answer} for s in changed],
        "findings": [asdict(f) for f in findings],
    }
    console.result(record, verdict_page(verdicts, pathway, findings, changed if compared else None))
