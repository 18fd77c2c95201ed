"""Tools that are described by a JSON schema, elsewhere."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from cloche.host_tools.arguments import Arguments
from cloche.host_tools.display import brief_with_type
from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.json_schema import annotation_of, as_dict, as_list, takes_null
from cloche.host_tools.names import safe_name
from cloche.host_tools.signature import Docstring, Kind, Parameter, Signature
from cloche.host_tools.tools import Tool

__all__ = ["SchemaTool"]


# Descriptions come from elsewhere, and go into prompts.
_MAX_DESCRIPTION = 8_000


class _Property(NamedTuple):
    key: str
    parameter: Parameter
    takes_null: bool


class SchemaTool(Tool):
    """Calls ``call`` with a dict of JSON data that fits ``schema``, the JSON schema of an object.

    Each property is a parameter, under a Python name where its own is none; those without a default that need
    not be given default to None, and are then left out of the dict. Types are checked as far as Python's
    annotations can say them; the rest is up to whoever takes the call.
    """

    def __init__(
        self,
        name: str,
        description: str,
        schema: Mapping[str, Any],
        call: Callable[[dict[str, Any]], Any],
        *,
        returns: Any = Any,
    ) -> None:
        self.name = name
        self.description = description.strip()[:_MAX_DESCRIPTION]
        self._given_schema = dict(schema)
        self._given_call = call
        self._properties = list(_fields(schema))
        parameters = [*sorted((field.parameter for field in self._properties), key=_order), *_rest(schema)]
        self._tool_docstring = Docstring()
        self._tool_signature = Signature(tuple(parameters), returns)
        # A property that has another name here must not come in by its own as well, and take the judged one's place.
        self._tool_arguments = Arguments(parameters, name, [field.key for field in self._properties])

    @property
    def schema(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The schema as it was given."""
        return self._given_schema

    def forward(self, /, *args: Any, **kwargs: Any) -> Any:
        """Make the call."""
        names = [parameter.name for parameter in self._tool_signature.parameters]
        given = dict(zip(names, args, strict=False)) | kwargs
        return self._given_call({key: self._wire_value(key, value) for key, value in self._sent(given)})

    def _wire_value(self, key: str, value: Any) -> Any:
        """Return an argument as ``call`` takes it: JSON data. Raises ToolRejected for what cannot be made so."""
        return _json(key, value)

    def _sent(self, given: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for field in self._properties:
            value = given.pop(field.parameter.name, None)
            if value is not None or (field.takes_null and field.parameter.required):
                yield field.key, value
        yield from given.items()


def _fields(schema: Mapping[str, Any]) -> Iterator[_Property]:
    required = as_list(schema.get("required"))
    taken: set[str] = set()
    for key, inner in as_dict(schema.get("properties")).items():
        name = safe_name(key, taken)
        taken.add(name)
        yield _Property(key, _parameter(name, inner, schema, key in required), takes_null(inner, schema))


def _parameter(name: str, inner: Any, root: Mapping[str, Any], required: bool) -> Parameter:
    known = as_dict(inner)
    annotation = annotation_of(inner, root)
    description = re.sub(r"\s+", " ", f"{known.get('description') or ''} {_keys(known)}").strip()
    described = description[:_MAX_DESCRIPTION]
    if required:
        return Parameter(name, Kind.POSITIONAL_OR_KEYWORD, annotation, description=described)
    optional = annotation if annotation is Any else (type(None) if annotation is None else annotation) | None
    return Parameter(name, Kind.POSITIONAL_OR_KEYWORD, optional, known.get("default"), described)


def _keys(schema: dict[str, Any]) -> str:
    """Name an object's own keys, which its annotation does not."""
    required = as_list(schema.get("required"))
    parts = [f"{key}{'' if key in required else ' (optional)'}" for key in as_dict(schema.get("properties"))]
    return f"(keys: {', '.join(parts)})" if parts else ""


def _rest(schema: Mapping[str, Any]) -> list[Parameter]:
    more = schema.get("additionalProperties", False)
    return [] if more is False else [Parameter("more", Kind.VAR_KEYWORD, annotation_of(more, schema))]


def _order(parameter: Parameter) -> bool:
    return not parameter.required


def _json(key: str, value: Any) -> Any:
    try:
        return to_jsonable_python(value, bytes_mode="base64")
    except ValueError as error:
        problem = f"argument {key!r}: this tool takes JSON data, got {brief_with_type(value)}"
        raise ToolRejected("TypeError", problem) from error
