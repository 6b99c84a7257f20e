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

# SNOMED CT by concept. It is a graph, and no release of it is shipped: a more special concept is
# not recognised, so nothing is concluded from it.
SNOMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "1186869002": ("primary.site", ("pancreas",)),  # neuroendocrine carcinoma of pancreas
    "13920009": ("liver.encephalopathy", ("yes",)),
    "17920008": ("portal_vein.occluded", ("yes",)),  # portal vein thrombosis
    "19943007": ("liver.background", ("cirrhosis",)),
    "35868009": ("symptoms.carcinoid_syndrome", ("mild", "moderate", "severe")),
    "389026000": ("liver.ascites", ("yes",)),
    "80515008": ("liver.hepatomegaly", ("yes",)),
    "94222008": ("extrahepatic.present", ("yes",)),  # bone
    "94391008": ("extrahepatic.present", ("yes",)),  # lung
}
SEX = {"male": "male", "female": "female", "other": "other"}
USED_STATUS = {"final", "amended", "corrected"}
ACTIVE = {"", "active", "recurrence", "relapse"}
CERTAIN = {"", "confirmed"}


def diagnosis(system: str, code: str) -> tuple[str, tuple[str, ...]] | None:
    """Fact of a coded diagnosis; None where the code, or the system it is of, is not known.

    Parameters
    ----------
    system
        As FHIR names it, in small letters; any edition of ICD-10, or SNOMED CT.
    code
        ICD-10 with or without its dot.
    """
    if "snomed.info/sct" in system:
        return SNOMED.get(code.strip())
    if "icd-10" not in system and "icd10" not in system:
        return None
    plain = code.upper().replace(".", "").strip()
    known = {key.replace(".", ""): fact for key, fact in ICD10.items()}
    hits = [key for key in known if plain.startswith(key)]
    return known[max(hits, key=len)] if hits else None
