"""The picture of a comparison: lesions, course of the burden, and what rule books say now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = {
    "same": "#4878a8",
    "merged": "#7a68a6",
    "split": "#7a68a6",
    "regrouped": "#7a68a6",
    "gone": "#3f8f5b",
    "new": "#c44e52",
    "outside": "#999999",
    "unseen": "#bbbbbb",
}
ANSWERS = {"yes": "#3f8f5b", "no": "#c44e52", "unknown": "#b8860b"}
MOST_BARS, MOST_BOOKS = 40, 26
FROM_ZERO = 300.0
"""Where the bar of a lesion ends that grew by more, or is new."""

Json = Mapping[str, Any]


def write_plot(record: Json, path: Path) -> None:
    """Draw ``record`` (as of :func:`burden.compare.compare_all`) as a PNG of about 1500 x 900 pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.5), dpi=115, layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.add_gridspec(2, 2, width_ratios=[1.15, 1.0], height_ratios=[1.15, 1.0])
    _waterfall(figure.add_subplot(places[0, 0]), record["matches"])
    _course(figure.add_subplot(places[1, 0]), record["trajectory"])
    _verdicts(figure.add_subplot(places[:, 1]), record)
    recist, volume = record["recist"], record["volume"]
    change = "" if volume["change_percent"] is None else f" ({volume['change_percent']:+.0f} %)"
    ml = [
        "not known" if v is None else f"{v:.0f} mL" for v in (volume["base_ml"], volume["follow_up_ml"])
    ]
    figure.suptitle(
        f"RECIST 1.1, liver alone: {recist['overall']}      tumor {ml[0]}, "
        f"now {ml[1]}{change}      {record['research_use'].split('.')[0]}.",
        fontsize=11,
    )
    figure.savefig(path, format="png", metadata={"Software": "burden"})


def _waterfall(axes: Axes, matches: Sequence[Json]) -> None:
    """Change of volume of every lesion, the largest growth first."""
    bars = sorted(((_height(m), m) for m in matches), key=lambda b: -b[0])
    cut = len(bars) - MOST_BARS
    if cut > 0:  # both ends say most
        bars = [*bars[: MOST_BARS // 2], *bars[-MOST_BARS // 2 :]]
    axes.bar(range(len(bars)), [h for h, _ in bars], color=[KINDS[m["kind"]] for _, m in bars])
    for limit in (-65.7, 72.8):
        axes.axhline(limit, color="#888888", linewidth=0.7, linestyle=":")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xticks(range(len(bars)), [_name(m) for _, m in bars], fontsize=7, rotation=90)
    for place, (_, match) in enumerate(bars):
        if match["kind"] != "new" and match["change_percent"] is None:
            axes.text(place, 2, "?", ha="center", fontsize=8)  # no bar would read as no change
    axes.set_ylabel(f"change of volume, % (new, or more: {FROM_ZERO:g})")
    hidden = f" ({cut} in the middle not shown)" if cut > 0 else ""
    axes.set_title(f"Lesions, by id at base > now{hidden}; dotted: -65.7 and +72.8 %", fontsize=9)
    seen = [k for k in KINDS if any(m["kind"] == k for _, m in bars)]
    handles = [axes.bar([0], [0], color=KINDS[k]) for k in seen]
    if seen:
        axes.legend(handles, seen, fontsize=7, loc="upper right")
    axes.set_ylim(-110, max([110.0, *(1.1 * h for h, _ in bars)]))


def _height(match: Json) -> float:
    if match["kind"] == "new":
        return FROM_ZERO
    if match["change_percent"] is None:
        return 0.0
    return min(float(match["change_percent"]), FROM_ZERO)


def _name(match: Json) -> str:
    one, two = (",".join(map(str, match[side])) for side in ("base", "follow_up"))
    return f"{one or '-'}>{two or '-'}"


def _course(axes: Axes, studies: Sequence[Json]) -> None:
    """Burden with its 90 % range, and the sum of the target diameters."""
    weeks = [s["weeks"] for s in studies]
    timed = all(w is not None for w in weeks)
    at = weeks if timed else list(range(len(studies)))
    shown = [(x, s["burden"]) for x, s in zip(at, studies, strict=True) if s["burden"] is not None]
    if shown:
        value = [b["value"] for _, b in shown]
        low = [max(b["value"] - (b["p05"] if b["p05"] is not None else b["value"]), 0) for _, b in shown]
        high = [
            max((b["p95"] if b["p95"] is not None else b["value"]) - b["value"], 0) for _, b in shown
        ]
        axes.errorbar([x for x, _ in shown], value, [low, high], marker="o", capsize=4, color="#4878a8")
    axes.set_ylabel("tumor burden, % (90 % range)", color="#4878a8")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("weeks since base" if timed else "study")
    axes.set_xticks(at, [f"{x:g}" if timed else str(k + 1) for k, x in enumerate(at)])
    other = axes.twinx()
    sums = [(x, s["sum_mm"]) for x, s in zip(at, studies, strict=True) if s["sum_mm"] is not None]
    other.plot([x for x, _ in sums], [y for _, y in sums], marker="s", color="#c46f2d", linewidth=1)
    other.set_ylabel("sum of target diameters, mm", color="#c46f2d")
    other.set_ylim(bottom=0)


def _verdicts(axes: Axes, record: Json) -> None:
    """Answer of every rule book in every study; the ones that changed stand first."""
    studies = record["trajectory"]
    titles = {e["book"]: e["title"] for e in record["eligibility"]}
    books = sorted(titles, key=lambda b: len({s["answers"].get(b) for s in studies}) == 1)
    changed = sum(len({s["answers"].get(b) for s in studies}) > 1 for b in titles)
    axes.set_title(f"Rule books: {changed} of {len(titles)} changed", fontsize=9)
    rest = len(books) - MOST_BOOKS
    for row, book in enumerate(books[:MOST_BOOKS]):
        answers = [s["answers"].get(book, "") for s in studies]
        bold = "bold" if len(set(answers)) > 1 else "normal"
        title = titles[book]
        axes.text(0.0, -row, title if len(title) < 58 else title[:55] + "...", fontsize=7.5, weight=bold)
        for k, answer in enumerate(answers):
            where = 1.0 - 0.1 * (len(answers) - 1 - k)
            axes.text(where, -row, answer, fontsize=7.5, ha="right", color=ANSWERS.get(answer, "black"))
    if rest > 0:
        axes.text(0.0, -MOST_BOOKS, f"and {rest} more that did not change", fontsize=7.5)
    axes.set_xlim(0, 1)
    axes.set_ylim(-max(min(len(books), MOST_BOOKS), 8) - 0.5, 1)
    axes.axis("off")
