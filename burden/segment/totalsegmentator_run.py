"""Back end: run the installed TotalSegmentator program on a volume and read what it writes.

It is another program with its own licence and weights. Nothing is downloaded from here: the weights
of the tasks must be installed, and the program is started without a way to the network.
"""

from __future__ import annotations

import os
import shutil
import subprocess  # the program is the user's own, named in full and given no shell
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from burden.errors import ModelError
from burden.image import Segmentation
from burden.segment import description as say
from burden.segment.description import read_description
from burden.segment.naming import Terms
from burden.segment.totalsegmentator import NAMES, ResultSegmenter

if TYPE_CHECKING:
    from burden.image import Volume

Progress = Callable[[str, float], None]

PROGRAM = "TotalSegmentator"
INSTALL = 'Install it: pip install "liver-burden[totalsegmentator]".'
TASKS = ("total", "liver_segments", "liver_lesions", "liver_vessels")
FOR_MR = {
    "total": "total_mr",
    "liver_segments": "liver_segments_mr",
    "liver_lesions": "liver_lesions_mr",
}
USUAL = ("total", "liver_segments", "liver_lesions")
ORGANS = tuple(n for n in NAMES if not n.startswith("liver_"))
NOWHERE = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
"""Web addresses lead nowhere, so that neither weights nor usage statistics travel."""


@dataclass(frozen=True)
class ProgramSegmenter:
    """The program as a `Segmenter`.

    Parameters
    ----------
    program
        Path of the executable.
    tasks
        Its tasks, run one after the other.
    """

    program: str
    tasks: tuple[str, ...]
    terms: Terms

    def __call__(self, volume: Volume, *, device: str, progress: Progress) -> Segmentation:
        """Write the volume, run each task, read the masks.

        Raises
        ------
        ModelError
            If a task fails; the message tells a missing licence, missing weights or its last words.
        """
        with tempfile.TemporaryDirectory(prefix="burden-ts-") as room:
            image, out = Path(room) / "image.nii.gz", Path(room) / "masks"
            _write(volume, image)
            out.mkdir()
            for number, task in enumerate(self.tasks):
                progress(f"TotalSegmentator {task}", number / len(self.tasks))
                name = FOR_MR.get(task, task) if volume.modality == "MR" else task
                self._run(name, image, out, device)
            return ResultSegmenter(out, self.terms)(volume, device=device, progress=progress)

    def _run(self, task: str, image: Path, out: Path, device: str) -> None:
        command = [self.program, "-i", str(image), "-o", str(out), "-ta", task, "-q"]
        if task in ("total", "total_mr"):
            command += ["-rs", *ORGANS]
        if device != "auto":
            command += ["-d", "gpu" if device == "cuda" else device]
        done = subprocess.run(  # noqa: S603
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env=os.environ | NOWHERE,
        )
        missing = not any(out.glob("*.nii.gz"))
        if done.returncode or missing:
            raise _failed(self.program, task, done)


def from_folder(folder: Path) -> ProgramSegmenter:
    """Segmenter of the program that a ``burden.yaml`` names; by itself ``TotalSegmentator`` on PATH.

    Raises
    ------
    ModelError
        If the program is not installed, or a task is not one that is used here.
    """
    table = read_description(folder)
    wanted = str(table.get("executable", PROGRAM))
    program = shutil.which(wanted)
    if program is None:
        raise ModelError("TotalSegmentator is not installed.", where=wanted, hint=INSTALL)

    def tasks(value: object) -> tuple[str, ...]:
        found = tuple(str(v) for v in value) if isinstance(value, list) else ()
        if not found or set(found) - set(TASKS):
            raise ValueError(value)
        return found

    chosen = (
        say.checked(table, "tasks", folder, tasks, "[total, liver_lesions]")
        if "tasks" in table
        else USUAL
    )
    return ProgramSegmenter(program, chosen, say.terms(table, "TotalSegmentator", folder))


def _write(volume: Volume, path: Path) -> None:
    """NIfTI of the volume; the one place where a back end writes, for a program that reads files."""
    import nibabel as nib

    kind = np.int16 if volume.data.dtype.kind in "iu" else np.float32
    image = nib.Nifti1Image(np.asarray(volume.data, dtype=kind), volume.grid.ras)
    image.header.set_xyzt_units("mm")
    nib.save(image, path)


def _failed(program: str, task: str, done: subprocess.CompletedProcess[str]) -> ModelError:
    """The reason, as the program gave it, in one line."""
    text = f"{done.stdout}\n{done.stderr}"
    low = text.lower()
    if "license" in low and ("requires a license" in low or "license number" in low):
        return ModelError(
            f"the task {task} needs a licence key.",
            where=program,
            hint="Get one from its makers and set it once: totalseg_set_license -l KEY.",
        )
    if "downloading model" in low or "max retries" in low or "proxyerror" in low:
        return ModelError(
            f"the weights of the task {task} are not installed.",
            where=program,
            hint=f"Fetch them once: totalseg_download_weights -t {task}.",
        )
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = lines[-1][:200] if lines else "no message, and no mask"
    return ModelError(f"the task {task} failed (exit {done.returncode}: {last}).", where=program)
