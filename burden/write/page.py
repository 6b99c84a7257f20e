"""report.html: one self-contained page that a clinician reads in a minute."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from burden.case import RESEARCH_USE, Case
from burden.write import choices, content
from burden.write.pictures import Picture, case_pictures
from burden.write.plans import plans_of, why_no_plans
from burden.write.verdicts import references, verdict
from burden.write.words import said


def write_page(case: Case, folder: Path) -> None:
    """Write ``report.html``: no request leaves it, no script runs in it."""
    (folder / "report.html").write_text(render(case), encoding="utf-8")


def render(case: Case) -> str:
    """The report as HTML; everything from the case is escaped."""
    return str(environment().get_template("report.html").render(report_values(case)))


def environment() -> Any:
    """The templates of this package; whatever is put into them is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data_uri"] = _data_uri
    made.filters["anchor"] = choices.anchor
    return made


def report_values(case: Case) -> dict[str, Any]:
    """Everything the report says, in the order in which it is said; HTML and PDF say the same."""
    facts = case.facts
    distrust, notes = content.warnings(case.findings)
    type_, readings = content.frilling(facts)
    rows, rest = content.lesion_rows(case)
    axial, coronal = case_pictures(case)
    verdicts = [verdict(one, facts) for one in case.assessments]
    return {
        "research_use": RESEARCH_USE,
        "case_id": case.case_id,
        "acquisition": content.acquisition(case),
        "created": _when(case.manifest.created),
        "version": case.manifest.version,
        "distrust": distrust,
        "notes": notes,
        "burden": said(facts, "tumor.burden", natural=content.PERCENT),
        "gauge": content.gauge(facts),
        "figures": content.key_figures(facts),
        "viable": content.viable(facts),
        "lobes": content.lobes(facts),
        "frilling": type_,
        "readings": readings,
        "remnants": content.remnants(facts),
        "remnant_notes": content.remnant_notes(facts),
        "axial": axial,
        "coronal": coronal,
        "segments": content.segments(facts),
        "verdicts": verdicts,
        "options": choices.groups(case, verdicts),
        "pathway_notes": case.pathway.notes,
        "questions": choices.questions(case),
        "first_questions": choices.questions(case, choices.MOST_ASKED),
        "informing": choices.informing(verdicts, case.assessments),
        "outcomes": choices.outcomes(case),
        "plans": plans_of(case),
        "why_no_plans": why_no_plans(case),
        "entered": content.entered(facts),
        "lesions": rows,
        "lesions_rest": rest,
        "uncertain": any(one.p_lesion < 1 for one in case.lesions),
        "references": references(case.assessments),
        "manifest": _manifest(case),
    }


def _data_uri(picture: Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.png).decode("ascii")


def _when(created: str) -> str:
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return f"{moment.day} {moment:%B %Y, %H:%M} {moment.tzname() or ''}".strip()


def _manifest(case: Case) -> list[tuple[str, list[tuple[str, str]]]]:
    """Manifest as headed lists of name and value."""
    given = case.manifest
    parts: dict[str, Mapping[str, Any]] = {
        "Input": given.input,
        "Model": given.model,
        "Rule books": given.books,
        "Settings": given.settings,
        "Packages": {"burden": given.version, **given.packages},
        "Seconds": given.seconds,
    }
    return [(title, _pairs(part)) for title, part in parts.items() if part]


def _pairs(part: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in part.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            pairs += _pairs(value, f"{name} ")
        elif isinstance(value, (list, tuple)):
            flat = [str(item) for item in value]
            pairs.append((name, ", ".join(flat) or "none"))
        else:
            pairs.append((name, str(value) if value not in ("", None) else "none"))
    return pairs
