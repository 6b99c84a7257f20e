"""Networks of MONAI that a foreign bundle may name, and its weights, loaded as data only."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from burden.errors import ModelError

if TYPE_CHECKING:
    import torch

NETWORKS: dict[str, str] = {
    "SegResNet": "monai.networks.nets.segresnet",
    "SegResNetDS": "monai.networks.nets.segresnet_ds",
    "UNet": "monai.networks.nets.unet",
    "BasicUNet": "monai.networks.nets.basic_unet",
    "DynUNet": "monai.networks.nets.dynunet",
    "SwinUNETR": "monai.networks.nets.swin_unetr",
    "UNETR": "monai.networks.nets.unetr",
    "vista3d132": "monai.networks.nets.vista3d",
}
"""Class (or, for VISTA-3D, factory) and the module it is in. Nothing else can be named."""
GONE = {"SwinUNETR": {"img_size"}, "UNETR": {"pos_embed"}}
"""Arguments of older MONAI versions that no longer do anything."""
NEEDS = {"SwinUNETR": "einops", "UNETR": "einops"}
LARGEST = 4096
"""No width, size or count of a network is larger: a typing error must not ask for all memory."""
_WEIGHTS = (".safetensors", ".pt", ".pth")
_NESTED = ("model", "state_dict", "network", "net", "network_weights")


def build(name: str, args: Mapping[str, Any], where: object) -> torch.nn.Module:
    """Build a network of the white list with random weights.

    Raises
    ------
    ModelError
        If the name is not on the list, an argument is not plain or not one of the network's, or a
        package that it needs is missing.
    """
    import importlib.util
    import inspect

    if name not in NETWORKS:
        hint = f"Known: {', '.join(NETWORKS)}."
        raise ModelError(f"the network {name!r} is not one that is known here.", where=where, hint=hint)
    needed = NEEDS.get(name)
    if needed is not None and importlib.util.find_spec(needed) is None:
        raise ModelError(
            f"{name} needs the package {needed}, which is not installed.",
            where=where,
            hint='Install it: pip install "liver-burden[networks]".',
        )
    kept = {key: value for key, value in args.items() if key not in GONE.get(name, ())}
    maker = getattr(importlib.import_module(NETWORKS[name]), name)
    unknown = sorted(set(kept) - set(inspect.signature(maker).parameters))
    if unknown:
        raise ModelError(f"{name} has no argument {', '.join(unknown)}.", where=where)
    for key, value in kept.items():
        if not _plain(value):
            raise ModelError(f"the argument {key} of {name} is not a plain value.", where=where)
    try:
        net: torch.nn.Module = maker(**kept)
    except Exception as error:  # a constructor may refuse its arguments in any way
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{name} cannot be built ({first}).", where=where) from error
    return net


def load_weights(net: torch.nn.Module, folder: Path, file: str, hashes: Mapping[str, str]) -> str:
    """Give a network its weights from a state dict, and return the file's sha256.

    Raises
    ------
    ModelError
        If the file is outside the folder, missing, not the one its hash names, holds anything but
        tensors, or does not fit the network.
    """
    path = weights_path(folder, file)
    digest = check_hash(path, hash_of(file, hashes))
    state = _state(path)
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        lines = str(error).splitlines()
        first = lines[1].strip() if len(lines) > 1 else lines[0]
        raise ModelError(f"the weights do not fit the network ({first[:160]}).", where=path) from error
    return digest


def find_weights(folder: Path) -> str:
    """The weights file of a bundle that does not name one: ``models/model.*``, or the only one.

    Raises
    ------
    ModelError
        If there is none, or several.
    """
    found = sorted(p for p in (folder / "models").glob("*") if p.suffix in _WEIGHTS)
    usual = [p for p in found if p.stem == "model"]
    if len(usual or found) != 1:
        what = "no weights" if not found else f"{len(found)} weights files"
        if not found and any((folder / "models").glob("*.ts")):
            what = "weights only as TorchScript, which is a program and not loaded"
        raise ModelError(
            f"there are {what} in models/.",
            where=folder,
            hint="Put one .pt or .safetensors there, or name it in burden.yaml: weights: FILE.",
        )
    return (usual or found)[0].relative_to(folder).as_posix()


def weights_path(folder: Path, file: str) -> Path:
    """Path of a weights file inside the folder.

    Raises
    ------
    ModelError
        If it leads outside, is of another kind, or is not there.
    """
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()) or path.suffix not in _WEIGHTS:
        raise ModelError(
            "weights must be a .pt, .pth or .safetensors file inside the folder.", where=file
        )
    if not path.is_file():
        raise ModelError("the model has no weights.", where=path, hint="Copy the whole folder again.")
    return path


def hash_of(file: str, hashes: Mapping[str, str]) -> str | None:
    """The hash given for a file by its path in the folder, or by its bare name; None for none."""
    given = {PurePosixPath(name): digest for name, digest in hashes.items()}
    return given.get(PurePosixPath(file), given.get(PurePosixPath(PurePosixPath(file).name)))


def check_hash(path: Path, wanted: str | None) -> str:
    """Compare a file with the hash given for it (``kind:hex`` or sha256) and return its sha256.

    Raises
    ------
    ModelError
        If they differ, or the hash is of no known kind.
    """
    kind, _, digest = (wanted or "").rpartition(":")
    kind = kind or "sha256"
    if kind not in ("sha256", "sha1", "md5", "sha512"):
        raise ModelError(f"the hash given for it is of no known kind ({kind}).", where=path)
    ours, theirs = hashlib.sha256(), hashlib.new(kind, usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            ours.update(block)
            theirs.update(block)
    if wanted is not None and not hmac.compare_digest(theirs.hexdigest(), digest.lower()):
        raise ModelError(
            f"not the file that the model names ({kind} differs).", where=path, hint="Copy it again."
        )
    return ours.hexdigest()


def load_tensors(path: Path, allowed: tuple[Any, ...] = ()) -> Any:
    """What a weights file holds, read as data: a pickle may hold tensors and plain values, no code.

    Parameters
    ----------
    allowed
        Harmless types beyond those that torch allows by itself.

    Raises
    ------
    ModelError
        If it holds anything else, or is damaged.
    """
    import pickle  # for the name of its error; nothing is unpickled freely

    import safetensors
    import safetensors.torch
    import torch

    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            "the weights hold more than tensors and plain values, so they are not loaded.",
            where=path,
            hint="Save the state dict alone: torch.save(network.state_dict(), 'model.pt').",
        ) from error
    except (OSError, RuntimeError, ValueError, EOFError, safetensors.SafetensorError) as error:
        raise ModelError("the weights are damaged or of another kind.", where=path) from error


def _state(path: Path) -> dict[str, torch.Tensor]:
    """State dict of a file, wherever in it, without the prefix of a parallel wrapper."""
    import torch

    found = load_tensors(path)
    for key in _NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
            break
    if not isinstance(found, Mapping) or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise ModelError("no state dict in this file.", where=path)
    return {
        str(name).removeprefix("module."): value.float() if value.is_floating_point() else value
        for name, value in found.items()
    }


def _plain(value: Any, depth: int = 0) -> bool:
    """Whether a value is data: numbers within bounds, words, and lists or tables of these."""
    if depth > 4:
        return False
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, int | float):
        return abs(value) <= LARGEST
    if isinstance(value, str):
        return value.replace("_", "").isalnum() and len(value) <= 40
    if isinstance(value, list | tuple):
        return len(value) <= 64 and all(_plain(one, depth + 1) for one in value)
    if isinstance(value, dict):
        return all(isinstance(k, str) and _plain(v, depth + 1) for k, v in value.items())
    return False
