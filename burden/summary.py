"""What the terminal shows people: small rich tables made from values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from burden.answer import Answer
from burden.case import RESEARCH_USE, Assessment, Case
from burden.facts import Choice, Fact, Interval
from burden.findings import Finding
from burden.options import Pathway
from burden.vocabulary import vocabulary

if TYPE_CHECKING:
    from burden.assess.rulebook import RuleBook
    from burden.assess.suppose import Supposed
    from burden.plan import Planned
    from burden.read import Candidate

MOST_ASKED = 5
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
_STATE_STYLE = {"eligible": "green", "ruled out": "red", "needs data": "yellow"}
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
        *option_lines(case.assessments, case.pathway),
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
    pathway: Pathway,
    findings: Iterable[Finding],
    supposed: Iterable[Supposed] | None = None,
) -> Group:
    """Options, below what is to be known about their facts; then what a supposition changes."""
    changes: list[str] = []
    if supposed is not None:
        said = [f"  {s.now.title}: {s.now.answer} -> {s.then.answer}" for s in supposed]
        changes = ["", "With the supposed facts:", *(said or ["  no answer changes"])]
    told = (_finding_line(f) for f in findings)
    return Group(*told, *option_lines(verdicts, pathway), *changes, RESEARCH_USE)


def option_lines(verdicts: Sequence[Assessment], pathway: Pathway) -> list[RenderableType]:
    """The options side by side, what to find out next, what else applies; nothing recommended."""
    names = {v.book: v.short or v.title for v in verdicts}
    lines: list[RenderableType] = [Text(note, style="dim") for note in pathway.notes]
    lines += [_options_table(pathway), *_differing(pathway), *_published_lines(pathway)]
    if asks := [q for q in pathway.questions if q.decides or q.may_decide][:MOST_ASKED]:
        lines += ["", Text("Most worth finding out", style="bold")]
        for question in asks:
            effect = ", ".join(names.get(b, b) for b in (*question.decides, *question.may_decide))
            verb = "settles" if question.decides else "may settle"
            where = "" if question.imaging else "; not from imaging"
            lines.append(f"  {question.question or question.fact} ({verb} {effect}{where})")
    informing = [v for v in verdicts if v.purpose == "information" and v.answer is Answer.YES]
    if informing:
        lines += ["", Text("What else applies", style="bold")]
        for v in informing:
            lines += [f"  {v.title}", *(Text(f"    {row}") for row in (*_applying(v), *v.conflicts))]
    return lines


def _applying(verdict: Assessment) -> Iterator[str]:
    """Which scenarios apply, with their grades, where a book lists several; all of them need no line."""
    rows = [c for c in verdict.criteria if c.kind == "criterion" and "." not in c.id]
    if any(c.answer is not Answer.YES for c in rows):
        yield from (c.text for c in rows if c.answer is Answer.YES)


def _options_table(pathway: Pathway) -> Table:
    """One row an option: its state, why, and the smallest change; then what is published."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Option", "State", "P(met)", "Why", "What would change it"):
        table.add_column(column, overflow="fold")
    above = None
    for option in pathway.options:
        if option.modality != above:
            table.add_row(Text(option.modality.capitalize(), style="bold"))
        above = option.modality
        why = list(option.because[:3]) + (["..."] if len(option.because) > 3 else [])
        missing = [vocabulary()[f].text.split(":")[0] for f in option.missing[:3]]
        needed = ["needs: " + "; ".join(missing) + ("; ..." if len(option.missing) > 3 else "")]
        differ = " (readings differ)" if option.conflicts else ""
        table.add_row(
            f"  {option.name}",
            Text(option.state, style=_STATE_STYLE[option.state]),
            "" if option.p_met is None else f"{option.p_met:.0%}",
            f"{'; '.join(needed if missing else why)}{differ}".strip(),
            " ".join(option.what_if[:2]),
        )
    return table


def _differing(pathway: Pathway) -> Iterator[RenderableType]:
    """Which readings give another answer, option by option; the papers stand in the report."""
    spare = re.compile(r"the published readings (may )?differ here\. | \(S\d [^()]*\)")
    told = [(o.name, spare.sub("", sentence)) for o in pathway.options for sentence in o.conflicts]
    if told:
        yield ""
        yield Text("Where the readings differ", style="bold")
    yield from (Text(f"  {name}: {sentence}") for name, sentence in told)


def _published_lines(pathway: Pathway) -> Iterator[RenderableType]:
    told = {key: one for key, one in pathway.published.items() if one.summary}
    if told:
        yield ""
        yield Text(
            "Published, of other patients (`burden rules show BOOK` lists the studies)", style="bold"
        )
    for key, one in told.items():
        users = [o for o in pathway.options if o.published == key]
        name = users[0].name if len(users) == 1 else users[0].modality.capitalize()
        yield Text(f"  {name}: {'; '.join(one.summary)}", style="dim")


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
        + ("" if a["plan"] is None else f" ({'; '.join(filter(None, (a['plan'], a['caveat'])))})")
        for a in planned.answers
    ]
    doubts = sorted(
        {f"Some plans treat lesions there: {p['caveat']}." for p in planned.plans if p["caveat"]}
    )
    note = f"{planned.searched} plans searched. Weeks: at a growth of 2 points of FLR % a week."
    return Group(*answers, table, *doubts, note, "", _minima_table(planned), RESEARCH_USE)


def remnant_page(left: Mapping[str, Any]) -> Group:
    """The remnant of one set of segments."""
    if "flr_ml" not in left:
        return Group(f"Not known: {left['why_not']}.")
    cleared = (
        f"what is cleared is not known: {left['why_not']}."
        if left["debulked_percent"] is None
        else f"cleared {left['debulked_percent']:.1f} % of the tumor, "
        f"{left['residual_lesions']} lesions stay."
    )
    ends, p = left["flr_percent_90"], left["p_flr_enough"]
    span = "" if ends is None else f"  (90 % range {ends[0]:.1f} to {ends[1]:.1f} %)"
    sizes = [(left["sflr_percent"], "Vauthey"), (left["sflr_urata_percent"], "Urata")]
    odd = "" if left["anatomical"] else "  Not a set that can be removed by the rule of this program."
    return Group(
        f"Without {left['name']}: {cleared}{odd}",
        f"FLR {left['flr_ml']:.0f} mL, {left['flr_percent']:.1f} % of (total liver - tumor){span}"
        + ("" if p is None else f", P(>= {left['min_flr_percent']:g} %) {p:.0%}"),
        *(f"sFLR {share:.1f} % ({formula})" for share, formula in sizes if share is not None),
        RESEARCH_USE,
    )


def _minima_table(planned: Planned) -> Table:
    """Remnants of the standard hepatectomies against the published minima."""
    measures = {"flr": "FLR", "sflr": "sFLR Vauthey", "sflr_urata": "sFLR Urata"}
    heads: list[str] = []
    rows = []
    for row in planned.minima:
        heads = [f"{c['minimum']:g} % {s}" for s, c in row["reaches"].items()]
        cells = [
            c["answer"] + ("" if c["p"] is None else f" ({c['p']:.0%})") for c in row["reaches"].values()
        ]
        if row["percent"] is not None:
            name = row["plan"].replace("_", " ")
            rows.append((name, measures[row["measure"]], f"{row['percent']:.1f} %", *cells))
    return _plain_table(("Remnant of", "Measure", "Value", *heads), rows)


def comparison_page(record: Mapping[str, Any]) -> Group:
    """What changed between two studies: response, facts, lesions, eligibility."""
    recist, volume, growth = record["recist"], record["volume"], record["growth"]
    said = [f"{f['severity']}: {f['text']}" for f in record["findings"]]
    for name, one, what in (("RECIST 1.1", recist, "targets"), ("mRECIST", record["mrecist"], "viable")):
        if "why_not" not in one:
            sums = _moved(one["base_mm"], one["follow_mm"], one["change_percent"], "mm")
            said.append(f"{name}, liver alone: {one['overall']}; {what} {sums}")
    if record["months_stable"]:
        said.append(f"Months without progression (disease.months_stable): {record['months_stable']:g}")
    said.append(
        "Tumor volume: "
        + _moved(volume["base_ml"], volume["follow_up_ml"], volume["change_percent"], "mL")
        + f": {volume['response'] or 'none at base'}"
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


def _moved(before: float | None, after: float | None, percent: float | None, unit: str) -> str:
    """Two values and their change; one that cannot be told is not left blank."""
    one, two = ("not known" if v is None else f"{_number(v)} {unit}" for v in (before, after))
    return f"{one}, now {two}" + ("" if percent is None else f" ({_number(percent)} %)")


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


def book_table(books: Sequence[RuleBook], elsewhere: Mapping[str, Mapping[str, Any]]) -> Table:
    """Id, version, rows of the inventory and title of the rule books; then what is no book."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Id", "Version", "Inventory", "Title"):
        table.add_column(column, overflow="fold")
    for book in books:
        table.add_row(book.id, str(book.version), ", ".join(book.inventory), book.title)
    for row, one in elsewhere.items():
        table.add_row("(no book)", "", row, f"{one['title']}: {', '.join(one['facts'])}".rstrip(": "))
    return table


def book_page(described: Mapping[str, Any]) -> str:
    """Every criterion of one book, as `describe_book` gives it, in plain lines."""
    import yaml

    told = described["published"]
    arms = [
        f"{arm['study'] or 'review'}{', n ' + arm['n'] if arm['n'] else ''}"
        f"{', ' + arm['treatment'] if arm['treatment'] else ''} ({arm['source']} {arm['where']}): "
        + ("; ".join(f"{head} {cell}" for head, cell in arm["outcomes"].items()) or "no figures")
        + (f" [{arm['note']}]" if arm["note"] else "")
        for arm in told["arms"]
    ]
    plain = dict(described) | {"published": {"summary": list(told["summary"]), "studies": arms}}
    if not arms:
        plain["published"] = "no table of outcomes in these papers"
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=100).rstrip()


def model_table(checked: Sequence[Mapping[str, Any]]) -> Table:
    """Models, whether each is sound, and what it is."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for column in ("Id", "Default", "State", "Size MB", "What"):
        table.add_column(column, overflow="fold")
    for m in checked:
        table.add_row(
            m["id"], "yes" if m["default"] else "", Text(m["state"]), f"{m['megabytes']:.1f}", m["text"]
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
