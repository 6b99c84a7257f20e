"""Load a model bundle from a local folder: checked against its hashes, and never run as a program.

A MONAI bundle may hold expressions to evaluate. This loader reads numbers and names only: the
network comes from a white list (`burden.segment.network.build`) and the weights from safetensors
files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burden.errors import ModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Network:
    """How one network of the bundle is built and applied.

    Parameters
    ----------
    weights
        File inside the bundle, e.g. ``models/fine.safetensors``.
    spacing_mm
        Isotropic voxel size of its input.
    window
        Edge of the sliding window, voxels.
    overlap
        Overlap of neighbouring windows, fraction of the edge.
    channels
        1: intensity; 2: also intensity relative to the liver.
    detail
        Channels of the full-resolution head; 0 for none.
    """

    name: str
    features: tuple[int, ...]
    classes: int
    weights: str
    spacing_mm: float
    window: int
    overlap: float
    channels: int = 1
    detail: int = 0


@dataclass(frozen=True)
class Calibration:
    """What was fitted on held-out cases.

    Parameters
    ----------
    temperature
        Logits of the fine network are divided by it before they become probabilities.
    liver_boundary_sd_mm, lesion_boundary_sd_mm
        Standard deviation of the position of the drawn surface.
    lesion_existence
        Intercept, weight of the mean lesion probability and weight of log10 mL of the logistic that
        gives the probability that a found lesion is one.
    lesion_share
        A voxel of the liver is lesion where this share of its probability of being liver or lesion is
        lesion's.
    least_chance
        Components less likely to be lesions are left out.
    total_errors
        See `burden.image.Segmentation`.
    """

    temperature: float
    liver_boundary_sd_mm: float
    lesion_boundary_sd_mm: float
    lesion_existence: tuple[float, float, float]
    lesion_share: float = 0.5
    least_chance: float = 0.5
    total_errors: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Bundle:
    """A bundle whose hashes were checked.

    Parameters
    ----------
    fine_mr
        The fine network for MR; `fine` where the bundle has no other.
    structures
        Classes beside liver and lesion that it finds well enough to be given out.
    lesion_recall
        Share of the lesions of held-out CTs that it found, and of those of 10 mm or more; None where
        that was not measured.
    """

    folder: Path
    name: str
    version: str
    sha256: dict[str, str]
    fine: Network
    fine_mr: Network
    coarse: Network
    calibration: Calibration
    structures: tuple[str, ...] = ()
    lesion_recall: tuple[float, float] | None = None


def read_bundle(folder: Path) -> Bundle:
    """Read and check a bundle.

    Raises
    ------
    ModelError
        If a file is missing, unreadable or not the one its hash names.
    """
    import yaml

    try:
        meta = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
        plan = yaml.safe_load((folder / "configs" / "inference.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"no model bundle here, {Path(error.filename).name} is missing.", where=folder
        ) from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelError("the settings of the model bundle cannot be read.", where=folder) from error
    try:
        bundle = Bundle(
            folder=folder,
            name=str(meta["name"]),
            version=str(meta["version"]),
            sha256={str(file): str(digest) for file, digest in meta["sha256"].items()},
            fine=_network(plan["networks"]["fine"]),
            fine_mr=_network(plan["networks"].get("fine_mr", plan["networks"]["fine"])),
            coarse=_network(plan["networks"]["coarse"]),
            calibration=_calibration(meta["calibration"]),
            structures=_structures(plan["structures"]),
            lesion_recall=_recall(meta.get("held_out", {}).get("CT", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"the settings of the model bundle are incomplete or of the wrong kind ({error}).",
            where=folder,
        ) from error
    for network in (bundle.fine, bundle.fine_mr, bundle.coarse):
        _check_hash(bundle, network.weights)
    return bundle


def load_network(bundle: Bundle, network: Network, device: str) -> torch.nn.Module:
    """Build a network of the bundle and give it its weights.

    Raises
    ------
    ModelError
        If the network is not on the white list or the weights do not fit it.
    """
    import safetensors
    import safetensors.torch

    from burden.segment.network import build

    path = bundle.folder / network.weights
    try:
        shape: dict[str, Any] = {"features": list(network.features)}
        shape |= {key: getattr(network, key) for key in ("classes", "channels", "detail")}
        net = build(network.name, shape)
        weights = safetensors.torch.load_file(path)
        net.load_state_dict({name: value.float() for name, value in weights.items()})
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise ModelError(f"the weights cannot be loaded ({first}).", where=path) from error
    return net.to(device).eval()


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _check_hash(bundle: Bundle, file: str) -> None:
    """Refuse a weights file outside the bundle, missing, unlisted or changed."""
    path = (bundle.folder / file).resolve()
    if not path.is_relative_to(bundle.folder.resolve()) or path.suffix != ".safetensors":
        raise ModelError("weights must be a .safetensors file inside the bundle.", where=file)
    if not path.is_file():
        raise ModelError("the model has no weights.", where=path, hint="Copy the whole bundle again.")
    if sha256_of(path) != bundle.sha256.get(file):
        raise ModelError(
            "the weights are not the ones named in metadata.json (sha256 differs).",
            where=path,
            hint="Copy the whole bundle again.",
        )


def _network(block: dict[str, Any]) -> Network:
    return Network(
        name=str(block["name"]),
        features=tuple(int(width) for width in block["features"]),
        classes=int(block["classes"]),
        weights=str(block["weights"]),
        spacing_mm=float(block["spacing_mm"]),
        window=int(block["window"]),
        overlap=float(block["overlap"]),
        channels=int(block.get("channels", 1)),
        detail=int(block.get("detail", 0)),
    )


def _recall(figures: dict[str, Any]) -> tuple[float, float] | None:
    if "lesion_recall" not in figures:
        return None
    whole = float(figures["lesion_recall"])
    return whole, float(figures.get("lesion_recall_10mm", whole))


def _structures(names: list[str]) -> tuple[str, ...]:
    from burden.segment.network import CLASS_NAMES

    unknown = set(names) - set(CLASS_NAMES[3:])
    if unknown:
        raise ValueError(f"no such structure: {', '.join(sorted(unknown))}")
    return tuple(names)


def _calibration(block: dict[str, Any]) -> Calibration:
    intercept, probability, volume = (float(value) for value in block["lesion_existence"])
    return Calibration(
        temperature=float(block["temperature"]),
        liver_boundary_sd_mm=float(block["liver_boundary_sd_mm"]),
        lesion_boundary_sd_mm=float(block["lesion_boundary_sd_mm"]),
        lesion_existence=(intercept, probability, volume),
        lesion_share=float(block.get("lesion_share", 0.5)),
        least_chance=float(block.get("least_chance", 0.5)),
        total_errors=tuple(
            (float(burden), float(count), float(largest))
            for burden, count, largest in block.get("total_errors", ())
        ),
    )
