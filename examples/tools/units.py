"""A tool that converts units."""

from cloche import tool

__all__ = ["convert"]

# Each unit as what it measures, and how many of the first unit of that kind it is.
UNITS = {
    "m": ("length", 1.0),
    "km": ("length", 1_000.0),
    "mile": ("length", 1_609.344),
    "foot": ("length", 0.3048),
    "kg": ("mass", 1.0),
    "pound": ("mass", 0.45359237),
    "l": ("volume", 1.0),
    "gallon": ("volume", 3.785411784),
}


@tool(blocking=False)
def convert(value: float, source: str, target: str) -> float:
    """Convert a value from one unit to another: m, km, mile, foot; kg, pound; l, gallon; C, F.

    Args:
        value: How many of the source unit.
        source: The unit it is in.
        target: The unit to return.
    """
    if {source, target} == {"C", "F"}:
        return value * 9 / 5 + 32 if source == "C" else (value - 32) * 5 / 9
    unknown = [unit for unit in (source, target) if unit not in UNITS]
    if unknown:
        raise ValueError(f"unknown unit {unknown[0]!r}; there are {', '.join(UNITS)}, C and F")
    (kind, factor), (other, divisor) = UNITS[source], UNITS[target]
    if kind != other:
        raise ValueError(f"{source} is a {kind}, {target} a {other}")
    return value * factor / divisor
