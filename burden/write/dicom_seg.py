"""dicom/seg.dcm: liver, lesions and Couinaud segments as a DICOM Segmentation.

BINARY, in which a lesion lies inside the liver and its segment; or, on request, LABELMAP, which
is far smaller but gives each voxel to one label only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from burden.case import Case, Images
from burden.findings import Finding
from burden.write.dicom_codes import (
    ABNORMAL,
    AI,
    LESION,
    LIVER,
    SEGMENTS,
    SHAPES,
    STRUCTURE,
    Code,
    coded,
)
from burden.write.dicom_object import (
    NAME,
    finish,
    is_dicom,
    mask_digest,
    model_digest,
    series_identity,
    write_objects,
)
from burden.write.dicom_source import Source, SourceError, name_frames, read_source, uid
from burden.write.words import ROMAN

if TYPE_CHECKING:
    from pydicom import Dataset

FILE = "seg.dcm"
_COLORS = {"liver": (53, 208, 230), "lesion": (255, 176, 0)}
_PALETTE = ((214, 96, 77), (244, 165, 130), (253, 219, 199), (146, 197, 222), (67, 147, 195),
            (128, 205, 193), (53, 151, 143), (191, 129, 187))  # fmt: skip

How = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]


@dataclass(frozen=True)
class Part:
    """One segment: its number in the object, the mask it comes from and the label there."""

    number: int
    label: str
    mask: Literal["liver", "lesions", "segments"]
    value: int
    category: Code
    kind: Code
    how: How
    tracking_id: str
    tracking_uid: str
    color: tuple[int, int, int]


def write_dicom_seg(case: Case, folder: Path) -> tuple[Finding, ...]:
    """Write ``dicom/seg.dcm`` for a case of a DICOM series; a finding where it cannot be made."""
    if not is_dicom(case):
        return ()
    return write_objects(case, folder, f"dicom/{FILE}", lambda: [(FILE, segmentation(case))])


def segmentation(case: Case) -> Dataset:
    """The Segmentation, its source headers read anew.

    Raises
    ------
    SourceError
        If the source cannot be referred to slice by slice, or there is no mask.
    """
    assert case.images is not None  # noqa: S101 - callers asked is_dicom
    return build(case, read_source(case.images.volume))


def build(case: Case, source: Source) -> Dataset:
    """The Segmentation of a case about ``source``."""
    assert case.images is not None  # noqa: S101
    if not source.slices:
        raise SourceError("the slices are not one image of the source each")
    flat = case.manifest.settings.get("seg") == "labelmap"
    listed = flat_parts(case) if flat else parts(case)
    if not listed:
        raise SourceError("there is neither liver nor lesion")
    identity = series_identity(case, "SEG", mask_digest(case.images), "Liver burden segmentation")
    described = [_description(case, part) for part in listed]
    whole: Dataset | None = None
    if flat:
        whole = _one(_flattened(case.images, parts(case)), source, described, identity, "LABELMAP")
    else:
        for labels in _label_maps(case.images, listed):
            made = _one(labels, source, described, identity, "BINARY")
            whole = made if whole is None else _joined(whole, made)
        assert whole is not None  # noqa: S101 - one part at least
        _order(whole)
    name_frames(whole, source)
    if not source.exact:
        _moved(whole)
    return finish(whole, case, source.header)


def parts(case: Case) -> list[Part]:
    """The segments in order: liver, lesions 1..n, Couinaud I..VIII; only those with voxels."""
    assert case.images is not None  # noqa: S101
    images = case.images
    series = images.volume.origin.shown_series_uid
    given = case.manifest.settings.get("masks_given", ())
    all_given = not case.manifest.model.get("sha256") and case.manifest.model.get("id") == "given masks"
    manual = {name: name in given or (all_given and name != "segments") for name in
              ("liver", "lesions", "segments")}  # fmt: skip
    rows = {one.id: one for one in case.lesions}
    out: list[Part] = []

    def add(label: str, mask: Any, value: int, what: tuple[Code, Code], how: How, color: Any) -> None:
        name = label.lower().replace(" ", "-")
        digest = _digest(getattr(images, mask).data, value)
        out.append(Part(len(out) + 1, label, mask, value, *what, how, f"{case.case_id}-{name}"[:64],
                        uid(series, name, digest), color))  # fmt: skip

    if images.liver.data.any():
        how: How = "MANUAL" if manual["liver"] else "AUTOMATIC"
        add("Liver", "liver", 1, (STRUCTURE, LIVER), how, _COLORS["liver"])
    for n in _present(images.lesions.data):
        how = "MANUAL" if manual["lesions"] else "AUTOMATIC"
        if n in rows and rows[n].source.startswith("edited"):
            how = "SEMIAUTOMATIC" if how == "AUTOMATIC" else "MANUAL"
        add(f"Lesion {n}", "lesions", n, (ABNORMAL, LESION), how, _COLORS["lesion"])
    for n in _present(images.segments.data):
        if n in SEGMENTS:
            how = "MANUAL" if manual["segments"] else "AUTOMATIC"
            add(f"Segment {ROMAN[n]}", "segments", n, (STRUCTURE, SEGMENTS[n]), how, _PALETTE[n - 1])
    return out


def flat_parts(case: Case) -> list[Part]:
    """The segments of a label map, where each voxel has one: lesions go first, then segments.

    Numbers are those of :func:`parts`, so that a lesion has one number in either kind of object.
    What is left of the liver, and of a segment with a lesion in it, says so in its label and is
    tracked apart from the whole.
    """
    assert case.images is not None  # noqa: S101
    images = case.images
    listed = parts(case)
    left = _flattened(images, listed)
    out = []
    for part in listed:
        voxels = int((left == part.number).sum())
        mask = getattr(images, part.mask).data
        whole = int((mask > 0).sum() if part.mask == "liver" else (mask == part.value).sum())
        if voxels == whole:
            out.append(part)
        elif voxels:
            rest = (
                "Liver outside the other labels"
                if part.mask == "liver"
                else f"{part.label} outside lesions"
            )
            tracked = uid(part.tracking_uid, rest, str(voxels))
            name = f"{part.tracking_id}-rest"[:64]
            out.append(replace(part, label=rest, tracking_uid=tracked, tracking_id=name))
    return out


def _flattened(images: Images, listed: Sequence[Part]) -> NDArray[np.unsignedinteger]:
    """Part number of each voxel ``[slice, row, column]``; lesions over segments over liver."""
    liver, *others = _label_maps(images, listed)
    for labels in reversed(others):
        liver = np.where(labels > 0, labels, liver)
    return liver


def _present(data: NDArray[Any]) -> list[int]:
    return [int(n) for n in np.flatnonzero(np.bincount(data.ravel())) if n]


def _digest(data: NDArray[Any], value: int) -> str:
    import hashlib

    mask = data > 0 if value == 1 and data.max() == 1 else data == value
    return hashlib.sha256(np.packbits(mask).tobytes()).hexdigest()


def _label_maps(images: Images, listed: Sequence[Part]) -> Iterator[NDArray[np.unsignedinteger]]:
    """Maps ``[slice, row, column]`` of segment numbers, each without overlap.

    The liver holds its lesions and segments, so one map could not hold all three; a separate
    mask for each of many lesions would take gigabytes.
    """
    kind = np.uint8 if len(listed) < 256 else np.uint16
    for name in ("liver", "lesions", "segments"):
        here = [part for part in listed if part.mask == name]
        if here:
            data = getattr(images, name).data
            table = np.zeros(int(data.max()) + 1, dtype=kind)
            for part in here:
                table[part.value] = part.number
            if name == "liver":
                table[1:] = here[0].number
            yield np.ascontiguousarray(table[data].transpose(2, 1, 0))


def _description(case: Case, part: Part) -> Any:
    import highdicom as hd

    algorithm = None
    if part.how != "MANUAL":
        model = str(case.manifest.model.get("id", ""))
        by_model = part.mask != "segments"
        algorithm = hd.AlgorithmIdentificationSequence(
            name=(f"{NAME} {model}" if by_model else f"{NAME} Couinaud from landmarks")[:64],
            family=coded(AI if by_model else SHAPES),
            version=case.manifest.version,
            parameters={"weights_sha256": model_digest(case)} if by_model else None,
        )
    return hd.seg.SegmentDescription(
        segment_number=part.number,
        segment_label=part.label,
        segmented_property_category=coded(part.category),
        segmented_property_type=coded(part.kind),
        algorithm_type=part.how,
        algorithm_identification=algorithm,
        tracking_uid=part.tracking_uid,
        tracking_id=part.tracking_id,
        anatomic_regions=[coded(LIVER)] if part.mask == "lesions" else None,
        display_color=hd.color.CIELabColor.from_rgb(*part.color),
    )


def _one(
    labels: NDArray[np.unsignedinteger],
    source: Source,
    described: list[Any],
    identity: dict[str, Any],
    kind: Literal["BINARY", "LABELMAP"],
) -> Dataset:
    import highdicom as hd
    from pydicom.uid import ExplicitVRLittleEndian, RLELossless

    made = hd.seg.Segmentation(
        source_images=list(source.slices),
        pixel_array=labels,
        segmentation_type=kind,
        segment_descriptions=described,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        content_label="LIVER_BURDEN",
        content_description="Liver, lesions, Couinaud segments; research use only",
        content_creator_name="liver-burden^",
        omit_empty_frames=True,
        **identity,
    )
    if kind == "LABELMAP":  # a byte a voxel, nearly all of them like the one before
        made.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return made


def _joined(first: Dataset, second: Dataset) -> Dataset:
    """``first`` with the frames of ``second`` added; bits are packed across frames."""
    size = int(first.Rows) * int(first.Columns)
    counts = [int(part.NumberOfFrames) * size for part in (first, second)]
    if counts[0] % 8 == 0:
        packed = first.PixelData[: counts[0] // 8] + second.PixelData[: (counts[1] + 7) // 8]
    else:
        bits = [
            np.unpackbits(np.frombuffer(part.PixelData, np.uint8), bitorder="little")[:count]
            for part, count in zip((first, second), counts, strict=True)
        ]
        packed = np.packbits(np.concatenate(bits), bitorder="little").tobytes()
    first.PixelData = packed + b"\0" * (len(packed) % 2)
    first.PerFrameFunctionalGroupsSequence = [
        *first.PerFrameFunctionalGroupsSequence, *second.PerFrameFunctionalGroupsSequence
    ]  # fmt: skip
    first.NumberOfFrames = len(first.PerFrameFunctionalGroupsSequence)
    first.SegmentsOverlap = "YES"
    return first


def _order(whole: Dataset) -> None:
    """Number the positions over all frames: each map left out its own empty ones."""
    axes = np.array(whole.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
                    .ImageOrientationPatient, dtype=float).reshape(2, 3)  # fmt: skip
    normal = np.cross(*axes)
    frames = whole.PerFrameFunctionalGroupsSequence
    along = [
        float(np.array(f.PlanePositionSequence[0].ImagePositionPatient, float) @ normal) for f in frames
    ]
    rank = {place: n for n, place in enumerate(sorted(set(along)), start=1)}
    for frame, place in zip(frames, along, strict=True):
        index = frame.FrameContentSequence[0].DimensionIndexValues
        frame.FrameContentSequence[0].DimensionIndexValues = [int(index[0]), rank[place]]


def _moved(whole: Dataset) -> None:
    """Say that a frame does not lie on its source image."""
    for frame in whole.PerFrameFunctionalGroupsSequence:
        for derivation in frame.get("DerivationImageSequence", ()):
            for image in derivation.SourceImageSequence:
                image.SpatialLocationsPreserved = "NO"
