"""Slices -> one stack: order by position, and every reason why they do not form a volume.

Positions are ImagePositionPatient projected on the slice normal; InstanceNumber and file
names are never looked at. A tool that trusts the count of slices between the first and the
last turns one missing slice into a wrong volume without a word; here the positions of all
neighbours are compared, and the gap is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from burden.errors import GeometryError
from burden.findings import Finding
from burden.read.headers import Slice

MIN_SLICES = 3
_ROUNDING_MM = 0.06  # positions are often written with one decimal
_RELATIVE = 0.04  # and table feeds jitter by a few percent of the spacing
_SAME_MM = 0.01  # two slices closer than this are at the same position
_SHEAR = 1e-3  # what Grid accepts as a right angle

SamePixels = Callable[[Slice, Slice], bool]


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices in the order of the normal, evenly spaced.

    Parameters
    ----------
    step
        Vector from one slice origin to the next, LPS mm; not along the normal when tilted.
    """

    slices: tuple[Slice, ...]
    step: NDArray[np.float64]
    findings: tuple[Finding, ...] = field(default=())

    @property
    def axes(self) -> NDArray[np.float64]:
        """3 x 3: unit row direction, column direction and normal as columns."""
        return _axes(self.slices[0])

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Between columns, between rows, between slices along the normal, mm."""
        in_plane = self.slices[0].spacing or (1.0, 1.0)
        return in_plane[0], in_plane[1], float(self.step @ self.axes[:, 2])

    @property
    def origin(self) -> NDArray[np.float64]:
        """Centre of the first pixel of the first slice, LPS mm."""
        return np.array(self.slices[0].position, dtype=np.float64)

    @property
    def tilt(self) -> NDArray[np.float64]:
        """In-plane shift (mm along a row, along a column) from one slice to the next."""
        return np.asarray(self.step @ self.axes[:, :2])

    @property
    def tilted(self) -> bool:
        """Whether the stack leans, so that its voxels are no boxes."""
        return bool(np.linalg.norm(self.tilt) > _SHEAR * np.linalg.norm(self.step))


def stack(slices: Sequence[Slice], same_pixels: SamePixels) -> Stack:
    """Order slices of one orientation, spacing and matrix into a stack.

    Parameters
    ----------
    same_pixels
        Asked only for two slices at one position.

    Raises
    ------
    GeometryError
        Naming positions in mm and counts of slices.
    """
    ordered, dropped = _without_copies(slices, same_pixels)
    findings = []
    if dropped:
        text = (
            f"{len(dropped)} slice(s) present twice with identical pixels were dropped, "
            f"at {_places(ordered[0], dropped)}."
        )
        findings.append(Finding("duplicate-slices-dropped", "info", text))
    if len(ordered) < MIN_SLICES:
        raise GeometryError(
            f"only {len(ordered)} slice(s) at different positions, at {_places(ordered[0], ordered)}.",
            hint=f"A volume needs at least {MIN_SLICES}; give the folder that holds the whole series.",
        )
    along = _along(ordered)
    _evenly_spaced(ordered, along)
    positions = np.array([s.position for s in ordered])
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _in_line(ordered, positions, step)
    return Stack(tuple(ordered), step, tuple(findings))


def place(one: Slice) -> float:
    """Coordinate of the slice origin along the world axis nearest the normal, mm."""
    position = one.position or (0.0, 0.0, 0.0)
    return float(position[_world(one)])


def named_place(one: Slice) -> str:
    """Like ``z = -507.0 mm``."""
    return f"{'xyz'[_world(one)]} = {place(one):.1f} mm"


def _axes(one: Slice) -> NDArray[np.float64]:
    row, column = one.axes or ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    return np.stack([row, column, np.cross(row, column)], axis=1)


def _world(one: Slice) -> int:
    return int(np.abs(_axes(one)[:, 2]).argmax())


def _along(slices: Sequence[Slice]) -> NDArray[np.float64]:
    normal = _axes(slices[0])[:, 2]
    return np.array([s.position for s in slices], dtype=np.float64) @ normal


def _without_copies(slices: Sequence[Slice], same_pixels: SamePixels) -> tuple[list[Slice], list[Slice]]:
    """Slices by position, and those left out because they repeat their neighbour exactly."""
    along = _along(slices)
    kept: list[Slice] = []
    dropped: list[Slice] = []
    last = -np.inf
    clashes = []
    for number in np.argsort(along, kind="stable"):
        one = slices[number]
        if along[number] - last > _SAME_MM:
            kept.append(one)
            last = along[number]
        elif _at_one_place(kept[-1], one) and same_pixels(kept[-1], one):
            dropped.append(one)
        else:
            clashes.append(one)
    if clashes:
        raise GeometryError(
            f"{len(clashes)} of {len(slices)} slices lie where another one with different pixels lies, "
            f"at {_places(slices[0], clashes)}.",
            hint="The series may hold several phases or time points; export them as separate series.",
        )
    return kept, dropped


def _at_one_place(a: Slice, b: Slice) -> bool:
    return bool(np.abs(np.subtract(a.position or 0, b.position or 0)).max() <= _SAME_MM)


def _places(like: Slice, slices: Sequence[Slice], most: int = 4) -> str:
    """Positions of slices, the first few by value."""
    values = [f"{place(s):.1f}" for s in slices]
    shown = ", ".join(values[:most]) + (f", ... {values[-1]}" if len(values) > most else "")
    return f"{'xyz'[_world(like)]} = {shown} mm"


def _evenly_spaced(slices: Sequence[Slice], along: NDArray[np.float64]) -> None:
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    tolerance = _ROUNDING_MM + _RELATIVE * usual
    fitted = np.linspace(along[0], along[-1], len(along))
    if np.abs(along - fitted).max() <= tolerance and np.abs(gaps - usual).max() <= 2 * tolerance:
        return
    odd = np.flatnonzero(np.abs(gaps - usual) > tolerance)
    if not len(odd):
        odd = np.array([np.abs(gaps - usual).argmax()])
    where = [_between(slices, int(n), gaps[n]) for n in odd]
    shown = "; ".join(where[:3]) + (f"; and {len(where) - 3} more" if len(where) > 3 else "")
    multiple = gaps[odd] / usual
    whole = np.abs(multiple - np.round(multiple)) * usual <= tolerance
    if (whole & (multiple > 1.5)).all():
        missing = int(np.round(multiple - 1).sum())
        raise GeometryError(
            f"{missing} slice(s) missing among {len(slices)} at {usual:g} mm: {shown}.",
            hint="Export the series again; volumes across the gap would be wrong.",
        )
    raise GeometryError(
        f"uneven spacing: {len(slices)} slices, usually {usual:.3g} mm apart, "
        f"{gaps.min():.3g} to {gaps.max():.3g} mm: {shown}.",
        hint="Choose a series with evenly spaced slices.",
    )


def _between(slices: Sequence[Slice], number: int, gap: float) -> str:
    letter = "xyz"[_world(slices[0])]
    first, second = place(slices[number]), place(slices[number + 1])
    return f"{gap:.4g} mm between {letter} = {first:.1f} and {second:.1f} mm"


def _in_line(slices: Sequence[Slice], positions: NDArray[np.float64], step: NDArray[np.float64]) -> None:
    """Refuse slices that are shifted against each other otherwise than by one constant lean."""
    straight = positions[0] + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm(positions - straight, axis=1)
    in_plane = min(slices[0].spacing or (1.0, 1.0))
    tolerance = max(0.5 * in_plane, _ROUNDING_MM) + _RELATIVE * float(np.linalg.norm(step))
    if off.max() > tolerance:
        worst = int(off.argmax())
        raise GeometryError(
            f"slices shifted sideways against each other, by up to {off.max():.3g} mm, "
            f"at {named_place(slices[worst])}.",
            hint="The series may mix two acquisitions.",
        )
