"""Evaluate: predicted against reference masks. ``evaluate`` is the whole job, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from burden.case import RESEARCH_USE
from burden.errors import InputError
from burden.evaluate.pairs import Item, from_table, items, pair_up, read_pair
from burden.evaluate.resample import Figure
from burden.evaluate.score import Score, plain, score, score_record
from burden.evaluate.statistics import summarise
from burden.findings import Finding

__all__ = ["Evaluation", "Options", "evaluate", "evaluation_record", "write_evaluation"]

SCHEMA = "burden-evaluation/1.0"
DEFINITIONS = {
    "Dice per case": "mean over the cases whose reference holds any voxel",
    "Dice pooled": "over all voxels of all cases together; favours large lesions",
    "empty masks": "empty on both sides: Dice 1, surface Dice 1, HD95 0 mm; on one side: 0, 0, infinite",
    "surface": "voxels of the mask with a face neighbour outside it, distances between their centres",
    "HD95": "larger of the two 95th percentiles of surface distances",
    "lesion": "26-connected component; its size is the diameter of the sphere of its volume",
    "found": "by intersection over union with the parts linked to it; burden evaluate --help",
    "burden": "lesion / (liver or lesion) x 100 (LiTS); errors are predicted less reference",
    "interval": "95 % bootstrap over cases; none of the largest error, which no sample exceeds",
}


@dataclass(frozen=True)
class Options:
    """How to compare.

    Parameters
    ----------
    overlaps
        Intersections over union from which a lesion counts as found; 0 is one shared voxel.
    tolerance_mm
        Of the surface Dice.
    draws, seed
        Bootstrap samples of the cases.
    skip_missing
        Leave references without a prediction out instead of refusing.
    """

    overlaps: tuple[float, ...] = (0.0, 0.5)
    tolerance_mm: float = 3.0
    draws: int = 2000
    seed: int = 0
    skip_missing: bool = False


@dataclass(frozen=True)
class Evaluation:
    """Every case, the figures of all of them, and what to know about both."""

    scores: tuple[Score, ...]
    figures: tuple[Figure, ...]
    findings: tuple[Finding, ...]
    options: Options


def evaluate(
    predicted: str,
    reference: str,
    options: Options | None = None,
    *,
    pairs: Path | None = None,
    progress: Callable[[str, float], None] = lambda _step, _fraction: None,
) -> Evaluation:
    """Compare predictions with references.

    Parameters
    ----------
    predicted, reference
        ``PATH`` or ``PATH@LIVER/LESIONS``: a mask file, an OUT folder, or a folder of either.
    pairs
        CSV (case, prediction, reference) that says what belongs together, instead of the names.

    Raises
    ------
    InputError
        If nothing can be compared, or a reference has no prediction.
    """
    options = options or Options()
    findings: list[Finding] = []
    if pairs is not None:
        couples = from_table(pairs, predicted, reference)
    else:
        couples, findings = _by_name(predicted, reference, options)
    scores = []
    for number, (ours, theirs) in enumerate(couples):
        progress("compare", number / len(couples))
        scores.append(score(read_pair(ours, theirs), tolerance_mm=options.tolerance_mm))
    progress("compare", 1.0)
    findings += _never_there(scores)
    figures = summarise(
        scores,
        options.overlaps,
        tolerance_mm=options.tolerance_mm,
        draws=options.draws,
        seed=options.seed,
    )
    return Evaluation(tuple(scores), figures, tuple(findings), options)


def evaluation_record(one: Evaluation) -> dict[str, Any]:
    """Plain values for ``--json`` and ``evaluation.json``."""
    return {
        "schema": SCHEMA,
        "settings": asdict(one.options),
        "definitions": DEFINITIONS,
        "summary": [{k: plain(v) for k, v in asdict(f).items()} for f in one.figures],
        "cases": [score_record(s, one.options.overlaps) for s in one.scores],
        "findings": [asdict(f) for f in one.findings],
        "note": RESEARCH_USE,
    }


def write_evaluation(one: Evaluation, out: Path) -> None:
    """``evaluation.json``, ``cases.csv``, ``lesions.csv`` and ``evaluation.png`` in a new folder.

    Raises
    ------
    OutputError
        If ``out`` holds anything, or cannot be written.
    """
    import json

    from burden.evaluate.plot import draw_evaluation
    from burden.evaluate.tables import write_cases, write_lesions
    from burden.write.folder import whole_or_nothing

    with whole_or_nothing(out) as folder:
        text = json.dumps(evaluation_record(one), indent=1, ensure_ascii=False, allow_nan=False)
        (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
        write_cases(one.scores, one.options.overlaps, folder / "cases.csv")
        write_lesions(one.scores, folder / "lesions.csv")
        draw_evaluation(one.scores, one.options.overlaps, folder / "evaluation.png")


def _by_name(
    predicted: str, reference: str, options: Options
) -> tuple[list[tuple[Item, Item]], list[Finding]]:
    """Pairs by name, with what is left over said; a reference without prediction is refused."""
    couples, alone, unused = pair_up(items(predicted), items(reference))
    findings = []
    if alone and not options.skip_missing:
        raise InputError(
            f"{len(alone)} of the references have no prediction: {_few(alone)}.",
            where=predicted,
            hint="Leaving them out would flatter: give --pairs TABLE.csv, or --skip-missing.",
        )
    if not couples:
        raise InputError("no prediction has the name of a reference.", where=predicted)
    if alone:
        text = f"{len(alone)} references without prediction were left out: {_few(alone)}."
        findings.append(Finding("missing-predictions", "warning", text))
    if unused:
        text = f"{len(unused)} predictions without reference were left out: {_few(unused)}."
        findings.append(Finding("missing-references", "info", text))
    return couples, findings


def _never_there(scores: Sequence[Score]) -> Iterator[Finding]:
    """A part that one side never holds: mostly a label that means something else.

    Two masks of lesions alone, both with label 1, would be compared as livers without a lesion.
    """
    for part, hint in (("liver", "PATH@/1"), ("lesions", "PATH@1 or PATH@/1")):
        told = [o for s in scores if (o := getattr(s, part)) is not None]
        empty = [
            side
            for side, volumes in (
                ("predictions", [o.predicted_ml for o in told]),
                ("references", [o.reference_ml for o in told]),
            )
            if told and not any(volumes)
        ]
        if empty:
            what = (
                "a lesion, so all count as healthy, with a burden of 0"
                if part == "lesions"
                else "any liver"
            )
            text = f"None of the {' and of the '.join(empty)} holds {what}. Where that is not so, say"
            yield Finding(f"no-{part}", "warning", f"{text} which labels are what, as {hint}.")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
