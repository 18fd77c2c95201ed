"""One argument on its way in: the value that came over the bridge, turned into what the annotation asks for.

Three parts: the annotations whose check is one look at the value's class (the fast path of every call); values of the
guest's own classes as plain dicts and text; and pydantic for all else.
"""

import types
from collections import deque
from collections.abc import Callable, Collection, Container, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from functools import cached_property
from inspect import signature
from itertools import chain, count, islice
from pathlib import PurePath
from typing import Annotated, Any, Union, cast, get_args, get_origin
from uuid import UUID

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, SchemaValidator, core_schema

from cloche.runtime.values.containers import plain_class
from cloche.runtime.work import current_work, long_work, look, take

__all__ = ["Converter", "exact_types", "has_guest_classes", "is_exact", "without_guest_classes"]


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


_SLOT, _ENTRY, _DICT, _OBJECT = 8, 96, 240, 600
"""Bytes that a copy takes for an item of a list, an entry of a dict, a dict or list itself, a model."""
_MANY = 1_000
_TAKEN = 128


def _with_looks(items: Collection[Any]) -> Iterable[Any]:
    return _looked(items) if len(items) > _MANY else items


def _looked(items: Collection[Any]) -> Iterator[Any]:
    rest = iter(items)
    # Pydantic takes one after the other, and no other thread has a turn in between.
    while some := list(islice(rest, _TAKEN)):
        look()
        yield from some


_LISTS = frozenset({list, tuple})
_DICTS = frozenset({dict})
_CONTAINERS_SENT: frozenset[Any] = _LISTS | _DICTS


def has_guest_classes(value: Any) -> bool:
    """Return whether a path, or a container of a class that few annotations name, stands anywhere in a decoded value.

    Paths arrive as pure ones, since they name nothing on this side, and ``Path`` does not accept these.
    """
    # Level by level, by classes and in pieces: a program can send millions of items, and a call of a function for each
    # would take seconds.
    lists: list[Any] = [[value]]
    dicts: list[Any] = []
    while lists or dicts:
        items = chain(chain.from_iterable(lists), chain.from_iterable(map(dict[Any, Any].values, dicts)))
        lists, dicts = [], []
        while some := list(islice(items, _MANY)):
            look()
            kinds = set(map(type, some))
            if any(map(_is_guest_class, kinds)):
                return True
            for kind in kinds & _CONTAINERS_SENT:
                same = some if len(kinds) == 1 else [item for item in some if type(item) is kind]
                # Without the empty ones, of which a million would be gone through at once.
                (dicts if kind is dict else lists).extend(filter(None, same))
    return False


def without_guest_classes(value: Any) -> Any:
    """Return the value with built-in containers for the others and text for paths, however deep. Containers are copied.

    Raises WorkEnded when the run that sent the value is over.
    """
    kind = plain_class(value)
    if kind in _CONTAINERS_SENT:
        return _copied(value, kind)
    if _is_list(kind):
        take(_DICT + 4 * _SLOT * len(value))
        return list(map(without_guest_classes, _with_looks(value)))
    return str(value) if isinstance(value, PurePath) else value


def _copied(value: Any, kind: type[Any]) -> Any:
    is_dict = kind in _DICTS
    take(_DICT + (_ENTRY if is_dict else _SLOT) * len(value))
    items = map(without_guest_classes, _with_looks(value.values() if is_dict else value))
    return dict(zip(value, items, strict=True)) if is_dict else kind(items)


def _is_guest_class(kind: type[Any]) -> bool:
    return (kind not in _CONTAINERS_SENT and issubclass(kind, _GUEST_CLASSES)) or _is_list(kind)


def _is_list(kind: type[Any]) -> bool:
    """Return whether it is a deque or an array, for which few annotations ask."""
    return kind is deque or (kind.__name__ == "array" and kind.__module__ == "array")


_GUEST_CLASSES = (PurePath, dict, tuple)


_CONTAINERS = {
    kind
    for kind in ("dict", "frozenset", "list", "set", "tuple")
    if "fail_fast" in signature(getattr(core_schema, f"{kind}_schema")).parameters
}
_SCHEMAS = frozenset({dict})
_INNER = ("items_schema", "keys_schema", "schema", "values_schema")


class Converter:
    """Checks and converts values for one annotation, in pydantic's lax mode.

    So an int serves as a float, a dict as a dataclass, model or ``TypedDict``, a value as its ``Enum`` member,
    text as ``datetime``, ``Path`` or number; a bool serves as an int because in Python it is one.
    ``exact`` holds the classes whose direct instances need no work at all. Making one raises pydantic's
    own error (``PydanticUserError`` or a subclass) if the annotation cannot be validated.
    """

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation
        self.exact = exact_types(annotation)
        if not is_exact(annotation):
            # Built now, so that what cannot work is reported where the tool is written. The look at the schema
            # makes pydantic raise for types that it would otherwise leave half-built.
            _ = self.adapter.core_schema["type"]

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Pydantic's adapter; for the exact annotations made at first need."""
        return TypeAdapter(cast("Any", Annotated[self.annotation, _FirstErrorOnly()]))

    def convert(self, value: Any) -> Any:
        """Return, for a value that is not exact, the one for the tool.

        Raises ``pydantic.ValidationError``, or what a custom validator raises; validators run twice on a value
        with records or paths in it. Raises WorkEnded when the run that sent a long message is over, or its copy takes
        too much memory.
        """
        if current_work.get() is None:
            return self._checked(value, self._validate)
        with long_work:
            return self._checked(value, self._validate_in_pieces)

    def _checked(self, value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            # That of a list may be about its iterator, which has looked and ended the work; so it is looked again.
            look()
            if not has_guest_classes(value):
                raise
        return validate(without_guest_classes(value))

    @cached_property
    def _validate(self) -> Callable[[Any], Any]:
        # The adapter's own method only adds a layer of keyword arguments, half a microsecond per value.
        return self.adapter.validator.validate_python

    @cached_property
    def _validate_in_pieces(self) -> Callable[[Any], Any]:
        schema = cast("CoreSchema", _in_pieces(self.adapter.core_schema))
        return SchemaValidator(schema).validate_python


class _FirstErrorOnly:
    """Makes containers stop at their first bad item.

    Pydantic collects every error: a list of a million wrong items, one byte each on the wire, took 1 GB
    of host memory and 7 s to describe.
    """

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", _stop_early(handler(source)))


def _stop_early(schema: Any) -> Any:
    """Return a copy: the schema of a class is shared with everybody else who uses that class."""
    if type(schema) not in _SCHEMAS:
        return schema
    changed: dict[str, Any] = dict(schema)
    for key in _INNER:
        if key in changed:
            changed[key] = _each(changed[key])
    if changed.get("type") == "union":
        changed["choices"] = _each(changed["choices"])
    if changed.get("type") in _CONTAINERS:
        changed["fail_fast"] = True
    return changed


def _each(schema: Any) -> Any:
    return _stop_early(schema) if type(schema) in _SCHEMAS else [_stop_early(part) for part in schema]


def _in_pieces(schema: Any) -> Any:
    """Return a copy of a schema that looks, at each container and model, whether the run is over.

    Pydantic checks a list of a million items in one go, for a second. It takes an iterator as well as a list, and that
    one can look between items.
    """
    if type(schema) not in _SCHEMAS:
        return schema
    changed: dict[str, Any] = {key: _part_in_pieces(key, part) for key, part in schema.items()}
    kind = changed.get("type")
    if kind in _ITERATED and not changed.get("strict"):
        return _before(_open_items, changed)
    if kind == "dict":
        # Not the mapping, which has no iterator that pydantic takes, but each of its values.
        changed["values_schema"] = _before(_seen, changed.get("values_schema", core_schema.any_schema()))
    if kind in _COUNTED:
        return _before(_counted, changed)
    return changed


def _part_in_pieces(key: str, part: Any) -> Any:
    if key in _SCHEMA_KEYS:
        return _in_pieces(part)
    if key in _SCHEMA_LISTS and type(part) in _MEMBERS:
        return list(map(_member_in_pieces, part))
    if key == "fields" and type(part) in _SCHEMAS:
        return {name: _in_pieces(field) for name, field in part.items()}
    if key == "choices" and type(part) in _SCHEMAS:
        return {name: _in_pieces(choice) for name, choice in part.items()}
    return part


def _member_in_pieces(member: Any) -> Any:
    # A choice of a union may have a label.
    return (_in_pieces(member[0]), *member[1:]) if isinstance(member, tuple) else _in_pieces(member)


_SCHEMA_KEYS = frozenset({"items_schema", "keys_schema", "values_schema", "schema", "lax_schema", "strict_schema"})
_MEMBERS = frozenset({list})
_SCHEMA_LISTS = frozenset({"items_schema", "choices", "steps", "definitions", "fields"})
_ITERATED = frozenset({"list", "tuple", "set", "frozenset"})
_COUNTED = frozenset({"dict", "model", "dataclass", "typed-dict"})
_ITERABLES = frozenset({list, tuple, set, frozenset})


def _before(function: Callable[[Any], Any], schema: dict[str, Any]) -> Any:
    # What is referred to by name is the whole of it.
    outer = {"ref": schema.pop("ref")} if "ref" in schema else {}
    inner = core_schema.no_info_before_validator_function(function, cast("CoreSchema", schema))
    return {**inner, **outer}


def _open_items(value: Any) -> Any:
    if type(value) not in _ITERABLES:
        return value
    take(_DICT + _SLOT * len(value))
    return _with_looks(value)


def _seen(value: Any) -> Any:
    # A look takes longer than the check of a plain value.
    if not next(_ticks) % _TAKEN:
        look()
    return value


_ticks = count()


def _counted(value: Any) -> Any:
    take(_OBJECT + (_ENTRY * len(value) if type(value) in _DICTS else 0))
    return value
