"""Annotations as a person writes them: ``list[int]``, ``str | None``, ``City``."""

import types
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ForwardRef, Literal, NotRequired, Required, TypeVar, Union, get_args, get_origin

__all__ = ["annotation_text"]

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
