"""Annotations whose check is one look at the value's class: the fast path of every tool call."""

import types
from collections.abc import Container
from datetime import date, datetime, time, timedelta
from typing import Any, Union, get_args, get_origin
from uuid import UUID

__all__ = ["exact_types", "is_exact"]

# Pydantic's lax mode returns an exact instance of these unchanged. Decimal is not among them: it refuses
# nan and infinity; nor is any class whose contents have to be looked at.
_SIMPLE: frozenset[Any] = frozenset(
    {bool, bytes, complex, date, datetime, dict, float, frozenset, int, list, set, str, time, timedelta, tuple, UUID}
    | {type(None)}
)


class _Everything(Container[type]):
    """The classes that ``Any`` accepts."""

    def __contains__(self, item: object) -> bool:
        return True


_EVERYTHING = _Everything()


def exact_types(annotation: Any) -> Container[type]:
    """Return the classes whose direct instances the annotation accepts as they are (often none).

    Instances of subclasses are not meant: ``True`` is no exact ``int``.
    """
    if annotation is Any or annotation is object:
        return _EVERYTHING
    if is_exact(annotation):
        return frozenset[type]({annotation or type(None)})
    if get_origin(annotation) not in (Union, types.UnionType):
        return frozenset[type]()
    # Of the members of a union pydantic prefers the one whose class is the value's own, so this is its choice too.
    simple: list[type] = [part for part in get_args(annotation) if _is_simple(part)]
    return frozenset(simple)


def is_exact(annotation: Any) -> bool:
    """Return whether the annotation is one of the classes above, None, ``object`` or ``Any``."""
    return annotation is None or annotation is Any or annotation is object or _is_simple(annotation)


def _is_simple(annotation: Any) -> bool:
    # Only classes are looked up: what stands in an Annotated need not be hashable.
    return isinstance(annotation, type) and annotation in _SIMPLE
