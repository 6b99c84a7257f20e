"""One case: how well liver and lesions agree, which lesions were found, and both burdens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from burden.evaluate.lesions import Component, match, rates
from burden.evaluate.overlap import Mask, Overlap, overlap
from burden.evaluate.pairs import Pair
from burden.findings import Finding

Json = dict[str, Any]


@dataclass(frozen=True)
class Score:
    """Everything compared in one case; None where a side does not tell.

    Parameters
    ----------
    components
        Lesions of both masks with the overlap that counts for each.
    burden
        Predicted and reference, % of (liver or lesion), as LiTS defines it; None where a mask has
        neither liver nor lesion.
    """

    case: str
    liver: Overlap | None
    lesions: Overlap | None
    components: tuple[Component, ...]
    burden: tuple[float | None, float | None]
    findings: tuple[Finding, ...]

    @property
    def burden_error(self) -> float | None:
        """Predicted less reference burden, percentage points."""
        ours, theirs = self.burden
        return None if ours is None or theirs is None else ours - theirs


def score(pair: Pair, *, tolerance_mm: float = 3.0) -> Score:
    """Compare the masks of a pair."""
    spacing = pair.grid.spacing
    liver = lesions = None
    components: tuple[Component, ...] = ()
    burden: tuple[float | None, float | None] = (None, None)
    if pair.liver is not None:
        liver = overlap(*pair.liver, spacing, tolerance_mm=tolerance_mm)
    if pair.lesions is not None:
        lesions = overlap(*pair.lesions, spacing, tolerance_mm=tolerance_mm)
        components = match(*pair.lesions, float(np.prod(spacing)) / 1000.0)
    if pair.liver is not None and pair.lesions is not None:
        ours, theirs = (burden_of(a, b) for a, b in zip(pair.liver, pair.lesions, strict=True))
        burden = (ours, theirs)
    return Score(pair.case, liver, lesions, components, burden, pair.findings)


def burden_of(liver: Mask, lesions: Mask) -> float | None:
    """Lesion voxels over liver-or-lesion voxels, %; None where there are none."""
    whole = int(np.count_nonzero(liver | lesions))
    return 100.0 * int(np.count_nonzero(lesions)) / whole if whole else None


def score_record(one: Score, overlaps: tuple[float, ...]) -> Json:
    """Plain values of one case; what is not defined is null, infinity the text ``inf``."""
    return {
        "case": one.case,
        "liver": _overlap_record(one.liver),
        "lesions": _overlap_record(one.lesions),
        "detection": [{"overlap": least, **rates(one.components, least)} for least in overlaps]
        if one.lesions is not None
        else [],
        "burden": {
            "predicted": one.burden[0],
            "reference": one.burden[1],
            "error": one.burden_error,
        },
        "findings": [f.text for f in one.findings],
    }


def flat_record(one: Score, overlaps: tuple[float, ...]) -> Json:
    """The same as one row of a table; cells that do not apply are empty."""
    row: Json = {"case": one.case}
    for name, part in (("liver", one.liver), ("lesions", one.lesions)):
        for key, value in (_overlap_record(part) or dict.fromkeys(_FIELDS)).items():
            row[f"{name}_{key}"] = value
    for least in overlaps:
        counted = rates(one.components, least) if one.lesions is not None else {}
        for key in ("reference", "found", "predicted", "false"):
            row[f"lesions_{key}_at_{least:g}"] = counted.get(key)
    row["burden_predicted"], row["burden_reference"] = one.burden
    row["burden_error"] = one.burden_error
    return row


_FIELDS = ("state", "dice", "surface_dice", "hd95_mm", "predicted_ml", "reference_ml", "common_ml")


def _overlap_record(part: Overlap | None) -> Json | None:
    if part is None:
        return None
    return {name: plain(getattr(part, name)) for name in _FIELDS}


def plain(value: Any) -> Any:
    """JSON has no infinity."""
    return "inf" if isinstance(value, float) and np.isinf(value) else value
