"""Volume to Segmentation: one back end a module, all behind one call.

``SEGMENTERS`` is the whole list. A back end gets the volume on its native grid and gives
masks back on that same grid; it never measures and never writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from burden.errors import ModelError
from burden.image import Segmentation, Volume
from burden.resources import shipped

Progress = Callable[[str, float], None]

WEIGHTS = (".safetensors", ".pt", ".pth", ".nii", ".nii.gz")


class Segmenter(Protocol):
    """What every back end is once it is loaded.

    Called with ``device`` ``auto``, ``cpu`` or ``cuda`` and ``progress(step, fraction)``.
    The result is on ``volume.grid`` and the same every time.
    """

    def __call__(self, volume: Volume, *, device: str, progress: Progress) -> Segmentation:
        """Segment one volume."""
        ...


def _monai_bundle(folder: Path) -> Segmenter:
    from burden.segment.monai_bundle import from_bundle

    return from_bundle(folder)


def _monai_network(folder: Path) -> Segmenter:
    from burden.segment.monai_network import from_folder

    return from_folder(folder)


def _nnunet(folder: Path) -> Segmenter:
    from burden.segment.nnunet import from_folder

    return from_folder(folder)


def _totalsegmentator(folder: Path) -> Segmenter:
    from burden.segment.totalsegmentator_run import from_folder

    return from_folder(folder)


def _totalsegmentator_results(folder: Path) -> Segmenter:
    from burden.segment.totalsegmentator import from_results

    return from_results(folder)


# Back end name -> loader of a model folder. Masks given by the user need no loader: see masks.py.
SEGMENTERS: dict[str, Callable[[Path], Segmenter]] = {
    "monai_bundle": _monai_bundle,
    "monai_network": _monai_network,
    "nnunet": _nnunet,
    "totalsegmentator": _totalsegmentator,
    "totalsegmentator_results": _totalsegmentator_results,
}


@dataclass(frozen=True)
class ModelEntry:
    """One line of ``configs/models.yaml``.

    Parameters
    ----------
    backend
        A key of ``SEGMENTERS``.
    folder
        Where the model is, absolute.
    optional
        Nothing is broken where it is not installed.
    """

    id: str
    backend: str
    folder: Path
    text: str
    default: bool
    optional: bool = False

    @property
    def weights(self) -> dict[str, Path]:
        """Files that decide what it answers: weights or results, by a name that is theirs alone."""
        inside = sorted(self.folder.rglob("*")) if self.folder.is_dir() else [self.folder]
        files = [p for p in inside if p.is_file() and p.name.endswith(WEIGHTS)]
        names = [p.name for p in files]
        return {
            p.name if names.count(p.name) == 1 else p.relative_to(self.folder).as_posix(): p
            for p in files
        }


def models() -> tuple[ModelEntry, ...]:
    """All models of ``configs/models.yaml``, the default first."""
    import yaml

    path = shipped("configs", "models.yaml")
    table = yaml.safe_load(path.read_text(encoding="utf-8"))
    entries = [
        ModelEntry(
            id=key,
            backend=fields["backend"],
            folder=shipped(*fields["folder"].split("/")),
            text=fields["text"],
            default=bool(fields.get("default", False)),
            optional=bool(fields.get("optional", False)),
        )
        for key, fields in table.items()
    ]
    return tuple(sorted(entries, key=lambda entry: not entry.default))


def find_model(name: str | None) -> ModelEntry:
    """Find a model by id or by folder (what kind it is shows inside); the default one for None.

    Raises
    ------
    ModelError
        If it is neither a known id nor a model folder.
    """
    from burden.segment.description import read_description
    from burden.segment.kinds import kind_of

    known = models()
    if name is None:
        return known[0]
    for entry in known:
        if entry.id == name:
            return entry
    path = Path(name).resolve()
    if path.exists():
        said = str(read_description(path).get("text", "a local model")) if path.is_dir() else ""
        return ModelEntry(path.name, kind_of(path), path, said, False)
    raise ModelError(
        "no such model.",
        where=name,
        hint=f"Give a model folder or one of: {', '.join(m.id for m in known)}.",
    )


def load_model(entry: ModelEntry) -> Segmenter:
    """Load a model from its folder, checked against its hashes.

    Raises
    ------
    ModelError
        Saying what is missing, damaged or not allowed.
    """
    try:
        return SEGMENTERS[entry.backend](entry.folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:  # any setting may be of any kind
        raise ModelError(
            f"its settings are incomplete or of the wrong kind ({type(error).__name__}: {error}).",
            where=entry.folder,
        ) from error
