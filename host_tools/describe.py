"""What is said about a tool: its function in the guest, with signature and help text, and the JSON schema it takes."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any, NotRequired, cast, get_args, get_origin, get_type_hints

from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import to_jsonable_python

from cloche.host_tools.display import annotation_text, brief
from cloche.host_tools.signature import Kind, Parameter, Signature
from cloche.runtime.dispatch import ToolSpec
from cloche.runtime.values import ValueCodecError, encode

__all__ = ["arguments_schema", "describe_types", "help_text", "tool_spec"]


_MAX_TYPES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    annotation: Any
    required: bool
    default: Any = None
    description: str = ""

    def line(self) -> str:
        optional = "" if self.required else (f" = {brief(self.default)}" if self.default is not None else ", optional")
        described = f"  # {self.description}" if self.description else ""
        return f"    {self.name}: {annotation_text(self.annotation)}{optional}{described}"


def describe_types(taken: Iterable[Any], given: Any) -> str:
    """Return a text that lists the fields of every such type in ``taken`` (arguments) and ``given`` (the result).

    Types inside types are described too, at most twenty in all. Empty if there are none.
    """
    in_arguments: dict[type, None] = {}
    in_result: dict[type, None] = {}
    for annotation in taken:
        _collect(annotation, in_arguments)
    _collect(given, in_result)
    kinds = list(in_arguments | in_result)[:_MAX_TYPES]
    return "\n\n".join(_described(kind, kind in in_arguments, kind in in_result) for kind in kinds)


def _collect(annotation: Any, found: dict[type, None]) -> None:
    for part in get_args(annotation):
        _collect(part, found)
    if isinstance(annotation, type) and not get_origin(annotation) and len(found) < _MAX_TYPES:
        _collect_class(cast("type[Any]", annotation), found)


def _collect_class(kind: type[Any], found: dict[type, None]) -> None:
    if kind in found:
        return
    if issubclass(kind, Enum):
        found[kind] = None
    elif _has_fields(kind):
        found[kind] = None
        for field in _fields(kind):
            _collect(field.annotation, found)


def _described(kind: type[Any], taken: bool, given: bool) -> str:
    """Return a type's name, how it is passed or read, and its fields."""
    if issubclass(kind, Enum):
        return f"{kind.__name__}, one of: {', '.join(brief(member.value) for member in kind)}"
    # A dict has keys and an object attributes: models take the one for the other.
    result = "a dict with" if _is_typed_dict(kind) else "an object with"
    if taken and given:
        use = "a dict with" if _is_typed_dict(kind) else "pass a dict with; in the result, an object with"
    else:
        use = "pass a dict with" if taken else f"in the result, {result}"
    return "\n".join([f"{kind.__name__} ({use}):", *(field.line() for field in _fields(kind))])


def _has_fields(kind: type[Any]) -> bool:
    return issubclass(kind, BaseModel) or dataclasses.is_dataclass(kind) or _is_typed_dict(kind)


def _is_typed_dict(kind: type[Any]) -> bool:
    # Not typing.is_typeddict: before Python 3.12 it does not know those of typing_extensions, which pydantic asks for.
    return dict in kind.__mro__ and hasattr(kind, "__required_keys__")


def _fields(kind: type[Any]) -> Iterator[_Field]:
    if issubclass(kind, BaseModel):
        return _of_model(kind)
    return _of_dataclass(kind) if dataclasses.is_dataclass(kind) else _of_typed_dict(kind)


def _of_model(model: type[BaseModel]) -> Iterator[_Field]:
    for name, info in model.model_fields.items():
        required = info.is_required()
        yield _Field(_key(name, info), info.annotation, required, _shown(info), info.description or "")


def _key(name: str, info: FieldInfo) -> str:
    return info.validation_alias if isinstance(info.validation_alias, str) else name


def _shown(info: FieldInfo) -> Any:
    return None if info.is_required() else info.default


def _of_dataclass(kind: Any) -> Iterator[_Field]:
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        if field.init:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            default = None if field.default is dataclasses.MISSING else field.default
            yield _Field(field.name, hints.get(field.name, field.type), required, default)


def _of_typed_dict(kind: type[Any]) -> Iterator[_Field]:
    required = cast("frozenset[str]", getattr(kind, "__required_keys__", frozenset[str]()))
    for name, annotation in _hints(kind).items():
        # Under postponed evaluation the class itself does not see NotRequired, only the resolved annotation does.
        yield _Field(name, annotation, name in required and get_origin(annotation) is not NotRequired)


def _hints(kind: type[Any]) -> dict[str, Any]:
    try:
        return get_type_hints(kind, include_extras=True)
    except NameError:
        return dict(kind.__annotations__)


_MAX_DEFAULT = 1_024


def tool_spec(name: str, signature: Signature, doc: str, *, is_async: bool) -> ToolSpec:
    """Return the spec of a tool under ``name``; every value in it can cross the bridge."""
    return {
        "name": name,
        "params": [_parameter(parameter) for parameter in signature.parameters],
        "returns": _annotation(signature.returns),
        "doc": doc,
        "async": is_async,
    }


def help_text(documentation: str, signature: Signature, described: dict[str, str]) -> str:
    """Return what ``help(tool)`` shows: the documentation, what it leaves unsaid of arguments, and their types.

    ``described`` are the arguments the documentation already explains.
    """
    missing = [p for p in signature.parameters if p.description and p.name not in described]
    arguments = "\n".join(["Args:", *(f"    {p.name}: {p.description}" for p in missing)]) if missing else ""
    types = describe_types((p.annotation for p in signature.parameters), signature.returns)
    return "\n\n".join(filter(None, [documentation, arguments, types]))


def _parameter(parameter: Parameter) -> list[Any]:
    shown = _shown_default(parameter.default) if parameter.has_default else None
    annotation = "" if parameter.annotation is Any else annotation_text(parameter.annotation)
    return [parameter.name, int(parameter.kind), parameter.has_default, shown, annotation]


def _annotation(annotation: Any) -> str:
    return "" if annotation is Signature(()).returns else annotation_text(annotation)


def _shown_default(default: Any) -> Any:
    """Return the default if it can cross and is small, else None: the guest then knows that there is one.

    Paths are not shown either: as a default they are places on the host.
    """
    if isinstance(default, PurePath):
        return None
    try:
        encode(default, limit=_MAX_DEFAULT)
    except ValueCodecError:
        return None
    return default


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
