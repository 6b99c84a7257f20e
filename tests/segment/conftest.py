"""A small digital body that any grid can hold, and tiny models of each kind that know it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from burden.grid import Grid
from burden.image import Origin, Volume

HU = {"air": -1000, "body": -60, "liver": 60, "lesion": 140, "spleen": 230}
CLASSES = ("background", "liver", "lesion", "spleen")
LIVER = ((-55.0, 0.0, 0.0), (62.0, 50.0, 42.0))
LESIONS = (((-80.0, 5.0, 5.0), (17.0, 17.0, 17.0)), ((-30.0, -10.0, -8.0), (13.0, 13.0, 13.0)))
SPLEEN = ((75.0, 25.0, 5.0), (25.0, 22.0, 28.0))


@dataclass(frozen=True, eq=False)
class Body:
    """A volume and the class of each of its voxels (index into CLASSES)."""

    volume: Volume
    truth: NDArray[np.uint8]


def make_body(grid: Grid) -> Body:
    """Liver with two lesions on the right, spleen on the left, in a body in air."""
    world = grid.world(np.stack(np.indices(grid.shape), -1))

    def inside(ball: Any) -> NDArray[np.bool_]:
        return np.asarray((((world - np.array(ball[0])) / np.array(ball[1])) ** 2).sum(-1) <= 1)

    truth = np.zeros(grid.shape, np.uint8)
    truth[inside(LIVER)] = 1
    for ball in LESIONS:
        truth[inside(ball)] = 2
    truth[inside(SPLEEN)] = 3
    body = ((world[..., 0] / 130) ** 2 + (world[..., 1] / 90) ** 2) <= 1
    data = np.where(body, HU["body"], HU["air"])
    for value, name in enumerate(CLASSES[1:], start=1):
        data[truth == value] = HU[name]
    data = data + np.random.default_rng(0).normal(0, 5, grid.shape)
    return Body(Volume(data.astype(np.int16), grid, "CT", Origin("phantom", "body")), truth)


UPRIGHT = Grid.from_axes((68, 48, 26), (4.0, 4.0, 5.0), (-134.0, -94.0, -62.0))
TURN = Rotation.from_euler("xyz", [8, -5, 12], degrees=True).as_matrix()


@pytest.fixture(scope="session")
def body() -> Callable[[Grid], Body]:
    return make_body


@pytest.fixture(scope="session")
def grids() -> dict[str, Grid]:
    axes = TURN[:, [2, 0, 1]] * [1, -1, 1]
    origin = TURN @ [130.0, -94.0, -64.0]
    return {
        "upright": UPRIGHT,
        "oblique": Grid.from_axes((29, 63, 47), (4.5, 4.2, 4.0), origin, axes),
        "small": Grid.from_axes((29, 63, 47), (4.5, 4.2, 4.0), origin, axes).crop(
            (8, 30, 10), (22, 46, 26)
        ),
    }


@pytest.fixture(scope="session")
def dice() -> Callable[[NDArray[np.bool_], NDArray[np.bool_]], float]:
    return lambda a, b: float(2 * (a & b).sum() / max(1, int(a.sum() + b.sum())))


UNET = {
    "spatial_dims": 3, "in_channels": 1, "out_channels": 4, "channels": [8, 8], "strides": [1],
    "num_res_units": 0, "act": "RELU", "norm": None,
}  # fmt: skip
LOW, HIGH = -175, 250
STEEP = 40.0


def nearest_class() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Weights that name a voxel by its value alone, LOW..HIGH HU as 0..1.

    Eight hinges relu(+-(x - m)), a pair for each class's mean m (slopes, offsets), and what each adds to
    each class's logit: -STEEP |x - m|, and for the background nothing below its mean.
    """
    means = [(HU[name] - LOW) / (HIGH - LOW) for name in ("body", "liver", "lesion", "spleen")]
    slopes = torch.tensor([1.0, -1.0] * 4)
    offsets = torch.tensor([sign * m for m in means for sign in (-1.0, 1.0)])
    mixing = torch.zeros(4, 8)
    for n in range(4):
        mixing[n, 2 * n : 2 * n + 2] = -STEEP
    mixing[0, 1] = 0.0
    return slopes, offsets, mixing


@pytest.fixture(scope="session")
def unet_weights() -> dict[str, torch.Tensor]:
    """State dict of a UNet that knows the body by its intensities."""
    from monai.networks.nets.unet import UNet

    net = UNet(**{k: tuple(v) if isinstance(v, list) else v for k, v in UNET.items()})  # type: ignore[arg-type]
    slopes, offsets, mixing = nearest_class()
    state = {name: torch.zeros_like(value) for name, value in net.state_dict().items()}
    first, last = "model.0.conv", "model.2.conv"
    state[f"{first}.weight"][:, 0, 1, 1, 1] = slopes
    state[f"{first}.bias"][:] = offsets
    state[f"{last}.weight"][:8, :, 1, 1, 1] = mixing.T
    return state


@pytest.fixture(scope="session")
def monai_folder(unet_weights: dict[str, torch.Tensor]) -> Callable[..., Path]:
    """Write a bundle as the model zoo lays it out; ``change`` edits its inference config."""

    def write(folder: Path, change: Callable[[dict[str, Any]], None] = lambda _: None) -> Path:
        (folder / "configs").mkdir(parents=True)
        (folder / "models").mkdir()
        config: dict[str, Any] = {
            "imports": ["$import os"],
            "device": "$torch.device('cpu')",
            "sw_overlap": 0.25,
            "network_def": {"_target_": "UNet", **UNET},
            "network": "$@network_def.to(@device)",
            "preprocessing": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "LoadImaged", "keys": "image"},
                    {"_target_": "EnsureChannelFirstd", "keys": "image"},
                    {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
                    {"_target_": "Spacingd", "keys": "image", "pixdim": [4.0, 4.0, 5.0],
                     "mode": "bilinear"},
                    {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": LOW, "a_max": HIGH,
                     "b_min": 0.0, "b_max": 1.0, "clip": True},
                    {"_target_": "EnsureTyped", "keys": "image"},
                ],
            },
            "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "sw_batch_size": 4,
                        "overlap": "@sw_overlap"},
            "postprocessing": {
                "_target_": "Compose",
                "transforms": [
                    {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                    {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                ],
            },
        }  # fmt: skip
        change(config)
        meta = {
            "name": "toy organs",
            "version": "0.1",
            "network_data_format": {
                "inputs": {"image": {"modality": "CT"}},
                "outputs": {
                    "pred": {
                        "channel_def": {
                            "0": "background",
                            "1": "Liver",
                            "2": "liver tumor",
                            "3": "Spleen",
                        }
                    }
                },
            },
        }
        (folder / "configs" / "inference.json").write_text(json.dumps(config), encoding="utf-8")
        (folder / "configs" / "metadata.json").write_text(json.dumps(meta), encoding="utf-8")
        torch.save(unet_weights, folder / "models" / "model.pt")
        return folder

    return write


TS_NAMES = {"liver": (1, 2), "spleen": (3,), "liver_lesions": (2,)}
"""Classes of the body by TotalSegmentator's names."""


def save_mask(mask: NDArray[np.bool_], grid: Grid, path: Path) -> None:
    import nibabel as nib

    nib.save(nib.Nifti1Image(mask.astype(np.uint8), grid.ras), path)


@pytest.fixture(scope="session")
def ts_results() -> Callable[[Path, Body], Path]:
    """Write a result folder of TotalSegmentator for a body: one file a structure."""

    def write(folder: Path, known: Body) -> Path:
        folder.mkdir(parents=True)
        for name, values in TS_NAMES.items():
            save_mask(np.isin(known.truth, values), known.volume.grid, folder / f"{name}.nii.gz")
        return folder

    return write


STAND_IN = """#!{python}
# A stand-in for the program TotalSegmentator: it takes the same arguments and writes the same files, but
# finds organs by thresholds. What it cannot show is how good TotalSegmentator is.
import os, sys
import nibabel as nib, numpy as np

args = sys.argv[1:]
task, out = args[args.index("-ta") + 1], args[args.index("-o") + 1]
with open(os.environ["STAND_IN_LOG"], "a") as log:
    log.write(" ".join(args) + " proxy=" + os.environ.get("https_proxy", "") + "\\n")
trouble = os.environ.get("STAND_IN_TROUBLE", "")
if trouble == "licence":
    print("In contrast to the other tasks this task is not openly available.\\nIt requires a license.")
    sys.exit(1)
if trouble == "weights":
    print("Downloading model for Task 591 ...")
    sys.exit("requests.exceptions.ProxyError: Max retries exceeded with url: /wasserth/TotalSegmentator")
if trouble == "crash":
    sys.exit("ValueError: something odd")
if trouble == "silent":
    sys.exit(0)
image = nib.load(args[args.index("-i") + 1])
values = np.asarray(image.dataobj)
def save(name, low, high):
    mask = (values >= low) & (values < high)
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), image.affine), os.path.join(out, name + ".nii.gz"))
if task.startswith("total"):
    wanted = args[args.index("-rs") + 1 :]
    for name, low, high in (("liver", 30, 185), ("spleen", 185, 400), ("aorta", 2000, 3000)):
        if name in wanted:
            save(name, low, high)
elif task.startswith("liver_lesions"):
    save("liver_lesions", 100, 185)
elif task.startswith("liver_segments"):
    for n in range(1, 9):
        save(f"liver_segment_{{n}}", 30 + 20 * n, 50 + 20 * n)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in program, first on PATH; returns the file that it logs its calls in."""
    import os
    import sys

    program = tmp_path / "bin" / "TotalSegmentator"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_LOG", str(tmp_path / "calls.txt"))
    return tmp_path / "calls.txt"


@pytest.fixture(scope="session")
def nnunet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny trained-model folder written by nnunetv2 itself; skips where that is not installed."""
    return write_nnunet(tmp_path_factory.mktemp("nnunet"))


@pytest.fixture(scope="session")
def nnunet_regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained on overlapping regions."""
    return write_nnunet(tmp_path_factory.mktemp("regions"), "--regions")


def write_nnunet(out: Path, *options: str) -> Path:
    """The folder that ``nnunet_folder.py OUT`` writes; ``--regions`` trains on overlapping regions."""
    import importlib.util
    import os
    import subprocess
    import sys

    if importlib.util.find_spec("nnunetv2") is None:
        text = 'NOT CHECKED with nnU-Net: pip install "liver-burden[nnunet]"'
        pytest.fail(text) if os.environ.get("CI") else pytest.skip(text)
    script = Path(__file__).with_name("nnunet_folder.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script, out, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    folder = next(out.glob("results/*/nnUNetTrainer__*"))
    (folder / "burden.yaml").write_text("mirror: false  # eight times faster\n", encoding="utf-8")
    return folder
