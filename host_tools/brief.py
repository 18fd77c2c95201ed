"""Values in a few words, for messages: never longer than a line, whatever a program sends."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, cast

__all__ = ["brief", "brief_with_type"]

_TEXT = 60
_ITEMS = 4
_BITS = 256


def brief(value: object, depth: int = 2) -> str:
    """Return a short ``repr``: long text, long containers and deep nesting are cut with ``...``.

    Only values of Python's plain classes are shown; of others, which may say things about the host, the class.
    """
    kind = type(value)
    if kind in (str, bytes):
        return _cut_text(cast("str", value))
    if kind is int:
        return repr(value) if cast("int", value).bit_length() <= _BITS else "a very large int"
    if value is None or kind in (bool, float, complex):
        return repr(value)
    if kind in _BRACKETS:
        return _container(value, depth) if depth else "..."
    return kind.__name__


def brief_with_type(value: object) -> str:
    """Return the short text and the class, as in ``3 (int)``; what stands for itself is not named twice."""
    text, name = brief(value), type(value).__name__
    return text if text in (name, "None") else f"{text} ({name})"


def _cut_text(value: str) -> str:
    return repr(value) if len(value) <= _TEXT else repr(value[:_TEXT]) + "..."


def _container(value: Any, depth: int) -> str:
    opening, closing = _BRACKETS[type(value)]
    return opening + _joined(_parts(value, depth - 1), len(value)) + closing


def _parts(value: Any, depth: int) -> Iterator[str]:
    if type(value) in _MAPPINGS:
        return (f"{brief(key, 0)}: {brief(item, depth)}" for key, item in value.items())
    return (brief(item, depth) for item in value)


def _joined(parts: Iterable[str], count: int) -> str:
    return ", ".join([*islice(parts, _ITEMS), *(["..."] if count > _ITEMS else [])])


_MAPPINGS = frozenset({dict})
_BRACKETS: dict[type, tuple[str, str]] = {
    dict: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    list: ("[", "]"),
    set: ("{", "}"),
    tuple: ("(", ")"),
}
