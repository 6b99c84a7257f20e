"""Codes of the DICOM objects: SNOMED CT, DICOM and UCUM where one exists, else our own scheme."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from burden.vocabulary import vocabulary
from burden.write.words import PLANS, ROMAN, name_of

if TYPE_CHECKING:
    from highdicom.sr import CodedConcept

Code = tuple[str, str, str]  # value, scheme, meaning

SCHEME = "99LIVERBURDEN"
_MEANING = 64  # characters that a code meaning may have

LIVER: Code = ("10200004", "SCT", "Liver")
LESION: Code = ("52988006", "SCT", "Lesion")
STRUCTURE: Code = ("91723000", "SCT", "Anatomical Structure")
ABNORMAL: Code = ("49755003", "SCT", "Morphologically Abnormal Structure")
SEGMENTS: dict[int, Code] = {
    n: (value, "SCT", f"Couinaud hepatic segment {ROMAN[n]}")
    for n, value in enumerate(
        ("71133005", "277956007", "277957003", "277958008", "277959000", "277960005", "277961009",
         "277962002"), start=1
    )
}  # fmt: skip
AI: Code = ("123110", "DCM", "Artificial Intelligence")
SHAPES: Code = ("123105", "DCM", "Morphological Operations")
PROCESSING: Code = ("1630", "99IHE", "Processing Algorithm")  # IHE AI Results: one item an algorithm
REPORT: Code = ("126000", "DCM", "Imaging Measurement Report")
PROCEDURES: dict[str, Code] = {
    "CT": ("77477000", "SCT", "Computed Tomography"),
    "MR": ("113091000", "SCT", "Magnetic Resonance Imaging"),
}

VOLUME: Code = ("118565006", "SCT", "Volume")
VOXELS: Code = ("126030", "DCM", "Sum of segmented voxel volumes")
LONG_AXIS: Code = ("103339001", "SCT", "Long Axis")
SHORT_AXIS: Code = ("103340004", "SCT", "Short Axis")
FERET: Code = ("L0JK", "IBSI", "Maximum 3D Diameter of a Mesh")
RECIST: Code = ("126081", "DCM", "RECIST 1.1")
P_LESION: Code = ("P-LESION", SCHEME, "Probability of being a lesion")

YES: Code = ("373066001", "SCT", "Yes")
NO: Code = ("373067005", "SCT", "No")
UNKNOWN: Code = ("261665006", "SCT", "Unknown")

VERDICT: Code = ("VERDICT", SCHEME, "Eligibility verdict and its reasons")
RANGE: Code = ("RANGE", SCHEME, "Uncertainty of a measurement")
OPEN: Code = ("NOT-KNOWN", SCHEME, "Measurement that is not known")
DISTRUST: Code = ("DISTRUST", SCHEME, "What to distrust")
RESEARCH: Code = ("RESEARCH-USE", SCHEME, "Research use only")

UNITS: dict[str, Code] = {
    "mL": ("cm3", "UCUM", "cm3"),  # mL is not among the context group's units; 1 cm3 = 1 mL
    "%": ("%", "UCUM", "%"),
    "mm": ("mm", "UCUM", "mm"),
    "1": ("1", "UCUM", "no units"),
}
_PLAN = {
    "right_hepatectomy": "RH", "left_hepatectomy": "LH", "extended_right": "ER",
    "extended_left": "EL", "left_lateral": "LL", "right_posterior": "RP", "central": "CE",
    "best": "BEST", "planned": "PLAN",
}  # fmt: skip
_FIXED: dict[str, Code] = {
    "liver.volume": VOLUME,
    "tumor.volume": ("TUMOR-VOL", SCHEME, "Total tumor volume"),
    "tumor.viable_volume": ("VIABLE-VOL", SCHEME, "Enhancing tumor volume"),
    "tumor.burden": ("BURDEN", SCHEME, "Hepatic tumor burden"),
    "tumor.burden_right": ("BURDEN-R", SCHEME, "Tumor burden of the right hemiliver"),
    "tumor.burden_left": ("BURDEN-L", SCHEME, "Tumor burden of the left hemiliver"),
    "lesion.count": ("246206008", "SCT", "Number of lesions"),
    "lesion.count_right": ("COUNT-R", SCHEME, "Lesions in the right hemiliver"),
    "lesion.count_left": ("COUNT-L", SCHEME, "Lesions in the left hemiliver"),
    "lesion.largest_diameter": ("LARGEST", SCHEME, "Longest diameter of the largest lesion"),
    "frilling.type": ("FRILLING", SCHEME, "Distribution type (Frilling)"),
    "frilling.type.enets2012": ("FRILLING-2012", SCHEME, "Distribution type (ENETS 2012)"),
    "frilling.type.frilling2009": ("FRILLING-2009", SCHEME, "Distribution type (Frilling 2009)"),
}


def coded(code: Code) -> CodedConcept:
    """A code as highdicom takes it."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value=code[0], scheme_designator=code[1], meaning=code[2])


def fact_code(fact_id: str) -> Code | None:
    """Code of a measured fact; None for those that are not reported."""
    if fact_id in _FIXED:
        return _FIXED[fact_id]
    first, *rest = fact_id.split(".")
    if first == "segment" and len(rest) == 2 and rest[0].isdigit() and 1 <= int(rest[0]) <= 8:
        kinds = {"volume": ("VOL", "Volume"), "tumor_volume": ("TUMOR", "Tumor volume")}
        if rest[1] in kinds:
            short, words = kinds[rest[1]]
            return f"SEG{rest[0]}-{short}", SCHEME, f"{words} of segment {ROMAN[int(rest[0])]}"
    if first in ("flr", "debulk") and len(rest) == 2 and rest[0] in _PLAN:
        words = {"volume": "FLR volume", "percent": "FLR", "sflr": "Standardized FLR"}.get(rest[1], "")
        words = "Tumor removed" if first == "debulk" else words
        value = f"{first.upper()}-{rest[1].upper()[:4]}-{_PLAN[rest[0]]}"
        return (value, SCHEME, f"{words}, {PLANS[rest[0]].lower()}"[:_MEANING]) if words else None
    return None


def option_code(fact_id: str, option: str) -> Code:
    """Code of one option of a choice, e.g. Frilling type II."""
    meaning = "No lesion" if option == "none" else f"Type {option}"
    family = "FRILLING" if fact_id.startswith("frilling") else fact_id.upper()[:10]
    return f"{family}-{option.upper()}"[:16], SCHEME, meaning


def book_code(book: str, title: str) -> Code:
    """Code of a rule book; its value is a hash, for ids are longer than a code may be."""
    short = title if len(title) <= _MEANING else title[: _MEANING - 3].rsplit(" ", 1)[0] + "..."
    return f"RULE-{hashlib.sha256(book.encode()).hexdigest()[:8].upper()}", SCHEME, short


def words_of(fact_id: str) -> str:
    """What a fact is called in a sentence."""
    if fact_id == "liver.volume":
        return "Liver volume"  # its code says volume of the finding, which is the liver
    code = fact_code(fact_id)
    return code[2] if code is not None and vocabulary().find(fact_id) else name_of(fact_id)
