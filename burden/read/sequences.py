"""What an MR series shows, by the parameters of its sequence and never by its name.

Thresholds are those of abdominal protocols: fat-suppressed gradient echoes of a few
milliseconds are T1-weighted, echoes of 50 ms and more T2-weighted; balanced sequences mix
both; a b-value, a diffusion direction or a computed ADC make it diffusion.
"""

from __future__ import annotations

from collections.abc import Mapping

_T2_MS = 50.0  # echo time from which T2 dominates
_MRCP_MS = 300.0  # only fluid is left
_T1_REPETITION_MS = 1200.0
_BALANCED_MS = 8.0  # repetition time below which a coherent steady state is the aim
_FLUID_MS = 1500.0  # inversion time that nulls water, not fat
_ADC = {"ADC", "EADC", "ADC_UNSPECIFIED"}
_DIFFUSION = _ADC | {"DIFFUSION", "TRACEW", "DWI", "ISOTROPIC"}
_DIXON = {
    "WATER": "water only", "W": "water only", "FAT": "fat only", "F": "fat only",
    "IN_PHASE": "in phase", "IP": "in phase", "OPP_PHASE": "opposed phase",
    "OUT_PHASE": "opposed phase", "OP": "opposed phase",
}  # fmt: skip
_POINTS = {
    "diffusion": -20.0,
    "ADC map": -30.0,
    "MRCP": -25.0,
    "T2*-weighted": -10.0,
    "balanced (T2/T1)": -5.0,
    "intermediate weighting": -5.0,
    "T1-weighted": 5.0,
}
Numbers = Mapping[str, float]


def mr_kind(
    times: Numbers, stack: Mapping[str, str], image_type: tuple[str, ...], codes: str = ""
) -> tuple[str, float]:
    """Kind of an MR series and its score points.

    Parameters
    ----------
    times
        EchoTime, RepetitionTime, InversionTime (ms) and FlipAngle (degrees), where given.
    stack
        What tells its slices apart; holds the b-value, where there is one.
    codes
        ScanningSequence and SequenceVariant, like ``GR/SP`` (gradient echo, spoiled).
    """
    kinds = {part.upper() for part in image_type}
    if kinds & _ADC:
        return "ADC map", _POINTS["ADC map"]
    b_value = stack.get("DiffusionBValue")
    if b_value is not None or kinds & _DIFFUSION:
        value = f" b = {b_value}" if b_value else ""
        return f"diffusion{value}", _POINTS["diffusion"]
    kind = _weighting(times, set(codes.upper().split("/")))
    part = next((_DIXON[k] for k in sorted(kinds & set(_DIXON))), "")
    points = _POINTS.get(kind, 0.0)
    if part == "fat only":
        points = -30.0  # the liver is dark
    return f"{kind}, {part}" if part else kind, points


def _weighting(times: Numbers, codes: set[str]) -> str:
    echo, repetition = times.get("EchoTime"), times.get("RepetitionTime")
    flip, inversion = times.get("FlipAngle"), times.get("InversionTime", 0.0)
    if echo is None or repetition is None:
        return "weighting unknown"
    if echo >= _MRCP_MS:
        return "MRCP"
    if echo >= _T2_MS:
        return "T2-weighted, fluid suppressed" if inversion >= _FLUID_MS else "T2-weighted"
    gradient, spoiled = "GR" in codes, "SP" in codes
    if (
        repetition <= _BALANCED_MS
        and (flip or 0.0) >= 30.0
        and not spoiled
        and 2.2 * echo > 0.8 * repetition
    ):
        return "balanced (T2/T1)"
    if gradient and not spoiled and repetition > _BALANCED_MS and echo >= 10.0:
        return "T2*-weighted"
    if repetition < _T1_REPETITION_MS or 300.0 <= inversion < _FLUID_MS:
        return "T1-weighted"
    return "intermediate weighting"
