"""Any MONAI bundle: what it says of itself, what burden.yaml adds, and that nothing of it is run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from burden.errors import ModelError
from burden.grid import Grid
from burden.image import Origin, Volume
from burden.segment.description import Step
from burden.segment.foreign import build, load_weights
from burden.segment.monai_network import from_folder, prepared, read_plan
from burden.segment.orient import model_grid, orientation, resampled

Make = Callable[..., Path]

NETWORKS: dict[str, dict[str, Any]] = {
    "SegResNet": {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 3,
                  "blocks_down": [1, 1], "blocks_up": [1], "dropout_prob": 0.2},
    "SegResNetDS": {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 3,
                    "blocks_down": [1, 1], "norm": "instance", "dsdepth": 2},
    "UNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2],
             "num_res_units": 1, "norm": ["instance", {"affine": True}]},
    "BasicUNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3,
                  "features": [4, 4, 4, 4, 4, 4]},
    "DynUNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "kernel_size": [3, 3, 3],
                "strides": [1, 2, 2], "upsample_kernel_size": [2, 2], "filters": [4, 8, 8],
                "deep_supervision": True, "deep_supr_num": 1, "res_block": True},
    "SwinUNETR": {"spatial_dims": 3, "img_size": 96, "in_channels": 1, "out_channels": 3,
                  "feature_size": 12, "use_checkpoint": False},
    "UNETR": {"in_channels": 1, "out_channels": 3, "img_size": [32, 32, 32], "feature_size": 4,
              "hidden_size": 24, "mlp_dim": 32, "num_heads": 2},
    "vista3d132": {"encoder_embed_dim": 8, "in_channels": 1},
}  # fmt: skip


def say(folder: Path, **settings: Any) -> Path:
    """Write burden.yaml."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "burden.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], Any], file: str = "inference.json") -> None:
    path = folder / "configs" / file
    table = json.loads(path.read_text(encoding="utf-8"))
    change(table)
    path.write_text(json.dumps(table), encoding="utf-8")


def test_a_bundle_of_the_zoo_speaks_for_itself(monai_folder: Make, tmp_path: Path) -> None:
    plan = read_plan(monai_folder(tmp_path / "b"))
    assert (plan.network, plan.orientation, plan.spacing_mm) == ("UNet", "RAS", (4.0, 4.0, 5.0))
    assert plan.intensity == (Step("range", -175, 250, (0.0, 1.0), clip=True),)
    assert (plan.window, plan.overlap, plan.output) == ((32, 32, 32), 0.25, "softmax")
    assert (plan.naming.liver, plan.naming.lesion) == ((1,), (2,))
    assert dict(plan.naming.structures) == {"spleen": (3,)}
    assert plan.terms.modalities == ("CT",)
    assert plan.terms.source == "toy organs 0.1"


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_white_list_run(name: str, tmp_path: Path) -> None:
    """Random weights: built, loaded from either kind of file, run on an oblique grid, back on it."""
    if name in ("SwinUNETR", "UNETR"):
        pytest.importorskip("einops", reason='NOT CHECKED: pip install "liver-burden[networks]"')
    torch.manual_seed(1)
    net = build(name, NETWORKS[name], "test")
    folder = tmp_path / name
    (folder / "models").mkdir(parents=True)
    if name in ("UNet", "DynUNet"):
        state = {f"module.{k}": v for k, v in net.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": state}, folder / "models" / "model.pt")
    else:
        state = {k: v.contiguous().clone() for k, v in net.state_dict().items()}
        save_file(state, folder / "models" / "model.safetensors")
    labels = (
        {"liver": 1, "hepatic tumor": 26, "spleen": 3}
        if name == "vista3d132"
        else {"liver": 1, "lesion": 2}
    )
    window = 64 if name == "SwinUNETR" else 32
    say(folder, network={"name": name, "args": NETWORKS[name]}, spacing_mm=6, window=window,
        intensity=[{"range": [-200, 300]}], labels=labels)  # fmt: skip
    rng = np.random.default_rng(0)
    angle = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]])
    grid = Grid.from_axes((30, 34, 12), (5.0, 5.5, 12.0), (3, 4, 5), angle[:, [1, 0, 2]] * [1, 1, -1])
    volume = Volume(rng.normal(50, 80, grid.shape).astype(np.int16), grid, "CT", Origin("phantom", "x"))
    found = from_folder(folder)(volume, device="cpu", progress=lambda *_: None)
    assert found.liver.grid.same_as(grid)
    assert found.liver.data.any() or found.findings[0].code == "no-liver-found"


def test_prompted_classes_land_in_their_places(tmp_path: Path) -> None:
    """VISTA-3D answers for each class asked; the order of asking must not mix them up."""
    from burden.segment.monai_network import _decide, _kept

    say(tmp_path, network={"name": "vista3d132", "args": {}}, spacing_mm=[4, 4, 4], window=[32, 32, 32],
        intensity=[], labels={"hepatic tumor": 26, "liver": 1, "spleen": 3}, weights="m.pt")  # fmt: skip
    plan = read_plan(tmp_path)
    assert plan.naming.known == (1, 3, 26)
    grid = Grid.from_axes((6, 6, 6), (4, 4, 4), (0, 0, 0))
    logits = torch.full((3, 6, 6, 6), -9.0)
    logits[0, :4], logits[1, 4:], logits[2, 1:2] = 9.0, 9.0, 5.0
    winner = _decide(torch.sigmoid(_kept(logits[None], plan)[0]), plan, grid, grid, lambda *_: None)
    assert (winner[0] == 1).all()
    assert (winner[1] == 26).all(), "a lesion inside the liver stays a lesion, however sure the liver is"
    assert (winner[4:] == 3).all()


# --- nothing is run ------------------------------------------------------------------------------

EVIL = "$__import__('pathlib').Path('{}').write_text('x')"


@pytest.mark.parametrize(
    "place",
    [
        lambda c, e: c["network_def"].update(in_channels=e),
        lambda c, e: c["preprocessing"]["transforms"].insert(0, {"_target_": "Lambdad", "func": e}),
        lambda c, e: c["preprocessing"]["transforms"][3].update(pixdim=e),
        lambda c, e: c["inferer"].update(roi_size=e),
        lambda c, e: c.update(sw_overlap=e),
        lambda c, e: c.update(imports=[e], initialize=[e], run=[e]),
        lambda c, e: c["network_def"].update(_target_=e),
    ],
)
def test_no_expression_is_executed(
    monai_folder: Make, tmp_path: Path, body: Any, grids: Any, place: Callable[..., Any]
) -> None:
    mark = tmp_path / "ran"
    folder = monai_folder(tmp_path / "b")
    edit(folder, lambda config: place(config, EVIL.format(mark)))
    with suppress(ModelError):  # some places are needed, and then asked for; others are not
        from_folder(folder)(body(grids["small"]).volume, device="cpu", progress=lambda *_: None)
    assert not mark.exists()


class Evil:
    def __reduce__(self) -> Any:
        return (Path.write_text, (Path("/tmp/burden-evil"), "x"))  # noqa: S108


def test_a_pickle_with_code_is_not_loaded(monai_folder: Make, tmp_path: Path) -> None:
    folder = monai_folder(tmp_path / "b")
    torch.save({"state_dict": Evil()}, folder / "models" / "model.pt")
    net = build("UNet", NETWORKS["UNet"], folder)
    with pytest.raises(ModelError, match="more than tensors"):
        load_weights(net, folder, "models/model.pt", {})
    assert not Path("/tmp/burden-evil").exists()  # noqa: S108


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"name": "os.system", "args": {}}, "not one that is known"),
        ({"name": "UNet", "args": {"spatial_dims": 3, "pickle": 1}}, "no argument pickle"),
        ({"name": "UNet", "args": {**NETWORKS["UNet"], "act": "$1+1"}}, "not a plain value"),
        ({"name": "UNet", "args": {**NETWORKS["UNet"], "channels": [4, 10**9]}}, "not a plain value"),
        ({"name": "UNet", "args": {**NETWORKS["UNet"], "channels": [4]}}, "cannot be built"),
    ],
)
def test_networks_outside_the_list_are_refused(network: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        build(network["name"], network["args"], "x")


# --- what is missing is named --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c: c["preprocessing"]["transforms"][3].update(pixdim="$[1, 1, 1] if @x else 2"),
            "spacing_mm:",
        ),
        (lambda c: c["network_def"].update(channels="$[4, 8]"), "network:"),
        (lambda c: c["inferer"].update(roi_size="$@size"), "window:"),
        (lambda c: c["preprocessing"]["transforms"][4].update(a_min="$-175"), "intensity:"),
        (
            lambda c: c["preprocessing"]["transforms"].append({"_target_": "HistogramNormalized"}),
            "intensity:",
        ),
    ],
)
def test_what_is_not_plain_is_asked_for_and_taken_from_burden_yaml(
    monai_folder: Make, tmp_path: Path, change: Any, message: str
) -> None:
    folder = monai_folder(tmp_path / "b", change)
    with pytest.raises(ModelError, match=rf"burden\.yaml.*{message}"):
        read_plan(folder)
    network = {"name": "UNet", "args": NETWORKS["UNet"]}
    say(folder, spacing_mm=[2, 2, 3], network=network, window=64, intensity=[{"zscore": True}])
    plan = read_plan(folder)
    assert (plan.spacing_mm, plan.window) == ((2.0, 2.0, 3.0), (64, 64, 64))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"windw": 3}, "no such setting: windw"),
        ({"window": [0, 3, 3]}, "window"),
        ({"labels": {"kidney": 1}}, "none of its labels is the liver"),
        ({"labels": "liver"}, "labels"),
        ({"orientation": "RAA"}, "orientation"),
        ({"intensity": [{"histogram": 3}]}, "intensity"),
        ({"kind": "tensorflow"}, "no such kind"),
        ({"weights": "../model.pt"}, "inside the folder"),
        ({"weights": "models/none.pt"}, "no weights"),
        ({"sha256": {"models/model.pt": "0" * 64}}, "sha256 differs"),
        ({"sha256": {"model.pt": "0" * 64}}, "sha256 differs"),
        ({"sha256": {"./models/model.pt": "0" * 64}}, "sha256 differs"),
        ({"sha256": "0" * 64}, "sha256"),
        ({"labels": {"liver": 9}}, "4 output channels"),
        ({"labels": {"liver": -1}}, "labels"),
        ({"lesion_boundary_sd_mm": -1}, "lesion_boundary_sd_mm"),
    ],
)
def test_wrong_settings_are_one_clear_line(
    monai_folder: Make, tmp_path: Path, body: Any, grids: Any, settings: Any, message: str
) -> None:
    folder = say(monai_folder(tmp_path / "b"), **settings)
    with pytest.raises(ModelError, match=message) as error:
        from_folder(folder)(body(grids["small"]).volume, device="cpu", progress=lambda *_: None)
    assert "\n" not in str(error.value)


Config = dict[str, Any]


def activation(*transforms: Any) -> Callable[[Config], Any]:
    return lambda config: config["postprocessing"].update(transforms=list(transforms))


def behind_references(config: Config) -> None:
    transforms = config["preprocessing"]["transforms"]
    config["turn"], transforms[2] = transforms[2], "@turn"
    config["before"], config["preprocessing"]["transforms"] = transforms, "@before"


def test_transforms_are_followed_to_where_they_are_said(monai_folder: Make, tmp_path: Path) -> None:
    assert read_plan(monai_folder(tmp_path / "a", behind_references)) == replace(
        read_plan(monai_folder(tmp_path / "b")), folder=tmp_path / "a"
    )


@pytest.mark.parametrize(
    ("change", "setting"),
    [
        (lambda c: c["preprocessing"].update(transforms="$@before + @after"), "orientation"),
        (lambda c: c["preprocessing"]["transforms"].insert(2, "$Anything()"), "orientation"),
        (lambda c: c["preprocessing"]["transforms"][2].update(axcodes="$'LPS'"), "orientation"),
        (lambda c: c["postprocessing"].update(transforms="$@after"), "output"),
        (activation("$Anything()"), "output"),
        (activation({"_target_": "Activationsd", "sigmoid": "$True"}), "output"),
        (activation({"_target_": "AsDiscreted", "threshold": 0.5}), "output"),
    ],
)
def test_transforms_that_are_programs_are_asked_for(
    change: Callable[[Config], Any], setting: str, monai_folder: Make, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"does not say its {setting} in plain values"):
        read_plan(monai_folder(tmp_path / "b", change))


@pytest.mark.parametrize(
    ("transforms", "output"),
    [
        ([{"_target_": "monai.transforms.Activationsd", "sigmoid": True}], "sigmoid"),
        ([{"_target_": "Activationsd", "sigmoid": "@inferer#yes"}], "sigmoid"),
        ([{"_target_": "Activationsd", "sigmoid": True, "_disabled_": True}], "softmax"),
        ([{"_target_": "AsDiscreted", "argmax": True}], "softmax"),
    ],
)
def test_sigmoid_is_recognised_however_it_is_said(
    transforms: list[Any], output: str, monai_folder: Make, tmp_path: Path
) -> None:
    def change(config: Config) -> None:
        config["inferer"]["yes"] = True
        activation(*transforms)(config)

    assert read_plan(monai_folder(tmp_path / "b", change)).output == output


def test_the_liver_may_be_class_zero(tmp_path: Path) -> None:
    """A network without a background class: what is no class is not the liver."""
    from burden.segment.monai_network import _decide, _kept

    say(tmp_path, network={"name": "UNet", "args": {}}, spacing_mm=[4, 4, 4], window=[32, 32, 32],
        intensity=[], labels={"liver": 0, "lesion": 1}, weights="m.pt", output="sigmoid")  # fmt: skip
    plan = read_plan(tmp_path)
    grid = Grid.from_axes((4, 4, 4), (4.0, 4.0, 4.0), (0, 0, 0))
    logits = torch.full((2, 4, 4, 4), -9.0)
    logits[0, 0], logits[1, 0, 0] = 9.0, 9.0
    labels = _decide(torch.sigmoid(_kept(logits[None], plan)[0]), plan, grid, grid, lambda *_: None)
    assert (labels[0, 1:] == 0).all()
    assert (labels[0, 0] == 1).all()
    assert (labels[1:] == -1).all()
    alone = replace(plan, output="softmax", naming=replace(plan.naming, lesion=()))
    with pytest.raises(ModelError, match="output: sigmoid"):
        _kept(logits[None, :1], alone)


def test_of_a_hundred_classes_only_those_named_are_kept(tmp_path: Path) -> None:
    """The scan in memory is as large as what is named; the best class still wins."""
    from burden.segment.monai_network import _decide, _kept

    say(tmp_path, network={"name": "UNet", "args": {}}, spacing_mm=[4, 4, 4], window=[32, 32, 32],
        intensity=[], labels={"liver": 5, "lesion": 70}, weights="m.pt")  # fmt: skip
    plan = read_plan(tmp_path)
    grid = Grid.from_axes((8, 8, 8), (4.0, 4.0, 4.0), (0, 0, 0))
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (1, 105, 8, 8, 8))).float()
    logits[0, [5, 70]] += 7.0
    kept = _kept(logits, plan)
    assert kept.shape == (1, 3, 8, 8, 8)
    best = logits[0].argmax(0).numpy()
    labels = _decide(torch.exp(kept[0]), plan, grid, grid, lambda *_: None)
    np.testing.assert_array_equal(labels, np.where(np.isin(best, [5, 70]), best, -1))
    assert len(np.unique(labels)) == 3


def test_hashes_of_the_zoo_are_checked(monai_folder: Make, tmp_path: Path) -> None:
    folder = monai_folder(tmp_path / "b")
    digest = hashlib.md5(
        (folder / "models" / "model.pt").read_bytes(), usedforsecurity=False
    ).hexdigest()
    listed = {"large_files": [{"path": "models/model.pt", "hash_val": digest, "hash_type": "md5"}]}
    (folder / "large_files.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    from_folder(folder)
    with (folder / "models" / "model.pt").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match="md5 differs"):
        from_folder(folder)


def test_torchscript_is_not_loaded(monai_folder: Make, tmp_path: Path) -> None:
    folder = monai_folder(tmp_path / "b")
    (folder / "models" / "model.pt").rename(folder / "models" / "model.ts")
    with pytest.raises(ModelError, match="TorchScript"):
        from_folder(folder)


# --- from image to input -------------------------------------------------------------------------


def test_intensity_steps_against_monai() -> None:
    from monai.transforms import NormalizeIntensity, ScaleIntensity, ScaleIntensityRange
    from monai.transforms import ScaleIntensityRangePercentiles as Percentiles

    values = np.random.default_rng(0).normal(40, 200, (9, 8, 7)).astype(np.float32)
    values[:3] = 0
    for step, theirs in (
        (Step("range", -175, 250, (0, 1)), ScaleIntensityRange(-175, 250, 0, 1, clip=True)),
        (Step("range", -175, 250, (-1, 1), clip=False), ScaleIntensityRange(-175, 250, -1, 1)),
        (Step("percentiles", 1, 99, (0, 1)), Percentiles(1, 99, 0, 1, clip=True)),
        (Step("zscore", nonzero=True), NormalizeIntensity(nonzero=True)),
        (Step("zscore"), NormalizeIntensity()),
        (Step("minmax", to=(-1.0, 1.0)), ScaleIntensity(-1.0, 1.0)),
    ):
        wanted = np.asarray(theirs(values[None]))[0]
        np.testing.assert_allclose(prepared(values, (step,)), wanted, atol=2e-4)


@pytest.mark.parametrize("codes", ["RAS", "LPS", "SAR", "PIR"])
@pytest.mark.parametrize("spacing", [None, (3.0, 2.0, 4.5)])
def test_places_survive_orientation_and_spacing(grids: Any, codes: str, spacing: Any) -> None:
    """A ramp in patient space is the same ramp in the model's order of axes."""
    grid = grids["oblique"]
    world = grid.world(np.stack(np.indices(grid.shape), -1))
    ramp = (0.5 * world[..., 0] - 0.3 * world[..., 1] + 0.2 * world[..., 2]).astype(np.float32)
    turned = model_grid(grid, codes, spacing)
    assert turned.codes == codes
    if spacing:
        assert turned.spacing == pytest.approx(spacing)
    values = resampled(Volume(ramp, grid, "MR", Origin("phantom", "ramp")), turned)
    there = turned.world(np.stack(np.indices(turned.shape), -1))
    wanted = 0.5 * there[..., 0] - 0.3 * there[..., 1] + 0.2 * there[..., 2]
    index = grid.index(there)
    inner = ((index > 1) & (index < np.array(grid.shape) - 2)).all(axis=-1)
    assert inner.sum() > 1000
    assert np.abs(values - wanted)[inner].max() < 0.02
    corners = np.array(grid.shape) - 0.5
    reach = turned.index(grid.world([[-0.5] * 3, corners]))
    assert reach.min() >= -0.51, "the new grid covers the old one"
    assert (reach.max(axis=0) <= np.array(turned.shape) - 0.49).all()
    turn = orientation(grid, codes)
    data = np.arange(ramp.size).reshape(grid.shape)
    assert np.array_equal(turn.back(turn.there(data)), data)


def test_a_ct_model_is_not_trusted_on_mr(
    monai_folder: Make, tmp_path: Path, body: Any, grids: Any
) -> None:
    volume = body(grids["oblique"]).volume
    mr = Volume(volume.data, volume.grid, "MR", volume.origin)
    found = from_folder(monai_folder(tmp_path / "b"))(mr, device="cpu", progress=lambda *_: None)
    said = next(f for f in found.findings if f.code == "model-of-another-modality")
    assert (said.severity, said.invalidates) == ("error", ("*",))


def test_a_model_without_lesions_leaves_tumor_unknown(
    monai_folder: Make, tmp_path: Path, body: Any, grids: Any
) -> None:
    folder = say(monai_folder(tmp_path / "b"), labels={"liver": [1, 2]})
    found = from_folder(folder)(body(grids["oblique"]).volume, device="cpu", progress=lambda *_: None)
    said = next(f for f in found.findings if f.code == "lesions-not-segmented")
    assert {"tumor.*", "lesion.*", "frilling.*", "segment.8.tumor_volume"} <= set(said.invalidates)


def test_measured_errors_are_used_and_unmeasured_ones_are_said(
    monai_folder: Make, tmp_path: Path, body: Any, grids: Any
) -> None:
    volume = body(grids["oblique"]).volume
    folder = monai_folder(tmp_path / "b")
    plain = from_folder(folder)(volume, device="cpu", progress=lambda *_: None)
    assert (plain.liver_boundary_sd_mm, plain.lesion_boundary_sd_mm) == (1.0, 2.0)
    assert "model-not-calibrated" in {f.code for f in plain.findings}
    say(folder, liver_boundary_sd_mm=0.7, lesion_boundary_sd_mm=1.3)
    told = from_folder(folder)(volume, device="cpu", progress=lambda *_: None)
    assert (told.liver_boundary_sd_mm, told.lesion_boundary_sd_mm) == (0.7, 1.3)
    assert "model-not-calibrated" not in {f.code for f in told.findings}
