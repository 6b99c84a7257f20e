"""The whole job on digital livers: what goes in as truth comes out as facts, however the grid lies."""

from __future__ import annotations

import json
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from burden.grid import Grid, reorder
from burden.pipeline import Job, run

ORDERS = [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]
SAME = [
    "liver.volume",
    "tumor.volume",
    "tumor.burden",
    "tumor.burden_right",
    "lesion.count",
    "lesion.count_left",
    "lesion.count_right",
    "lesion.largest_diameter",
    "flr.right_hepatectomy.percent",
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """A small bilobar phantom and its truth, as arrays on one grid."""
    from burden.phantom import make, random_spec

    made = make(random_spec(7, frilling="II"))
    return {
        "volume": made.volume,
        "liver": made.truth.liver,
        "lesions": made.truth.lesions,
        "segments": made.truth.segments,
        "facts": made.facts,
    }


def save(folder: Path, study: dict, order: tuple, turn: np.ndarray) -> dict[str, str]:
    """Write the phantom as NIfTI files in another axis order, turned in space as a whole."""
    paths = {}
    for name in ("volume", "liver", "lesions", "segments"):
        part = study[name]
        grid = part.grid.reorder(*order)
        affine = np.eye(4)
        affine[:3, :3] = turn @ grid.affine[:3, :3]
        affine[:3, 3] = turn @ grid.affine[:3, 3]
        moved = Grid(grid.shape, affine)
        data = reorder(part.data, *order)
        if data.dtype.kind == "u":
            data = data.astype(np.uint8)
        nib.save(nib.Nifti1Image(np.ascontiguousarray(data), moved.ras), folder / f"{name}.nii.gz")
        paths[name] = str(folder / f"{name}.nii.gz")
    return paths


def measure_turned(folder: Path, study: dict, order: tuple, turn: np.ndarray) -> dict:
    folder.mkdir()
    paths = save(folder, study, order, turn)
    job = Job(Path(paths["volume"]), folder / "out", liver=paths["liver"], lesions=paths["lesions"],
              segments=paths["segments"], draws=64)  # fmt: skip
    run(job)
    return json.loads((folder / "out" / "case.json").read_text())


def test_axis_order_flip_and_obliquity_change_nothing(tmp_path: Path, study: dict) -> None:
    """Burden, diameters, lobes and verdicts belong to the patient, not to the file."""
    from scipy.spatial.transform import Rotation

    straight = measure_turned(tmp_path / "0", study, ORDERS[0], np.eye(3))
    generator = np.random.default_rng(3)
    for number, pick in enumerate(generator.choice(len(ORDERS), 4, replace=False), 1):
        turn = Rotation.from_euler("xyz", generator.uniform(-12, 12, 3), degrees=True).as_matrix()
        case = measure_turned(tmp_path / str(number), study, ORDERS[pick], turn)
        for fact in SAME:
            assert case["facts"][fact]["value"] == pytest.approx(
                straight["facts"][fact]["value"], rel=1e-6
            ), fact
        assert case["facts"]["frilling.type"]["value"] == straight["facts"]["frilling.type"]["value"]
        verdicts = [
            [(a["book"], a["answer"], a["p_met"]) for a in c["assessments"]] for c in (case, straight)
        ]
        assert verdicts[0] == verdicts[1]


def test_truth_in_truth_out(tmp_path: Path, study: dict) -> None:
    case = measure_turned(tmp_path / "t", study, ORDERS[0], np.eye(3))
    for fact, tolerance in [("liver.volume", 0.02), ("tumor.volume", 0.05)]:
        assert case["facts"][fact]["value"] == pytest.approx(study["facts"][fact].best, rel=tolerance), (
            fact
        )
    assert case["facts"]["lesion.count"]["value"] == study["facts"]["lesion.count"].best
    assert case["facts"]["frilling.type"]["value"] == "II"
    assert 0 < len(case["plans"]) <= 12


def test_plans_come_again_from_the_record_alone(tmp_path: Path, study: dict) -> None:
    from burden.plan import make_plans
    from burden.write import read_case

    measure_turned(tmp_path / "t", study, ORDERS[0], np.eye(3))
    case = read_case(tmp_path / "t" / "out")
    assert list(case.plans) == list(make_plans(case.facts, case.lesions).plans)


def test_result_is_repeatable_but_for_the_times(tmp_path: Path, study: dict) -> None:
    first, second = (measure_turned(tmp_path / n, study, ORDERS[5], np.eye(3)) for n in "ab")
    for case in (first, second):
        case["manifest"].pop("created")
        case["manifest"].pop("seconds")
        for page in ("report.html", "report.pdf", "fhir.json"):
            case["manifest"]["files"].pop(page)  # says its date
    assert first == second
