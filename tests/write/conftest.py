"""Cases made up for the writers: every kind of value a report can meet, without a phantom."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from burden.answer import Answer
from burden.case import Assessment, Case, Citation, CriterionResult, Images, Manifest
from burden.facts import ANYTHING, Choice, Fact, Facts, Interval
from burden.findings import Finding
from burden.grid import Grid, reorder
from burden.image import Labels, Origin, Volume
from burden.lesions import Lesion

PERSON = "QUIXANO^ALONSO"
SIZES = {"solitary": [21.0], "bilobar": [34.0, 18.0, 12.0, 9.0, 15.0], "healthy": []}


def make_case(kind: str = "bilobar", *, grid: Grid | None = None) -> Case:
    """A case named ``solitary``, ``bilobar``, ``healthy``, ``diffuse`` or ``truncated``."""
    radii = SIZES.get(kind)
    if radii is None:
        radii = [24.0, 17.0, 15.0, 13.0, 11.0] + [5.0 + 0.05 * n for n in range(55)]
        radii = radii if kind == "diffuse" else [34.0, 18.0]
    images, centres = scene(grid or default_grid(), radii)
    lesions = tuple(measure_lesion(images, n + 1, centre) for n, centre in enumerate(centres))
    lesions = tuple(sorted(lesions, key=lambda one: -one.volume_ml))
    lesions, images = renumber(lesions, images)
    facts = measured_facts(images, lesions)
    findings: tuple[Finding, ...] = (
        Finding("segments-from-landmarks", "info", "Segments were estimated from landmarks."),
    )
    if kind == "truncated":
        facts, findings = cut(facts, findings)
    return Case(
        case_id=f"case-{kind}",
        facts=facts | clinical_facts(),
        lesions=lesions,
        assessments=assessments(facts),
        findings=findings,
        manifest=manifest(),
        images=images,
    )


def default_grid() -> Grid:
    return Grid.from_axes((150, 108, 48), (2.5, 2.5, 4.0), (-186.0, -134.0, -96.0))


def scene(grid: Grid, radii: list[float]) -> tuple[Images, list[NDArray[np.float64]]]:
    """An abdomen of ellipsoids; deliberately without any symmetry."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid.shape), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(grid.world(index), -1, 0)

    def blob(cx: float, cy: float, cz: float, rx: float, ry: float, rz: float) -> NDArray[np.bool_]:
        return ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1

    body = (x / 172) ** 2 + (y / 122) ** 2 < 1
    rng = np.random.default_rng(3)
    data = np.where(body, -95.0, -1000.0)
    data[(x / 155) ** 2 + (y / 106) ** 2 < 1] = 45.0
    data[blob(0, 92, 0, 22, 20, 500)] = 240.0
    data[blob(12, 62, 0, 11, 11, 500)] = 165.0
    data[blob(-22, 55, 0, 13, 10, 500)] = 145.0
    data[blob(105, 45, 22, 32, 42, 45)] = 125.0
    data[blob(62, -18, 25, 48, 45, 40)] = 12.0
    liver = blob(-72, 5, 8, 76, 82, 84) | blob(10, -42, 22, 70, 40, 42)
    liver &= ~blob(-22, 55, 0, 15, 12, 500)
    data[liver] = 112.0
    lesions = np.zeros(grid.shape, np.uint8)
    centres: list[NDArray[np.float64]] = []
    place = np.random.default_rng(11)
    for n, radius in enumerate(radii):
        for _ in range(200):
            c = place.uniform((-130, -60, -60), (50, 60, 70))
            others = zip(centres, radii, strict=False)
            if any(np.linalg.norm(c - o) < radius + r + 3 for o, r in others):
                continue
            at = tuple(int(v) for v in np.clip(np.rint(grid.index(c)), 0, np.array(grid.shape) - 1))
            if (
                not liver[at]
                or (blob(*c, *(3 * [radius])) & liver).sum() * grid.voxel_ml < 0.0034 * radius**3
            ):
                continue
            break
        spot = blob(*c, radius, radius * 0.8, radius * 0.9) & liver & (lesions == 0)
        lesions[spot] = n + 1
        data[spot] = 62.0
        centres.append(c)
    data += rng.normal(0, 9, grid.shape)
    segments = np.zeros(grid.shape, np.uint8)
    high = z > 12
    for label, where in {
        7: (x < -95) & high, 6: (x < -95) & ~high, 8: (x >= -95) & (x < -50) & high,
        5: (x >= -95) & (x < -50) & ~high, 4: (x >= -50) & (x < 0),
        2: (x >= 0) & high, 3: (x >= 0) & ~high,
    }.items():  # fmt: skip
        segments[liver & where] = label
    segments[liver & blob(-18, 30, 14, 26, 22, 26)] = 1
    origin = Origin("dicom", f"/data/{PERSON}/study", "ab" * 32, "1.2.3", "1.2.3.4", "1.2.3.5",
                    f"ABDOMEN {PERSON}", (f"/data/{PERSON}/study/IM0001",))  # fmt: skip
    return Images(
        Volume(data.astype(np.int16), grid, "CT", origin, "portal"),
        Labels(liver.astype(np.uint8), grid, {1: "liver"}),
        Labels(lesions, grid),
        Labels(segments, grid),
    ), centres


def measure_lesion(images: Images, label: int, centre: NDArray[np.float64]) -> Lesion:
    """Roughly what the measure room would say; the writers do not check it."""
    grid, mask = images.lesions.grid, images.lesions.mask(label)
    points = grid.world(np.argwhere(mask))
    volume = float(mask.sum() * grid.voxel_ml)
    z = points[np.abs(points[:, 2] - centre[2]).argmin(), 2]
    flat = points[np.abs(points[:, 2] - z) < 0.1]
    ends = [flat[flat[:, a].argmin() if low else flat[:, a].argmax()] for a in (0, 1) for low in (1, 0)]
    seg = images.segments.data[mask]
    shares = {int(n): float((seg == n).mean()) for n in np.unique(seg) if n}
    long, short = np.linalg.norm(ends[0] - ends[1]), np.linalg.norm(ends[2] - ends[3])
    return Lesion(
        id=label,
        volume_ml=volume,
        recist_long_mm=float(long),
        recist_short_mm=float(short),
        recist_slice_index=round(float(grid.index((0, 0, z))[2])),
        recist_ends_mm=tuple(tuple(float(v) for v in p) for p in ends),
        feret_3d_mm=float(long) * 1.04,
        equivalent_diameter_mm=(6000 * volume / math.pi) ** (1 / 3),
        centroid_mm=tuple(float(v) for v in points.mean(axis=0)),
        segments=shares,
        lobe="right" if centre[0] < -40 else "left",
        distance_capsule_mm=max(0.0, float(label) * 2.3 - 2.3),
        distance_hilum_mm=None if label == 2 else 18.0 + label,
        mean_intensity=float(images.volume.data[mask].mean()),
        p_lesion=max(0.35, 0.999 - 0.02 * label),
        source="model",
    )


def renumber(lesions: tuple[Lesion, ...], images: Images) -> tuple[tuple[Lesion, ...], Images]:
    lookup = np.zeros(len(lesions) + 1, np.uint8)
    for n, lesion in enumerate(lesions, start=1):
        lookup[lesion.id] = n
    labels = Labels(lookup[images.lesions.data], images.lesions.grid)
    ranked = tuple(replace(one, id=n) for n, one in enumerate(lesions, start=1))
    return ranked, replace(images, lesions=labels)


def measured(fact_id: str, value: float, unit: str, spread: float, note: str = "") -> Fact:
    rng = np.random.default_rng(len(fact_id))
    draws = value * (1 + spread * rng.standard_normal(64))
    draws = np.round(draws).clip(0) if unit == "1" else draws.clip(0)
    low, high = float(min(draws.min(), value)), float(max(draws.max(), value))
    return Fact(fact_id, Interval(low, high), unit, "measured: model", draws, value, True, note)


def chosen(fact_id: str, option: str, note: str = "") -> Fact:
    return Fact(fact_id, Choice.of(option), "", "measured: model", np.array([option] * 64), note=note)


def measured_facts(images: Images, lesions: tuple[Lesion, ...]) -> Facts:
    ml = images.liver.grid.voxel_ml
    liver, tumor = float(images.liver.data.sum() * ml), float((images.lesions.data > 0).sum() * ml)
    facts = [
        measured("liver.volume", liver, "mL", 0.02),
        measured("tumor.volume", tumor, "mL", 0.07),
        measured("tumor.burden", 100 * tumor / liver, "%", 0.08),
        measured("tumor.burden_right", 120 * tumor / liver, "%", 0.08),
        measured("tumor.burden_left", 40 * tumor / liver, "%", 0.08),
        measured("lesion.count", float(len(lesions)), "1", 0.12),
        measured("lesion.count_right", float(sum(one.lobe == "right" for one in lesions)), "1", 0.1),
        measured("lesion.count_left", float(sum(one.lobe == "left" for one in lesions)), "1", 0.1),
        chosen("frilling.type", ["none", "I", "II", "III"][min(3, (len(lesions) + 1) // 2)]),
        chosen("frilling.type.enets2012", "II" if lesions else "none"),
        chosen("frilling.type.frilling2009", "II" if lesions else "none"),
    ]
    if lesions:
        largest = max(one.recist_long_mm for one in lesions)
        facts.append(measured("lesion.largest_diameter", largest, "mm", 0.04))
    else:
        note = "there is no lesion"
        facts.append(Fact("lesion.largest_diameter", ANYTHING, "mm", "measured: model", note=note))
    for n in range(1, 9):
        here = images.segments.data == n
        facts.append(measured(f"segment.{n}.volume", float(here.sum() * ml), "mL", 0.1))
        inside = float((here & (images.lesions.data > 0)).sum() * ml)
        facts.append(measured(f"segment.{n}.tumor_volume", inside, "mL", 0.1))
    shares = {"right_hepatectomy": 27.4, "left_hepatectomy": 71.0, "extended_right": 17.8,
              "extended_left": 38.5, "left_lateral": 84.0}  # fmt: skip
    for plan, share in shares.items():
        facts.append(measured(f"flr.{plan}.volume", share * (liver - tumor) / 100, "mL", 0.05))
        facts.append(measured(f"flr.{plan}.percent", share, "%", 0.05))
        facts.append(measured(f"flr.{plan}.sflr", share * 0.93, "%", 0.05))
        facts.append(measured(f"debulk.{plan}.percent", 100 - share * 0.9, "%", 0.05))
    return Facts(facts)


def clinical_facts() -> Facts:
    return Facts([
        Fact("patient.age", Interval.exactly(52), "year", "facts.yaml"),
        Fact("tumor.ki67", Interval.exactly(4), "%", "facts.yaml"),
        Fact("tumor.grade", Choice.of("G2"), "", "facts.yaml"),
        Fact("primary.resected", Choice.of("yes"), "", "facts.yaml"),
        Fact("disease.months_stable", ANYTHING, "month", "facts.yaml"),
        Fact("extrahepatic.present", Choice.of("yes", "no"), "", "facts.yaml"),
    ])  # fmt: skip


def cut(facts: Facts, findings: tuple[Finding, ...]) -> tuple[Facts, tuple[Finding, ...]]:
    """The liver goes on above the image: volumes are lower bounds, the rest is open."""
    why = "liver cut by the field of view"
    seen = Fact("liver.volume", Interval(1240.0, math.inf), "mL", "measured: model", note=why)
    tumor = Fact("tumor.volume", Interval(88.0, math.inf), "mL", "measured: model", note=why)
    gone = [
        f.invalidated(why) for k, f in facts.items() if k.startswith(("tumor.burden", "flr.", "debulk."))
    ]
    gone += [f.invalidated(why) for k, f in facts.items() if k.startswith("segment.7")]
    kind = Fact("frilling.type", Choice.of("II", "III"), "", "measured: model", note=why)
    count = Fact("lesion.count", Interval(2, math.inf), "1", "measured: model", note=why)
    text = "The top of the liver lies outside the image, by an unknown amount. Volumes are lower bounds."
    first = Finding(
        "liver-cut-by-field-of-view", "error", text, ("liver.volume", "tumor.burden", "flr.*")
    )
    also = Finding(
        "phase-guessed", "warning", "The contrast phase was guessed from the aorta: portal.", ()
    )
    return facts | Facts([seen, tumor, kind, count, *gone]), (*findings, also, first)


def assessments(facts: Facts) -> tuple[Assessment, ...]:
    def row(name: str, text: str, answer: str, **more: object) -> CriterionResult:
        cite = (Citation("S1", "Table 2"),)
        return CriterionResult(name, text, Answer(answer), cite, (name,), **more)  # type: ignore[arg-type]

    age = row("patient.age", "age below 55 years", "yes", margin=3.0, unit="year", value="52 years")
    burden = row(
        "tumor.burden", "burden below 50 %", "yes", p_met=1.0, margin=27.6, unit="%", value="22.4 %"
    )
    if facts["tumor.burden"].best is None:
        burden = row("tumor.burden", "burden below 50 %", "unknown")
    stable = row("disease.months_stable", "stable or responding for 6 months or more", "unknown")
    flr = row("flr.best.percent", "future liver remnant at least 30 %", "no", p_met=0.12, margin=-2.6,
              unit="%", value="27.4 %")  # fmt: skip
    nec = row(
        "tumor.grade", "poorly differentiated carcinoma", "no", kind="contraindication", value="G2"
    )
    small = row("lesion.largest_diameter", "low volume: embolisation can wait", "no", kind="advisory",
                margin=-38.0, unit="mm", value="68 mm")  # fmt: skip
    return (
        Assessment("nelm.transplant.milan", "Milan criteria (neuroendocrine)", Answer.UNKNOWN,
                   (age, burden, stable, nec), 0.99,
                   ("disease.months_stable", "primary.portal_drainage"),
                   ("S1 prints < 50 %, S2 prints <= 50 %: no difference here.",),
                   ("Stable for 6 months or more would make it a yes.",), "transplantation"),
        Assessment("nelm.resection.curative", "Curative-intent resection", Answer.NO,
                   (flr, nec, small), 0.12, (), (),
                   ("A remnant larger by 43 mL would make it a yes.",), "resection"),
        Assessment("nelm.transplant.unos", "UNOS proposal (neuroendocrine)", Answer.YES,
                   (age, burden), 0.997, (), (), (), "transplantation"),
    )  # fmt: skip


def manifest() -> Manifest:
    return Manifest(
        created="2026-11-21T08:40:00+00:00",
        version="0.1.0",
        input={"kind": "dicom", "sha256": "ab" * 32, "study_uid": "1.2.3", "series_uid": "1.2.3.4",
               "modality": "CT", "phase": "portal", "path": f"/data/{PERSON}/study",
               "series_description": f"ABDOMEN {PERSON}", "shape": [220, 160, 64]},
        model={"id": "default", "sha256": {"fine.safetensors": "cd" * 32},
               "folder": f"/home/{PERSON}/models"},
        books={"nelm.transplant.milan": "1", "nelm.resection.curative": "1"},
        packages={"numpy": "2.4.6", "torch": "2.13.0", "monai": "1.6.1"},
        settings={"device": "cpu", "draws": 64, "seed": 0, "strict": False,
                  "facts": f"/data/{PERSON}/f.yaml"},
        seconds={"read": 1.2, "segment": 61.0, "measure": 4.5},
    )  # fmt: skip


def write_series(case: Case, folder: Path, *, person: str = PERSON) -> Case:
    """Write the volume as one CT or MR file a slice, slices along array axis 2 whatever the grid.

    Files are numbered against the order of slices. The case comes back with this origin.
    """
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    assert case.images is not None
    volume = case.images.volume
    grid, count = volume.grid, volume.grid.shape[2]
    folder.mkdir(parents=True)
    names = []
    for k in range(count):
        ds = Dataset()
        kind = "2" if volume.modality == "CT" else "4"
        ds.SOPClassUID, ds.SOPInstanceUID = f"1.2.840.10008.5.1.4.1.1.{kind}", f"1.2.3.4.{k + 1}"
        ds.SpecificCharacterSet = "ISO_IR 100"
        ds.PatientName, ds.PatientID, ds.PatientSex, ds.PatientBirthDate = person, "P-7", "F", "19700102"
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
        ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20250304", "101112", "9", "A-1"
        ds.ReferringPhysicianName, ds.SeriesNumber, ds.Modality = "", 3, volume.modality
        ds.StudyDescription, ds.Manufacturer, ds.InstanceNumber = "Abdomen", "Nobody", count - k
        ds.PositionReferenceIndicator, ds.PatientPosition = "", "HFS"
        ds.ImageType, ds.SeriesDescription = ["ORIGINAL", "PRIMARY", "AXIAL"], "portal venous"
        ds.ImagePositionPatient = [f"{v:.10g}" for v in grid.world((0, 0, k)) + 0.0]
        ds.ImageOrientationPatient = [f"{v:.10g}" for v in (*grid.axes[:, 0], *grid.axes[:, 1])]
        ds.PixelSpacing = [f"{grid.spacing[1]:.10g}", f"{grid.spacing[0]:.10g}"]
        ds.SliceThickness = f"{grid.spacing[2]:.6g}"
        ds.Columns, ds.Rows = grid.shape[:2]
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.BitsAllocated = ds.BitsStored = 16
        ds.HighBit, ds.PixelRepresentation = 15, 1
        ds.RescaleSlope, ds.RescaleIntercept = "1", "0"
        ds.PixelData = np.ascontiguousarray(volume.data[:, :, k].T.astype("<i2")).tobytes()
        ds.file_meta = FileMetaDataset()
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        names.append(f"{PERSON} {count - k:03d}.dcm")
        ds.save_as(folder / names[-1], enforce_file_format=True)
    origin = replace(volume.origin, path=str(folder), files=tuple(names))
    volume = replace(volume, origin=origin)
    return replace(case, images=replace(case.images, volume=volume))


def small_case(case: Case, order: tuple, turn: np.ndarray | None = None, modality: str = "CT") -> Case:
    """A few voxels without any symmetry, stored in one of the 48 orders, turned as a whole."""
    axes = np.eye(3) if turn is None else turn
    grid = Grid.from_axes((11, 9, 7), (1.3, 0.9, 4.0), (-31.0, 12.5, 740.0), axes)
    rng = np.random.default_rng(4)
    liver = np.zeros(grid.shape, np.uint8)
    liver[1:9, 2:8, 1:6] = 1
    lesions = np.zeros_like(liver)
    lesions[2:4, 3:5, 2], lesions[6, 3:7, 3:5] = 2, 1
    segments = np.where(liver > 0, rng.choice([0, 4, 7, 8], grid.shape), 0).astype(np.uint8)
    data = rng.integers(-50, 200, grid.shape).astype(np.int16)
    assert case.images is not None
    moved = grid.reorder(*order)

    def labels(array: np.ndarray) -> Labels:
        return Labels(reorder(array, *order), moved)  # type: ignore[arg-type]

    volume = Volume(reorder(data, *order), moved, modality, case.images.volume.origin)  # type: ignore[arg-type]
    return replace(case, images=Images(volume, labels(liver), labels(lesions), labels(segments)))


@pytest.fixture(scope="session")
def small() -> Callable[..., Case]:
    """Makes a case of a few voxels; see ``small_case``."""
    return small_case


@pytest.fixture(scope="session")
def filed() -> Callable[..., Case]:
    """Writes a case's image as a real DICOM series; see ``write_series``."""
    return write_series


@pytest.fixture(scope="session")
def case_of() -> Callable[[str], Case]:
    """Cases by name, each made once."""
    made: dict[str, Case] = {}

    def get(kind: str) -> Case:
        if kind not in made:
            made[kind] = make_case(kind)
        return made[kind]

    return get
