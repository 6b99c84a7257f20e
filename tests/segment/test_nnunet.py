"""nnU-Net v2: a folder written by nnunetv2 itself is run; what may not be run is refused."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import burden.segment.nnunet as backend
from burden.errors import ModelError
from burden.segment.nnunet import from_folder, read_folder

PLANS = {
    "plans_name": "nnUNetPlans",
    "configurations": {
        "3d_fullres": {
            "preprocessor_name": "DefaultPreprocessor",
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "normalization_schemes": ["CTNormalization"],
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "conv_op": "torch.nn.modules.conv.Conv3d",
                    "nonlin": "torch.nn.LeakyReLU",
                },
                "_kw_requires_import": ["conv_op", "nonlin"],
            },
        }
    },
}
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumor": 2}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with everything but meaningful weights."""
    (tmp_path / "m" / "fold_0").mkdir(parents=True)
    (tmp_path / "m" / "plans.json").write_text(json.dumps(PLANS), encoding="utf-8")
    (tmp_path / "m" / "dataset.json").write_text(json.dumps(DATASET), encoding="utf-8")
    state = {"network_weights": {}, "init_args": {"configuration": "3d_fullres"}}
    torch.save(state, tmp_path / "m" / "fold_0" / "checkpoint_final.pth")
    return tmp_path / "m"


def edit(folder: Path, file: str, change: Callable[[Any], Any]) -> None:
    table = json.loads((folder / file).read_text(encoding="utf-8"))
    change(table)
    (folder / file).write_text(json.dumps(table), encoding="utf-8")


def test_a_folder_speaks_for_itself(folder: Path) -> None:
    trained = read_folder(folder)
    assert (trained.naming.liver, trained.naming.lesion) == ((1,), (2,))
    assert trained.terms.modalities == ("CT",)
    assert list(trained.sha256) == ["fold_0/checkpoint_final.pth"]
    edit(
        folder, "dataset.json", lambda d: d.update(labels={"background": 0, "liver": [1, 2], "tumor": 2})
    )
    assert read_folder(folder).naming.liver == (1, 2)
    edit(folder, "dataset.json", lambda d: d.update(channel_names={"0": "MRI"}))
    assert read_folder(folder).terms.modalities == ("MR",)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("dataset.json", lambda d: d.update(labels={"background": 0, "kidney": 1}), "labels: "),
        ("dataset.json", lambda d: d.update(channel_names={"0": "CT", "1": "PET"}), "2 input images"),
        (
            "plans.json",
            lambda p: full(p)["architecture"].update(network_class_name="os.system"),
            "os.system",
        ),
        (
            "plans.json",
            lambda p: full(p)["architecture"]["arch_kwargs"].update(nonlin="shutil.rmtree"),
            "rmtree",
        ),
        ("plans.json", lambda p: full(p).update(preprocessor_name="../../evil"), "evil"),
        ("plans.json", lambda p: full(p).update(resampling_fn_seg="os.remove"), "remove"),
    ],
)
def test_what_cannot_be_run_is_refused(folder: Path, file: str, change: Any, message: str) -> None:
    edit(folder, file, change)
    with pytest.raises(ModelError, match=message) as error:
        read_folder(folder)
    assert "\n" not in str(error.value)


def full(plans: Any) -> Any:
    return plans["configurations"]["3d_fullres"]


@pytest.mark.parametrize("file", ["plans.json", "dataset.json", "fold_0/checkpoint_final.pth"])
def test_a_missing_part_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelError, match=Path(file).name.replace(".", r"\.")):
        read_folder(folder)


@pytest.mark.parametrize(
    "text",
    [
        "mirror: 'false'",
        "folds: 0",
        "folds: null",
        "sha256: abc",
        "sha256: {checkpoint_final.pth: '00'}",
    ],
)
def test_wrong_settings_are_not_passed_over(folder: Path, text: str) -> None:
    (folder / "burden.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=text.partition(":")[0]):
        read_folder(folder)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("dataset.json", lambda t: t.update({"labels": None})),
        ("dataset.json", lambda t: t.update({"labels": ["liver"]})),
        ("dataset.json", lambda t: t.update({"channel_names": ["CT"]})),
        ("plans.json", lambda t: t.update({"configurations": ["3d_fullres"]})),
        ("plans.json", lambda t: t.update({"configurations": {"3d_fullres": "x"}})),
    ],
)
def test_a_file_of_another_make_is_one_clear_line(folder: Path, file: str, change: Any) -> None:
    from burden.segment import find_model, load_model

    edit(folder, file, change)
    with pytest.raises(ModelError, match="incomplete or of the wrong kind"):
        load_model(find_model(str(folder)))


def test_folds_and_checkpoints_are_chosen(folder: Path) -> None:
    for name in ("fold_1/checkpoint_best.pth", "fold_all/checkpoint_final.pth"):
        (folder / name).parent.mkdir()
        shutil.copy(folder / "fold_0" / "checkpoint_final.pth", folder / name)
    names = [p.relative_to(folder).as_posix() for p in read_folder(folder).checkpoints]
    assert names == ["fold_0/checkpoint_final.pth", "fold_1/checkpoint_best.pth"]
    (folder / "burden.yaml").write_text("folds: [all]\n", encoding="utf-8")
    assert [p.parent.name for p in read_folder(folder).checkpoints] == ["fold_all"]
    (folder / "burden.yaml").write_text("folds: [7]\n", encoding="utf-8")
    with pytest.raises(ModelError, match="no trained fold"):
        read_folder(folder)


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (Path.write_text, (self.mark, "x"))


def test_a_checkpoint_with_code_needs_trust(folder: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    path = folder / "fold_0" / "checkpoint_final.pth"
    torch.save({"network_weights": {}, "init_args": {}, "logging": Evil(mark)}, path)
    with pytest.raises(ModelError, match="trusted: true"):
        backend._checkpoint(path, trusted=False)
    assert not mark.exists()
    backend._checkpoint(path, trusted=True)
    assert mark.exists()


def test_only_a_plain_yes_is_trust(folder: Path) -> None:
    for text, trusted in (("trusted: true", True), ("trusted: 'false'", False), ("trusted: 1", False)):
        (folder / "burden.yaml").write_text(text, encoding="utf-8")
        assert read_folder(folder).trusted is trusted


def test_without_nnunetv2_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "nnunetv2" else found(name, *a)
    )
    with pytest.raises(ModelError, match=r'pip install "liver-burden\[nnunet\]"'):
        from_folder(folder)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "ASR"])
def test_images_reach_the_network_in_its_order_and_labels_come_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, body: Any, grids: Any, codes: str
) -> None:
    """A stand-in for the predictor calls the upper half liver, by the index of its own arrays."""
    (folder / "burden.yaml").write_text(f"orientation: {codes}\n", encoding="utf-8")
    asked = {}

    class Upper:
        def predict_single_npy_array(self, image: Any, properties: Any) -> Any:
            asked.update(shape=image.shape, spacing=properties["spacing"])
            labels = np.zeros(image.shape[1:], np.uint8)
            k_axis = 2 - codes.index("S")
            np.moveaxis(labels, k_axis, 0)[labels.shape[k_axis] // 2 :] = 1
            return labels

    monkeypatch.setattr(backend, "_predictor", lambda *_: Upper())
    volume = body(grids["oblique"]).volume
    segmenter = backend.TrainedSegmenter(read_folder(folder))
    found = segmenter(volume, device="cpu", progress=lambda *_: None)
    z = volume.grid.axis_of(2)
    lower, upper = (np.argwhere(found.liver.data == value).mean(axis=0) for value in (0, 1))
    assert volume.grid.world(upper)[2] > volume.grid.world(lower)[2]
    assert found.liver.data.sum() == found.liver.data.size / volume.grid.shape[z] * -(
        -volume.grid.shape[z] // 2
    )
    order = {c: volume.grid.axis_of("LPS".index({"R": "L", "A": "P"}.get(c, c))) for c in codes}
    wanted = [volume.grid.spacing[order[c]] for c in reversed(codes)]
    assert asked["spacing"] == pytest.approx(wanted)
    assert asked["shape"] == (1, *(volume.grid.shape[order[c]] for c in reversed(codes)))


def test_nothing_but_the_result_goes_to_standard_output(
    nnunet_folder: Path, body: Any, grids: Any
) -> None:
    """nnU-Net prints; `--json` must stay JSON. Mirrored as by itself; a wrong hash is refused."""
    copy = shutil.copytree(nnunet_folder, nnunet_folder.parent / "copy")
    (copy / "burden.yaml").unlink()
    printed = io.StringIO()
    with redirect_stdout(printed):
        found = from_folder(copy)(body(grids["small"]).volume, device="cpu", progress=lambda *_: None)
    assert printed.getvalue() == ""
    assert found.liver.data.any()
    (copy / "burden.yaml").write_text(
        "sha256: {fold_0/checkpoint_final.pth: '" + "0" * 64 + "'}\n", encoding="utf-8"
    )
    with pytest.raises(ModelError, match="sha256 differs"):
        from_folder(copy)


def test_overlapping_regions_are_run_and_read(
    nnunet_regions: Path, nnunet_folder: Path, body: Any, grids: Any
) -> None:
    """Trained on liver with tumor, and tumor: each its own sigmoid; the answer is that of classes."""
    volume = body(grids["small"]).volume
    regions, classes = (
        from_folder(folder)(volume, device="cpu", progress=lambda *_: None)
        for folder in (nnunet_regions, nnunet_folder)
    )
    assert (regions.lesions.data > 0).any()
    assert (regions.liver.data > 0)[regions.lesions.data > 0].all(), "lesions are part of the liver"
    for one, two in ((regions.liver, classes.liver), (regions.lesions, classes.lesions)):
        both = ((one.data > 0) & (two.data > 0)).sum()
        assert 2 * both / ((one.data > 0).sum() + (two.data > 0).sum()) > 0.95
