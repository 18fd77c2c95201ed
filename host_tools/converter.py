"""One argument on its way in: the value that came over the bridge, turned into what the annotation asks for."""

from collections.abc import Callable
from functools import cached_property
from inspect import signature
from typing import Annotated, Any, cast

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from cloche.host_tools.exact import exact_types, is_exact
from cloche.host_tools.plain import has_guest_classes, without_guest_classes

__all__ = ["Converter"]

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
        with records or paths in it.
        """
        try:
            return self._validate(value)
        except ValidationError:
            if not has_guest_classes(value):
                raise
        return self._validate(without_guest_classes(value))

    @cached_property
    def _validate(self) -> Callable[[Any], Any]:
        # The adapter's own method only adds a layer of keyword arguments, half a microsecond per value.
        return self.adapter.validator.validate_python


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
