"""The options, what to find out and the plans in report.pdf: the same words as in report.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from burden.write.pdf_page import ANSWERS, INK, LINE, SOFT, answer, paragraph, plain_table, table, words
from burden.write.plans import Plans

Values = Mapping[str, Any]
_SIZE = (330.0, 190.0)  # of the picture of plans, pt
_LEFT, _BOTTOM, _TOP = 30.0, 26.0, 6.0
_ROOM = 160.0  # pt that the head of a table needs below it


def options_at_a_glance(values: Values) -> Iterator[Any]:
    """Every option with its state, one line a treatment, and the first questions."""
    if not values["options"]:
        return
    yield paragraph("Options by published criteria", "head")
    rows = []
    for group in values["options"]:
        said = " · ".join(f"{words(c.name)} {answer(c.answer, c.word.lower())}" for c in group.choices)
        rows.append([paragraph(words(group.title), "cell"), paragraph(said, "cell")])
    yield table(rows, [28, 150], head=False, grid=False)
    yield paragraph("Order as printed in the papers; none is recommended.", "soft")
    asks = values["first_questions"]
    if asks:
        told = "; ".join(f"{words(a.text)} ({words(a.effect)}; {words(a.where)})" for a in asks)
        yield paragraph(f"<b>Most worth finding out:</b> {told}", "small")


def options(values: Values) -> Iterator[Any]:
    """The options side by side, with what is published about each."""
    from reportlab.platypus import CondPageBreak

    if not values["options"]:
        return
    yield CondPageBreak(_ROOM)
    yield paragraph("Options side by side", "head")
    for note in values["pathway_notes"]:
        yield paragraph(words(note), "soft")
    head = ("Option", "State", "P(met)", "Why", "What would change it")
    rows: list[list[Any]] = [[paragraph(f"<b>{text}</b>", "cell") for text in head]]
    whole, titles = [], []
    for group in values["options"]:
        titles.append(len(rows))
        rows.append([paragraph(f"<b>{words(group.title)}</b>", "label"), "", "", "", ""])
        for one in group.choices:
            why = words(one.why) + (" <i>(readings differ)</i>" if one.differ else "")
            cells = [words(one.name), answer(one.answer, one.word), one.p or "not known", why,
                     words(" ".join(one.changes))]  # fmt: skip
            rows.append([paragraph(cell, "cell") for cell in cells])
        for whose, _, sentences in group.published:
            whole.append(len(rows))
            title = f"Published, {words(whose)}" if whose else "Published"
            rows.append(
                [paragraph(f"<b>{title}:</b> {words('; '.join(sentences))}.", "soft"), *[""] * 4]
            )
    yield table(rows, [30, 20, 15, 58, 55], whole=whole, titles=titles)
    if values["entered"]:
        given = "; ".join(f"{words(f.label)} <b>{words(f.said.text)}</b>" for f in values["entered"])
        yield paragraph(f"Facts the rules were given: {given}.", "soft")


def questions(values: Values) -> Iterator[Any]:
    """What to find out next, and what else applies."""
    if values["questions"]:
        yield paragraph("What to find out next", "head")
        rows = [[str(n), a.text, a.effect, a.where] for n, a in enumerate(values["questions"][:10], 1)]
        yield plain_table(["", "Fact", "What it would do", ""], rows, [6, 78, 68, 26])
    if values["informing"]:
        yield paragraph("What else the papers say of such a patient", "head")
        for one in values["informing"]:
            yield paragraph(f"<b>{words(one.name)}:</b> {words(one.decided)}", "small")


def plans(values: Values) -> Iterator[Any]:
    """Resection plans: the two questions, the picture, the table."""
    given: Plans | None = values["plans"]
    if given is None:
        if values["why_no_plans"]:
            yield paragraph(f"No resection plan: {words(values['why_no_plans'])}.", "soft")
        return
    yield paragraph("Resection plans", "head")
    for question, said, told in given.answers:
        yield paragraph(f"{words(question)} {answer(said, said)}: {words(told)}", "text")
    yield picture(given)
    head = ["No.", "Plan", "Cleared", "Left", "FLR", "sFLR", "P(FLR)", "Growth needed first", "Why"]
    rows = [[str(r.number), r.name, r.cleared, r.residual, r.flr, r.sflr, r.p, r.growth, r.why]
            for r in given.rows]  # fmt: skip
    yield plain_table(head, rows, [9, 44, 15, 9, 14, 14, 14, 37, 22])
    for note in given.notes:
        yield paragraph(words(note), "soft")


def picture(given: Plans) -> Any:
    """Each plan as a point: tumor cleared to the right, liver left upwards."""
    from reportlab.graphics.shapes import Circle, Drawing, Line, PolyLine, Rect, String
    from reportlab.lib.colors import HexColor

    wide, high = _SIZE[0] - _LEFT - 8, _SIZE[1] - _BOTTOM - _TOP

    def at(x: float, y: float) -> tuple[float, float]:
        return _LEFT + wide * x, _BOTTOM + high * y

    def text(x: float, y: float, words: str, **more: Any) -> Any:
        return String(x, y, words, **{"fontSize": 6.5, "fontName": "Report", "fillColor": soft} | more)

    soft, line, ink = HexColor(SOFT), HexColor(LINE), HexColor(INK)
    good, short = HexColor("#0a5f78"), HexColor(ANSWERS["no"])
    drawing = Drawing(*_SIZE)
    drawing.add(
        Rect(*at(0, 0), wide, high * given.least_flr, fillColor=HexColor("#fdeceb"), strokeColor=None)
    )
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawing.add(Line(*at(0, tick), *at(1, tick), strokeColor=line, strokeWidth=0.4))
        drawing.add(Line(*at(tick, 0), *at(tick, 1), strokeColor=line, strokeWidth=0.4))
        drawing.add(text(_LEFT - 4, at(0, tick)[1] - 2, f"{100 * tick:.0f}", textAnchor="end"))
        drawing.add(text(at(tick, 0)[0], _BOTTOM - 9, f"{100 * tick:.0f}", textAnchor="middle"))
    for goal in (0.7, 0.9):
        drawing.add(Line(*at(goal, 0), *at(goal, 1), strokeColor=soft, strokeWidth=0.5,
                         strokeDashArray=[2, 2]))  # fmt: skip
    drawing.add(text(*at(0.01, given.least_flr - 0.05), f"less than {100 * given.least_flr:g} % left"))
    drawing.add(text(*at(0.45, -0.15), "tumor cleared, %"))
    drawing.add(text(_LEFT + 4, _SIZE[1] - _TOP - 8, "liver left, %"))
    if len(given.front) > 1:
        drawing.add(
            PolyLine([c for p in given.front for c in at(*p)], strokeColor=good, strokeWidth=0.7)
        )
    for p in given.points:
        colour = good if p.enough else short
        edge, inside = ink if p.best else colour, colour if p.front else HexColor("#ffffff")
        dot = Circle(*at(p.x, p.y), 4 if p.best else 2.8, strokeColor=edge, fillColor=inside)
        drawing.add(dot)
        x, y = at(p.label_x, p.label_y)
        drawing.add(text(x, y - 2.4, str(p.number), textAnchor="middle", fontName="Report-Bold",
                         fillColor=ink))  # fmt: skip
    return drawing
