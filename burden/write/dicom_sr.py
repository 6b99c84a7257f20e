"""dicom/sr.dcm: the measurements and verdicts as a Comprehensive 3D SR (TID 1500), unverified."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from burden.answer import Answer
from burden.case import RESEARCH_USE, Case
from burden.facts import Choice, Facts
from burden.findings import Finding
from burden.lesions import Lesion
from burden.write import dicom_codes as c
from burden.write.dicom_object import (
    NAME,
    case_digest,
    finish,
    is_dicom,
    model_digest,
    series_identity,
    write_objects,
)
from burden.write.dicom_seg import FILE as SEG_FILE
from burden.write.dicom_seg import Part, parts, write_dicom_seg
from burden.write.dicom_source import Source, SourceError, read_source, uid
from burden.write.verdicts import verdict
from burden.write.words import said

if TYPE_CHECKING:
    from highdicom.sr import ContentItem, Measurement
    from pydicom import Dataset

FILE = "sr.dcm"
_DIGITS = 6  # of a number: more than any measurement deserves, and still readable
_ANSWERS = {Answer.YES: c.YES, Answer.NO: c.NO, Answer.UNKNOWN: c.UNKNOWN}


def write_dicom_sr(case: Case, folder: Path) -> tuple[Finding, ...]:
    """Write ``dicom/sr.dcm`` for a case of a DICOM series; a finding where it cannot be made.

    Its lesions refer to ``dicom/seg.dcm``, which is written too where it is not there yet.
    """
    if not is_dicom(case):
        return ()
    seg = folder / "dicom" / SEG_FILE
    if not seg.exists():
        write_dicom_seg(case, folder)
    return write_objects(case, folder, f"dicom/{FILE}", lambda: [(FILE, report(case, seg))])


def report(case: Case, seg: Path) -> Dataset:
    """The SR document about the segments of the file ``seg``.

    Raises
    ------
    SourceError
        If there is no Segmentation to refer to.
    """
    import highdicom as hd
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    assert case.images is not None  # noqa: S101 - callers asked is_dicom
    if not seg.exists():
        raise SourceError(f"its lesions refer to dicom/{SEG_FILE}, which could not be made")
    source = read_source(case.images.volume)
    drawn = dcmread(seg, stop_before_pixels=True)
    content = hd.sr.MeasurementReport(
        observation_context=_observer(case),
        procedure_reported=c.coded(c.PROCEDURES[case.images.volume.modality]),
        imaging_measurements=list(_groups(case, source, drawn)),
        title=c.coded(c.REPORT),
    )
    document = hd.sr.Comprehensive3DSR(
        evidence=[*source.images, drawn],
        content=content[0],
        is_complete=True,
        is_final=False,
        is_verified=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        coding_schemes=[_scheme()],
        **series_identity(case, "SR", case_digest(case), "Liver burden measurements"),
    )
    for item in document.iterall():
        if item.keyword == "ContinuityOfContent":
            item.value = "SEPARATE"  # else viewers run the numbers together, without their names
    return finish(document, case, source.header)


def _scheme() -> Any:
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        designator=c.SCHEME,
        name="Liver burden: measurements and verdicts",
        version="1",
        uid=uid(NAME, "coding scheme"),
        responsible_organization=NAME,
    )


def _observer(case: Case) -> Any:
    import highdicom as hd

    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=uid(NAME, case.manifest.version, model_digest(case)),
        name=NAME,
        manufacturer_name=NAME,
        model_name=str(case.manifest.model.get("id", "masks")),
        serial_number=model_digest(case)[:16] or "none",
    )
    context = hd.sr.ObserverContext(
        observer_type=c.coded(("121007", "DCM", "Device")), observer_identifying_attributes=device
    )
    return hd.sr.ObservationContext(observer_device_context=context)


def _groups(case: Case, source: Source, drawn: Dataset) -> Iterator[Any]:
    listed = parts(case)
    yield _whole_liver(case, listed)
    rows = {one.id: one for one in case.lesions}
    for part in listed:
        if part.mask == "lesions" and part.value in rows:
            yield _lesion(case, rows[part.value], part, source, drawn)


def _algorithm(case: Case) -> Any:
    import highdicom as hd

    sha = model_digest(case)
    return hd.sr.AlgorithmIdentification(
        name=f"{NAME} {case.manifest.model.get('id', '')}".strip(),
        version=case.manifest.version,
        parameters=[f"weights sha256 {sha}"] if sha else None,
        family=c.coded(c.AI if sha else c.SHAPES),
    )


def _whole_liver(case: Case, listed: list[Part]) -> Any:
    """TID 1501: the liver's numbers, distribution types, verdicts, and what to distrust."""
    import highdicom as hd

    facts = case.facts
    liver = next((part for part in listed if part.mask == "liver"), None)
    tracked = liver.tracking_uid if liver else uid(source_uid(case), "liver")
    identifier = liver.tracking_id if liver else f"{case.case_id}-liver"
    evaluations = [
        hd.sr.QualitativeEvaluation(c.coded(code), c.coded(c.option_code(fact_id, str(fact.best))))
        for fact_id, fact in facts.items()
        if isinstance(fact.value, Choice) and fact.best is not None
        if (code := c.fact_code(fact_id)) is not None
    ]
    evaluations += [
        hd.sr.QualitativeEvaluation(
            c.coded(c.book_code(one.book, verdict(one, facts).title)), c.coded(_ANSWERS[one.answer])
        )
        for one in case.assessments
    ]
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=tracked, identifier=identifier),
        finding_type=c.coded(c.LIVER),
        finding_sites=[hd.sr.FindingSite(c.coded(c.LIVER))],
        algorithm_id=_algorithm(case),
        measurements=list(_measurements(facts)),
        qualitative_evaluations=evaluations,
    )
    items = list(group[0].ContentSequence)
    first = next((n for n, item in enumerate(items) if item.ValueType == "NUM"), len(items))
    group[0].ContentSequence = [*items[:first], *_cautions(case), *items[first:], *_reasons(case)]
    return group


def source_uid(case: Case) -> str:
    """UID of the series the case is about."""
    assert case.images is not None  # noqa: S101
    return case.images.volume.origin.shown_series_uid


def _measurements(facts: Facts) -> Iterator[Measurement]:
    """Every measured number that is known; its value is the best one, as in case.json."""
    for fact_id, fact in facts.items():
        code, best = c.fact_code(fact_id), fact.best
        if code is not None and isinstance(best, (int, float)) and fact.unit in c.UNITS:
            method = c.VOXELS if fact_id == "liver.volume" else None
            yield _measurement(code, best, fact.unit, method)


def _measurement(name: c.Code, value: float, unit: str, method: c.Code | None = None) -> Measurement:
    import highdicom as hd

    return hd.sr.Measurement(
        name=c.coded(name),
        value=float(f"{value:.{_DIGITS}g}"),
        unit=c.coded(c.UNITS[unit]),
        method=c.coded(method) if method else None,
    )


def _cautions(case: Case) -> Iterator[ContentItem]:
    """What to know before the first number: research use, and what to distrust."""
    yield _text(c.RESEARCH, RESEARCH_USE)
    for finding in case.findings:
        if finding.severity != "info":
            yield _text(c.DISTRUST, f"{finding.severity.upper()}: {finding.text}")


def _reasons(case: Case) -> Iterator[ContentItem]:
    """Sentences after the numbers: reasons of verdicts, ranges, what is not known."""
    for one in case.assessments:
        told = verdict(one, case.facts)
        words = [f"{told.title}: {told.word}, {told.meaning}"]
        words += [f"P(met) {told.p}"] if told.p else []
        words += [f"decided by: {told.decided}"] if told.decided else []
        words += [f"missing: {'; '.join(told.missing)}"] if told.missing else []
        words += [*told.conflicts, *told.what_if]
        yield _text(c.VERDICT, ". ".join(word.rstrip(".") for word in words) + ".")
    for fact_id, fact in case.facts.items():
        if c.fact_code(fact_id) is None:
            continue
        value = said(case.facts, fact_id)
        if fact.best is None:
            note = f" ({value.note})" if value.note else ""
            yield _text(c.OPEN, f"{c.words_of(fact_id)}: {value.text}{note}")
        elif value.range:
            yield _text(c.RANGE, f"{c.words_of(fact_id)}: {value.text}, {value.range}")


def _text(name: c.Code, value: str) -> ContentItem:
    import highdicom as hd

    plain = value.replace("\N{WORD JOINER}", "").replace("\N{NO-BREAK SPACE}", " ")
    return hd.sr.TextContentItem(
        name=c.coded(name), value=plain, relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )


def _lesion(case: Case, one: Lesion, part: Part, source: Source, drawn: Dataset) -> Any:
    """TID 1411: one lesion, its segment of the SEG, and its sizes."""
    import highdicom as hd

    sites = [c.SEGMENTS[n] for n, share in sorted(one.segments.items(), key=lambda s: -s[1])
             if share >= 0.05 and n in c.SEGMENTS] or [c.LIVER]  # fmt: skip
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=part.tracking_uid, identifier=part.tracking_id),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=str(drawn.SOPClassUID),
            sop_instance_uid=str(drawn.SOPInstanceUID),
            segment_number=part.number,
            source_series=hd.sr.SourceSeriesForSegmentation(str(source.header.SeriesInstanceUID)),
        ),
        finding_type=c.coded(c.LESION),
        finding_sites=[hd.sr.FindingSite(c.coded(site)) for site in sites],
        algorithm_id=_algorithm(case),
        measurements=[
            _measurement(c.VOLUME, one.volume_ml, "mL", c.VOXELS),
            _measurement(c.LONG_AXIS, one.recist_long_mm, "mm", c.RECIST),
            _measurement(c.SHORT_AXIS, one.recist_short_mm, "mm", c.RECIST),
            _measurement(c.FERET, one.feret_3d_mm, "mm"),
            _measurement(c.P_LESION, one.p_lesion, "1"),
        ],
    )
