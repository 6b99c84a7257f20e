"""``burden.yaml`` beside a foreign model: what the model does not say of itself in plain values.

Everything is optional but what the model folder leaves open::

    kind: monai_network            # a key of SEGMENTERS; recognised if left out
    text: "one line for `burden models` and the report"
    network: {name: UNet, args: {spatial_dims: 3, in_channels: 1, out_channels: 3, ...}}
    weights: models/model.pt       # .pt, .pth or .safetensors, a state dict
    sha256: {models/model.pt: "..."}
    orientation: RAS               # where the array axes point to
    spacing_mm: [1.5, 1.5, 2.0]    # left out: as the image comes
    intensity: [{range: [-175, 250], to: [0, 1]}]   # steps: range, percentiles, zscore, minmax
    window: [96, 96, 96]           # sliding window, voxels
    overlap: 0.5
    output: softmax                # or sigmoid
    labels: {liver: [1, 2], lesion: 2, spleen: 3}
    modalities: [CT]
    liver_boundary_sd_mm: 1.0      # where somebody measured it
    lesion_boundary_sd_mm: 2.0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from burden.errors import ModelError
from burden.segment.naming import Naming, Terms, naming_of
from burden.segment.orient import is_orientation

FILE = "burden.yaml"
KINDS = ("monai_bundle", "monai_network", "nnunet", "totalsegmentator", "totalsegmentator_results")
KEYS = {
    "kind", "text", "network", "weights", "sha256", "orientation", "spacing_mm", "intensity", "window",
    "overlap", "output", "labels", "modalities", "liver_boundary_sd_mm", "lesion_boundary_sd_mm",
    "executable", "tasks", "trusted", "folds", "mirror",
}  # fmt: skip

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """One step from image values to network input.

    Parameters
    ----------
    kind
        ``range`` (low and high to `to`), ``percentiles`` (likewise, of the image), ``zscore`` (mean 0,
        sd 1) or ``minmax`` (least and largest to `to`).
    nonzero
        Only voxels that are not 0 count and change.
    clip
        Cut off what lies beyond `to`.
    """

    kind: str
    low: float = 0.0
    high: float = 0.0
    to: tuple[float, float] = (0.0, 1.0)
    nonzero: bool = False
    clip: bool = True


def read_description(folder: Path) -> dict[str, Any]:
    """The settings in ``burden.yaml``, or none.

    Raises
    ------
    ModelError
        If the file is not a table of known keys.
    """
    import yaml

    path = folder / FILE
    if not path.is_file():
        return {}
    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError("cannot be read as YAML.", where=path) from error
    if not isinstance(table, dict):
        raise ModelError("a table of settings is needed.", where=path)
    unknown = sorted(set(map(str, table)) - KEYS)
    if unknown:
        raise ModelError(
            f"no such setting: {', '.join(unknown)}.",
            where=path,
            hint=f"There are: {', '.join(sorted(KEYS))}.",
        )
    if table.get("kind", KINDS[0]) not in KINDS:
        raise ModelError(
            f"no such kind: {table['kind']}.", where=path, hint=f"One of {', '.join(KINDS)}."
        )
    return table


def checked(table: Json, key: str, where: object, check: Callable[[Any], Any], wanted: str) -> Any:
    """Value of a setting after a check, or the error that names it.

    Raises
    ------
    ModelError
        If it is missing or the check does not pass.
    """
    if key not in table:
        raise ModelError(
            f"the model does not say its {key} in plain values.",
            where=where,
            hint=f"Say it in {FILE} beside the model: {key}: {wanted}.",
        )
    try:
        return check(table[key])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{key}: {table[key]!r} is not what is needed.",
            where=where,
            hint=f"For example {key}: {wanted}.",
        ) from error


def three(
    kind: Callable[[Any], float], low: float, high: float
) -> Callable[[Any], tuple[Any, Any, Any]]:
    """Check for three numbers within limits; one number stands for three."""

    def check(value: Any) -> tuple[Any, Any, Any]:
        values = [value] * 3 if isinstance(value, int | float) else list(value)
        a, b, c = (kind(v) for v in values)
        if not all(low <= v <= high for v in (a, b, c)):
            raise ValueError(value)
        return a, b, c

    return check


def codes(value: Any) -> str:
    """Check for axis codes."""
    text = str(value).upper()
    if not is_orientation(text):
        raise ValueError(value)
    return text


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Check for one of some words."""

    def check(value: Any) -> str:
        if value not in allowed:
            raise ValueError(value)
        return str(value)

    return check


def flag(value: Any) -> bool:
    """Check for true or false; words for them are neither."""
    if not isinstance(value, bool):
        raise ValueError(value)
    return value


def words(value: Any) -> list[str]:
    """Check for a list of words or numbers."""
    if not isinstance(value, list):
        raise TypeError(value)
    return [str(one) for one in value]


def hashes(value: Any) -> dict[str, str]:
    """Check for hashes by the files that they are of."""
    return {str(file): str(digest) for file, digest in dict(value or {}).items()}


def share(value: Any) -> float:
    """Check for an overlap, 0 up to but not 1."""
    number = float(value)
    if not 0.0 <= number < 0.95:
        raise ValueError(value)
    return number


def steps(value: Any) -> tuple[Step, ...]:
    """Check for a list of intensity steps."""
    return tuple(_step(dict(one)) for one in value)


def _step(one: dict[str, Any]) -> Step:
    to = one.pop("to", (0.0, 1.0))
    low_to, high_to = (float(v) for v in to)
    extras = {"nonzero": bool(one.pop("nonzero", False)), "clip": bool(one.pop("clip", True))}
    ((kind, value),) = one.items()
    if kind in ("range", "percentiles"):
        low, high = (float(v) for v in value)
        if not low < high:
            raise ValueError(value)
        return Step(kind, low, high, (low_to, high_to), **extras)
    if kind not in ("zscore", "minmax"):
        raise ValueError(kind)
    return Step(kind, to=(low_to, high_to), **extras)


def naming(table: Json, where: object) -> Naming:
    """Meaning of the labels.

    Raises
    ------
    ModelError
        If they are not said, or none is the liver.
    """

    def check(value: Any) -> dict[str, tuple[int, ...]]:
        names = {
            str(name): tuple(int(v) for v in ([found] if isinstance(found, int) else found))
            for name, found in value.items()
        }
        if min((v for values in names.values() for v in values), default=0) < 0:
            raise ValueError(value)
        return names

    return naming_of(checked(table, "labels", where, check, "{liver: [1, 2], lesion: 2}"), where)


def terms(table: Json, source: str, where: object) -> Terms:
    """What the model states of itself."""

    def modalities(value: Any) -> tuple[str, ...]:
        found = tuple(str(v) for v in value)
        if not found or set(found) - {"CT", "MR"}:
            raise ValueError(value)
        return found

    def error(key: str) -> float | None:
        def check(value: Any) -> float:
            number = float(value)
            if not 0.0 < number < 50.0:
                raise ValueError(value)
            return number

        return float(checked(table, key, where, check, "1.5")) if key in table else None

    known: tuple[str, ...] = ("CT", "MR")
    if "modalities" in table:
        known = checked(table, "modalities", where, modalities, "[CT]")
    return Terms(
        str(table.get("text", source)),
        known,
        error("liver_boundary_sd_mm"),
        error("lesion_boundary_sd_mm"),
    )
