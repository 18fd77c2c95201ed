"""Values as plain data and as text of bounded length."""

from typing import Any

from pydantic_core import from_json, to_json

__all__ = ["plain", "shorten"]


def shorten(text: str, limit: int) -> str:
    """Return the text with at most ``limit`` characters of it: the beginning, a note of what is missing, the end.

    The note comes on top of ``limit``.
    """
    if len(text) <= limit:
        return text
    head, tail = text[: limit - limit // 2], text[len(text) - limit // 2 :]
    missing = text[len(head) : len(text) - len(tail)]
    lines = missing.count("\n")
    first = head.count("\n") + 1
    where = f"lines {first} to {first + lines}" if lines else f"line {first}"
    note = f"[... {len(missing):,} of {len(text):,} characters left out here, from {where}: print less at a time ...]"
    return f"{head}\n{note}\n{tail}"


_MAX_REPR = 2_000


def plain(value: Any) -> Any:
    """Return the value made of dicts, lists, text and numbers; what has no such form becomes its shortened repr."""
    try:
        # Through text: only there do nan and infinity become text, which JSON can hold.
        return from_json(to_json(value, fallback=_text, inf_nan_mode="strings", bytes_mode="base64"))
    except Exception:  # a value that refers to itself, or whose own methods raise
        return _text(value)


def _text(value: Any) -> str:
    try:
        return repr(value)[:_MAX_REPR]
    except Exception:
        return f"<a {type(value).__name__}>"
