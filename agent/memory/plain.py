"""Values as JSON can hold them."""

from typing import Any

from pydantic_core import from_json, to_json

__all__ = ["plain"]

_LONGEST = 2_000


def plain(value: Any) -> Any:
    """Return the value made of dicts, lists, text and numbers; what has no such form becomes its shortened repr."""
    try:
        # Through text: only there do nan and infinity become text, which JSON can hold.
        return from_json(to_json(value, fallback=_text, inf_nan_mode="strings", bytes_mode="base64"))
    except Exception:  # a value that refers to itself, or whose own methods raise
        return _text(value)


def _text(value: Any) -> str:
    try:
        return repr(value)[:_LONGEST]
    except Exception:
        return f"<a {type(value).__name__}>"
