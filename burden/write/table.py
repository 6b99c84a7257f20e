"""lesions.csv: one row a lesion, readable by spreadsheets, csv, numpy and pandas.

No cell holds a comma or a line break, and there is no comment line, so no reader needs an
option. The research-use words stand in the last column of every row. An empty cell is a
value that is not known.
"""

from __future__ import annotations

import csv
from pathlib import Path

from burden.case import Case
from burden.lesions import Lesion

COLUMNS = (
    "id",
    "volume_ml",
    "volume_corrected_ml",
    "recist_long_mm",
    "recist_short_mm",
    "recist_slice_index",
    "feret_3d_mm",
    "equivalent_diameter_mm",
    "centroid_x_mm",
    "centroid_y_mm",
    "centroid_z_mm",
    "segments",
    "lobe",
    "distance_capsule_mm",
    "distance_hilum_mm",
    "distance_ivc_mm",
    "distance_vessel_mm",
    "mean_intensity",
    "enhancement",
    "viable_ml",
    "viable_long_mm",
    "uptake",
    "p_lesion",
    "component",
    "source",
    "note",
)


def write_table(case: Case, folder: Path) -> None:
    """Write ``lesions.csv``; a case without lesions gives the header alone."""
    with (folder / "lesions.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        writer.writerows(_cells(lesion) for lesion in case.lesions)


def _cells(lesion: Lesion) -> list[str]:
    x, y, z = lesion.centroid_mm
    edge = "; reaches the image edge: sizes are lower bounds" if lesion.touches_edge else ""
    cells: dict[str, float | str | None] = {
        "id": lesion.id,
        "volume_ml": lesion.volume_ml,
        "volume_corrected_ml": lesion.volume_corrected_ml,
        "recist_long_mm": lesion.recist_long_mm,
        "recist_short_mm": lesion.recist_short_mm,
        "recist_slice_index": lesion.recist_slice_index,
        "feret_3d_mm": lesion.feret_3d_mm,
        "equivalent_diameter_mm": lesion.equivalent_diameter_mm,
        "centroid_x_mm": x,
        "centroid_y_mm": y,
        "centroid_z_mm": z,
        "segments": ";".join(f"{n}:{share:.3g}" for n, share in sorted(lesion.segments.items())),
        "lobe": lesion.lobe,
        "distance_capsule_mm": lesion.distance_capsule_mm,
        "distance_hilum_mm": lesion.distance_hilum_mm,
        "distance_ivc_mm": lesion.distance_ivc_mm,
        "distance_vessel_mm": lesion.distance_vessel_mm,
        "mean_intensity": lesion.mean_intensity,
        "enhancement": lesion.enhancement,
        "viable_ml": lesion.viable_ml,
        "viable_long_mm": lesion.viable_long_mm,
        "uptake": ";".join(f"{kind}:{share:.3g}" for kind, share in sorted(lesion.uptake.items())),
        "p_lesion": lesion.p_lesion,
        "component": lesion.component or lesion.id,
        "source": lesion.source,
        "note": "research use only" + edge,
    }
    return [_cell(cells[column]) for column in COLUMNS]


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        text = f"{value:.6g}"
        # With a decimal point in every cell no reader takes the column for whole numbers, in
        # which a missing one would come out as -1.
        return text if "." in text or "e" in text else f"{text}.0"
    text = " ".join(value.replace(",", ";").replace('"', "'").replace("#", "no. ").split())
    # A spreadsheet would run a cell that starts like a formula.
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text
