"""What pydantic found wrong, in words that a model can act on."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cloche.host_tools.brief import brief, brief_with_type

__all__ = ["complaint"]

_SHOWN = 3
# Describing an error costs about 5 us and 800 bytes, and models nested in models can still collect many.
_DESCRIBED = 1_000
_LONGEST_MESSAGE = 300
_MAPPINGS = frozenset({dict})
_SEQUENCES = frozenset({list, tuple})
_ABSENT = {"missing", "missing_argument"}
_ABOUT_TYPE = _ABSENT | {"extra_forbidden", "is_instance_of", "none_required", "unexpected_keyword_argument"}


def complaint(label: str, value: object, error: ValidationError) -> tuple[str, str]:
    """Return the guest's exception class, ``"TypeError"`` or ``"ValueError"``, and the text of what is wrong.

    ``label`` names the argument and ``value`` is what came for it. The text is
    ``argument 'city': Input should be a valid string, got 3 (int)``, for up to three errors; it is a TypeError
    if each of them is about a class, a missing or an unexpected part.
    """
    if error.error_count() > _DESCRIBED:
        return "TypeError", f"argument {label!r}: {error.error_count()} parts of it are wrong"
    details = error.errors(include_url=False, include_context=False)
    texts = [_text(label, value, detail) for detail in details[:_SHOWN]]
    if len(details) > _SHOWN:
        texts.append(f"and {len(details) - _SHOWN} more")
    return _guest_type(details), "; ".join(texts)


def _guest_type(details: Sequence[ErrorDetails]) -> str:
    return "TypeError" if all(_is_about_type(detail["type"]) for detail in details) else "ValueError"


def _is_about_type(kind: str) -> bool:
    return kind.endswith("_type") or kind in _ABOUT_TYPE


def _text(label: str, value: object, detail: ErrorDetails) -> str:
    message = detail["msg"][:_LONGEST_MESSAGE]
    absent = detail["type"] in _ABSENT
    path = _path(value, detail["loc"][:-1] if absent else detail["loc"])
    if absent:
        return f"argument {label + path + _step(detail['loc'][-1])!r}: {message}"
    return f"argument {label + path!r}: {message}, got {brief_with_type(detail['input'])}"


def _path(value: Any, location: Sequence[int | str]) -> str:
    """Spell a location as in ``.items[2].price``; pydantic's own marks, such as a union's members, are no steps."""
    path = ""
    for step in location:
        known, value = _inside(value, step)
        path += _step(step) if known else ""
    return path


def _inside(value: Any, step: int | str) -> tuple[bool, Any]:
    if type(value) in _MAPPINGS and step in value:
        return True, value[step]
    if type(value) in _SEQUENCES and isinstance(step, int) and step < len(value):
        return True, value[step]
    return False, value


def _step(step: int | str) -> str:
    if isinstance(step, str) and step.isidentifier() and len(step) <= 60:
        return f".{step}"
    return f"[{brief(step)}]"
