"""What the report says about the liver, in the order of the page: Case -> words and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from burden.case import Case
from burden.facts import Choice, Facts
from burden.findings import Finding
from burden.lesions import Lesion
from burden.vocabulary import vocabulary
from burden.write.words import PLANS, ROMAN, Said, amount, name_of, number, percent, said

MOST_ROWS = 20
PERCENT = (0.0, 100.0)
_LEVELS = (0.0, 10.0, 25.0, 50.0)  # percent of a segment replaced at which its shade changes


@dataclass(frozen=True)
class Warn:
    """One finding: how bad, what, and which values it touches."""

    severity: str
    text: str
    affects: str


@dataclass(frozen=True)
class Figure:
    """One key number."""

    label: str
    said: Said


@dataclass(frozen=True)
class Gauge:
    """Burden on a scale of 0 to 100: best value and range, None where not known."""

    best: float | None
    low: float
    high: float


@dataclass(frozen=True)
class Remnant:
    """One standard hepatectomy: what stays. ``bar`` is FLR % for the drawing, None if not known."""

    plan: str
    volume: Said
    percent: Said
    sflr: Said
    removed: Said
    bar: float | None

    @property
    def span(self) -> str:
        """The 90 % range of FLR % without words."""
        return self.percent.range.removeprefix("90 % range ")


@dataclass(frozen=True)
class Segment:
    """One Couinaud segment: volume, lesion volume, share replaced and its shade 0..4."""

    name: str
    volume: Said
    tumor: Said
    replaced: str
    bar: float
    level: int | None


@dataclass(frozen=True)
class Row:
    """One line of the lesion table, in words."""

    id: int
    place: str
    volume: str
    recist: str
    feret: str
    capsule: str
    hilum: str
    intensity: str
    probability: str
    note: str


def warnings(findings: Sequence[Finding]) -> tuple[list[Warn], list[Warn]]:
    """Findings to read first (errors, then warnings), and mere notes."""
    rank = {"error": 0, "warning": 1, "info": 2}
    ordered = sorted(findings, key=lambda f: rank[f.severity])
    told = [
        Warn(f.severity, f.text, ", ".join(dict.fromkeys(map(name_of, f.invalidates)))) for f in ordered
    ]
    return [w for w in told if w.severity != "info"], [w for w in told if w.severity == "info"]


def key_figures(facts: Facts) -> list[Figure]:
    """The numbers beside the burden."""
    rows = [
        ("Liver volume", "liver.volume"),
        ("Tumor volume", "tumor.volume"),
        ("Lesions", "lesion.count"),
        ("Largest lesion", "lesion.largest_diameter"),
    ]
    figures = [Figure(label, said(facts, fact_id)) for label, fact_id in rows]
    if "lesion.count" in facts and facts["lesion.count"].best == 0:
        figures[-1] = Figure("Largest lesion", Said("none"))
    return figures


def viable(facts: Facts) -> str:
    """How much of the tumor enhances, in words; "" where no phase shows it."""
    told = said(facts, "tumor.viable_volume")
    return f"of it enhancing: {told.text}" if told.known else ""


def lobes(facts: Facts) -> list[Figure]:
    """Burden and count by hemiliver, where measured."""
    rows = []
    for side in ("right", "left"):
        burden, count = f"tumor.burden_{side}", f"lesion.count_{side}"
        if burden in facts:
            told = said(facts, burden, natural=PERCENT)
            lesions = said(facts, count) if count in facts else Said("")
            words = (
                f"{told.text}, {_plural(lesions.text)}" if lesions.known and lesions.text else told.text
            )
            share = said(facts, f"treated.{side}", natural=PERCENT)
            if share.known:
                words = f"{words if told.known else f'burden {words}'}; {share.text} of the liver"
            rows.append(Figure(f"{side.capitalize()} hemiliver", Said(words, told.range, told.note)))
    return rows


def gauge(facts: Facts) -> Gauge:
    """Burden as a mark and a band."""
    fact = facts.get("tumor.burden")
    if fact is None or isinstance(fact.value, Choice):
        return Gauge(None, 0.0, 100.0)
    low, high = max(0.0, fact.value.low), min(100.0, fact.value.high)
    if (quantiles := fact.quantiles()) is not None:
        low, high = quantiles[0], quantiles[2]
    best = fact.best
    return Gauge(float(best) if isinstance(best, (int, float)) else None, low, high)


def frilling(facts: Facts) -> tuple[Figure, list[Figure]]:
    """Distribution type, and the readings that give another type."""
    main = _typed(said(facts, "frilling.type"))
    others = []
    for key, label in (("enets2012", "ENETS 2012 reading"), ("frilling2009", "Original 2009 reading")):
        if f"frilling.type.{key}" in facts:
            told = _typed(said(facts, f"frilling.type.{key}"))
            if told.text != main.text:
                others.append(Figure(label, told))
    return Figure("Distribution (Frilling)", main), others


def remnants(facts: Facts) -> list[Remnant]:
    """Future liver remnant of each plan; empty where not one is known."""
    rows = []
    for plan, title in PLANS.items():
        keys = [f"flr.{plan}.volume", f"flr.{plan}.percent", f"flr.{plan}.sflr"]
        if not any(key in facts for key in keys):
            continue
        volume, share, standard = (
            said(facts, key, natural=(0.0, float("inf")) if key.endswith("volume") else PERCENT)
            for key in keys
        )
        best = facts[keys[1]].best if keys[1] in facts else None
        if plan == "best" and best is None:
            continue  # the note below the table says why
        removed = said(facts, f"debulk.{plan}.percent", natural=PERCENT)
        bar = min(100.0, max(0.0, best)) if isinstance(best, (int, float)) else None
        rows.append(Remnant(title, volume, share, standard, removed, bar))
    return rows if any(row.bar is not None or row.volume.known for row in rows) else []


def remnant_notes(facts: Facts) -> list[str]:
    """Why remnants are not known, and which plan is called the best; each said once."""
    why: dict[str, list[str]] = {}
    for plan in PLANS:
        for part, word in (("percent", "FLR"), ("sflr", "sFLR")):
            fact = facts.get(f"flr.{plan}.{part}")
            if fact is not None and fact.best is None and fact.note and plan != "best":
                words = why.setdefault(fact.note, [])
                words += [] if word in words else [word]
    notes = [f"{' and '.join(words)} not known: {reason}." for reason, words in why.items()]
    best = facts.get("debulk.best.percent") or facts.get("flr.best.percent")
    if best is not None and best.note:
        notes.append(f"Best plan: {best.note.replace('_', ' ').replace('>=', '≥')}.")
    return notes


def segments(facts: Facts) -> list[Segment]:
    """The eight Couinaud segments; empty where none was measured."""
    if not any(f"segment.{n}.volume" in facts for n in range(1, 9)):
        return []
    return [_segment(facts, n) for n in range(1, 9)]


def _segment(facts: Facts, n: int) -> Segment:
    keys = f"segment.{n}.volume", f"segment.{n}.tumor_volume"
    volume, tumor = (said(facts, key) for key in keys)
    size, part = (facts[key].best if key in facts else None for key in keys)
    if not isinstance(size, (int, float)) or not isinstance(part, (int, float)) or size <= 0:
        return Segment(ROMAN[n], volume, tumor, "not known", 0.0, None)
    share = 100.0 * part / size
    level = sum(share > limit for limit in _LEVELS)
    words = "none" if part <= 0 else f"{number(share, '%')}\N{NO-BREAK SPACE}%"
    return Segment(ROMAN[n], volume, tumor, words, min(share, 100.0), level)


def lesion_rows(case: Case) -> tuple[list[Row], str]:
    """The largest lesions as table rows, and one sentence about the rest."""
    unit = "HU" if _modality(case) == "CT" else ""
    rows = [_row(lesion, unit) for lesion in case.lesions[:MOST_ROWS]]
    rest = case.lesions[MOST_ROWS:]
    if not rest:
        return rows, ""
    total = amount(sum(one.volume_ml for one in rest), "mL")
    largest = amount(max(one.recist_long_mm for one in rest), "mm")
    return rows, (
        f"{_plural(str(len(rest)))} more, together {total}, the longest of them {largest}: "
        "see lesions.csv."
    )


def _row(one: Lesion, unit: str) -> Row:
    shares = sorted(one.segments.items(), key=lambda item: -item[1])
    names = ", ".join(ROMAN[n] for n, share in shares if share >= 0.05)
    lobe = "" if one.lobe == "unknown" else one.lobe
    at_least = "≥\N{NO-BREAK SPACE}" if one.touches_edge else ""
    size = f"{number(one.recist_long_mm, 'mm')} × {number(one.recist_short_mm, 'mm')}"
    intensity = "not known" if one.mean_intensity is None else f"{one.mean_intensity:.0f} {unit}".strip()
    notes = [one.enhancement] if one.enhancement else []
    notes += ["reaches the image edge"] if one.touches_edge else []
    notes += [one.source] if one.source.startswith("edited") else []
    return Row(
        id=one.id,
        place=" · ".join(part for part in (names, lobe) if part) or "not known",
        volume=at_least + number(one.volume_ml, "mL"),
        recist=at_least + size,
        feret=at_least + number(one.feret_3d_mm, "mm"),
        capsule=_distance(one.distance_capsule_mm),
        hilum=_distance(one.distance_hilum_mm),
        intensity=intensity.replace("-", "\N{MINUS SIGN}"),
        probability=percent(one.p_lesion),
        note="; ".join(notes),
    )


def entered(facts: Facts) -> list[Figure]:
    """Facts about the patient that the rules were given."""
    rows = []
    for fact_id, fact in facts.items():
        entry = vocabulary().find(fact_id)
        if entry is not None and entry.origin == "clinical" and fact.best is not None:
            rows.append(Figure(entry.text, said(facts, fact_id)))
    return rows


def acquisition(case: Case) -> str:
    """Modality and phase in words."""
    phase = case.images.volume.phase if case.images else str(case.manifest.input.get("phase", ""))
    names = {"CT": "CT", "MR": "MRI"}
    modality = names.get(_modality(case), "modality not known")
    return f"{modality}, {phase} phase" if phase else f"{modality}, contrast phase not known"


def _modality(case: Case) -> str:
    if case.images is not None:
        return case.images.volume.modality
    return str(case.manifest.input.get("modality", ""))


def _typed(told: Said) -> Said:
    if told.text == "not known":
        return told
    text = "no lesion" if told.text == "none" else f"Type {told.text}"
    return replace(told, text=text)


def _distance(mm: float | None) -> str:
    return "not known" if mm is None else number(mm, "mm")


def _plural(count: str) -> str:
    return f"{count} lesion" if count == "1" else f"{count} lesions"
