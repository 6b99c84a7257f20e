"""Spec: everything that defines one digital liver phantom, and its YAML form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from burden.errors import InputError
from burden.grid import Grid
from burden.phantom.anatomy import Anatomy
from burden.phantom.tissues import PHASES

LOOKS = ("hypo", "hyper_arterial", "rim", "necrotic", "cystic", "calcified", "confluent", "miliary")
INTENTS = ("", "none", "I", "II", "III", "unilobar")
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class LesionSpec:
    """One lesion: one ellipsoid, or several overlapping ones that count as one lesion.

    Parameters
    ----------
    look
        One of ``LOOKS``.
    centre
        LPS mm; None where only the segment is asked for.
    segment
        Couinaud segment to place it in, 0 for "as the centre says".
    diameters
        Full axes of the ellipsoid, mm.
    angles
        Rotation about L, P, S in degrees.
    bump
        Relative height of smooth bumps on the surface; 0 is an exact ellipsoid.
    parts
        Further ellipsoids ``(offset mm, diameters mm)`` joined to the first.
    """

    look: str = "hypo"
    centre: Triple | None = None
    segment: int = 0
    diameters: Triple = (20.0, 20.0, 20.0)
    angles: Triple = (0.0, 0.0, 0.0)
    bump: float = 0.0
    parts: tuple[tuple[Triple, Triple], ...] = ()


@dataclass(frozen=True)
class Spec:
    """A phantom. Equal specs give equal bytes.

    Parameters
    ----------
    modality, phase
        ``CT`` with non-contrast, arterial, portal or delayed; ``MR`` with t1_pre, t1_arterial,
        t1_portal, t1_hepatobiliary, t2 or dwi.
    shape, spacing, centre
        Voxels, mm and LPS mm of the middle of the image, along L, P, S before ``rotation``.
    rotation
        Oblique acquisition: degrees about L, P, S.
    order
        Where the array axes point, e.g. ``LPS`` or ``RAI`` or ``SLP``.
    thickness
        Slice thickness, mm; 0 for "as the spacing".
    detail
        ``full``, or ``plain`` for a fast image without texture, ribs and small vessels.
    noise
        Noise against the usual (1); 0 for none.
    lesions
        Stated lesions.
    pattern
        A drawn pattern instead of stated lesions; see :mod:`burden.phantom.scatter`.
    frilling
        The distribution this phantom is built to have: none, I, II, III or unilobar.
    """

    name: str = "phantom"
    seed: int = 0
    modality: str = "CT"
    phase: str = "portal"
    shape: tuple[int, int, int] = (96, 88, 72)
    spacing: Triple = (3.5, 3.5, 3.5)
    centre: Triple = (0.0, 0.0, -95.0)
    rotation: Triple = (0.0, 0.0, 0.0)
    order: str = "LPS"
    thickness: float = 0.0
    detail: str = "full"
    noise: float = 1.0
    anatomy: Anatomy = field(default_factory=Anatomy)
    lesions: tuple[LesionSpec, ...] = ()
    pattern: Mapping[str, float] = field(default_factory=dict)
    frilling: str = ""

    def __post_init__(self) -> None:
        _check(self)

    @property
    def grid(self) -> Grid:
        """The grid of the image, array axes as in ``order``."""
        spacing = np.array(self.spacing)
        axes = turned(self.rotation)
        origin = np.array(self.centre) - axes @ (spacing * (np.array(self.shape) - 1) / 2)
        grid = Grid.from_axes(self.shape, spacing, origin, axes)
        order = tuple("LRPAIS".index(c) // 2 for c in self.order.replace("S", "I"))
        return grid.reorder(order, tuple(c in "RAI" for c in self.order))  # type: ignore[arg-type]

    @property
    def digest(self) -> str:
        """SHA-256 of the spec; the name does not matter to the image but does to UIDs."""
        return hashlib.sha256(json.dumps(to_table(self), sort_keys=True).encode()).hexdigest()


def turned(degrees: Triple) -> NDArray[np.float64]:
    """Rotation about L, then P, then S."""
    a, b, c = np.deg2rad(degrees)
    rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    rz = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1.0]])
    return np.asarray(rz @ ry @ rx)


def _check(spec: Spec) -> None:
    """Refuse what cannot be made, naming the field."""

    def need(good: bool, name: str, what: str) -> None:
        if not good:
            raise InputError(f"{what}.", where=f"phantom spec, {name}")

    need(spec.modality in PHASES, "modality", f"{spec.modality!r} is neither CT nor MR")
    phases = PHASES[spec.modality]
    need(spec.phase in phases, "phase", f"{spec.phase!r} is not one of {', '.join(phases)}")
    need(
        len(spec.shape) == 3 and 8 <= min(spec.shape) <= max(spec.shape) <= 1024,
        "shape",
        "8 to 1024 voxels an axis",
    )
    need(min(spec.spacing) >= 0.3 and max(spec.spacing) <= 12, "spacing", "0.3 to 12 mm")
    for name, seed in (("seed", spec.seed), ("anatomy.seed", spec.anatomy.seed)):
        need(isinstance(seed, int) and seed >= 0, name, "a whole number from 0")
    need(0 <= spec.thickness <= 12, "thickness", "0 to 12 mm")
    need(spec.detail in ("full", "plain"), "detail", "full or plain")
    need(0 <= spec.noise <= 10, "noise", "0 to 10")
    need(spec.frilling in INTENTS, "frilling", f"one of {', '.join(INTENTS[1:])}")
    letters = sorted(
        "LPS"["LRPAIS".index(c) // 2 if c in "LRPA" else 2] if c in "LRPAIS" else "?" for c in spec.order
    )
    need(letters == ["L", "P", "S"], "order", "three letters such as LPS or RAI")
    need(all(0.6 <= s <= 1.5 for s in spec.anatomy.scale), "anatomy.scale", "0.6 to 1.5")
    need(not (spec.lesions and spec.pattern), "pattern", "state lesions or a pattern, not both")
    for n, lesion in enumerate(spec.lesions):
        at = f"lesions[{n}]"
        need(lesion.look in LOOKS, f"{at}.look", f"{lesion.look!r} is not one of {', '.join(LOOKS)}")
        need(
            lesion.centre is not None or 1 <= lesion.segment <= 8,
            f"{at}.segment",
            "1 to 8, or give a centre",
        )
        need(
            1 <= min(lesion.diameters) <= max(lesion.diameters) <= 250, f"{at}.diameters", "1 to 250 mm"
        )
        need(0 <= lesion.bump <= 0.25, f"{at}.bump", "0 to 0.25")
        need(not (lesion.bump and lesion.parts), f"{at}.bump", "a lesion has bumps or parts, not both")


def to_table(spec: Spec) -> dict[str, Any]:
    """Spec as plain values for YAML and JSON."""
    table = asdict(spec)
    table["pattern"] = dict(spec.pattern)
    plain: dict[str, Any] = json.loads(json.dumps(table))
    return plain


def from_table(table: Mapping[str, Any], where: str = "phantom spec") -> Spec:
    """Spec from plain values.

    Raises
    ------
    InputError
        Naming the field that is unknown or wrong.
    """
    made: dict[str, Any] = _known(table, Spec, where)
    made["anatomy"] = Anatomy(**_known(table.get("anatomy") or {}, Anatomy, f"{where}, anatomy"))
    rows = table.get("lesions") or ()
    if not isinstance(rows, list | tuple):
        raise InputError("a list of lesions is needed.", where=f"{where}, lesions")
    made["lesions"] = tuple(_lesion(row, f"{where}, lesions[{n}]") for n, row in enumerate(rows))
    made["pattern"] = dict(table.get("pattern") or {})
    try:
        return Spec(**made)
    except (TypeError, ValueError) as error:
        raise InputError(f"a value has the wrong form ({error}).", where=where) from error


def _lesion(row: Any, where: str) -> LesionSpec:
    if isinstance(row, Mapping) and "diameter" in row:
        row = {k: v for k, v in row.items() if k != "diameter"} | {"diameters": [row["diameter"]] * 3}
    made = _known(row, LesionSpec, where)
    made["parts"] = tuple((_tuple(a), _tuple(b)) for a, b in made.get("parts", ()))
    return LesionSpec(**made)


def _known(table: Any, kind: type, where: str) -> dict[str, Any]:
    if not isinstance(table, Mapping):
        raise InputError("a table of named values is needed.", where=where)
    unknown = sorted(set(table) - {f.name for f in fields(kind)})
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}.", where=where, hint="See configs/phantoms/.")
    return {k: _tuple(v) for k, v in table.items()}


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def load_spec(path: Path) -> Spec:
    """Spec from a YAML file.

    Raises
    ------
    InputError
        Naming the file and the field.
    """
    import yaml

    try:
        table = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read ({type(error).__name__}).", where=path) from error
    spec = from_table(table, str(path))
    return spec if "name" in table else replace(spec, name=Path(path).stem)
