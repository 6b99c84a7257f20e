"""Training: a resumed run equals one that never stopped; calibration is recovered; bundles whole."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from burden.errors import InputError, UsageError
from burden.segment.bundle import load_network, read_bundle
from burden.segment.network import CLASS_NAMES, build, folded_unet
from burden.train import calibrate, curve, export, loop, settings
from burden.train.loss import HEAVIEST, LARGE_MM, lesion_weights, segmentation_loss
from burden.train.pack import load_pack, pack_folder

LIVER, LESION = CLASS_NAMES.index("liver"), CLASS_NAMES.index("lesion")
TINY = [4, 4, 4, 4, 4, 4]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small cases as a pack."""
    rng = np.random.default_rng(0)
    arrays = {}
    for case in ("one", "two"):
        classes = np.zeros((40, 40, 40), np.uint8)
        classes[6:26, 8:32, 8:32] = LIVER
        arrays[f"{case}_label"] = classes
        arrays[f"{case}_ct"] = (np.where(classes, 110, -80) + rng.normal(0, 9, (40,) * 3)).astype(
            np.int16
        )
    path = tmp_path_factory.mktemp("data") / "pack.npz"
    np.savez_compressed(path, **arrays)
    return path


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings of the shipped bundle with a tiny network, without a head, and a tiny patch."""
    plan = yaml.safe_load(loop.default_config().read_text(encoding="utf-8"))
    plan["held_out"] = ["two"]
    for block in plan["stages"].values():
        block["features"] = TINY
        block.pop("detail", None)
        block["phases"][0]["recipe"]["patch"] = 64
    path = tmp_path_factory.mktemp("config") / "train.yaml"
    path.write_text(yaml.safe_dump(plan), encoding="utf-8")
    return path


def state(path: Path) -> dict[str, torch.Tensor]:
    saved = torch.load(path, weights_only=True)
    return {**saved["net"], **{f"ema {k}": v for k, v in saved["ema"].items()}, "step": saved["step"]}


def test_resumed_run_equals_uninterrupted_run(pack: Path, config: Path, tmp_path: Path) -> None:
    from burden.train.settings import read_settings

    assert read_settings(config).held_out == ("two",)
    (whole,) = loop.train(pack, tmp_path / "a", steps=4, device="cpu", config=config, stage="fine")
    # the learning rate follows progress towards the same end, so stop early instead of asking for less
    run = loop._Run(read_settings(config).stages[1], tmp_path / "b" / "fine.pt", "cpu", 0)
    run.path.parent.mkdir()
    cases = [loop.augment.prepare(*load_pack(pack)["one"], 1)]
    for _ in range(2):
        run._one_step(cases, run._done(None, 4))
    run._save()
    (resumed,) = loop.train(pack, tmp_path / "b", steps=4, device="cpu", config=config, stage="fine")
    one, other = state(whole), state(resumed)
    assert one["step"] == other["step"] == 4
    assert one.keys() == other.keys()
    for name in one.keys() - {"step"}:
        assert torch.allclose(one[name], other[name], atol=1e-6), name


def test_finished_run_does_nothing_more(pack: Path, config: Path, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    first = loop.train(
        pack, tmp_path, steps=1, device="cpu", config=config, progress=lambda *step: told.append(step)
    )
    stages = ("coarse", "fine", "fine_mr")
    assert told == [(stage, done) for stage in stages for done in (0.0, 1.0)]
    before = [state(path)["step"] for path in first]
    again = loop.train(pack, tmp_path, steps=1, device="cpu", config=config)
    assert [path.name for path in again] == ["coarse.pt", "fine.pt", "fine_mr.pt"]
    assert [state(path)["step"] for path in again] == before == [1, 1, 1]


def test_losses_are_kept_and_drawn(tmp_path: Path) -> None:
    journal, plot = tmp_path / "train.csv", tmp_path / "train.png"
    assert curve.draw(journal, plot) is None, "nothing yet"
    for step in range(20, 821, 20):
        curve.note(journal, "coarse", step, 1.0 / step, step / 820, step)
        curve.note(journal, "fine", step, np.nan if step == 60 else 2.0 / step, step / 820, step)
    lines = journal.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "stage,step,loss,done,elapsed_s"
    assert lines[1] == "coarse,20,0.0500,0.0244,20"
    assert curve.draw(journal, plot) == plot
    assert plot.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_step_without_a_finite_gradient_changes_no_weight(
    pack: Path, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = loop._Run(settings.read_settings(config).stages[1], tmp_path / "fine.pt", "cpu", 0)
    cases = [loop.augment.prepare(*load_pack(pack)["one"], 1)]
    assert run._one_step(cases, 0.0) is not None
    before = {name: value.clone() for name, value in run.net.state_dict().items()}
    with monkeypatch.context() as patch:
        patch.setattr(loop, "segmentation_loss", lambda logits, *_: (logits * torch.nan).sum())
        assert run._one_step(cases, 0.0) is None
    assert run.step == 2, "the next step draws another patch"
    after = run.net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert run._one_step(cases, 0.0) is not None
    assert all(bool(torch.isfinite(value).all()) for value in run.ema.values())


def test_new_bundle_holds_the_trained_network(pack: Path, config: Path, tmp_path: Path) -> None:
    checkpoints = loop.train(pack, tmp_path, steps=1, device="cpu", config=config)
    bundle = read_bundle(export.new_bundle(checkpoints, tmp_path / "bundle"))
    saved = torch.load(checkpoints[1], weights_only=True)["ema"]
    net = load_network(bundle, bundle.fine, "cpu").state_dict()
    assert bundle.fine.features == tuple(TINY)
    assert all(torch.allclose(net[name], saved[name], atol=2e-3) for name in saved)
    meta = json.loads((bundle.folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert meta["training"]["fine"]["steps"] == 1
    card = (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "Research use only" in card
    assert "Not measured" in card
    assert bundle.lesion_recall is None, "the shipped model's is not this one's"
    assert [path.name for path in (bundle.folder / "docs").iterdir()] == ["README.md"]
    assert bundle.fine.channels == bundle.fine_mr.channels == 2
    assert bundle.fine_mr.weights == "models/fine_mr.safetensors"


def test_other_widths_are_refused(pack: Path, config: Path, tmp_path: Path) -> None:
    loop.train(pack, tmp_path, steps=1, device="cpu", config=config, stage="fine")
    with pytest.raises(ValueError, match="widths"):
        loop._Run(
            settings.read_settings(loop.default_config()).stages[1], tmp_path / "fine.pt", "cpu", 0
        )


def test_loss_prefers_the_truth() -> None:
    target = torch.randint(0, 9, (1, 8, 8, 8), generator=torch.Generator().manual_seed(0))
    right = 8 * torch.nn.functional.one_hot(target, 9).permute(0, 4, 1, 2, 3).float()
    weights = torch.ones(9)
    good = segmentation_loss(right, target, weights, 2.0)
    wrong = segmentation_loss(right.roll(1, dims=1), target, weights, 2.0)
    assert float(good) < 0.1 < 2 < float(wrong)


def test_a_small_lesion_weighs_more_in_the_loss() -> None:
    target = torch.ones(2, 40, 40, 40, dtype=torch.int64)
    target[0, 2:33, 2:33, 2:33] = LESION  # 62 mm at 2 mm
    target[0, 37:39, 37:39, 37:39] = LESION  # 4 mm
    target[1, 10:16, 10:16, 10:16] = LESION  # 12 mm: sphere of 14.9
    weights = lesion_weights(target, 2.0)
    assert weights.shape == target.shape
    assert float(weights[0, 20, 20, 20]) == 1
    assert float(weights[0, 38, 38, 38]) == HEAVIEST
    assert float(weights[1, 12, 12, 12]) == pytest.approx(LARGE_MM / 14.89, rel=1e-3)
    far = torch.nn.functional.max_pool3d((target == LESION).float()[:, None], 5, 1, 2)[:, 0] == 0
    assert (weights[far] == 1).all()
    assert float(weights[1, 8, 12, 12]) == float(weights[1, 12, 12, 12])  # two voxels outside
    assert float(weights[1, 7, 12, 12]) == 1
    assert float(lesion_weights(target, 1.0)[1, 12, 12, 12]) == pytest.approx(LARGE_MM / 7.44, rel=1e-3)


def test_overlooking_the_small_of_two_lesions_costs_more_than_its_volume() -> None:
    target = torch.ones(1, 32, 32, 32, dtype=torch.int64)
    target[0, 2:18, 2:18, 2:18] = LESION
    target[0, 24:28, 24:28, 24:28] = LESION
    told = 6 * torch.nn.functional.one_hot(target, 3).permute(0, 4, 1, 2, 3).float()

    def cost(part: tuple[slice, ...]) -> float:
        missed = told.clone()
        missed[:, :, part[0], part[1], part[2]] = told[:, :, :1, :1, :1]
        plain = segmentation_loss(told, target, torch.ones(3), 2.0)
        return float(segmentation_loss(missed, target, torch.ones(3), 2.0) - plain)

    small, same_volume_of_large = cost((slice(24, 28),) * 3), cost((slice(4, 8),) * 3)
    assert small > 1.5 * same_volume_of_large


def test_network_gives_one_logit_a_class_and_voxel() -> None:
    net = folded_unet(TINY)
    image = torch.zeros(1, 1, 32, 64, 32)
    assert net(image).shape == (1, len(CLASS_NAMES), 32, 64, 32)
    assert folded_unet(TINY, 3, 2)(torch.cat([image, image], 1)).shape == (1, 3, 32, 64, 32)
    with pytest.raises(ValueError, match="unknown network"):
        build("os.system", {"features": TINY, "classes": 9, "channels": 1})
    with pytest.raises(ValueError, match="six widths"):
        build("FoldedUNet", {"features": [1, 2], "classes": 9, "channels": 1})


def test_an_untrained_head_changes_nothing_and_a_trained_one_corrects_single_voxels() -> None:
    plain, headed = folded_unet(TINY, 3, 2).eval(), folded_unet(TINY, 3, 2, 4).eval()
    headed.load_state_dict(headed.state_dict() | plain.state_dict())
    image = torch.randn(1, 2, 64, 64, 64)
    with torch.inference_mode():
        before = plain(image)
        assert torch.allclose(headed(image), before, atol=1e-5)
        torch.nn.init.normal_(headed.correction.weight)
        apart = (headed(image) - before).abs()
    # What it adds differs between voxels of one cell of the fold.
    cells = apart[0, 0].reshape(32, 2, 32, 2, 32, 2)
    assert float(cells.std(dim=(1, 3, 5)).mean()) > 0.1 * float(cells.mean())
    with pytest.raises(ValueError, match="detail up to 256"):
        build("FoldedUNet", {"features": TINY, "classes": 9, "channels": 1, "detail": -1})


def test_a_head_is_trained_from_the_first_step(pack: Path, config: Path, tmp_path: Path) -> None:
    plan = yaml.safe_load(config.read_text(encoding="utf-8"))
    plan["stages"]["fine"]["detail"] = 2
    headed = tmp_path / "headed.yaml"
    headed.write_text(yaml.safe_dump(plan), encoding="utf-8")
    (path,) = loop.train(pack, tmp_path / "run", steps=1, device="cpu", config=headed, stage="fine")
    assert float(state(path)["correction.weight"].abs().sum()) > 0


def test_fold_and_unfold_keep_places() -> None:
    from burden.segment.network import _fold, _unfold

    image = torch.randn(2, 1, 8, 6, 4)
    assert torch.equal(_unfold(_fold(image)), image)


def test_pack_turns_to_left_back_head(tmp_path: Path) -> None:
    import nibabel

    data = np.zeros((30, 20, 10), np.int16)
    data[:4] = 200  # first index points right in RAS order, so these are leftmost after negation
    label = (data > 0).astype(np.uint8) * 6
    affine = np.diag([-2.0, -2.0, 4.0, 1.0])  # axes point left, back, head
    for flipped, name in ((False, "a"), (True, "b")):
        turn = np.diag([-1.0, 1, 1, 1]) if flipped else np.eye(4)
        turn[0, 3] = 29.0 if flipped else 0.0
        for array, kind in ((data, "ct"), (label, "label")):
            stored = array[::-1] if flipped else array
            nibabel.save(nibabel.Nifti1Image(stored, affine @ turn), tmp_path / f"{name}_{kind}.nii.gz")
    cases = load_pack(pack_folder(tmp_path, tmp_path / "pack.npz"))
    assert cases["a"][0].shape == (30, 20, 20)
    for one, other in zip(cases["a"], cases["b"], strict=True):
        assert np.array_equal(one, other)
    assert cases["a"][1][:4].all()
    assert not cases["a"][1][4:].any()
    with pytest.raises(InputError, match="beside it"):
        pack_folder(tmp_path / "nothing", tmp_path / "x.npz")


def test_temperature_is_recovered() -> None:
    rng = np.random.default_rng(0)
    strength = rng.normal(0, 2, (24, 24, 24))
    chance = 1 / (1 + np.exp(-strength / 2.0))
    truth = np.where(rng.random(strength.shape) < chance, LESION, LIVER).astype(np.uint8)
    logits = np.full((3, *truth.shape), -60.0, np.float16)
    logits[LESION], logits[LIVER] = strength, 0.0
    seen = [calibrate.Seen(logits, truth, []) for _ in range(3)]
    assert calibrate.fit_temperature(seen) == pytest.approx(2.0, rel=0.12)


def test_logistic_is_recovered() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(6000, 2))
    chance = 1 / (1 + np.exp(-(-0.5 + features @ [2.0, -1.0])))
    weights = calibrate.fit_logistic(features, (rng.random(6000) < chance).astype(float))
    assert weights == pytest.approx([-0.5, 2.0, -1.0], abs=0.15)


@pytest.mark.parametrize("shift", [-2.0, 2.0, 4.0])
def test_surface_offset_of_a_grown_ball(shift: float) -> None:
    i, j, k = np.indices((80, 80, 80)) * 2.0 - 79.3
    distance = np.sqrt(i**2 + j**2 + k**2)
    offset = calibrate.offset_mm(distance < 50 + shift, distance < 50, 2.0)
    assert offset == pytest.approx(shift, rel=0.15)


def test_training_goes_on_from_a_bundle(pack: Path, config: Path, tmp_path: Path) -> None:
    start = export.new_bundle(
        loop.train(pack, tmp_path / "first", steps=2, device="cpu", config=config),
        tmp_path / "bundle",
        config=config,
    )
    bundle, stages = read_bundle(start), settings.read_settings(config).stages
    for stage in stages:
        run = loop._Run(stage, tmp_path / f"{stage.name}.pt", "cpu", 0, bundle)
        there = load_network(bundle, getattr(bundle, stage.name), "cpu").state_dict()
        assert run.step == 0
        assert all(torch.equal(value, there[name]) for name, value in run.net.state_dict().items())
        assert all(torch.equal(value, there[name]) for name, value in run.ema.items())
    # By default the settings are the bundle's own, and it may be the very one that is replaced.
    (fine,) = loop.train(pack, tmp_path / "on", steps=1, device="cpu", stage="fine", start=start)
    export.new_bundle([fine], start, start=start)
    assert read_bundle(start).fine.features == tuple(TINY)
    assert settings.read_settings(start / "configs" / "train.yaml").held_out == ("two",)
    # A head may be added to trained weights, not taken from them.
    headed = loop._Run(replace(stages[1], detail=2), tmp_path / "headed.pt", "cpu", 0, bundle)
    there = load_network(bundle, bundle.fine, "cpu").state_dict()
    assert all(torch.equal(headed.net.state_dict()[name], value) for name, value in there.items())
    headed._save()
    export.export([tmp_path / "headed.pt"], start)
    assert read_bundle(start).fine.detail == 2
    assert set(load_network(read_bundle(start), read_bundle(start).fine, "cpu").state_dict()) > set(
        there
    )
    with pytest.raises(UsageError, match=r"fine of this bundle has detail 2; the settings say 0"):
        loop._Run(stages[1], tmp_path / "x.pt", "cpu", 0, read_bundle(start))
    with pytest.raises(UsageError, match=r"fine of this bundle has features .* the settings say"):
        loop._Run(
            replace(stages[1], features=(16, 16, 16, 16, 16, 16)), tmp_path / "x.pt", "cpu", 0, bundle
        )


def test_the_share_that_makes_the_best_lesions_is_taken() -> None:
    rng = np.random.default_rng(0)
    truth = np.full((20, 20, 20), LIVER, np.uint8)
    truth[5:12, 5:12, 5:12] = LESION
    logits = np.full((3, 20, 20, 20), -20, np.float16)
    logits[LIVER] = 0
    # lesions are called too small at one half: their voxels' shares lie about 0.42
    logits[LESION] = np.where(truth == LESION, -0.3, -1.5) + rng.normal(0, 0.05, truth.shape)
    seen = calibrate.Seen(logits, truth, [])
    assert calibrate.fit_share([seen], 1.0) in (0.25, 0.3, 0.35, 0.4)
    logits[LESION] = np.where(truth == LESION, 1.0, -0.15)
    assert calibrate.fit_share([seen], 1.0) == 0.5


def test_intervals_grow_until_they_hold_the_truth_nine_times_in_ten() -> None:
    from burden.train.examine import Examined, coverage, widening

    def image(true: float, half: float) -> Examined:
        found = (true, 100.0, 100.0 - half, 100.0 + half)
        return Examined("x", "CT", 1.0, 1.0, {"liver.volume": found}, (), ())

    errors = np.random.default_rng(0).normal(0, 10, 400)
    narrow = [image(100 + error, 8.0) for error in errors]
    factor = widening(narrow, "liver.volume")
    assert factor == pytest.approx(10 * 1.645 / 8.0, rel=0.1)
    grown = [image(100 + error, 8.0 * factor) for error in errors]
    assert coverage(grown)["liver.volume"] == pytest.approx(0.9, abs=0.01)
    assert widening([image(100 + error, 80.0) for error in errors], "liver.volume") == 1.0


def test_the_worst_images_are_drawn_for_the_card(tmp_path: Path) -> None:
    from burden.train.card import draw_failures
    from burden.train.examine import Examined, View

    true = np.zeros((30, 40), np.uint8)
    true[5:25, 5:30] = 1
    true[10:15, 10:15] = 2
    found = np.where(true == 2, 1, true).astype(np.uint8)
    views = [
        Examined("x", kind, 0.9, dice, {}, (), (), View(50.0 * true, true, found))
        for kind, dice in (("CT", 0.0), ("CT", 0.4), ("MR", 0.2), ("healthy CT", np.nan))
    ]
    out = draw_failures(views, tmp_path / "failures.png")
    assert out.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert out.stat().st_size > 20_000


def test_the_card_takes_its_figures_from_what_was_measured(tmp_path: Path) -> None:
    from burden.train.card import FIGURES, write_figures
    from burden.train.examine import Examined, TrueLesion, summarise

    lesions = (TrueLesion(12.0, 0.4, found=False), TrueLesion(30.0, 3.0, found=True))
    values = {"tumor.burden": (10.0, 8.0, 5.0, 12.0)}
    images = [Examined("x", "CT", 0.95, 0.6, values, lesions, ((0.9, True), (0.6, False)))]
    healthy = [Examined("x", "healthy CT", 0.9, np.nan, {}, (), ())]
    held_out = {"CT": summarise(images), "healthy CT": summarise(healthy)}
    card = tmp_path / "README.md"
    card.write_text(f"# A\n{FIGURES[0]}\nold\n{FIGURES[1]}\nlast\n", encoding="utf-8")
    write_figures({"held_out": held_out, "structures_dice_on_ct": {"aorta": 0.86}}, card)
    text = card.read_text(encoding="utf-8")
    assert text.startswith("# A\n")
    assert text.endswith("\nlast\n")
    assert "\nold\n" not in text
    assert "| CT with lesions | 1 | 0.950 (0.950) | 0.600 | 50% / 50% | 50% | 1.00 |" in text
    assert "2.0 / 2.0 (-2.0) |" in text
    assert "| CT without | 1 | 0.900 (0.900) | - | - / - | - | 0.00 | - / - (-) |" in text
    assert "10 to 20: 0% of 1; 20 to 50: 100% of 1." in text
    assert "0 to 1: 0% of 1; 2 and more: 100% of 1." in text
    assert "tumor burden 100%" in text
    assert "aorta 0.86" in text
    card.write_text("# no figures wanted", encoding="utf-8")
    write_figures({"held_out": held_out}, card)
    assert card.read_text(encoding="utf-8") == "# no figures wanted"


def test_spots_are_left_out_until_four_of_five_are_lesions() -> None:
    existence = np.array([-4.0, 8.0, 0.0])  # mean probability 0.5 is an even chance
    rows = [[0.3, 0.0, 0.0], [0.4, 0.0, 0.0], [0.55, 0.0, 0.0], *[[0.9, 0.0, 1.0]] * 4]
    diseased, healthy = np.array(rows), np.array([[0.4, 0.0, 0.0]])
    # chances 0.17, 0.31, 0.6 and 0.96: with the last false one four of five are true
    assert calibrate.fit_least_chance([diseased], existence) == 0.35
    assert calibrate.fit_least_chance([diseased, np.zeros((0, 3))], existence) == 0.35
    assert calibrate.fit_least_chance([diseased[3:], healthy], existence) == 0.35
    assert calibrate.fit_least_chance([diseased[3:]], existence) == 0.2


def test_a_model_that_finds_no_liver_gets_its_card(tmp_path: Path) -> None:
    from burden.train.card import draw_card
    from burden.train.examine import Examined, summarise

    images = [Examined("x", kind, 0.0, np.nan, {}, (), ()) for kind in ("CT", "healthy CT")]
    figures = summarise(images)
    assert figures["liver_dice"] == 0.0
    assert "tumor.burden" not in figures["coverage_90"]
    assert draw_card(images, tmp_path / "held_out.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
