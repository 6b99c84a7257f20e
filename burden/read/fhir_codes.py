"""Codes of the laboratory and of diagnoses, and the facts that they are."""

from __future__ import annotations

# LOINC; the unit decides between mass and molar concentration, so both codes mean one fact.
LOINC = {
    "8302-2": "patient.height",
    "3137-7": "patient.height",  # measured
    "29463-7": "patient.weight",
    "3141-9": "patient.weight",  # measured
    "1975-2": "lab.bilirubin",
    "14631-6": "lab.bilirubin",  # molar
    "2160-0": "lab.creatinine",
    "14682-9": "lab.creatinine",  # molar
    "1751-7": "lab.albumin",
    "61151-7": "lab.albumin",  # bromocresol green
    "1920-8": "lab.ast",
    "2532-0": "lab.ldh",
    "14804-9": "lab.ldh",  # lactate to pyruvate
    "777-3": "lab.platelets",  # automated count
    "26515-7": "lab.platelets",
    "29593-1": "tumor.ki67",
}

# ICD-10 by prefix, the longest one holds; C7A and C7B are the neuroendocrine chapters of ICD-10-CM.
ICD10: dict[str, tuple[str, tuple[str, ...]]] = {
    "C7A.00": ("primary.site", ("unknown_primary",)),
    "C7A.01": ("primary.site", ("small_bowel",)),
    "C7A.010": ("primary.site", ("duodenum",)),
    "C7A.019": ("primary.site", ("small_bowel", "duodenum")),  # small intestine, part not said
    "C7A.020": ("primary.site", ("appendix",)),
    "C7A.02": ("primary.site", ("colon",)),
    "C7A.026": ("primary.site", ("rectum",)),
    "C7A.029": ("primary.site", ("colon", "rectum")),  # large intestine, part not said
    "C7A.090": ("primary.site", ("lung",)),
    "C7A.092": ("primary.site", ("stomach",)),
    "C25.4": ("primary.site", ("pancreas",)),  # endocrine pancreas
    "C17.0": ("primary.site", ("duodenum",)),
    "C17.1": ("primary.site", ("small_bowel",)),
    "C17.2": ("primary.site", ("small_bowel",)),
    "C7B.01": ("extrahepatic.present", ("yes",)),
    "C7B.03": ("extrahepatic.present", ("yes",)),
    "C7B.04": ("extrahepatic.present", ("yes",)),
    "C78.0": ("extrahepatic.present", ("yes",)),
    "C78.6": ("extrahepatic.present", ("yes",)),
    "C79.5": ("extrahepatic.present", ("yes",)),
    "E34.0": ("symptoms.carcinoid_syndrome", ("mild", "moderate", "severe")),
    "I81": ("portal_vein.occluded", ("yes",)),
    "K70.3": ("liver.background", ("cirrhosis",)),
    "K74.6": ("liver.background", ("cirrhosis",)),
    "K76.82": ("liver.encephalopathy", ("yes",)),
    "K83.1": ("biliary.obstruction", ("yes",)),
    "R16.0": ("liver.hepatomegaly", ("yes",)),
    "R18": ("liver.ascites", ("yes",)),
}
SEX = {"male": "male", "female": "female", "other": "other"}
USED_STATUS = {"final", "amended", "corrected"}
ACTIVE = {"", "active", "recurrence", "relapse"}
CERTAIN = {"", "confirmed"}


def diagnosis(code: str) -> tuple[str, tuple[str, ...]] | None:
    """Fact of an ICD-10 code, written with or without its dot."""
    plain = code.upper().replace(".", "").strip()
    known = {key.replace(".", ""): fact for key, fact in ICD10.items()}
    hits = [key for key in known if plain.startswith(key)]
    return known[max(hits, key=len)] if hits else None
