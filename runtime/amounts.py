"""Amounts as people read them, for error messages and summaries."""

__all__ = ["bytes_text", "count_text"]

_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def count_text(count: float) -> str:
    """Return a count with thousands separated: ``5,000,000``."""
    return f"{count:,.0f}"


def bytes_text(size: float) -> str:
    """Return a size in the largest binary unit that keeps it at least 1: ``1.5 MiB``, ``17 bytes``."""
    power = 0
    while size >= 1024 and power < len(_UNITS) - 1:
        size /= 1024
        power += 1
    return f"{size:.4g} {_UNITS[power]}"
