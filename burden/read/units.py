"""Units of typed-in values, converted to those of the vocabulary."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

_PLAIN = re.compile(r"1|%|[A-Za-zµμ]{1,12}[23]?(/[A-Za-zµμ]{1,12}[23]?)?")
# Molar masses, g/mol, for the laboratory values that come in mass or in molar concentration.
_MOLAR_MASS = {"lab.bilirubin": 584.66, "lab.creatinine": 113.12}

# Cells by volume, as laboratories write them, in cells per microliter.
_COUNTS = {
    **dict.fromkeys(
        ("10*3/uL", "10^3/uL", "10*3/µL", "10^3/µL", "K/uL", "10*9/L", "10^9/L", "/nL"), 1e3
    ),
    **dict.fromkeys(("/uL", "1/uL", "10*6/L", "10^6/L"), 1.0),
}
_OTHER_NAMES = {"[lb_av]": "pound", "[in_i]": "inch", "IU/L": "U/L", "[IU]/L": "U/L", "[iU]/L": "U/L"}


def converted(value: float, unit: str, wanted: str, fact_id: str) -> float:
    """``value`` in ``unit`` as a number in ``wanted``.

    Raises
    ------
    ValueError
        If the unit is not known or measures something else.
    """
    import pint

    if unit == wanted:
        return value
    if unit in _COUNTS and wanted in _COUNTS:
        return value * _COUNTS[unit] / _COUNTS[wanted]
    unit = _OTHER_NAMES.get(unit, unit)
    if not _PLAIN.fullmatch(unit):  # pint would evaluate an expression, however large
        raise ValueError(f"{unit[:20]!r} cannot be converted to {wanted!r}")
    registry = _registry()
    try:
        quantity = registry.Quantity(value, _spelled(unit))
        mass = _MOLAR_MASS.get(fact_id)
        if mass is None:
            result = quantity.to(_spelled(wanted))
        else:
            result = quantity.to(_spelled(wanted), "chemistry", mw=mass * registry.gram / registry.mole)
    except (
        pint.PintError,
        AttributeError,
        TypeError,
        ValueError,
        ArithmeticError,
        AssertionError,
    ) as error:
        raise ValueError(f"{unit!r} cannot be converted to {wanted!r}") from error
    return float(result.magnitude)


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


def _spelled(unit: str) -> str:
    """UCUM-like spelling to pint's."""
    known = {"%": "percent", "1": "dimensionless", "": "dimensionless", "m2": "meter**2"}
    text = known.get(unit, unit)
    return text.replace("µ", "u").replace("μ", "u")
