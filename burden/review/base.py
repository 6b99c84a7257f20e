"""A finished run opened again with the images it was made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from burden.case import Case
from burden.errors import InputError, UsageError
from burden.facts import Facts
from burden.findings import Finding
from burden.image import Labels, Volume
from burden.review.masks import MAX_LABEL, Masks

if TYPE_CHECKING:
    from burden.assess.policy import Policy
    from burden.assess.rulebook import RuleBook
    from burden.grid import Grid
    from burden.read import Study

ENDED_BY_A_READER = (
    "lesions-overlooked",
    "mr-model-unsound",
    "unlikely-lesions-left-out",
    "specks-left-out",
    "review-incomplete",
)
"""Findings about what the model, or an earlier correction, may have missed or left out; they end
when a reader has looked through the whole liver."""


@dataclass(frozen=True, eq=False)
class Base:
    """What is corrected, and all that a new conclusion needs.

    Parameters
    ----------
    folder
        OUT of the run.
    sha256
        Of its case.json: the new case names what it was made from.
    case
        As it was written.
    volume, companions
        The images, with the phase that the run took them for.
    masks
        Liver and lesions as written; lesion n is row n of the table.
    segments
        Couinaud segments that are kept as they are; None where they follow from the liver's shape.
    patient
        Facts that were not measured.
    findings
        Findings of reading and of the model, which measuring again does not bring back.
    """

    folder: Path
    sha256: str
    case: Case
    volume: Volume
    masks: Masks
    segments: Labels | None
    patient: Facts
    books: tuple[RuleBook, ...]
    local: Policy | None = None
    companions: tuple[Volume, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def chances(self) -> dict[int, float]:
        """Probability of each lesion of the table that it is one."""
        return {row.id: row.p_lesion for row in self.case.lesions}


def open_base(folder: Path, study: Path | None, *, policy: Path | None = None) -> Base:
    """Open OUT of a finished run with the study it was made from.

    Raises
    ------
    UsageError
        Without a study, or without the policy that the run was decided by.
    InputError
        If the folder is not the whole output of a run, or the study is another one.
    """
    from burden.assess import load_books, load_policy
    from burden.write import read_case

    case = read_case(folder)
    folder = folder if folder.is_dir() else folder.parent
    if case.manifest.settings.get("deidentified"):
        raise InputError(
            "this run was de-identified: a correction with its images would name the patient.",
            where=folder,
            hint="Run it again without --deidentify.",
        )
    if study is None:
        raise UsageError(
            "the images are needed, and this folder holds none.",
            where=folder,
            hint="Give the study it was made from: burden review OUT STUDY.",
        )
    model = case.manifest.model
    if model.get("id") != "given masks" and "lesion_boundary_sd_mm" not in model:
        raise InputError(
            "this run does not say how large the model's errors are.",
            where=folder,
            hint="It is of an earlier version: run it again.",
        )
    books = load_books(list(case.manifest.books) or None)
    local = load_policy(policy, books) if policy else None
    _same_books(case, books, local)
    read = _images(case, study)
    liver, lesions, segments = _masks(folder, read.volume.grid)
    if set(np.unique(lesions.data[lesions.data > 0]).tolist()) != {row.id for row in case.lesions}:
        raise InputError("the lesion mask and the lesion table differ.", where=folder)
    if len(case.lesions) >= MAX_LABEL // 2:
        raise InputError(f"{len(case.lesions)} lesions are too many to correct by hand.", where=folder)
    phase = str(case.manifest.input.get("phase", ""))
    base = Base(
        folder=folder,
        sha256=_sha256(folder / "case.json"),
        case=case,
        volume=replace(read.volume, phase=phase),
        masks=Masks.of(liver.data, lesions.data, read.volume.grid),
        segments=segments,
        patient=_entered(case),
        books=books,
        local=local,
        companions=read.companions,
    )
    return _as_concluded(base, segments)


def _images(case: Case, study: Path) -> Study:
    """The images that the run measured in, chosen as it chose them.

    Raises
    ------
    InputError
        If they are not there.
    """
    from burden.read import read_study

    said = case.manifest.input
    if said.get("kind") != "dicom":
        found = [read_study(study, modality=said.get("modality"))]
    else:
        phases = tuple(f"{c['phase']}={c['series_uid']}" for c in said.get("companions", ()))
        wanted = (case.manifest.settings.get("series") or None, said["series_uid"])
        found, problem = [], None
        for series in wanted:  # a row number means another series where the folder has changed
            try:
                found.append(read_study(study, series=series, with_phase=phases or ("none",)))
            except (InputError, UsageError) as error:
                problem = problem or error
            if found and found[-1].volume.origin.sha256 == said["sha256"]:
                break
        if problem is not None and not found:
            raise problem
    if found[-1].volume.origin.sha256 != said["sha256"]:
        raise InputError(
            "these are not the images that the run was made from (their hash differs).",
            where=study,
            hint="Give the same study again.",
        )
    return found[-1]


def _same_books(case: Case, books: tuple[RuleBook, ...], local: Policy | None) -> None:
    """Refuse to leave out verdicts that the run gave."""
    known = {book.id for book in books}
    extra = [one.book for one in case.assessments if one.book not in known]
    if extra and local is None:
        raise UsageError(
            f"the run was decided by a site's own limits too ({extra[0]}).",
            hint="Give its folder with --policy.",
        )


def _masks(folder: Path, grid: Grid) -> tuple[Labels, Labels, Labels]:
    """The three masks, unchanged since the run wrote them."""
    from burden.read import read_mask

    listed = json.loads((folder / "case.json").read_text(encoding="utf-8"))["manifest"].get("files", {})
    found = []
    for name in ("liver", "lesions", "segments"):
        file = folder / "masks" / f"{name}.nii.gz"
        if not file.is_file():
            raise InputError(
                "this mask is missing.", where=file, hint="Give OUT as `burden run` wrote it."
            )
        if listed.get(f"masks/{name}.nii.gz") != _sha256(file):
            raise InputError(
                "this mask was changed after the run.",
                where=file,
                hint="Run again with it: burden run STUDY --liver FILE --lesions FILE.",
            )
        found.append(read_mask(file, grid))
    return found[0], found[1], found[2]


def _entered(case: Case) -> Facts:
    """Facts that came with the patient: neither measured nor derived here."""
    ours = ("measured: ", "derived: ")
    return Facts(fact for fact in case.facts.values() if not fact.source.startswith(ours))


def _as_concluded(base: Base, segments: Labels) -> Base:
    """Keep what measuring the same masks again does not bring back: findings, and segments.

    Segments are predicted again from each new shape of the liver, if that is where the run had
    them from; segments from a given mask or from landmarks are kept.
    """
    from burden.review.recompute import recompute
    from burden.review.state import start_of

    given = "segments" in base.case.manifest.settings.get("masks_given", ())
    bare = replace(base, segments=segments if given else None)
    again = recompute(bare, start_of(base.masks))
    if not given and again.case.images is not None:
        mine, theirs = again.case.images.segments.data, segments.data[again.box]
        if np.count_nonzero(mine != theirs) > 0.001 * np.count_nonzero(theirs):
            bare = replace(base, segments=segments)
            again = recompute(bare, start_of(base.masks))
    measured = {finding.code for finding in again.case.findings}
    # How the run counted touching lesions says nothing of lesions that a reader tells apart.
    gone = measured | {"dicom-object-missing", "touching-lesions-split"}
    carried = tuple(f for f in base.case.findings if f.code not in gone)
    return replace(bare, findings=carried)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
