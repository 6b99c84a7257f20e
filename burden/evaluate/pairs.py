"""Which prediction belongs to which reference, and their masks on the reference's grid."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from burden.errors import InputError, UsageError
from burden.findings import Finding
from burden.grid import Grid
from burden.image import Labels

Mask = NDArray[np.bool_]

LITS = (1, 2)
"""Labels of a map about which nothing is said: 1 liver, 2 lesion."""
_ENDINGS = (".nii.gz", ".nii", ".dcm")
_LESION = re.compile(r"lesion|tumou?r|metasta|neoplas", re.IGNORECASE)
_LIVER = re.compile(r"\s*(whole )?liver( parenchyma| mask)?\s*", re.IGNORECASE)
_PART = re.compile(r"segment|couinaud", re.IGNORECASE)


@dataclass(frozen=True)
class Labelling:
    """Which labels of a map are liver (lesions included) and which are lesion; None: not in it."""

    liver: tuple[int, ...] | None
    lesions: tuple[int, ...] | None


@dataclass(frozen=True)
class Item:
    """One case of one side: a mask file, or the OUT folder of a run.

    Parameters
    ----------
    labels
        As the user chose; None for 1 liver and 2 lesion, or by the names in a DICOM SEG.
    """

    name: str
    path: Path
    labels: Labelling | None


@dataclass(frozen=True, eq=False)
class Pair:
    """The masks of one case on one grid; None where a side does not tell.

    Parameters
    ----------
    liver, lesions
        (predicted, reference). The liver holds the lesions.
    """

    case: str
    grid: Grid
    liver: tuple[Mask, Mask] | None
    lesions: tuple[Mask, Mask] | None
    findings: tuple[Finding, ...]


def chosen(text: str) -> tuple[Path, Labelling | None]:
    """Take ``PATH@LIVER/LESIONS`` apart, e.g. ``truth@1,2/2``, ``truth@6`` or ``truth@/1``.

    Raises
    ------
    UsageError
        If what follows the @ is not label numbers.
    """
    if "@" not in text or Path(text).exists():
        return Path(text), None
    path, _, wanted = text.rpartition("@")
    parts = wanted.split("/")
    try:
        groups = [tuple(int(n) for n in part.split(",")) if part else None for part in parts]
    except ValueError:
        groups = []
    if not 1 <= len(groups) <= 2 or not any(groups):
        raise UsageError(
            "labels after @ are numbers: LIVER/LESIONS.", where=text, hint="For example truth@1,2/2."
        )
    return Path(path), Labelling(groups[0], groups[1] if len(groups) == 2 else None)


def items(text: str) -> tuple[Item, ...]:
    """Every case of a file, an OUT folder, or a folder of either, by name.

    Raises
    ------
    InputError
        If there is nothing of the kind.
    """
    path, labels = chosen(text)
    if path.is_file() or (path / "case.json").is_file():
        return (Item(_stem(path), path, labels),)
    if not path.is_dir():
        raise InputError("no such file or folder.", where=path)
    inside = sorted(path.iterdir())
    found = [p for p in inside if p.is_file() and p.name.lower().endswith(_ENDINGS)]
    found += [p for p in inside if (p / "case.json").is_file()]
    if not found:
        raise InputError(
            "no masks here.",
            where=path,
            hint="Give NIfTI or DICOM SEG files, or OUT folders of `burden run`.",
        )
    return tuple(Item(_stem(p), p, labels) for p in found)


def pair_up(
    predicted: Iterable[Item], reference: Iterable[Item]
) -> tuple[list[tuple[Item, Item]], list[str], list[str]]:
    """Pairs by name, then the names of references and of predictions that have no partner.

    Names are file names without ending. Two single files are a pair whatever they are called; else
    the names are equal, or the one name goes on after the other with a mark (``p7``, ``p7_label``).

    Raises
    ------
    InputError
        If a name could belong to several.
    """
    left, right = list(predicted), list(reference)
    if len(left) == 1 and len(right) == 1:
        return [(left[0], right[0])], [], []
    pairs, alone = [], []
    for ref in right:
        same = [p for p in left if p.name == ref.name] or [p for p in left if _alike(p.name, ref.name)]
        if len(same) > 1:
            names = ", ".join(p.name for p in same[:3])
            raise InputError(
                f"several predictions could belong to it: {names}.",
                where=ref.name,
                hint="Give --pairs TABLE.csv.",
            )
        if same:
            pairs.append((same[0], ref))
        else:
            alone.append(ref.name)
    used = [p.name for p, _ in pairs]
    twice = next((name for name in used if used.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "several references could belong to this prediction.",
            where=twice,
            hint="Give --pairs TABLE.csv.",
        )
    return pairs, alone, [p.name for p in left if p.name not in used]


def from_table(table: Path, predicted: str, reference: str) -> list[tuple[Item, Item]]:
    """Pairs of a CSV with the columns ``case``, ``prediction`` and ``reference``.

    Paths are relative to the two folders; each may carry its own ``@LABELS``.

    Raises
    ------
    InputError
        If the table lacks a column, names a file that is not there, or a case twice.
    """
    sides = (chosen(predicted), chosen(reference))
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError("the table of pairs cannot be read.", where=table) from error
    pairs = []
    for number, row in enumerate(rows, start=2):
        where = f"{table}, line {number}"
        cells = [(row.get(column) or "").strip() for column in ("case", "prediction", "reference")]
        if not all(cells):
            raise InputError("case, prediction and reference are needed.", where=where)
        both = []
        for cell, (folder, common) in zip(cells[1:], sides, strict=True):
            path, own = chosen(str(folder / cell))
            if not path.exists():
                raise InputError(f"no such file: {path}.", where=where)
            both.append(Item(cells[0], path, own or common))
        pairs.append((both[0], both[1]))
    if not pairs:
        raise InputError("the table of pairs has no row.", where=table)
    names = [one.name for one, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        hint = "Intervals draw cases, and take each for another patient."
        raise InputError(f"the case {twice!r} is there twice.", where=table, hint=hint)
    return pairs


def read_pair(predicted: Item, reference: Item) -> Pair:
    """Masks of both sides on the grid of the reference.

    Raises
    ------
    InputError
        If a mask cannot be read, or neither liver nor lesions are known of both.
    """
    grid = _own_grid(reference.path)
    sides = [_masks(item, grid) for item in (predicted, reference)]
    (liver, lesions, said), (ref_liver, ref_lesions, ref_said) = sides
    livers = None if liver is None or ref_liver is None else (liver, ref_liver)
    spots = None if lesions is None or ref_lesions is None else (lesions, ref_lesions)
    if livers is None and spots is None:
        raise InputError(
            "one side tells the liver, the other the lesions: nothing to compare.", where=reference.name
        )
    return Pair(reference.name, grid, livers, spots, (*said, *ref_said))


def _masks(item: Item, grid: Grid) -> tuple[Mask | None, Mask | None, tuple[Finding, ...]]:
    """Liver (lesions included), lesions, and what moving them to the grid changed."""
    from burden.read import checked_mask

    if item.path.is_dir():
        liver, said = checked_mask(item.path / "masks" / "liver.nii.gz", grid)
        lesions, more = checked_mask(item.path / "masks" / "lesions.nii.gz", grid)
        marked = lesions.data > 0
        more = tuple(f for f in more if f.code != "empty-mask")  # a healthy liver is no surprise
        return (liver.data > 0) | marked, marked, (*said, *more)
    labels, said = checked_mask(item.path, grid)
    choice = item.labels or _told(labels, item.path)
    spots = None if choice.lesions is None else np.isin(labels.data, choice.lesions)
    if choice.liver is None:
        return None, spots, said
    inside = np.isin(labels.data, choice.liver)
    return inside if spots is None else inside | spots, spots, said


def _told(labels: Labels, path: Path) -> Labelling:
    """What the labels are where the user does not say: by name, or 1 liver and 2 lesion."""
    hint = "Say which is liver and which lesion: PATH@LIVER/LESIONS, for example truth@1,2/2."
    if labels.names:
        lesions = tuple(n for n, text in labels.names.items() if _LESION.search(text))
        liver = tuple(n for n, text in labels.names.items() if _LIVER.fullmatch(text))
        if any(_PART.search(text) for text in labels.names.values()):
            raise InputError(
                "this segmentation also holds liver segments, which hide lesions in them.",
                where=path,
                hint="Give the OUT folder, or masks of liver and lesions alone.",
            )
        if not liver and not lesions:
            raise InputError(
                f"no liver among: {', '.join(labels.names.values())}.", where=path, hint=hint
            )
        return Labelling(tuple({*liver, *lesions}) if liver else None, lesions or None)
    others = sorted(set(np.unique(labels.data).tolist()) - {0, *LITS})
    if others:
        raise InputError(f"the mask has label {others[0]}.", where=path, hint=hint)
    return Labelling(LITS, LITS[1:])


def _own_grid(path: Path) -> Grid:
    """Grid that a mask was drawn on."""
    from burden.read import sources
    from burden.read.nifti import load
    from burden.read.seg import read_seg

    file = path / "masks" / "liver.nii.gz" if path.is_dir() else path
    if not file.is_file():
        raise InputError("this mask is missing.", where=file)
    with sources.opened(file) as source:
        if len(source.dicom) == 1:
            return read_seg(source.dicom[0], file)[1]
        if len(source.nifti) == 1:
            return load(source.nifti[0].path, str(file))[1]
        raise sources.nothing_to_read(source)


def _stem(path: Path) -> str:
    name = path.resolve().name
    ending = next((e for e in _ENDINGS if name.lower().endswith(e) and path.is_file()), "")
    return name[: len(name) - len(ending)]


def _alike(one: str, other: str) -> bool:
    """Whether the longer name is the shorter one, a mark, and more."""
    short, long = sorted((one, other), key=len)
    return long.startswith(short) and long[len(short) : len(short) + 1] in set("_-. ")
