"""What the words in a DICOM header suggest: contrast phase, plane, kind of image.

Descriptions are typed by people in many languages; they are weak hints, and every use of
one is stated in the reasons shown to the user.
"""

from __future__ import annotations

import re

# The first pattern that matches wins: "late arterial" is arterial, "portal venous late" is delayed.
_PHASES = (
    ("hepatobiliary", r"hepato.?bil|\bhbp\b|\b(15|20|25) ?min"),
    (
        "non-contrast",
        r"non.?con|\b(w/?o|without|sans|ohne) ?(i\.?v\.? ?)?(con|kon|k\.?m|c\.?m|pdc|inj)"
        r"|\bnativ|unenh|\bplain\b|\bpre.?(con|kontrast|gd)|\bnc\b",
    ),
    ("arterial", r"\b(sp(ä|ae)t|fr(ü|ue)h)?art(er|\b)|\bhap\b"),
    ("delayed", r"delay|\blate\b|\bspaet|\bspät|tardi|equil|\b(3|5|10) ?min"),
    ("portal", r"\bport(al|o)|\bpv|\bven(os|oe?s|ös|ou|\b)|\b(60|65|70|75|80) ?s"),
    ("non-contrast", r"\bw/?o\b|without|\bsans\b|\bohne\b"),  # of what, nobody says: maybe of a filter
)
# The order of the whole examination, not what one series of it shows.
_BOTH = re.compile(
    r"\b(w|with|mit|avec)[\s/&+,-]*(and|und|et)?[\s/&+,-]*\b(w/?o|without|ohne|sans)\b"
    r"( ?(i\.?v\.? ?)?con\w*)?"
)
_NOT_FOR_MEASURING = (
    ("a localizer", r"localiz|scout|topogram|survey|surview|\bloc\b"),
    ("a maximum intensity projection", r"\bmip\b|projection"),
    ("a reformat", r"\bmpr\b|reformat|\b(cor|coronal|sag|sagittal|curved)\b"),
    ("a subtraction", r"subtract|\bsub\b"),
    ("a report or screenshot", r"dose ?(rep|inf|rec)|report|screen ?s|snapshot|secondary capture"),
    ("a bolus timing run", r"smart ?prep|bolus.?track|test.?bolus|pre ?monitor|monitoring|tracker"),
    ("a parameter map", r"\badc\b|perfusion|\bmap\b|fat ?frac|iodine|\bz ?eff|\bt2\*|r2\*"),
)
_ABDOMEN = r"abd|liver|leber|foie|hepa|oberbauch|\bcap\b|thorax.?abd|body|pancrea"
_ELSEWHERE = r"head|brain|skull|schaedel|neck|\bhals\b|knee|foot|hand|spine|\bhip\b|breast|cardiac|heart"


def phase_of(description: str, contrast: str, delay_s: float | None) -> tuple[str, str]:
    """Contrast phase that tags suggest, and from what; both empty if nothing does."""
    text = _BOTH.sub(" ", description.lower().replace("_", " "))
    for phase, pattern in _PHASES:
        if re.search(pattern, text):
            return phase, "series description"
    if delay_s is not None and contrast:
        for phase, low, high in (("arterial", 15, 48), ("portal", 50, 110), ("delayed", 150, 900)):
            if low <= delay_s <= high:
                return phase, f"{delay_s:.0f} s after injection"
        if delay_s > 900 and is_hepatobiliary(contrast):
            return "hepatobiliary", f"{delay_s / 60:.0f} min after injection of {contrast}"
    return "", ""


def drawbacks(description: str, image_type: tuple[str, ...]) -> list[str]:
    """Reasons, by words, why an image series is not one to measure in."""
    text = " ".join([description.lower().replace("_", " "), *(t.lower() for t in image_type)])
    return [reason for reason, pattern in _NOT_FOR_MEASURING if re.search(pattern, text)]


def is_hepatobiliary(agent: str) -> bool:
    """Whether liver cells take the contrast agent up: gadoxetate or gadobenate."""
    return bool(re.search(r"gadoxet|primovist|eovist|eob|gadobena|multihance", agent.lower()))


def region_of(*texts: str) -> str:
    """``abdomen``, ``elsewhere`` or "" by words."""
    text = " ".join(texts).lower().replace("_", " ")
    if re.search(_ABDOMEN, text):
        return "abdomen"
    return "elsewhere" if re.search(_ELSEWHERE, text) else ""


def sharp(kernel: str) -> bool:
    """Whether a reconstruction kernel is an edge-enhancing one (bone, lung)."""
    text = kernel.lower()
    number = re.search(r"\b[a-z]{1,2}(\d\d)", text)
    return bool(re.search(r"bone|lung|sharp|edge|\byc|\byd", text)) or bool(
        number and int(number.group(1)) >= 55
    )
