"""Which kind of model a folder holds."""

from __future__ import annotations

import json
from pathlib import Path

from burden.errors import ModelError
from burden.segment.description import FILE, read_description

WANTED = (
    "a MONAI bundle (configs/metadata.json), a trained nnU-Net v2 folder (plans.json, dataset.json, "
    f"fold_*/), results of TotalSegmentator (liver.nii.gz, ...), or a folder with {FILE}"
)


def kind_of(path: Path) -> str:
    """Key of `SEGMENTERS` for a model folder, or for a multilabel file of TotalSegmentator.

    Raises
    ------
    ModelError
        If it is none of the kinds; the message lists them.
    """
    if path.is_file():
        if path.name.endswith((".nii", ".nii.gz")):
            return "totalsegmentator_results"
        raise ModelError("a file, not a model folder.", where=path, hint=f"Give {WANTED}.")
    said = read_description(path).get("kind")
    if said is not None:
        return str(said)
    if (path / "plans.json").is_file() or any(path.glob("fold_*/checkpoint_*.pth")):
        return "nnunet"
    if any(path.glob("configs/metadata.json")) or any(path.glob("configs/inference.*")):
        return "monai_bundle" if _ours(path / "configs" / "metadata.json") else "monai_network"
    if (path / FILE).is_file():
        return "monai_network"
    if any(path.glob("*.nii.gz")) or any(path.glob("*.nii")):
        return "totalsegmentator_results"
    below = [p.parent.name for p in path.glob("*/plans.json")]
    if below:
        raise ModelError(
            f"nnU-Net folders are below it: {', '.join(sorted(below)[:3])}.",
            where=path,
            hint="Give one of them.",
        )
    raise ModelError("no model that is known here.", where=path, hint=f"Give {WANTED}.")


def _ours(metadata: Path) -> bool:
    """Whether a bundle has the calibration that only our own export writes."""
    try:
        return "calibration" in json.loads(metadata.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, TypeError):
        return False
