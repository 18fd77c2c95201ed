"""Measured amounts as people read them."""

__all__ = ["amount", "ratio_text"]

_TIMES = "\N{MULTIPLICATION SIGN}"
_SECONDS = ((1e-9, "ns"), (1e-6, "µs"), (1e-3, "ms"), (1.0, "s"))
_BYTES = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))


def amount(value: float, unit: str) -> str:
    """Return a value with three digits that count: seconds, bytes, runs per second, or ``x`` for a ratio."""
    if unit == "x":
        return ratio_text(value)
    if unit == "1/s":
        return f"{_digits(value)}/s"
    size, name = _scale(value, _SECONDS if unit == "s" else _BYTES)
    return f"{_digits(value / size)} {name}"


def ratio_text(value: float) -> str:
    """Return a ratio: 2.61, 340, 0.021 or 96.0k, and the sign of multiplication."""
    size, name = (1e6, "M") if value >= 999_950 else (1e3, "k") if value >= 9_999.5 else (1.0, "")
    return f"{_digits(value / size)}{name}{_TIMES}"


def _scale(value: float, scales: tuple[tuple[float, str], ...]) -> tuple[float, str]:
    # 999.6 of one unit would be written as 1000 of it.
    return next((scale for scale in reversed(scales) if abs(value) >= 0.9995 * scale[0]), scales[0])


def _digits(value: float) -> str:
    if abs(value) >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 9.995 else f"{value:.2f}" if abs(value) >= 0.0995 else f"{value:.2g}"
