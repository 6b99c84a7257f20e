"""The main job, top to bottom: read, segment, measure, assess, write. Read this first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from burden import __version__
from burden.case import Case, Images, Manifest
from burden.errors import InputError, UsageError
from burden.findings import Finding
from burden.image import Labels, Modality, Segmentation, Volume

if TYPE_CHECKING:
    from burden.assess.policy import Policy
    from burden.assess.rulebook import RuleBook
    from burden.facts import Facts
    from burden.read import Study
    from burden.segment import ModelEntry, Progress, Segmenter

PACKAGES = ("SimpleITK", "nibabel", "numpy", "scipy", "scikit-image", "pydicom", "torch", "monai")


@dataclass(frozen=True)
class Job:
    """What to do with one study; every field is a choice the user can make.

    Parameters
    ----------
    facts
        Files of clinical facts (YAML, FHIR Bundle, CSV as ``FILE.csv@CASE``); later ones hold.
    liver, lesions, segments
        Mask files that take the place of the model, each ``PATH`` or ``PATH@LABELS``
        (``seg.nii.gz@1,2``). With liver and lesions both given no model is loaded.
    with_phase
        ``PHASE=SERIES`` for each series used beside the one measured in, or ``none`` alone; left
        out, the arterial phase is, where there is one on the same frame of reference.
    modality
        What a NIfTI file holds, where the guess from its values is wrong.
    model
        Id of ``configs/models.yaml`` or a bundle folder; None for the default.
    policy
        Folder with the site's own limits and books, decided beside the published ones.
    strict
        Refuse to write a result about which there is an error-level finding.
    draws, seed
        Number of perturbed segmentations behind every P(met), and their random seed.
    split
        Tell touching lesions apart where the masks do not.
    readers
        YAML of how far masks drawn by people may lie off; see ``configs/readers.yaml``.
    seg
        Encoding of ``dicom/seg.dcm``.
    deidentify, key
        Write pseudonyms instead of identifiers, made with the secret of this file; see
        :func:`burden.write.pseudonym_key` for None.
    """

    input: Path
    out: Path
    facts: tuple[Path, ...] = ()
    model: str | None = None
    liver: str | None = None
    lesions: str | None = None
    segments: str | None = None
    device: str = "auto"
    series: str | None = None
    with_phase: tuple[str, ...] = ()
    modality: Modality | None = None
    books: tuple[str, ...] = ()
    policy: Path | None = None
    strict: bool = False
    force: bool = False
    draws: int = 256
    seed: int = 0
    split: bool = True
    readers: Path | None = None
    seg: Literal["binary", "labelmap"] = "binary"
    deidentify: bool = False
    key: Path | None = None


def run(job: Job, progress: Progress = lambda _step, _fraction: None) -> Case:
    """Do the main job and write its results.

    Raises
    ------
    BurdenError
        One clear sentence; nothing has been written then.
    """
    from burden.assess import load_books, load_policy
    from burden.measure.phase import companion_disagrees, with_phase
    from burden.measure.readers import load_readers
    from burden.read import agreed_facts, checked_facts, read_study
    from burden.write import check_out, deidentified, pseudonym_key, without_great_age, write_case

    secret = pseudonym_key(job.key)[0] if job.deidentify else b""
    clock = Clock(progress)
    check_out(job.out, force=job.force)
    entered = [checked_facts(path) for path in job.facts]
    books = load_books(job.books or None)
    local = load_policy(job.policy, books) if job.policy else None
    if job.readers:  # before the model runs for nothing
        load_readers(job.readers)
    with clock.step("read"):
        study = read_study(
            job.input, series=job.series, modality=job.modality, with_phase=job.with_phase
        )
    patient, contradictions = agreed_facts([study.patient, *(facts for facts, _ in entered)])
    said = (*(finding for _, findings in entered for finding in findings), *contradictions)
    patient = without_great_age(patient) if job.deidentify else patient
    with clock.step("segment"):
        found, model = _segment(job, study.volume, clock.inside("segment"))
        volume, by_pixels = with_phase(study.volume, found)
        for companion in study.companions:
            by_pixels += companion_disagrees(companion, found)
        study = replace(study, volume=volume, findings=(*study.findings, *by_pixels))
    # What reading found out may invalidate measurements too.
    found = replace(found, findings=(*study.findings, *found.findings))
    manifest = _manifest(job, study, model, books, clock.seconds)
    case = conclude(
        study.volume,
        found,
        patient,
        books,
        manifest,
        companions=study.companions,
        local=local,
        said=said,
        clock=clock,
    )
    _refuse_if_strict(job, case.findings)
    case = deidentified(case, secret) if job.deidentify else case
    with clock.step("write"):
        missing = write_case(case, job.out, force=job.force)
    return replace(case, findings=(*case.findings, *missing))


def conclude(
    volume: Volume,
    found: Segmentation,
    patient: Facts,
    books: tuple[RuleBook, ...],
    manifest: Manifest,
    *,
    companions: tuple[Volume, ...] = (),
    local: Policy | None = None,
    said: tuple[Finding, ...] = (),
    clock: Clock | None = None,
) -> Case:
    """Everything after the masks: measure, assess, plan. Nothing is read or written.

    A corrected mask goes through here again.

    Parameters
    ----------
    patient
        What was typed in or came with the images.
    manifest
        Its settings name the number of draws and their seed.
    companions
        Other phases of the study on the same frame of reference.
    local
        The site's own limits, decided beside the published ones.
    said
        Findings about the facts.
    """
    from burden.assess import appraise, derive, without_lesions
    from burden.measure import measure
    from burden.measure.readers import Errors
    from burden.plan import plan_case

    clock = clock or Clock()
    draws, seed = manifest.settings["draws"], manifest.settings["seed"]
    with clock.step("measure"):
        split = manifest.settings.get("split", True)
        stated = manifest.settings.get("readers")
        readers = Errors(**stated) if stated else None
        measured = measure(
            volume,
            found,
            patient,
            draws=draws,
            seed=seed,
            split=split,
            companions=companions,
            readers=readers,
        )
    findings = (*measured.findings, *said)
    if without_lesions(measured.facts):
        text = "No lesion was found. The rule books presuppose liver metastases, so none is applied."
        findings += (Finding("rules-not-applied", "info", text),)
    with clock.step("assess"):
        facts = derive(patient | measured.facts)
        planned, found_out = plan_case(facts, measured.lesions)
        facts = facts | found_out
        plans = planned.plans
        assessments, pathway = appraise(
            facts, books, policy=local, lesions=measured.lesions, plans=plans
        )
    return Case(
        case_id=_case_id(volume),
        facts=facts,
        lesions=measured.lesions,
        assessments=assessments,
        findings=findings,
        manifest=manifest,
        plans=plans,
        planned=planned.answers_alone,
        pathway=pathway,
        images=Images(volume, measured.liver, measured.lesion_labels, measured.segments),
    )


def _segment(job: Job, volume: Volume, progress: Progress) -> tuple[Segmentation, dict[str, Any]]:
    """Masks from the user, from the model, or some of each; and what the manifest says of it."""
    from burden.segment import find_model
    from burden.segment.masks import from_masks, with_masks

    model: dict[str, Any]
    read = [_mask(text, volume) for text in (job.liver, job.lesions, job.segments)]
    liver, lesions, segments = (mask for mask, _ in read)
    said = tuple(finding for _, findings in read for finding in findings)
    if liver is not None and lesions is not None:
        found, model = from_masks(liver, lesions, segments), {"id": "given masks"}
    else:
        entry = find_model(job.model)
        found = _loaded(entry)(volume, device=job.device, progress=progress)
        found = with_masks(found, liver, lesions, segments)
        hashes = {name: _sha256(path) for name, path in entry.weights.items()}
        model = {"id": entry.id, "sha256": hashes, **_errors(found)}
    return replace(found, findings=(*said, *found.findings)), model


def _errors(found: Segmentation) -> dict[str, Any]:
    """Errors that the model states, which a later correction of its masks needs again."""
    return {
        "liver_boundary_sd_mm": found.liver_boundary_sd_mm,
        "lesion_boundary_sd_mm": found.lesion_boundary_sd_mm,
        "lesions_may_be_false": found.lesion_existence is not None,
        "total_errors": [list(row) for row in found.total_errors],
    }


@lru_cache(maxsize=2)
def _loaded(entry: ModelEntry) -> Segmenter:
    """Load a model once a process: a batch or a node runs many studies through it."""
    from burden.segment import load_model

    return load_model(entry)


def _mask(text: str | None, volume: Volume) -> tuple[Labels | None, tuple[Finding, ...]]:
    """Read ``PATH`` or ``PATH@LABELS`` onto the grid of the volume, and what reading found."""
    import numpy as np

    from burden.read import checked_mask

    if text is None:
        return None, ()
    path, _, wanted = text.rpartition("@") if "@" in text and not Path(text).exists() else (text, "", "")
    mask, findings = checked_mask(Path(path), volume.grid)
    if not wanted:
        return mask, findings
    try:
        labels = [int(part) for part in wanted.split(",")]
    except ValueError:
        raise UsageError("labels after @ are numbers, e.g. seg.nii.gz@1,2.", where=text) from None
    kept = np.where(np.isin(mask.data, labels), mask.data, 0).astype(mask.data.dtype)
    if not kept.any():
        raise InputError(f"no voxel has label {wanted}.", where=path)
    return Labels(kept, mask.grid, {n: t for n, t in mask.names.items() if n in labels}), findings


def _refuse_if_strict(job: Job, findings: tuple[Finding, ...]) -> None:
    """With ``--strict`` an error-level finding stops the job before anything is written."""
    errors = [f.text for f in findings if f.severity == "error"]
    if job.strict and errors:
        raise InputError(
            " ".join(errors), hint="Without --strict the result is written with this finding."
        )


def _case_id(volume: Volume) -> str:
    """Short id from the pixels: the same study gets the same id, and it names nobody."""
    return f"case-{volume.origin.sha256[:12]}"


def _manifest(
    job: Job, study: Study, model: dict[str, Any], books: tuple[RuleBook, ...], seconds: dict[str, float]
) -> Manifest:
    """Everything needed to repeat the result, without paths that could name a patient."""
    from burden.measure.readers import load_readers

    volume = study.volume
    origin = volume.origin
    # As `burden series` names them, so that they are found again: UID#2 is the second volume of one.
    beside = {c.companion: c.uid for c in study.candidates if c.companion}
    return Manifest(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        input={
            "kind": origin.kind,
            "sha256": origin.sha256,
            "study_uid": origin.study_uid,
            "series_uid": origin.series_uid,
            "frame_uid": origin.frame_uid,
            "modality": volume.modality,
            "phase": volume.phase,
            "shape": list(volume.grid.shape),
            "spacing_mm": [round(s, 4) for s in volume.grid.spacing],
            "affine_lps": volume.grid.affine.round(6).tolist(),
            "companions": [
                {"series_uid": beside[c.phase], "phase": c.phase, "sha256": c.origin.sha256}
                for c in study.companions
            ],
        },
        model=model,
        books={book.id: str(book.version) for book in books},
        packages={name: version(name) for name in PACKAGES},
        settings={
            "device": job.device,
            "draws": job.draws,
            "seed": job.seed,
            "split": job.split,
            "readers": asdict(load_readers(job.readers)) if job.readers else {},
            "seg": job.seg,
            "strict": job.strict,
            "series": job.series or "",
            "masks_given": [n for n in ("liver", "lesions", "segments") if getattr(job, n)],
        },
        seconds=seconds,
    )


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


class Clock:
    """Times the steps and tells the progress display about them."""

    def __init__(self, progress: Progress = lambda _step, _fraction: None) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        start = time.perf_counter()
        self._progress(name, 0.0)
        yield
        self._progress(name, 1.0)
        self.seconds[name] = round(time.perf_counter() - start, 2)

    def inside(self, name: str) -> Progress:
        """Progress of the parts of a step, told as progress of the step."""
        return lambda _detail, fraction: self._progress(name, min(fraction, 0.99))
