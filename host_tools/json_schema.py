"""JSON schema to Python annotations: as much of it as a call can be checked by, and ``Any`` for the rest."""

from collections.abc import Mapping
from types import GenericAlias
from typing import Any, Literal, Union

from cloche.host_tools.display import annotation_text

__all__ = ["annotation_of", "as_dict", "as_list", "described_fields", "takes_null"]


_DICTS = frozenset({dict})
_LISTS = frozenset({list})


def as_dict(value: Any) -> dict[str, Any]:
    """Return the value if it is a dict, else an empty one."""
    return value if type(value) in _DICTS else {}


def as_list(value: Any) -> list[Any]:
    """Return the value if it is a list, else an empty one."""
    return value if type(value) in _LISTS else []


# A schema may refer to itself, and no model needs to see more of it than this.
_MAX_DEPTH = 6
_MAX_CHOICES = 100
_MAX_FIELD_LINES = 50
_MAX_TOLD = 200
_PLAIN: dict[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool, "null": None}


def annotation_of(schema: Any, root: Mapping[str, Any], depth: int = 0) -> Any:
    """Return the annotation for a schema; ``root`` is what its references are resolved in."""
    known = as_dict(schema)
    if depth > _MAX_DEPTH:
        return Any
    if "$ref" in known:
        return annotation_of(_resolved(str(known["$ref"]), root), root, depth + 1)
    if "enum" in known or "const" in known:
        return _literal(as_list(known["enum"]) if "enum" in known else [known["const"]])
    members = as_list(known.get("anyOf")) or as_list(known.get("oneOf"))
    if members:
        return _union([annotation_of(member, root, depth + 1) for member in members])
    return _typed(known, root, depth)


def described_fields(schema: Any, root: Mapping[str, Any], indent: str = "", depth: int = 0) -> list[str]:
    """Return lines that say which keys the dicts of a schema have: its own, or its items'; at most 50, none without."""
    known = as_dict(schema)
    while "$ref" in known and depth <= _MAX_DEPTH:
        known, depth = as_dict(_resolved(str(known["$ref"]), root)), depth + 1
    if known.get("type") == "array":
        lines = described_fields(known.get("items"), root, indent, depth + 1) if depth <= _MAX_DEPTH else []
        return [f"{indent}a list, each {lines[0].strip()}", *lines[1:]] if lines else []
    properties = as_dict(known.get("properties"))
    if not properties or depth > _MAX_DEPTH:
        return []
    lines = [f"{indent}a dict with:"]
    for key, inner in properties.items():
        if len(lines) >= _MAX_FIELD_LINES:
            break
        within = described_fields(inner, root, f"{indent}    ", depth + 2)
        text = within[0].strip() if within else annotation_text(annotation_of(inner, root, depth + 1))
        told = " ".join(str(as_dict(inner).get("description") or "").split())[:_MAX_TOLD]
        lines += [f"{indent}    {key}: {text}{f'  # {told}' if told else ''}", *within[1:]]
    return lines[:_MAX_FIELD_LINES]


def takes_null(schema: Any, root: Mapping[str, Any]) -> bool:
    """Return whether null is one of the schema's own values."""
    annotation = annotation_of(schema, root)
    return annotation is None or type(None) in getattr(annotation, "__args__", ())


def _typed(schema: dict[str, Any], root: Mapping[str, Any], depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union([_typed({**schema, "type": one}, root, depth) for one in as_list(kind)])
    if kind == "array":
        return GenericAlias(list, (annotation_of(schema.get("items"), root, depth + 1),))
    if kind == "object":
        item = Any if "properties" in schema else annotation_of(schema.get("additionalProperties"), root, depth + 1)
        return GenericAlias(dict, (str, item))
    return _PLAIN.get(str(kind), Any)


def _union(members: list[Any]) -> Any:
    if not members or Any in members:
        return Any
    return Union[tuple(members)]  # noqa: UP007 - their number is known at run time only


def _literal(choices: list[Any]) -> Any:
    if 0 < len(choices) <= _MAX_CHOICES and all(type(choice) in (str, int, bool, type(None)) for choice in choices):
        return Literal[tuple(choices)]
    return Any


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = as_dict(found).get(step)
    return found
