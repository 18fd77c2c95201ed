"""A tool's arguments as JSON schema, for models that call tools by JSON."""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import to_jsonable_python

from cloche.host_tools.parameters import Kind, Parameter

__all__ = ["arguments_schema"]


class _Lenient(GenerateJsonSchema):
    """Allows anything where JSON schema has no word for a type, instead of refusing the whole tool."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        return {}


def arguments_schema(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the schema of an object with one property per parameter.

    ``*args`` is an array property of its own name, ``**kwargs`` what additional properties have to be.
    Defaults that are no JSON are left out.
    """
    schemas, definitions = _schemas(parameters)
    named = [parameter for parameter in parameters if parameter.kind is not Kind.VAR_KEYWORD]
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {parameter.name: _property(parameter, schemas[parameter.name]) for parameter in named},
        "required": [parameter.name for parameter in parameters if parameter.required],
        "additionalProperties": next((schemas[p.name] for p in parameters if p.kind is Kind.VAR_KEYWORD), False),
    }
    return schema | definitions


def _schemas(parameters: Sequence[Parameter]) -> tuple[dict[str, JsonSchemaValue], dict[str, Any]]:
    inputs: list[tuple[str, JsonSchemaMode, TypeAdapter[Any]]] = [
        (parameter.name, "validation", TypeAdapter(parameter.annotation)) for parameter in parameters
    ]
    schemas, definitions = TypeAdapter.json_schemas(inputs, schema_generator=_Lenient)
    return {name: schema for (name, _), schema in schemas.items()}, dict(definitions)


def _property(parameter: Parameter, schema: JsonSchemaValue) -> dict[str, Any]:
    if parameter.kind is Kind.VAR_POSITIONAL:
        schema = {"type": "array", "items": schema}
    described = {"description": parameter.description} if parameter.description else {}
    return {**schema, **described, **_default(parameter)}


def _default(parameter: Parameter) -> dict[str, Any]:
    if not parameter.has_default:
        return {}
    try:
        return {"default": to_jsonable_python(parameter.default)}
    except ValueError:
        return {}
