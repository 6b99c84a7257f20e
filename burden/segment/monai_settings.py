"""What a MONAI bundle says of itself in plain values. Nothing in it is ever executed.

A value that starts with ``$`` is a program and counts as not said; ``@name`` and ``%name`` are
followed where they lead to plain values. ``burden.yaml`` fills the gaps and goes before all else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from burden.errors import ModelError
from burden.segment.description import read_description

NO_EFFECT = {
    "LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "EnsureType", "ToTensord", "CastToTyped",
    "CropForegroundd", "SpatialPadd", "ToDeviced", "AddChanneld", "AsChannelFirstd",
}  # fmt: skip
"""Transforms that change what is stored and not what the network sees."""
_INFERENCE = ("inference.json", "inference.yaml", "inference.yml")
_DEPTH = 20

Json = dict[str, Any]


class NotSaid(Exception):  # noqa: N818  # a signal inside this module, not an error for people
    """A value is a program or leads nowhere."""


def settings_of(folder: Path) -> Json:
    """All settings with the keys of ``burden.yaml``, as far as they are said.

    Raises
    ------
    ModelError
        If a file cannot be read, or the preprocessing holds a transform that is not known here.
    """
    own = read_description(folder)
    config, meta = _inference(folder), _json(folder / "configs" / "metadata.json")
    found: Json = {}
    for key, reading in (
        ("network", lambda: _network(config)),
        ("window", lambda: _follow(config, "@inferer#roi_size")),
        ("overlap", lambda: _follow(config, "@inferer#overlap")),
        ("labels", lambda: _labels(meta)),
        ("modalities", lambda: _modalities(meta)),
        ("text", lambda: f"{meta['name']} {meta['version']}"),
        ("output", lambda: _output(config)),
    ):
        try:
            found[key] = reading()
        except (NotSaid, KeyError, TypeError, ValueError, AttributeError):
            continue
    if not {"orientation", "spacing_mm", "intensity"} <= own.keys():
        found |= _preprocessing(config, folder, own)
    found["sha256"] = _hashes(folder, meta)
    return found | own


def _json(path: Path) -> Json:
    if not path.is_file():
        return {}
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("cannot be read as JSON.", where=path) from error
    return table if isinstance(table, dict) else {}


def _inference(folder: Path) -> Json:
    import yaml

    for name in _INFERENCE:
        path = folder / "configs" / name
        if not path.is_file():
            continue
        if path.suffix == ".json":
            return _json(path)
        try:
            table = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ModelError("cannot be read as YAML.", where=path) from error
        return table if isinstance(table, dict) else {}
    return {}


def _reach(config: Json, value: Any, depth: int = 0) -> Any:
    """What a reference leads to; what is inside of it stays as it is.

    Raises
    ------
    NotSaid
        At a program, or a reference that leads nowhere or in circles.
    """
    if depth > _DEPTH:
        raise NotSaid
    if not isinstance(value, str) or not value.startswith(("$", "@", "%")):
        return value
    if value.startswith("$"):
        raise NotSaid
    found: Any = config
    for part in value[1:].replace("::", "#").split("#"):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise NotSaid from None
        found = _reach(config, found, depth + 1)
    return found


def _follow(config: Json, value: Any, depth: int = 0) -> Any:
    """Plain value behind references; lists and tables are followed inside.

    Raises
    ------
    NotSaid
        As `_reach`.
    """
    value = _reach(config, value, depth)
    if depth > _DEPTH:
        raise NotSaid
    if isinstance(value, list):
        return [_follow(config, one, depth + 1) for one in value]
    if isinstance(value, Mapping):
        return {key: _follow(config, one, depth + 1) for key, one in value.items()}
    return value


def _transforms(config: Json, part: str) -> list[tuple[str, Json]]:
    """Class names and arguments of the transforms of a part that are not switched off.

    One that is a program has no name.

    Raises
    ------
    NotSaid
        Where the whole list is a program.
    """
    found = []
    listed = _reach(config, _reach(config, config[part])["transforms"])
    for item in listed if isinstance(listed, list) else ():
        try:
            one = _reach(config, item)
        except NotSaid:
            one = {}
        if not isinstance(one, dict):
            one = {}
        if one.get("_disabled_") is not True:
            found.append((str(one.get("_target_", "")).rpartition(".")[2], one))
    return found


def _network(config: Json) -> Json:
    """Class name and arguments; ``_`` keys of MONAI's own are left out."""
    block = _reach(config, config["network_def"])
    name = str(block["_target_"]).rpartition(".")[2]
    args = {k: _follow(config, v) for k, v in block.items() if not k.startswith("_")}
    return {"name": name, "args": args}


def _labels(meta: Json) -> Json:
    """Name to channel; channels of one name are taken together."""
    channels = meta["network_data_format"]["outputs"]["pred"]["channel_def"]
    names: dict[str, list[int]] = {}
    for channel, name in channels.items():
        names.setdefault(str(name), []).append(int(channel))
    return dict(names)


def _modalities(meta: Json) -> list[str]:
    text = str(meta["network_data_format"]["inputs"]["image"]["modality"]).upper()
    found = [name for name, marks in (("CT", ("CT",)), ("MR", ("MR",))) if any(m in text for m in marks)]
    if not found:
        raise NotSaid
    return found


def _output(config: Json) -> str:
    """How the network's answers become shares: softmax where nothing else is done with them.

    Raises
    ------
    NotSaid
        Where programs decide it, or answers are cut at a threshold with no word of what they are.
    """
    if "postprocessing" not in config:
        return "softmax"
    for name, one in _transforms(config, "postprocessing"):
        if name == "Activationsd":
            said = {key: _follow(config, one.get(key)) for key in ("sigmoid", "softmax", "other")}
            if said["other"] is not None:
                raise NotSaid
            return "sigmoid" if said["sigmoid"] in (True, [True]) else "softmax"
        if not name or (name == "AsDiscreted" and one.get("threshold") is not None):
            raise NotSaid
    return "softmax"


def _preprocessing(config: Json, folder: Path, own: Json) -> Json:
    """Orientation, spacing and intensity from the list of transforms."""
    intensity: list[Json] = []
    found: Json = {"orientation": "RAS", "spacing_mm": None, "intensity": intensity}
    unsaid = set()
    try:
        transforms = _transforms(config, "preprocessing")
    except (KeyError, TypeError):
        return {"orientation": "RAS"}
    except NotSaid:
        return {}
    for name, one in transforms:
        if name in NO_EFFECT:
            continue
        try:
            args = {k: _follow(config, v) for k, v in one.items() if k not in ("keys", "mode")}
            if name == "Orientationd":
                found["orientation"] = args["axcodes"]
            elif name == "Spacingd":
                found["spacing_mm"] = args["pixdim"]
            elif name:
                intensity.append(_step(name, args, folder, own))
            else:
                return {}
        except (NotSaid, KeyError):
            unsaid.add({"Orientationd": "orientation", "Spacingd": "spacing_mm"}.get(name, "intensity"))
    return {key: value for key, value in found.items() if key not in unsaid}


def _step(name: str, args: Json, folder: Path, own: Json) -> Json:
    """One intensity transform in our words."""
    to = [args.get("b_min", 0.0), args.get("b_max", 1.0)]
    if name == "ScaleIntensityRanged":
        limits = [args["a_min"], args["a_max"]]
        return {"range": limits, "to": to, "clip": bool(args.get("clip", False))}
    if name == "ScaleIntensityRangePercentilesd":
        limits = [args["lower"], args["upper"]]
        return {"percentiles": limits, "to": to, "clip": bool(args.get("clip", False))}
    if name == "NormalizeIntensityd" and not {"subtrahend", "divisor"} & args.keys():
        return {"zscore": True, "nonzero": bool(args.get("nonzero", False))}
    if name == "ScaleIntensityd" and "factor" not in args:
        return {"minmax": True, "to": [args.get("minv", 0.0), args.get("maxv", 1.0)]}
    if "intensity" in own:
        return {}
    raise ModelError(
        f"its preprocessing holds {name}, which is not known here.",
        where=folder,
        hint="Say in burden.yaml what it does: intensity: [{range: [-175, 250], to: [0, 1]}].",
    )


def _hashes(folder: Path, meta: Json) -> dict[str, str]:
    """Hashes that the bundle gives for its files, as ``kind:hex``."""
    import yaml

    found: dict[str, str] = {}
    listed = meta.get("sha256")
    if isinstance(listed, dict):
        found |= {str(name): f"sha256:{digest}" for name, digest in listed.items()}
    for name in ("large_files.yml", "large_files.yaml"):
        path = folder / name
        if not path.is_file():
            continue
        try:
            table = yaml.safe_load(path.read_text(encoding="utf-8"))
            for one in table["large_files"]:
                if one.get("hash_val"):
                    kind = str(one.get("hash_type", "md5")).lower()
                    found[str(one["path"])] = f"{kind}:{one['hash_val']}"
        except (
            OSError,
            UnicodeDecodeError,
            yaml.YAMLError,
            KeyError,
            TypeError,
            AttributeError,
        ) as error:
            raise ModelError("cannot be read.", where=path) from error
    return found
