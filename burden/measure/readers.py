"""How far the surfaces that were drawn may lie off: what a model states, or readers differ by."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path

from burden.errors import InputError
from burden.image import Segmentation
from burden.resources import shipped


@dataclass(frozen=True)
class Errors:
    """Standard deviations; each ``share`` is of a lesion's diameter and capped by its ``mm``.

    Parameters
    ----------
    lesion_surface_share, lesion_surface_mm
        Place of a lesion's whole surface.
    diameter_share, diameter_mm
        Longest diameter, beyond what the surface as a whole does to it.
    liver_surface_mm, segment_border_mm
        Place of the liver's edge, and of each border of a segment mask.
    """

    lesion_surface_share: float
    lesion_surface_mm: float
    diameter_share: float
    diameter_mm: float
    liver_surface_mm: float
    segment_border_mm: float


MODEL_SHARE = 0.15
"""A model's error of a lesion's surface is at most this share of the diameter."""


def errors_of(found: Segmentation, people: Errors) -> Errors:
    """Of each part the errors that its model states, or those of the people who drew it."""
    errors = people
    if not found.lesions_are_given:
        errors = replace(
            errors,
            lesion_surface_share=MODEL_SHARE,
            lesion_surface_mm=found.lesion_boundary_sd_mm,
            diameter_share=0.0,
            diameter_mm=0.0,
        )
    if not found.liver_is_given:
        errors = replace(errors, liver_surface_mm=found.liver_boundary_sd_mm)
    return errors


@cache
def usual_readers() -> Errors:
    """The shipped figures of ``configs/readers.yaml``, with their sources there."""
    return load_readers(shipped("configs", "readers.yaml"))


def load_readers(path: Path) -> Errors:
    """Errors of readers from a YAML file of the form of ``configs/readers.yaml``.

    Raises
    ------
    InputError
        Naming the file, and the value that is missing, unknown or not a number from 0.
    """
    import yaml

    try:
        table = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot be read ({type(error).__name__}).", where=path) from error
    names = [f.name for f in fields(Errors)]
    if not isinstance(table, dict) or set(table) != set(names):
        odd = set(table) ^ set(names) if isinstance(table, dict) else names
        raise InputError(
            f"missing or unknown: {', '.join(sorted(map(str, odd)))}.",
            where=path,
            hint="See configs/readers.yaml.",
        )
    for name in names:
        value = table[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 100:
            raise InputError(f"{name} is not a number from 0 to 100.", where=path)
    return Errors(*(float(table[name]) for name in names))
