"""Checkpoints to a bundle: averaged weights as fp16 safetensors, hashes in metadata.json."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from burden.resources import shipped
from burden.segment.bundle import sha256_of

log = logging.getLogger(__name__)


def new_bundle(
    checkpoints: list[Path],
    folder: Path,
    *,
    pack: Path | None = None,
    config: Path | None = None,
    start: Path | None = None,
    progress: Callable[[str, float], None] = lambda _step, _done: None,
) -> Path:
    """Make a complete bundle from checkpoints, ready to be used.

    The settings, and the weights of a stage that has no checkpoint, come from the bundle that the
    training went on from, by default the shipped one.

    Parameters
    ----------
    checkpoints : list of Path
        As `burden.train.loop.train` returns them.
    folder : Path
        The new bundle; replaced when there.
    pack : Path, optional
        Pack of the training data, by default ``pack.npz`` beside the checkpoints. When it holds the
        held-out cases, calibration and figures come from them; else the calibration stays as it was.
    config : Path, optional
        The ``train.yaml`` they were trained with; by default the one of the bundle gone on from.
    start : Path, optional
        The bundle that the training went on from.
    progress : callable
        Told the step and the part of it that is done.

    Returns
    -------
    Path
        `folder`.
    """
    from burden.train.card import new_card
    from burden.train.finish import finish
    from burden.train.pack import load_pack
    from burden.train.settings import read_settings

    fresh = folder.with_name(f"{folder.name}.new")  # `start` may be the folder that is replaced
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.copytree(start or shipped("models", "liver_burden_ctmr"), fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)
    if config is not None:
        shutil.copy(config, folder / "configs" / "train.yaml")
    name = folder.parent.name
    facts: dict[str, Any] = {"name": name, "version": "1.0.0", "changelog": {}, "training": {}}
    facts |= {"data_source": "see docs/README.md", "copyright": "", "held_out": {}}
    meta = json.loads((folder / "configs" / "metadata.json").read_text(encoding="utf-8"))
    facts["calibration"] = meta["calibration"] | {"total_errors": []}  # other weights err otherwise
    export(checkpoints, folder, facts=facts)
    shutil.rmtree(folder / "docs")
    (folder / "docs").mkdir()
    (folder / "docs" / "README.md").write_text(new_card(name), encoding="utf-8")
    pack = pack or checkpoints[0].with_name("pack.npz")
    held_out = set(read_settings(folder / "configs" / "train.yaml").held_out)
    if pack.exists() and held_out and held_out <= set(load_pack(pack)):
        finish(pack, folder, progress=progress)
    else:
        log.warning("held-out cases are not in the data: the calibration stays as it was")
    return folder


def export(checkpoints: list[Path], bundle: Path, *, facts: dict[str, Any] | None = None) -> None:
    """Write the averaged weights of each checkpoint and record their hashes, widths and length.

    Parameters
    ----------
    checkpoints : list of Path
        ``coarse.pt`` and ``fine.pt``, as `burden.train.loop.train` returns them.
    bundle : Path
        Folder that already holds ``configs/metadata.json`` and ``configs/inference.yaml``.
    facts : dict, optional
        Keys of metadata.json to replace, e.g. ``{"version": ..., "calibration": ...}``.
    """
    import torch
    from safetensors.torch import save_file

    meta_path = bundle / "configs" / "metadata.json"
    meta = json.loads(meta_path.read_text(encoding="utf-8")) | (facts or {})
    (bundle / "models").mkdir(parents=True, exist_ok=True)
    for path in checkpoints:
        state = torch.load(path, map_location="cpu", weights_only=True)
        file = f"models/{state['stage']}.safetensors"
        weights = {name: value.to(torch.float16).contiguous() for name, value in state["ema"].items()}
        save_file(weights, bundle / file)
        (bundle / file).chmod(0o644)  # safetensors writes files only their owner can read
        meta.setdefault("sha256", {})[file] = sha256_of(bundle / file)
        minutes = round(state["elapsed_s"] / 60, 1)
        meta.setdefault("training", {})[state["stage"]] = {"steps": state["step"], "minutes": minutes}
        _set_network(bundle / "configs" / "inference.yaml", state, file)
    meta_path.write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")


def _set_network(path: Path, state: dict[str, Any], file: str) -> None:
    """Make inference.yaml build the network that was trained; one that already does stays as it is."""
    plan = yaml.safe_load(path.read_text(encoding="utf-8"))
    networks = plan["networks"]
    before = networks.get(state["stage"], networks["fine"])
    shape = {key: state[key] for key in ("features", "classes", "channels", "detail")}
    if networks.get(state["stage"]) != (wanted := before | shape | {"weights": file}):
        networks[state["stage"]] = wanted
        path.write_text(yaml.safe_dump(plan, sort_keys=False), encoding="utf-8")
