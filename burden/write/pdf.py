"""report.pdf: the report on paper, without a browser; it says what report.html says, in its order."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from burden.case import Case
from burden.write.page import report_values
from burden.write.pdf_options import options, options_at_a_glance, plans, questions
from burden.write.pdf_page import (
    ANSWERS,
    WIDTH_MM,
    answer,
    furniture,
    paragraph,
    plain_table,
    table,
    words,
)
from burden.write.pictures import Picture
from burden.write.words import Said

FILE = "report.pdf"
Values = Mapping[str, Any]
_ABREAST = 3  # pictures in a row: all of a case beside its numbers on the first page


def write_pdf(case: Case, folder: Path) -> None:
    """Write ``report.pdf``; it names no patient."""
    (folder / FILE).write_bytes(pdf_bytes(case))


def pdf_bytes(case: Case) -> bytes:
    """The report as PDF, the same bytes for the same case."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm
    from reportlab.platypus import SimpleDocTemplate

    values = report_values(case)
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, leftMargin=16 * mm, rightMargin=16 * mm, topMargin=15 * mm,
        bottomMargin=15 * mm, title=f"Liver tumor burden, {case.case_id}", author="liver-burden",
        subject=values["research_use"], creator="liver-burden", invariant=1, lang="en",
    )  # fmt: skip
    draw = furniture(case.case_id)
    document.build(list(_story(values)), onFirstPage=draw, onLaterPages=draw)
    return buffer.getvalue()


def _story(values: Values) -> Iterator[Any]:
    yield paragraph("Liver tumor burden", "title")
    meta = " · ".join((values["case_id"], values["acquisition"], f"analysed {values['created']}"))
    yield paragraph(words(meta), "meta")
    for part in (_distrust, _numbers, options_at_a_glance, _pictures, options, questions, _remnants,
                 plans, _segments, _lesions, _criteria, _notes, _sources, _manifest):  # fmt: skip
        yield from part(values)


def _distrust(values: Values) -> Iterator[Any]:
    if values["distrust"]:
        yield paragraph("Read first: what not to trust", "head")
    for warn in values["distrust"]:
        color = ANSWERS["no" if warn.severity == "error" else "unknown"]
        affects = f" <i>Affects: {words(warn.affects)}.</i>" if warn.affects else ""
        tag = f'<font color="{color}"><b>{warn.severity.upper()}</b></font>'
        yield paragraph(f"{tag} {words(warn.text)}{affects}", "warn")


def _figure(label: str, told: Said, style: str = "value") -> list[Any]:
    notes = [told.range] if told.range else []
    notes += [told.note] if told.note and not told.known else []
    return [paragraph(words(label), "label"), paragraph(words(told.text), style),
            *(paragraph(words(note), "soft") for note in notes)]  # fmt: skip


def _numbers(values: Values) -> Iterator[Any]:
    yield paragraph("Key numbers", "head")
    hero = _figure("Tumor burden, share of the liver replaced", values["burden"], "hero")
    hero += [paragraph(f"{words(s.label)}: {words(s.said.text)}", "small") for s in values["lobes"]]
    cells = [_figure(f.label, f.said) for f in values["figures"]]
    if values["viable"]:
        cells[1].append(paragraph(words(values["viable"]), "soft"))
    kind = _figure(values["frilling"].label, values["frilling"].said)
    kind += [paragraph(f"{words(o.label)}: {words(o.said.text)}", "soft") for o in values["readings"]]
    yield table([[hero, *cells[:2]], [kind, *cells[2:4]]], [72, 53, 53], head=False)


def _remnants(values: Values) -> Iterator[Any]:
    if not values["remnants"] and not values["remnant_notes"]:
        return
    yield paragraph("Future liver remnant", "head")
    if values["remnants"]:
        head = ["Hepatectomy", "FLR", "90 % range", "Volume", "sFLR", "Tumor removed"]
        rows = [[row.plan, row.percent.text, row.span, row.volume.text, row.sflr.text, row.removed.text]
                for row in values["remnants"]]  # fmt: skip
        yield plain_table(head, rows, [58, 22, 34, 22, 20, 22])
    for note in values["remnant_notes"]:
        yield paragraph(words(note), "soft")


def _pictures(values: Values) -> Iterator[Any]:
    from reportlab.lib.units import mm
    from reportlab.platypus import Image

    shown: list[Picture] = [*values["axial"], *([values["coronal"]] if values["coronal"] else [])]
    if not shown:
        return
    yield paragraph("Pictures: liver outlined in cyan, lesions in amber", "head")
    wide = WIDTH_MM / _ABREAST - 2.5
    cells: list[Any] = []
    for one in shown:
        image = Image(io.BytesIO(one.png), wide * mm, wide * one.height / one.width * mm)
        cells.append([image, paragraph(words(one.caption), "caption")])
    for n in range(0, len(cells), _ABREAST):
        row = cells[n : n + _ABREAST]
        row += [""] * (_ABREAST - len(row))
        yield table([row], [WIDTH_MM / _ABREAST] * _ABREAST, head=False, grid=False)


def _segments(values: Values) -> Iterator[Any]:
    if not values["segments"]:
        return
    yield paragraph("Tumor by Couinaud segment", "head")
    rows = [[s.name, s.volume.text, s.tumor.text, s.replaced] for s in values["segments"]]
    yield plain_table(["Segment", "Volume", "Tumor", "Replaced"], rows, [24, 30, 30, 30])


def _lesions(values: Values) -> Iterator[Any]:
    yield paragraph("Lesions", "head")
    if not values["lesions"]:
        yield paragraph("No lesion was found.")
        return
    head = ["No.", "Place", "mL", "RECIST, mm", "3-D, mm", "Capsule, mm", "Hilum, mm", "P(lesion)"]
    rows = [[str(r.id), r.place + (f" · {r.note}" if r.note else ""), r.volume, r.recist, r.feret,
             r.capsule, r.hilum, r.probability] for r in values["lesions"]]  # fmt: skip
    yield plain_table(head, rows, [10, 48, 17, 28, 18, 20, 19, 18])
    if values["lesions_rest"]:
        yield paragraph(words(values["lesions_rest"]), "soft")


def _criteria(values: Values) -> Iterator[Any]:
    """Every criterion that counted, book by book."""
    for one in values["verdicts"]:
        if not one.lines:
            continue
        yield paragraph(f"{words(one.title)}: {answer(one.answer, one.word)}", "head")
        rows = []
        for line in one.lines:
            text = "\N{NO-BREAK SPACE}" * 3 * line.depth + line.text
            kind = f" ({line.kind})" if line.kind else ""
            rows.append([text + kind, line.word, line.value, line.margin, line.p, line.cite])
        head = ["Criterion", "Answer", "Value", "Margin", "P", "Source"]
        yield plain_table(head, rows, [58, 19, 31, 23, 10, 37], answers=[r.answer for r in one.lines])
        for text in (*one.conflicts, *one.what_if, *([one.note] if one.note else [])):
            yield paragraph(words(text), "soft")
        about = f"Source: {one.cite}. {one.about}" if one.cite else one.about
        if about:
            yield paragraph(words(about), "soft")


def _notes(values: Values) -> Iterator[Any]:
    if values["notes"]:
        yield paragraph("Notes", "head")
    for note in values["notes"]:
        yield paragraph(words(note.text), "small")


def _sources(values: Values) -> Iterator[Any]:
    if values["references"]:
        yield paragraph("Sources", "head")
    for key, text in values["references"]:
        yield paragraph(f"<b>{words(key)}</b> {words(text)}", "small")


def _manifest(values: Values) -> Iterator[Any]:
    yield paragraph("How this was made", "head")
    for title, pairs in values["manifest"]:
        text = "; ".join(f"{words(name)} {words(value)}" for name, value in pairs)
        yield paragraph(f"<b>{words(title)}</b> {text}", "small")
