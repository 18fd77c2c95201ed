"""A run's result as text that a model reads."""

from typing import Any

from cloche.cli.shown import full_repr
from cloche.cli.terminal import error_text
from cloche.runtime.result import Result

__all__ = ["result_text"]

_LONGEST = 50_000


def result_text(result: Result[Any]) -> str:
    """Return what was printed, then the value or the error; each cut with a note of how much is missing."""
    parts = [_cut(result.stdout), _titled("stderr", _cut(result.stderr))]
    if result.error is not None:
        parts.append(error_text(result.error))
    elif result.value is not None:
        parts.append(_titled("value", _cut(full_repr(result.value))))
    if result.rolled_back:
        parts.append("The session is back where it was before this run.")
    return "\n".join(filter(None, parts)) or "The program ran to its end, printed nothing and has no value."


def _titled(title: str, text: str) -> str:
    return f"{title}: {text}" if text else ""


def _cut(text: str) -> str:
    text = text.rstrip("\n")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}\n[cut: {len(text) - _LONGEST} more characters]"
