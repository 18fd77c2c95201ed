"""What of a call is put on record: plain JSON data, of bounded size, without what is to stay secret."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from cloche.host_tools.brief import brief, brief_with_type

__all__ = ["recorded", "recorded_arguments", "without_secrets"]

_LARGEST = 16_384
_LONGEST_ERROR = 2_000
# Shorter texts would blank out parts of ordinary words.
_SHORTEST_SECRET = 4
_HIDDEN = "[redacted]"
_DICTS = frozenset({dict})
_LISTS = frozenset({list, tuple})


def recorded_arguments(arguments: Mapping[str, Any], redact: Collection[str]) -> dict[str, Any]:
    """Return arguments for a record, each one cut by itself where it is large."""
    return {name: _HIDDEN if name in redact else recorded(value, redact) for name, value in arguments.items()}


def recorded(value: Any, redact: Collection[str]) -> Any:
    """Return a value as JSON data; one of more than 16 KiB, or that JSON cannot hold, as a short text."""
    try:
        plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", fallback=brief_with_type)
        hidden = _hide(plain, redact)
        return hidden if len(json.dumps(hidden, allow_nan=False)) <= _LARGEST else brief_with_type(hidden)
    except (ValueError, RecursionError, TypeError):
        return brief(value)


def without_secrets(text: str, arguments: Mapping[str, Any], redact: Collection[str]) -> str:
    """Return an error's text with the redacted arguments' texts blanked out, cut at 2,000 characters."""
    for secret in _texts([arguments[name] for name in redact if name in arguments]):
        text = text.replace(secret, _HIDDEN)
    return text[:_LONGEST_ERROR]


def _hide(value: Any, redact: Collection[str]) -> Any:
    if type(value) in _DICTS:
        return {key: _HIDDEN if key in redact else _hide(item, redact) for key, item in value.items()}
    return [_hide(item, redact) for item in value] if type(value) in _LISTS else value


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if len(value) >= _SHORTEST_SECRET else []
    items: Any = value.values() if type(value) in _DICTS else value if type(value) in _LISTS else ()
    return [text for item in items for text in _texts(item)]
