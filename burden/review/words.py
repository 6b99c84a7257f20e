"""A conclusion as the page shows it: numbers, verdicts, warnings and lesions in words."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from burden.case import Case
from burden.lesions import Lesion
from burden.review.recompute import Concluded
from burden.review.view import View
from burden.write import content
from burden.write.verdicts import verdict
from burden.write.words import ROMAN, Said, number, percent, said

Json = dict[str, Any]


def shown(done: Concluded, view: View) -> Json:
    """Everything the page says of a conclusion."""
    case = done.case
    return {
        "figures": list(_figures(case)),
        "verdicts": [_verdict(case, n) for n in range(len(case.assessments))],
        "findings": [{"severity": f.severity, "text": f.text} for f in case.findings],
        "lesions": [_lesion(row, done.numbers, view) for row in case.lesions],
        "segments": _segments(done, view),
    }


def _figures(case: Case) -> Iterator[Json]:
    """Key numbers, each with an id by which it is compared to what it was."""
    facts = case.facts
    burden = said(facts, "tumor.burden", natural=content.PERCENT)
    yield _figure("tumor.burden", "Burden", burden, "main")
    for figure in content.key_figures(facts):
        yield _figure(figure.label, figure.label, figure.said, "main")
    frilling, others = content.frilling(facts)
    for figure in (frilling, *others):
        yield _figure(figure.label, figure.label, figure.said, "main")
    for figure in content.lobes(facts):
        yield _figure(figure.label, figure.label, figure.said, "lobe")
    for row in content.remnants(facts):
        yield _figure(f"flr {row.plan}", row.plan, row.percent, "flr") | {"beside": row.volume.text}


def _figure(key: str, label: str, told: Said, group: str) -> Json:
    return {
        "id": key,
        "label": label,
        "text": told.text,
        "range": told.range,
        "note": told.note,
        "group": group,
        "known": told.known,
    }


def _verdict(case: Case, n: int) -> Json:
    one = verdict(case.assessments[n], case.facts)
    lines = [
        {"depth": x.depth, "answer": x.answer, "word": x.word, "text": x.text, "value": x.value,
         "margin": x.margin, "p": x.p}
        for x in one.lines
    ]  # fmt: skip
    return {
        "book": one.book,
        "title": one.title,
        "scope": one.scope,
        "modality": one.modality,
        "answer": one.answer,
        "word": one.word,
        "meaning": one.meaning,
        "p": one.p,
        "decided": one.decided,
        "needed": one.needed,
        "lines": lines,
    }


def _lesion(row: Lesion, numbers: Mapping[int, int], view: View) -> Json:
    shares = sorted(row.segments.items(), key=lambda item: -item[1])
    names = ", ".join(ROMAN[n] for n, share in shares if share >= 0.05)
    ends = [np.array(end) for end in row.recist_ends_mm]
    return {
        "number": numbers[row.id],
        "ml": row.volume_ml,
        "volume": number(row.volume_ml, "mL"),
        "long": number(row.recist_long_mm, "mm"),
        "short": number(row.recist_short_mm, "mm"),
        "segments": names,
        "p": percent(row.p_lesion),
        "certain": row.p_lesion >= 1.0,
        "source": row.source,
        "edge": row.touches_edge,
        # The middle of the long axis lies in the slice in which it was measured.
        "place": view.place(tuple(float(x) for x in (ends[0] + ends[1]) / 2.0)),  # type: ignore[arg-type]
        "axes": [view.grid.index(end).round(2).tolist() for end in ends],
    }


def _segments(done: Concluded, view: View) -> Json:
    shape = tuple(s.stop - s.start for s in done.box)
    part = np.frombuffer(zlib.decompress(done.segments), np.uint8).reshape(shape)
    return view.packed(part, done.box)
