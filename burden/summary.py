"""What the terminal shows people: small rich tables made from values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from burden.answer import Answer
from burden.case import RESEARCH_USE, Assessment, Case
from burden.facts import Choice, Fact, Interval
from burden.findings import Finding
from burden.vocabulary import vocabulary

if TYPE_CHECKING:
    from burden.assess.rulebook import RuleBook
    from burden.assess.suppose import Supposed
    from burden.plan import Planned
    from burden.read import Candidate

_HEADLINES = (
    ("tumor.burden", "Burden"),
    ("liver.volume", "Liver"),
    ("tumor.volume", "Tumor"),
    ("lesion.count", "Lesions"),
    ("lesion.largest_diameter", "Largest"),
    ("frilling.type", "Frilling type"),
    ("flr.right_hepatectomy.percent", "FLR, right hepatectomy"),
    ("flr.left_hepatectomy.percent", "FLR, left hepatectomy"),
)
_ANSWER_STYLE = {Answer.YES: "green", Answer.NO: "red", Answer.UNKNOWN: "yellow"}
_SEVERITY_STYLE = {"error": "red", "warning": "yellow", "info": "dim"}


def summary(case: Case, out: Path) -> Group:
    """Key numbers, findings and verdicts of a case, on one screen."""
    numbers = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for fact_id, title in _HEADLINES:
        if fact_id in case.facts:
            numbers.add_row(title, in_words(case.facts[fact_id]))
    findings = [_finding_line(f) for f in case.findings if f.severity != "info"]
    return Group(
        *findings,
        numbers,
        verdict_table(case.assessments),
        f"Report: {out / 'report.html'}",
        RESEARCH_USE,
    )


def in_words(fact: Fact) -> str:
    """A fact as people say it: the value with its range, or what is known instead."""
    unit = "" if fact.unit in ("", "1") else f" {fact.unit}"
    if isinstance(fact.value, Choice):
        return " or ".join(sorted(fact.value.options)) if fact.valid else f"not known: {fact.note}"
    if fact.best is None:
        return _bounds(fact.value, unit) if not fact.value.is_unknown else f"not known: {fact.note}"
    text = f"{fact.best:.4g}{unit}"
    if not fact.value.is_exact:
        text += f"  ({fact.value.low:.4g} to {fact.value.high:.4g})"
    return text


def _bounds(value: Interval, unit: str) -> str:
    if value.high == float("inf"):
        return f"at least {value.low:.4g}{unit}"
    if value.low == float("-inf"):
        return f"at most {value.high:.4g}{unit}"
    return f"{value.low:.4g} to {value.high:.4g}{unit}"


def _finding_line(finding: Finding) -> Text:
    return Text(f"{finding.severity}: {finding.text}", style=_SEVERITY_STYLE[finding.severity])


def verdict_page(
    verdicts: Sequence[Assessment],
    findings: Iterable[Finding],
    supposed: Iterable[Supposed] | None = None,
) -> Group:
    """Verdicts, below what is to be known about their facts; then what a supposition changes."""
    changes = []
    if supposed is not None:
        lines = [f"  {s.now.title}: {s.now.answer} -> {s.then.answer}" for s in supposed]
        changes = ["", "With the supposed facts:", *(lines or ["  no answer changes"])]
    return Group(*(_finding_line(f) for f in findings), verdict_table(verdicts), *changes)


def verdict_table(verdicts: Iterable[Assessment]) -> Table:
    """One row a rule book: the answer, how likely it is met, and what is missing."""
    from burden.assess import decided_by

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Rule book", "Answer", "P(met)", "Decided by", "Missing"):
        table.add_column(column, overflow="fold")
    for verdict in verdicts:
        missing = ", ".join(verdict.missing[:4]) + (" ..." if len(verdict.missing) > 4 else "")
        table.add_row(
            verdict.title,
            Text(verdict.answer.value, style=_ANSWER_STYLE[verdict.answer]),
            "" if verdict.p_met is None else f"{verdict.p_met:.0%}",
            "; ".join(c.text for c in decided_by(verdict)[:2]) if verdict.answer is Answer.NO else "",
            missing,
        )
    return table


def plan_page(planned: Planned) -> Group:
    """Resection plans, what each leaves, and whether the targets of debulking can be met."""
    if planned.why_not:
        return Group(f"No plan: {planned.why_not}.")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in (
        "Plan",
        "Cleared %",
        "Lesions left",
        "FLR %",
        "sFLR %",
        "P(FLR)",
        "Growth first",
        "Why",
    ):
        table.add_column(column, overflow="fold")
    for p in planned.plans:
        growth, p_flr, sflr = p["growth"], p["p_flr_enough"], p["sflr_percent"]
        table.add_row(
            p["name"],
            f"{p['debulked_percent']:.1f}",
            str(p["residual_lesions"]),
            f"{p['flr_percent']:.1f}",
            "" if sflr is None else f"{sflr:.1f}",
            "" if p_flr is None else f"{p_flr:.0%}",
            "" if growth is None else f"x {growth['factor']}, {growth['weeks_at_2_percent']} weeks",
            ", ".join(p["roles"]).replace("_", " "),
        )
    answers = [
        f"{a['question']}: {a['answer']}"
        + ("" if a["p"] is None else f", P = {a['p']:.0%}")
        + ("" if a["plan"] is None else f" ({a['plan']})")
        for a in planned.answers
    ]
    note = f"{planned.searched} plans searched. Weeks: at a growth of 2 points of FLR % a week."
    return Group(*answers, table, note, RESEARCH_USE)


def comparison_page(record: Mapping[str, Any]) -> Group:
    """What changed between two studies: response, facts, lesions, eligibility."""
    recist, volume, growth = record["recist"], record["volume"], record["growth"]
    said = [f"{f['severity']}: {f['text']}" for f in record["findings"]]
    said.append(
        f"RECIST 1.1, liver alone: {recist['overall']}; targets {_number(recist['base_mm'])} mm, "
        f"now {_number(recist['follow_mm'])} mm ({_number(recist['change_percent'])} %)"
    )
    said.append(
        f"Tumor volume: {_number(volume['base_ml'])} mL, now {_number(volume['follow_up_ml'])} mL "
        f"({_number(volume['change_percent'])} %): {volume['response'] or 'none at base'}"
    )
    if growth:
        said.append(
            f"Remnant, {growth['plan'].replace('_', ' ')}: {growth['base_percent']:.1f} %, now "
            f"{growth['follow_percent']:.1f} % of the {growth['reference']}"
            + ("" if growth["kgr"] is None else f"; growth {growth['kgr']:.2f} points a week")
        )
    facts = _plain_table(
        ("Fact", "Base", "Follow-up", "Change", "Unit"),
        [(f["fact"], *map(_number, (f["base"], f["follow_up"], f["change"])), f["unit"].replace("1", ""))
         for f in record["facts"]],
    )  # fmt: skip
    lesions = _plain_table(
        ("Lesion", "Base", "Follow-up", "Base mL", "Follow-up mL", "Change %"),
        [(m["kind"], ", ".join(map(str, m["base"])), ", ".join(map(str, m["follow_up"])),
          *map(_number, (m["base_ml"], m["follow_up_ml"], m["change_percent"])))
         for m in record["matches"]],
    )  # fmt: skip
    books = _plain_table(
        ("Rule book", "Base", "Follow-up", "What changed"),
        [
            (e["title"], e["base"], e["follow_up"], "; ".join(e["changed"]))
            for e in record["eligibility"]
        ],
    )
    return Group(*said, facts, lesions, books, RESEARCH_USE)


def _number(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def _plain_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def series_table(candidates: Iterable[Candidate]) -> Table:
    """The series of a study, best first, with the reasons."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Used", "Modality", "Images", "Spacing mm", "Plane", "Phase", "Description", "Why"):
        table.add_column(column, overflow="fold")
    for c in candidates:
        table.add_row(
            "yes" if c.chosen else c.companion,
            c.modality,
            str(c.slices),
            " x ".join(f"{s:.3g}" for s in c.spacing),
            c.plane,
            c.phase,
            f"{c.description}\n{c.uid}",
            c.refused or "; ".join(c.reasons),
        )
    return table


def book_table(books: Sequence[RuleBook]) -> Table:
    """Id, version and title of the rule books."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Id", "Version", "Title"):
        table.add_column(column)
    for book in books:
        table.add_row(book.id, str(book.version), book.title)
    return table


def book_page(described: Mapping[str, Any]) -> str:
    """Every criterion of one book, as `describe_book` gives it, in plain lines."""
    import yaml

    return yaml.safe_dump(dict(described), sort_keys=False, allow_unicode=True, width=100).rstrip()


def model_table(checked: Sequence[Mapping[str, Any]]) -> Table:
    """Models, whether each is sound, and what it is."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Id", "Default", "State", "Size MB", "What"):
        table.add_column(column, overflow="fold")
    for m in checked:
        table.add_row(
            m["id"], "yes" if m["default"] else "", m["state"], f"{m['megabytes']:.1f}", m["text"]
        )
    return table


def check_table(checks: Sequence[Mapping[str, Any]]) -> Table:
    """What `burden doctor` found."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("What", "State", "Detail"):
        table.add_column(column, overflow="fold")
    style = {"good": "green", "broken": "red", "absent": "yellow"}
    for c in checks:
        table.add_row(c["what"], Text(c["state"], style=style[c["state"]]), c["detail"])
    return table


def facts_template() -> str:
    """A facts file with every clinical fact unknown, its question, unit and options."""
    lines = ["# Clinical facts. Leave null what is not known: it is never taken for no."]
    for entry in vocabulary().entries.values():
        if entry.origin != "clinical":
            continue
        allowed = " | ".join(entry.options) if entry.options else entry.unit
        if entry.range is not None:
            allowed += f", {entry.range[0]:g} to {entry.range[1]:g}"
        lines.append(f"{entry.id}: null  # {entry.ask} [{allowed}]")
    return "\n".join(lines)
