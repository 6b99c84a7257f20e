"""Write a phantom: image, DICOM series, masks, truth and the spec that makes it again."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from burden.errors import OutputError
from burden.facts import Choice, Fact
from burden.grid import Grid
from burden.phantom.dicom import write_series
from burden.phantom.make import Phantom, make
from burden.phantom.spec import Spec, to_table


def write_phantom(spec: Spec, out: Path) -> None:
    """Make a phantom and write it to ``out``, whole or not at all.

    Writes ``image.nii.gz``, ``dicom/``, ``truth/{liver,lesions,segments,structures}.nii.gz``,
    ``truth.json`` and ``spec.yaml``.

    Raises
    ------
    InputError
        If the spec cannot be made.
    OutputError
        If ``out`` holds something already or cannot be written.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError("it exists already.", where=out, hint="Name a new or empty folder.")
    phantom = make(spec)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror}).", where=out) from error
    try:
        save(phantom, part)
        part.chmod(0o755)
        if out.exists():
            out.rmdir()
        part.rename(out)
    except OSError as error:
        raise OutputError(f"cannot be written ({error.strerror}).", where=out) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def save(phantom: Phantom, folder: Path) -> None:
    """Write all files of a phantom into an existing folder."""
    import yaml

    _nifti(phantom.volume.data, phantom.volume.grid, folder / "image.nii.gz")
    write_series(phantom, folder / "dicom")
    (folder / "truth").mkdir()
    truth = phantom.truth
    for name in ("liver", "lesions", "segments", "structures"):
        labels = getattr(truth, name)
        _nifti(labels.data, labels.grid, folder / "truth" / f"{name}.nii.gz")
    record = json.dumps(truth_table(phantom), indent=1, allow_nan=False)
    (folder / "truth.json").write_text(record + "\n", encoding="utf-8")
    text = yaml.safe_dump(to_table(phantom.spec), sort_keys=False, default_flow_style=None)
    (folder / "spec.yaml").write_text(text, encoding="utf-8")


def truth_table(phantom: Phantom) -> dict[str, Any]:
    """Facts and lesions as plain values."""
    names = {} if phantom.truth.structures is None else phantom.truth.structures.names
    return {
        "name": phantom.spec.name,
        "modality": phantom.spec.modality,
        "phase": phantom.spec.phase,
        "liver_inside_image": phantom.whole,
        "built_as": phantom.spec.frilling,
        "facts": {i: _plain(f) for i, f in phantom.facts.items()},
        "lesions": [asdict(row) for row in phantom.lesions],
        "structures": {str(k): v for k, v in names.items()},
    }


def _plain(fact: Fact) -> dict[str, Any]:
    value = fact.best if not isinstance(fact.value, Choice) else sorted(fact.value.options)[0]
    return {"value": value, "unit": fact.unit, "note": fact.note}


def _nifti(data: np.ndarray[Any, np.dtype[np.generic]], grid: Grid, path: Path) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(np.asarray(data), grid.ras)
    image.header.set_xyzt_units("mm")
    image.set_qform(grid.ras, code=1)
    image.set_sform(grid.ras, code=1)
    nib.save(image, path)
