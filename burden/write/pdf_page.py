"""Fonts, colours, styles and page furniture of report.pdf."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from burden.case import RESEARCH_USE

WIDTH_MM = 178.0  # of the text on an A4 page
INK, SOFT, LINE, ACCENT = "#1b2430", "#5d6875", "#c9d1da", "#b45309"
ANSWERS = {"yes": "#1a7f4b", "no": "#b3261e", "unknown": "#7a5a00"}


@cache
def font_file(bold: bool = False) -> Path:
    """DejaVu Sans as matplotlib ships it: it has every sign the report uses."""
    import matplotlib as mpl

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(mpl.get_data_path()) / "fonts" / "ttf" / name


@cache
def styles() -> dict[str, Any]:
    """Paragraph styles by name; registers the fonts on first use."""
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("Report", str(font_file())))
    pdfmetrics.registerFont(TTFont("Report-Bold", str(font_file(bold=True))))
    pdfmetrics.registerFontFamily("Report", normal="Report", bold="Report-Bold")

    def style(name: str, size: float, color: str = INK, **more: Any) -> Any:
        font = "Report-Bold" if more.pop("bold", False) else "Report"
        return ParagraphStyle(
            name, fontName=font, fontSize=size, leading=size * 1.32, textColor=color, **more
        )

    return {
        "title": style("title", 17, bold=True, spaceAfter=2),
        "meta": style("meta", 8, SOFT, spaceAfter=4),
        "head": style("head", 11, bold=True, spaceBefore=9, spaceAfter=4, keepWithNext=1),
        "text": style("text", 8.2),
        "small": style("small", 7),
        "soft": style("soft", 7, SOFT, spaceBefore=2),
        "label": style("label", 7, SOFT),
        "value": style("value", 12, bold=True),
        "hero": style("hero", 20, bold=True),
        "cell": style("cell", 7),
        "right": style("right", 7, alignment=2),
        "caption": style("caption", 7, SOFT),
        "warn": style("warn", 8.2, spaceBefore=1, leftIndent=2),
    }


def words(text: object) -> str:
    """Text for a paragraph: escaped, without the joiners that a browser needs."""
    return escape(str(text).replace("\N{WORD JOINER}", ""), quote=False)


def paragraph(text: str, style: str = "text") -> Any:
    """One paragraph of markup (``<b>``, ``<font>``); escape what comes from a case with words."""
    from reportlab.platypus import Paragraph

    return Paragraph(text, styles()[style])


def table(
    rows: Sequence[Sequence[Any]],
    widths_mm: Sequence[float],
    *,
    head: bool = True,
    grid: bool = True,
    whole: Sequence[int] = (),
    titles: Sequence[int] = (),
) -> Any:
    """A table that breaks between pages, its head repeated; ``whole`` rows have one wide cell.

    ``titles`` are such rows too, and stay with the row below.
    """
    styles()
    from reportlab.lib.colors import HexColor
    from reportlab.lib.units import mm
    from reportlab.platypus import Table

    looks: list[tuple[Any, ...]] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 3),
        ("RIGHTPADDING", (0, 0), (-1, -1), 3),
        ("TOPPADDING", (0, 0), (-1, -1), 1.6),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2),
    ]
    looks += [("SPAN", (0, row), (-1, row)) for row in (*whole, *titles)]
    looks += [("NOSPLIT", (0, row), (-1, row + 1)) for row in titles]
    if grid:
        looks.append(("LINEBELOW", (0, 0), (-1, -1), 0.4, HexColor(LINE)))
    if head:
        looks.append(("LINEBELOW", (0, 0), (-1, 0), 0.9, HexColor(SOFT)))
    return Table(
        [list(row) for row in rows], colWidths=[w * mm for w in widths_mm],
        repeatRows=1 if head else 0, style=looks, hAlign="LEFT",
    )  # fmt: skip


def answer(kind: str, word: str) -> str:
    """The word of an answer, in its colour."""
    return f'<font color="{ANSWERS.get(kind, INK)}"><b>{words(word)}</b></font>'


def plain_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[float],
    answers: Sequence[str] | None = None,
) -> Any:
    """A table of plain texts; with ``answers`` the second cell of each row is coloured so."""
    cells = [[paragraph(f"<b>{words(text)}</b>", "cell") for text in head]]
    for n, row in enumerate(rows):
        texts = [words(text) for text in row]
        if answers is not None:
            texts[1] = answer(answers[n], row[1])
        cells.append([paragraph(text, "cell") for text in texts])
    return table(cells, widths)


def furniture(case_id: str) -> Any:
    """What stands on every page: research use above, case and page number below."""
    from reportlab.lib.colors import HexColor
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import mm

    styles()

    def draw(canvas: Any, _document: Any) -> None:
        canvas.saveState()
        canvas.setFont("Report-Bold", 7.5)
        canvas.setFillColor(HexColor(ACCENT))
        canvas.drawString(16 * mm, A4[1] - 10 * mm, RESEARCH_USE)
        canvas.setFont("Report", 7)
        canvas.setFillColor(HexColor(SOFT))
        canvas.drawString(16 * mm, 9 * mm, f"liver-burden · {case_id}")
        canvas.drawRightString(A4[0] - 16 * mm, 9 * mm, f"page {canvas.getPageNumber()}")
        canvas.restoreState()

    return draw
