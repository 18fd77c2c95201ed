"""Annotations and values as short text, for messages and help.

Annotations read as a person writes them: ``list[int]``, ``str | None``, ``City``. Values are never longer than a line,
whatever a program sends.
"""

import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

from cloche.runtime.values.containers import plain_class

__all__ = ["annotation_text", "brief", "brief_with_type"]


_TRANSPARENT = (Annotated, Required, NotRequired)


def annotation_text(annotation: Any) -> str:
    """Return the annotation as readable text; what ``Annotated`` adds is left out and modules are not named."""
    origin = get_origin(annotation)
    if origin is None:
        return _plain(annotation)
    arguments = get_args(annotation)
    if origin in _TRANSPARENT:
        return annotation_text(arguments[0])
    if origin is Union or origin is types.UnionType:
        return " | ".join(annotation_text(part) for part in arguments)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    return f"{_plain(origin)}[{_inside(origin, arguments)}]"


def _inside(origin: Any, arguments: Sequence[Any]) -> str:
    if origin is Callable:
        taken, given = arguments
        inner = "..." if taken is ... else f"[{', '.join(map(annotation_text, taken))}]"
        return f"{inner}, {annotation_text(given)}"
    return ", ".join(map(annotation_text, arguments)) or "()"


def _plain(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    if annotation is ...:
        return "..."
    if isinstance(annotation, str):
        return annotation
    if isinstance(annotation, ForwardRef):
        return annotation.__forward_arg__
    if isinstance(annotation, TypeVar):
        return annotation.__name__
    # `Any`, new types, type aliases and classes all carry their name here.
    return str(getattr(annotation, "__name__", None) or annotation)


_TEXT = 60
_ITEMS = 4
_BITS = 256


def brief(value: object, depth: int = 2) -> str:
    """Return a short ``repr``: long text, long containers and deep nesting are cut with ``...``.

    Only values of Python's plain classes are shown; of others, which may say things about the host, the class.
    """
    kind = plain_class(value)
    if kind in (str, bytes):
        return _cut_text(cast("str", value))
    if kind is int:
        return repr(value) if cast("int", value).bit_length() <= _BITS else "a very large int"
    if value is None or kind in (bool, float, complex):
        return repr(value)
    if kind in _BRACKETS:
        return _container(value, depth) if depth else "..."
    return type(value).__name__


def brief_with_type(value: object) -> str:
    """Return the short text and the class, as in ``3 (int)``; what stands for itself is not named twice."""
    text, name = brief(value), type(value).__name__
    return text if text in (name, "None") else f"{text} ({name})"


def _cut_text(value: str) -> str:
    return repr(value) if len(value) <= _TEXT else repr(value[:_TEXT]) + "..."


def _container(value: Any, depth: int) -> str:
    opening, closing = _BRACKETS[plain_class(value)]
    return opening + _joined(_parts(value, depth - 1), len(value)) + closing


def _parts(value: Any, depth: int) -> Iterator[str]:
    if plain_class(value) in _MAPPINGS:
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
