"""Plots of a threshold study as SVG text, drawn the same way every time."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from burden.cohort.binary import Sweep
from burden.cohort.data import Array, Flags, unit_of
from burden.cohort.eligibility import Moved
from burden.cohort.survival import Split, kaplan_meier

INK, FIRST, SECOND, SOFT = "#17202b", "#0a5f78", "#c2571a", "#8a94a1"
YES, UNKNOWN, NO = "#2f7d5b", "#d9b44a", "#b3554d"
_SIZE = (5.4, 3.4)


def roc_plot(one: Sweep) -> str:
    """ROC curve with the best threshold marked."""
    figure, axes = _figure()
    x, y = 1 - one.figures["specificity"], one.figures["sensitivity"]
    order = np.lexsort((y, x))
    axes.plot([0, 1], [0, 1], color=SOFT, lw=0.8, ls=":")
    axes.plot([0, *x[order], 1], [0, *y[order], 1], color=FIRST, lw=1.6)
    axes.plot(x[one.best], y[one.best], "o", color=SECOND, ms=6)
    label = f"{one.thresholds[one.best]:.4g}"
    axes.annotate(label, (x[one.best], y[one.best]), xytext=(8, -10), textcoords="offset points")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return _svg(figure, f"ROC curve, area {one.auc:.2f}; best threshold {label}")


def threshold_plot(
    one: Sweep, fact: str, published: list[tuple[float, str]], *, below: bool = False
) -> str:
    """Sensitivity and specificity by threshold, with what measurement error leaves open."""
    figure, axes = _figure()
    # between two values that occur nothing changes: a step, on the side that the test has it
    side: Any = "post" if below else "pre"
    for name, color in (("sensitivity", FIRST), ("specificity", SECOND)):
        low, high = one.figures[f"{name}_low"], one.figures[f"{name}_high"]
        axes.fill_between(one.thresholds, low, high, step=side, color=color, alpha=0.18, lw=0)
        axes.step(one.thresholds, one.figures[name], where=side, color=color, lw=1.5, label=name)
    _marks(axes, [limit for limit, _ in published])
    axes.set(xlabel=_label(fact), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="best", fontsize=8)
    return _svg(figure, f"Sensitivity and specificity by threshold on {fact}; bands: measurement error")


def survival_plot(
    values: Array, time: Array, event: Flags, threshold: float, fact: str, *, below: bool
) -> str:
    """Kaplan-Meier curves of the two sides of a threshold."""
    figure, axes = _figure()
    positive = values <= threshold if below else values >= threshold
    signs = ("≤", ">") if below else ("≥", "<")
    for side, color, sign in ((positive, SECOND, signs[0]), (~positive, FIRST, signs[1])):
        if not side.any():
            continue
        times, share = kaplan_meier(time[side], event[side])
        x, y = [0.0, *times, float(time[side].max())], [1.0, *share, share[-1] if len(share) else 1.0]
        axes.step(
            x, y, where="post", color=color, lw=1.6, label=f"{sign} {threshold:.4g} (n = {side.sum()})"
        )
        censored = time[side & ~event]
        at = np.array([y[np.searchsorted(np.array(x), c, side="right") - 1] for c in censored])
        axes.plot(censored, at, "|", color=color, ms=5, mew=0.8)
    axes.set(xlabel="time", ylabel="event-free", ylim=(-0.02, 1.02), xlim=(0, None))
    axes.legend(frameon=False, loc="best", fontsize=8, title=_label(fact), title_fontsize=8)
    return _svg(figure, f"Kaplan-Meier curves split at {threshold:.4g} on {fact}")


def p_plot(one: Split, fact: str, published: list[tuple[float, str]], *, below: bool = False) -> str:
    """Log-rank statistic by threshold."""
    figure, axes = _figure()
    axes.step(one.thresholds, one.figures["chi2"], where="post" if below else "pre", color=FIRST, lw=1.4)
    axes.axhline(3.841, color=SOFT, lw=0.8, ls=":")
    axes.annotate(
        "p = 0.05 for one threshold fixed beforehand", (1, 3.841), xycoords=("axes fraction", "data"),
        xytext=(0, 3), textcoords="offset points", ha="right", fontsize=7, color=INK,
    )  # fmt: skip
    _marks(axes, [limit for limit, _ in published])
    axes.set(xlabel=_label(fact), ylabel="log-rank chi²", ylim=(0, None))
    return _svg(figure, f"Log-rank statistic by threshold on {fact}")


def agreement_plot(left: str, right: str, found: dict[str, Any]) -> str:
    """Bland-Altman plot of numbers, or the table of classes."""
    figure, axes = _figure()
    if "pairs" in found:
        pairs = np.array(found["pairs"])
        axes.plot(
            pairs.mean(axis=1), pairs[:, 0] - pairs[:, 1], "o", color=FIRST, ms=3.5, alpha=0.7, mew=0
        )
        for name, style in (("bias", "-"), ("lower_limit", "--"), ("upper_limit", "--")):
            axes.axhline(found[name]["value"], color=SECOND, lw=1.1, ls=style)
        axes.set(xlabel=f"mean of {left} and {right}", ylabel="difference (first - second)")
        return _svg(figure, f"Bland-Altman plot of {left} and {right}")
    table = np.array(found["table"])
    axes.imshow(table, cmap="GnBu", vmin=0, vmax=max(1, table.max() * 1.6))
    for (i, j), count in np.ndenumerate(table):
        axes.text(j, i, str(count), ha="center", va="center", fontsize=9, color=INK)
    names = found["options"]
    axes.set(xticks=range(len(names)), yticks=range(len(names)), xlabel=right, ylabel=left)
    axes.set_xticklabels(names)
    axes.set_yticklabels(names)
    return _svg(figure, f"Classes of {left} against {right}")


def eligibility_plot(one: Moved) -> str:
    """Shares of yes, unknown and no as the limit moves."""
    figure, axes = _figure()
    shares = [100 * one.figures[name] for name in ("yes", "unknown", "no")]
    side = "pre" if one.op in ("<", ">=") else "post"
    axes.stackplot(one.thresholds, *shares, colors=(YES, UNKNOWN, NO), labels=("yes", "unknown", "no"),
                   alpha=0.85, lw=0, step=side)  # fmt: skip
    axes.axvline(one.limit, color=INK, lw=1.2)
    axes.annotate(f"published {one.limit:g}", (one.limit, 98), xytext=(4, 0), textcoords="offset points",
                  fontsize=8, color=INK, va="top")  # fmt: skip
    axes.set(xlabel=f"limit on {_label(one.fact)}", ylabel="% of patients", ylim=(0, 100))
    axes.set_xlim(
        float(one.thresholds[0]), max(float(one.thresholds[-1]), float(one.thresholds[0]) + 1e-9)
    )
    axes.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=3, fontsize=8)
    return _svg(figure, f"Patients by verdict of {one.book} as its limit on {one.fact} moves")


def _label(fact: str) -> str:
    unit = unit_of(fact)
    return f"{fact} ({unit})" if unit else fact


def _marks(axes: Any, limits: list[float]) -> None:
    """Published limits as thin lines."""
    for limit in dict.fromkeys(limits):
        axes.axvline(limit, color=SOFT, lw=0.9, ls="--")
        axes.annotate(f"{limit:g}", (limit, 1), xycoords=("data", "axes fraction"), fontsize=7,
                      xytext=(0, 2), textcoords="offset points", ha="center", color=INK)  # fmt: skip


def _figure() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _svg(figure: Any, title: str) -> str:
    """The figure as inline SVG with a title for readers who do not see it."""
    from html import escape

    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a heading with $ in it is no formula
    target = io.StringIO()
    # each plot has its own salt: ids of one page must not meet
    with mpl.rc_context({"svg.hashsalt": title, "svg.fonttype": "path"}):
        figure.savefig(target, format="svg", metadata={"Date": None})
    drawn = target.getvalue()
    head, _, rest = drawn[drawn.index("<svg") :].partition(">")
    return f'{head} role="img" aria-label="{escape(title, quote=True)}">{rest}'
