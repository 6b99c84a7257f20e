"""The contract of SEGMENTERS: every entry inherits these tests, and one without a test model fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from burden.errors import ModelError
from burden.grid import reorder
from burden.image import Segmentation, Volume
from burden.resources import shipped
from burden.segment import SEGMENTERS, Segmenter, find_model, load_model

STRUCTURES = {"inferior_vena_cava", "portal_vein", "gallbladder", "spleen", "aorta", "kidneys"}
MODELS = ("monai_bundle", "monai_network", "nnunet", "totalsegmentator", "totalsegmentator_results")


def test_every_back_end_is_held_to_the_contract() -> None:
    assert set(SEGMENTERS) == set(MODELS)


@pytest.fixture(params=MODELS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def model(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monai_folder: Any,
    ts_results: Any,
    body: Any,
    grids: Any,
) -> Path:
    """A model folder of each kind; the one of results is for the oblique body."""
    if kind == "monai_bundle":
        return shipped("models", "liver_burden_ctmr")
    if kind == "monai_network":
        return Path(monai_folder(tmp_path / "model"))
    if kind == "nnunet":
        return Path(request.getfixturevalue("nnunet_folder"))
    if kind == "totalsegmentator":
        request.getfixturevalue("stand_in")
        return shipped("configs", "backends", "totalsegmentator")
    return Path(ts_results(tmp_path / "results", body(grids["oblique"])))


@pytest.fixture
def known(kind: str, body: Any, grids: Any) -> Any:
    """The digital body on an oblique grid; a small cut of it for the bundled model, not a tiny one."""
    return body(grids["small" if kind == "monai_bundle" else "oblique"])


TINY = pytest.mark.parametrize("kind", [m for m in MODELS if m != "monai_bundle"])
"""All but the bundled model, which knows real livers and is tested on them in test_monai_bundle*.py."""


def run(segmenter: Segmenter, volume: Volume) -> Segmentation:
    return segmenter(volume, device="cpu", progress=lambda _step, _fraction: None)


def test_keeps_its_promises(kind: str, model: Path, known: Any) -> None:
    entry = find_model(str(model))
    assert entry.backend == kind, "the kind of a folder is recognised"
    before = known.volume.data.copy()
    steps: list[tuple[str, float]] = []
    segmenter = load_model(entry)
    found = segmenter(known.volume, device="cpu", progress=lambda *at: steps.append(at))
    assert found.liver.grid.same_as(known.volume.grid)
    assert set(np.unique(found.liver.data)) <= {0, 1}
    assert not (found.lesions.data > 0)[found.liver.data == 0].any(), "the liver holds its lesions"
    for labels in (found.structures, found.segments):
        if labels is not None:
            assert labels.grid.same_as(known.volume.grid)
    if found.structures is not None:
        assert set(found.structures.names.values()) <= STRUCTURES
        assert not (found.structures.data > 0)[found.liver.data > 0].any()
    assert found.source
    assert all(0 <= done <= 1 for _, done in steps)
    assert np.array_equal(known.volume.data, before)
    if not found.liver.data.any():
        assert any(f.severity == "error" and f.invalidates == ("*",) for f in found.findings)
    again = run(load_model(entry), known.volume)
    for name in ("liver", "lesions"):
        assert np.array_equal(getattr(found, name).data, getattr(again, name).data), "deterministic"


@TINY
def test_finds_what_is_there(kind: str, model: Path, known: Any, dice: Any) -> None:
    """On a grid at an angle and in an odd order of axes."""
    found = run(load_model(find_model(str(model))), known.volume)
    assert dice(found.liver.data > 0, np.isin(known.truth, (1, 2))) > 0.98
    assert dice(found.lesions.data > 0, known.truth == 2) > 0.95
    assert found.structures is not None
    spleen = found.structures.named("spleen")
    assert spleen is not None
    assert dice(spleen, known.truth == 3) > 0.9


@TINY
def test_turned_input_gives_turned_output(kind: str, model: Path, known: Any) -> None:
    volume = known.volume
    order, flip = (1, 2, 0), (False, True, True)
    data = np.ascontiguousarray(reorder(volume.data, order, flip))
    turned = replace(volume, data=data, grid=volume.grid.reorder(order, flip))
    segmenter = load_model(find_model(str(model)))
    one, two = run(segmenter, volume), run(segmenter, turned)
    for name in ("liver", "lesions"):
        same = reorder(getattr(one, name).data, order, flip) == getattr(two, name).data
        assert same.mean() > 0.9999


def test_no_liver_is_said(kind: str, model: Path, known: Any, ts_results: Any) -> None:
    """Never an empty mask without the reason."""
    air = replace(known.volume, data=np.full(known.volume.data.shape, -1000, np.int16))
    if kind == "totalsegmentator_results":
        empty = replace(known, truth=np.zeros_like(known.truth))
        model = ts_results(model.parent / "empty", empty)
    found = run(load_model(find_model(str(model))), air)
    assert not found.liver.data.any()
    said = [f for f in found.findings if f.code == "no-liver-found"]
    assert [(f.severity, f.invalidates) for f in said] == [("error", ("*",))]


def test_an_empty_folder_is_one_clear_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError) as error:
        run(SEGMENTERS[kind](tmp_path / "empty"), None)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert error.value.exit_code == 4


def test_a_folder_of_no_known_kind_lists_the_kinds(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"MONAI bundle.*nnU-Net.*TotalSegmentator.*burden\.yaml"):
        find_model(str(tmp_path))
    with pytest.raises(ModelError, match="no such model"):
        find_model(str(tmp_path / "none"))
    (tmp_path / "x.txt").write_text("", encoding="utf-8")
    with pytest.raises(ModelError, match="a file, not a model folder"):
        find_model(str(tmp_path / "x.txt"))


def test_the_folder_above_an_nnunet_says_which_to_give(tmp_path: Path) -> None:
    (tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres").mkdir()
    (tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "plans.json").write_text(
        "{}", encoding="utf-8"
    )
    with pytest.raises(ModelError, match="nnUNetTrainer__nnUNetPlans__3d_fullres"):
        find_model(str(tmp_path))


def test_the_manifest_can_name_every_file_that_decides(tmp_path: Path) -> None:
    """Folds hold files of one name; settings and logs decide nothing."""
    for name in ("fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth", "model.pt", "log.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "plans.json").write_text("{}", encoding="utf-8")
    weights = find_model(str(tmp_path)).weights
    assert set(weights) == {"fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth", "model.pt"}
    bundled = find_model(None).weights
    assert bundled
    assert all(path.suffix == ".safetensors" for path in bundled.values())
    assert find_model("totalsegmentator").weights == {}
