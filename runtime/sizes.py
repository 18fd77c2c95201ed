"""Sizes and counts as callers write them: numbers, or text like ``"256 MiB"``."""

import math
import re
from typing import Any

from cloche.runtime.errors import ConfigurationError

__all__ = ["parse_count", "parse_seconds", "parse_size"]

_UNITS = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
# At most 18 digits before the point: int() of hostile text stays cheap, and every sensible size fits.
_SIZE = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)\s*([A-Za-z]*)\s*")
_HOW = "write bytes as an int, or text like '256 MiB' (units: KiB, MiB, GiB, KB, MB, GB)"
_LONGEST = 366 * 24 * 3600.0


def parse_size(field: str, value: Any, *, most: int, least: int = 1) -> int:
    """Return a size in bytes from an int or from text with a unit.

    Raises ConfigurationError naming ``field`` if it is not a size, or not between ``least`` and ``most``.
    """
    size = _size_of_text(field, value) if isinstance(value, str) else value
    return _between(field, size, least, most, _HOW)


def parse_count(field: str, value: Any, *, most: int, least: int = 1) -> int:
    """Return a whole number between ``least`` and ``most``, or raise ConfigurationError naming ``field``."""
    return _between(field, value, least, most, "write a whole number")


def parse_seconds(field: str, value: Any) -> float:
    """Return seconds above 0 and up to a year, or raise ConfigurationError naming ``field``."""
    how = "write seconds as a number above 0, or None for no limit"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(field, f"{_shown(value)} is not a number of seconds: {how}")
    if math.isnan(value) or not 0 < value <= _LONGEST:
        raise ConfigurationError(field, f"{value} is not between 0 and {_LONGEST:.0f}: {how}")
    return float(value)


def _size_of_text(field: str, text: str) -> int:
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ConfigurationError(field, f"{_shown(text)} is not a size: {_HOW}")
    number, unit = found.groups()
    factor = _UNITS.get(unit.lower())
    if factor is None:
        raise ConfigurationError(field, f"{_shown(text)} has the unknown unit {unit[:20]!r}: {_HOW}")
    return round(float(number) * factor) if "." in number else int(number) * factor


def _between(field: str, value: Any, least: int, most: int, how: str) -> int:
    # bool is an int in Python, but True is nobody's size.
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(field, f"{_shown(value)} is not a whole number: {how}")
    if not least <= value <= most:
        raise ConfigurationError(field, f"{_shown(value)} is not between {least} and {most}: {how}")
    return value


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    return repr(value)[:60]
