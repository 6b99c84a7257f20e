"""The bundle back end: refuses what it cannot trust, and gives masks on the grid it was given."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from burden.errors import ModelError
from burden.grid import Grid, reorder
from burden.image import Origin, Segmentation, Volume
from burden.resources import shipped
from burden.segment import monai_bundle
from burden.segment.bundle import Calibration, read_bundle, sha256_of
from burden.segment.monai_bundle import clearer, from_bundle
from burden.segment.network import folded_unet
from burden.segment.sampling import from_upright, to_upright, upright_grid
from burden.segment.survey import Survey
from burden.segment.trust import likely, misses

TINY = [8, 8, 8, 8, 8, 8]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundle of random networks that call most things liver."""
    folder = tmp_path_factory.mktemp("bundle") / "toy"
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    torch.manual_seed(3)
    shipped_plan = shipped("models", "liver_burden_ctmr", "configs", "inference.yaml")
    plan = shipped_plan.read_text(encoding="utf-8")
    hashes = {}
    for stage in ("coarse", "fine", "fine_mr"):
        one = yaml.safe_load(plan)["networks"][stage]
        net = folded_unet(TINY, one["classes"], one["channels"], one.get("detail", 0))
        final = net.unet.final_conv
        with torch.no_grad():
            final.weight.mul_(3)
            final.bias.view(9, 8)[1] += 2.0
            final.bias.view(9, 8)[2] += 1.5
        path = folder / "models" / f"{stage}.safetensors"
        save_file({name: value.half().contiguous() for name, value in net.state_dict().items()}, path)
        hashes[f"models/{stage}.safetensors"] = sha256_of(path)
    for line in plan.splitlines():
        if "features:" in line:
            plan = plan.replace(line.split("features: ")[1], str(TINY))
    plan = re.sub(r"^structures: .*", "structures: [portal_vein, spleen, aorta]", plan, flags=re.M)
    (folder / "configs" / "inference.yaml").write_text(plan, encoding="utf-8")
    calibration = {
        "temperature": 1.5,
        "liver_boundary_sd_mm": 1.0,
        "lesion_boundary_sd_mm": 2.0,
        "lesion_existence": [-2, 5, 1],
    }
    meta = {"name": "toy", "version": "1", "calibration": calibration, "sha256": hashes}
    (folder / "configs" / "metadata.json").write_text(json.dumps(meta), encoding="utf-8")
    return folder


@pytest.fixture
def copy(toy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(toy, tmp_path / "copy"))


def body() -> Volume:
    """A soft-tissue body in air with a few blobs; non-cubic voxels, LPS order."""
    rng = np.random.default_rng(5)
    i, j, k = np.indices((60, 52, 30), dtype=float)
    data = np.full(i.shape, -1000.0)
    data[((i - 30) / 27) ** 2 + ((j - 26) / 23) ** 2 < 1] = 50
    for _ in range(12):
        centre = rng.uniform([10, 10, 3], [50, 42, 27])
        inside = (i - centre[0]) ** 2 + (j - centre[1]) ** 2 + 4 * (k - centre[2]) ** 2 < rng.uniform(
            20, 90
        )
        data[inside] = rng.uniform(-80, 240)
    grid = Grid.from_axes(data.shape, (2.5, 2.5, 5.0), (-70, -60, 30))
    return Volume(data.astype(np.int16), grid, "CT", Origin("phantom", "test"))


def segment(folder: Path, volume: Volume) -> Segmentation:
    return from_bundle(folder)(volume, device="cpu", progress=lambda step, done: None)


def turned(volume: Volume, order: tuple[int, int, int], flip: tuple[bool, bool, bool]) -> Volume:
    data = np.ascontiguousarray(reorder(volume.data, order, flip))
    return Volume(data, volume.grid.reorder(order, flip), volume.modality, volume.origin)


@pytest.fixture(scope="module")
def plain(toy: Path) -> Segmentation:
    return segment(toy, body())


ORDERS = [(p, f) for p in permutations(range(3)) for f in product((False, True), repeat=3)]


@pytest.mark.parametrize(("order", "flip"), ORDERS[5::14])
def test_turned_input_gives_turned_output(
    toy: Path, plain: Segmentation, order: tuple[int, int, int], flip: tuple[bool, bool, bool]
) -> None:
    other = segment(toy, turned(body(), order, flip))
    assert 0 < plain.lesions.data.sum() < plain.liver.data.sum() < plain.liver.data.size
    for one, two in ((plain.liver, other.liver), (plain.lesions, other.lesions)):
        assert np.array_equal(reorder(one.data, order, flip), two.data)
    assert plain.structures is not None
    assert other.structures is not None
    assert np.array_equal(reorder(plain.structures.data, order, flip), other.structures.data)
    assert plain.lesion_probability is not None
    assert other.lesion_probability is not None
    assert np.allclose(
        reorder(plain.lesion_probability, order, flip), other.lesion_probability, atol=2e-3
    )


def test_output_keeps_its_promises(toy: Path) -> None:
    steps: list[tuple[str, float]] = []
    volume = body()
    found = from_bundle(toy)(volume, device="cpu", progress=lambda *at: steps.append(at))
    assert found.liver.grid.same_as(volume.grid)
    liver, lesions = found.liver.data > 0, found.lesions.data > 0
    assert not (lesions & ~liver).any()
    assert found.structures is not None
    assert not ((found.structures.data > 0) & liver).any()
    assert set(found.structures.names.values()) == {"portal_vein", "spleen", "aorta"}
    assert found.lesion_probability is not None
    assert found.lesion_probability.min() >= 0
    assert found.lesion_probability.max() <= 1
    assert not found.lesion_probability[~liver].any()
    assert found.lesion_existence == (-2.0, 5.0, 1.0)
    assert (found.liver_boundary_sd_mm, found.lesion_boundary_sd_mm) == (1.0, 2.0)
    assert all(0 <= done <= 1 for _, done in steps)
    assert [step for step, _ in steps][-1] == "decide"


def test_air_has_no_liver_and_says_so(toy: Path) -> None:
    air = Volume(
        np.full((40, 40, 20), -1000, np.int16),
        body().grid.crop([0] * 3, [40, 40, 20]),
        "CT",
        Origin("phantom", "air"),
    )
    thin = Volume(air.data[:2, :2, :2], air.grid.crop([0] * 3, [2] * 3), "CT", air.origin)
    found = segment(toy, thin)
    assert not found.liver.data.any()
    assert [finding.code for finding in found.findings] == ["no-liver-found"]


def test_missing_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"metadata\.json is missing"):
        from_bundle(tmp_path)


@pytest.mark.parametrize("file", ["models/fine.safetensors", "models/coarse.safetensors"])
def test_missing_weights_are_refused(copy: Path, file: str) -> None:
    (copy / file).unlink()
    with pytest.raises(ModelError, match="no weights"):
        from_bundle(copy)


def test_changed_weights_are_refused(copy: Path) -> None:
    path = copy / "models" / "fine.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(ModelError, match="sha256"):
        from_bundle(copy)


def test_weights_of_another_network_are_refused(copy: Path) -> None:
    path = copy / "models" / "fine.safetensors"
    save_file({"other": torch.zeros(3)}, path)
    edit(copy, lambda meta: meta["sha256"].update({"models/fine.safetensors": sha256_of(path)}))
    with pytest.raises(ModelError, match="cannot be loaded"):
        segment(copy, body())


def test_weights_outside_the_bundle_are_refused(copy: Path) -> None:
    plan = copy / "configs" / "inference.yaml"
    text = plan.read_text(encoding="utf-8")
    for bad in ("../elsewhere.safetensors", "models/fine.pt"):
        plan.write_text(text.replace("models/fine.safetensors", bad), encoding="utf-8")
        with pytest.raises(ModelError, match="inside the bundle"):
            from_bundle(copy)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: FoldedUNet", "name: os.system", "unknown network"),
        ("window: 128", "window: $__import__('os').getcwd()", "wrong kind"),
        ("portal_vein", "skull", "skull"),
        ("networks:", "other:", "incomplete"),
        ("networks:", "{", "cannot be read"),
    ],
)
def test_settings_cannot_name_code(copy: Path, old: str, new: str, message: str) -> None:
    plan = copy / "configs" / "inference.yaml"
    plan.write_text(plan.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        segment(copy, body())


def test_missing_calibration_is_refused(copy: Path) -> None:
    edit(copy, lambda meta: meta.pop("calibration"))
    with pytest.raises(ModelError, match="calibration"):
        from_bundle(copy)


def edit(folder: Path, change) -> None:  # type: ignore[no-untyped-def]
    path = folder / "configs" / "metadata.json"
    meta = json.loads(path.read_text(encoding="utf-8"))
    change(meta)
    path.write_text(json.dumps(meta), encoding="utf-8")


def oblique(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    angle = 0.4
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return Grid.from_axes(shape, spacing, (12.0, -40.0, 7.0), turn[:, [2, 0, 1]])


def test_resampling_keeps_places_on_an_oblique_grid() -> None:
    """A linear ramp in patient space is the same ramp on every grid."""
    grid = oblique((24, 40, 44), (4.0, 1.5, 1.5))
    world = grid.world(np.moveaxis(np.indices(grid.shape), 0, -1))
    ramp = (0.5 * world[..., 0] - 0.3 * world[..., 1] + 0.2 * world[..., 2]).astype(np.float32)
    values, upright = to_upright(Volume(ramp, grid, "CT", Origin("phantom", "ramp")), 2.0)
    there = upright.world(np.moveaxis(np.indices(upright.shape), 0, -1))
    wanted = 0.5 * there[..., 0] - 0.3 * there[..., 1] + 0.2 * there[..., 2]
    index = grid.index(there)
    inner = ((index > 2) & (index < np.array(grid.shape) - 3)).all(axis=-1)
    outer = ((index < -1) | (index > np.array(grid.shape))).any(axis=-1)
    assert inner.sum() > 5000
    assert np.abs(values - wanted)[inner].max() < 0.02
    assert (values[outer] == -125).all()
    back = from_upright(wanted.astype(np.float32), upright, grid)
    deep = (slice(3, -3),) * 3
    assert np.abs(back - ramp)[deep].max() < 0.02


def test_upright_grid_covers_every_voxel() -> None:
    grid = oblique((24, 40, 44), (4.0, 1.5, 1.5))
    upright = upright_grid(grid, 2.0)
    corners = np.array(list(product((-0.5, 23.5), (-0.5, 39.5), (-0.5, 43.5))))
    index = upright.index(grid.world(corners))
    assert (index >= -0.51).all()
    assert (index <= np.array(upright.shape) - 0.49).all()


def test_shipped_bundle_is_sound() -> None:
    bundle = read_bundle(shipped("models", "liver_burden_ctmr"))
    files = list(bundle.folder.rglob("*.safetensors"))
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 40e6
    card = (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    assert "research use only" in card.lower()
    assert (bundle.folder / "LICENSE").is_file()


def test_mr_is_not_trusted(toy: Path) -> None:
    volume = body()
    bright = Volume((volume.data + 1000).astype(np.int16), volume.grid, "MR", volume.origin)
    findings = [one for one in segment(toy, bright).findings if one.severity == "error"]
    assert [one.invalidates for one in findings] == [("*",)]


def test_on_mr_the_answers_for_three_levels_are_averaged(
    toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the network sees, the mean of its probabilities is what is decided on."""
    seen, told = [], []

    def slide(net: Any, image: torch.Tensor, plan: Any, device: str, progress: Any) -> torch.Tensor:
        progress(1.0)
        if plan.channels == 2:
            seen.append(image)
        return real(net, image, plan, device, lambda _done: None)

    real = monai_bundle.slide
    monkeypatch.setattr(monai_bundle, "slide", slide)
    volume = body()
    raw = torch.from_numpy(volume.data.astype(np.float32) + 1000)
    raw, grid = raw[:48, :48, :30], volume.grid.crop((0, 0, 0), (48, 48, 30))
    grid = Grid.from_axes(grid.shape, [2.0] * 3, np.zeros(3))
    segmenter = from_bundle(toy)
    found = segmenter.look(raw, grid, "MR", "cpu", lambda step, done: told.append((step, done)))
    assert found is not None
    last = seen[-3:]
    assert len(seen) % 3 == 0
    assert all(torch.equal(one[0], last[0][0]) for one in last)  # the intensity itself stays
    assert not torch.equal(last[0][1], last[1][1])
    # (image / level - 1) / 0.6 for levels in the ratio 0.7 : 1 : 1.45
    plain = [(0.6 * one[1] + 1) * part for one, part in zip(last, (0.7, 1.0, 1.45), strict=True)]
    free = torch.stack([one[1].abs() < 1 for one in last]).all(0)
    assert torch.allclose(plain[0][free], plain[1][free], atol=1e-4)
    assert torch.allclose(plain[2][free], plain[1][free], atol=1e-4)
    net = segmenter._net(segmenter.bundle.fine_mr, "cpu")
    logits = [real(net, one, segmenter.bundle.fine_mr, "cpu", lambda _done: None) for one in last]
    wanted = torch.stack([torch.softmax(one / 1.5, 0) for one in logits]).mean(0)
    assert np.allclose(found.shares, wanted.numpy(), atol=1e-5)
    assert [done for step, done in told if step == "segment"][-3:] == pytest.approx([1 / 3, 2 / 3, 1])


@pytest.mark.parametrize(("width_mm", "is_filled"), [(8, True), (14, True), (20, False)])
@pytest.mark.parametrize("axis", range(3))
def test_narrow_clefts_are_closed_on_any_grid(width_mm: int, is_filled: bool, axis: int) -> None:
    spacing = (1.0, 2.0, 4.0)
    sizes = [int(80 / step) for step in spacing]
    mask = np.zeros(sizes, bool)
    mask[tuple(slice(int(8 / step), int(72 / step)) for step in spacing)] = True
    cleft = [slice(None)] * 3
    middle, half = 40 / spacing[axis], width_mm / 2 / spacing[axis]
    cleft[axis] = slice(int(middle - half), int(middle + half))
    whole = mask.copy()
    mask[tuple(cleft)] = False
    closed = monai_bundle.closed(mask, spacing, 8.0)
    assert (closed | mask == closed).all()
    assert not closed[~whole].any()
    deep = tuple(n // 2 for n in sizes)
    assert closed[deep] == is_filled


@pytest.mark.parametrize(
    ("modality", "between", "is_liver"), [("MR", 0, True), ("MR", 8, False), ("CT", 0, False)]
)
def test_only_on_mr_and_only_what_is_no_organ_closes_a_cleft(
    toy: Path, modality: Any, between: int, is_liver: bool
) -> None:
    """Class 0 is the outside, class 8 the kidneys; the cleft is 8 mm wide and open to one side."""
    classes = np.zeros((48, 48, 48), np.uint8)
    classes[8:40, 8:40, 8:40] = 1
    classes[22:26, 14:, 8:40] = between
    shares = np.stack([np.where(classes == value, 0.92, 0.01) for value in range(9)]).astype(np.float32)
    grid = Grid.from_axes(classes.shape, [2.0] * 3, np.zeros(3))
    coarse = Grid.from_axes((24, 24, 24), [4.0] * 3, np.ones(3))
    place = np.zeros(coarse.shape, bool)
    place[4:20, 4:20, 4:20] = True
    survey = Survey(np.zeros((9, *coarse.shape), np.float32), coarse, place, np.zeros_like(place))
    seen = monai_bundle.Seen(shares, grid, (slice(0, 48),) * 3, survey)
    volume = Volume(np.zeros(grid.shape, np.float32), grid, modality, Origin("test", "x"))
    found = from_bundle(toy)._decide(seen, volume, lambda _step, _done: None).liver.data > 0
    assert found[10:20, 10:38, 10:38].all()
    assert bool(found[23:25, 25, 24].all()) == is_liver
    assert not found[:7].any()


def test_unlikely_lesions_are_left_out_and_counted() -> None:
    lesions = np.zeros((20, 20, 20), bool)
    share = np.zeros(lesions.shape, np.float32)
    for start, chance in ((1, 0.9), (12, 0.5)):
        lesions[start : start + 5, 2:7, 2:7] = True
        share[start : start + 5, 2:7, 2:7] = chance
    # 1 mL each, so the logistic is over the mean probability alone: 0.9 -> 0.73, 0.5 -> 0.05
    calibration = Calibration(1.0, 1.0, 1.0, (-8.0, 10.0, 1.0), least_chance=0.4)
    kept, findings = likely(lesions, share, calibration, 0.008)
    assert kept[:10].sum() == 125
    assert not kept[10:].any()
    assert "1 spots (1.0 mL together)" in findings[0].text
    assert likely(kept, share, calibration, 0.008)[1] == ()
    lenient = replace(calibration, least_chance=0.03)
    assert likely(lesions, share, lenient, 0.008)[0].sum() == 250


def test_a_model_that_overlooks_lesions_says_so() -> None:
    (said,) = misses((0.27, 0.6))
    assert said.code == "lesions-overlooked"
    assert "27%" in said.text
    assert "60% of those of 10 mm" in said.text
    assert misses((0.5, 0.9)) == ()  # small lesions are forgiven
    (unknown,) = misses(None)
    assert (unknown.code, unknown.invalidates) == (said.code, said.invalidates)
    assert "not measured" in unknown.text, "not measured is not: none overlooked"


def test_float_images_in_upright_order_are_not_written_to() -> None:
    data = np.full((12, 10, 8), 40, np.float32)
    data[3, 3, 3] = np.nan
    grid = Grid.from_axes(data.shape, (1.0, 1.0, 2.0), (0, 0, 0))
    values, _ = to_upright(Volume(data.copy(), grid, "CT", Origin("phantom", "float")), 2.0)
    assert np.isfinite(values).all()


def test_a_larger_structure_elsewhere_is_not_the_liver() -> None:
    from burden.segment.survey import component_at

    mask = np.zeros((40, 30, 20), bool)
    mask[2:10, 2:10, 2:10] = True  # the liver
    mask[15:38, 5:25, 2:18] = True  # a full bladder
    place = np.zeros_like(mask)
    place[3:12, 3:12, 3:12] = True
    assert component_at(mask, place).sum() == 8**3
    assert component_at(mask, np.zeros_like(mask)).sum() == 23 * 20 * 16
    assert not component_at(np.zeros_like(mask), place).any()


def test_a_spleen_far_below_the_liver_does_not_widen_the_box() -> None:
    from burden.segment.survey import Survey, box_of

    liver, spleen = np.zeros((30, 30, 60), bool), np.zeros((30, 30, 60), bool)
    liver[5:15, 5:20, 40:55] = True
    grid = Grid.from_axes(liver.shape, (4.0,) * 3, (0, 0, 0))
    shares = np.zeros((9, *liver.shape), np.float32)
    alone = box_of(Survey(shares, grid, liver, spleen), 2.0, (60, 60, 120))
    spleen[20:28, 10:25, 5:15] = True
    assert box_of(Survey(shares, grid, liver, spleen), 2.0, (60, 60, 120)) == alone
    spleen[:] = False
    spleen[20:28, 10:25, 42:52] = True
    wider = box_of(Survey(shares, grid, liver, spleen), 2.0, (60, 60, 120))
    assert wider is not None
    assert alone is not None
    assert wider[0].stop > alone[0].stop


def test_the_level_that_tells_two_tissues_apart_is_taken() -> None:
    rng = np.random.default_rng(0)
    replaced = np.zeros((30, 30, 30), bool)
    replaced[:20] = True
    place, box = np.ones(replaced.shape, bool), (slice(0, 30),) * 3

    def said(lesion: np.ndarray) -> np.ndarray:
        shares = np.zeros((9, *replaced.shape), np.float32)
        shares[1], shares[2] = ~lesion, lesion
        return shares

    blind, seeing = said(np.zeros_like(replaced)), said(replaced)
    two = np.where(replaced, 75, 105) + rng.normal(0, 9, replaced.shape)
    assert clearer(two, place, [(blind, box), (seeing, box)])[0] is seeing
    assert clearer(two, place, [(seeing, box), (blind, box)])[0] is seeing
    assert clearer(two, place, [(seeing, box), (said(~replaced), box)])[0] is seeing, "no better"
    one = 100 + rng.normal(0, 9, replaced.shape)
    assert clearer(one, place, [(blind, box), (seeing, box)])[0] is blind
    elsewhere = np.zeros_like(place)
    assert clearer(two, elsewhere, [(blind, box), (seeing, box)])[0] is blind, "nothing to go by"
