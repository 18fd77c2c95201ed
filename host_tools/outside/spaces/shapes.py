"""What a Gradio app says of an endpoint, as the JSON schema of a tool; and which of its values are files."""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from cloche.host_tools.outside.json_shapes import as_dict, as_list

__all__ = ["SpaceParameter", "arguments_schema", "is_file", "is_file_data", "parameters_of", "result_schemas"]

_FILE_HINT = "(bytes, or the URL of a file; a list of them for several)"
# Before Gradio 4.20 there was no mark.
_OLD_FILE = {"path", "url", "orig_name", "size"}
# What Gradio calls a component that its author gave no label.
_NO_LABEL = re.compile(r"parameter_\d+")


class SpaceParameter(NamedTuple):
    """One parameter of an endpoint; ``is_file`` says that its values are files, ``schema`` is its JSON schema."""

    name: str
    schema: dict[str, Any]
    is_file: bool
    required: bool
    default: Any


def parameters_of(endpoint: dict[str, Any]) -> Iterator[SpaceParameter]:
    """Yield the parameters, in the order in which the app takes them."""
    for place, described in enumerate(map(as_dict, as_list(endpoint.get("parameters")))):
        yield _parameter(place, described)


def arguments_schema(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments: a property for each parameter, files as anything."""
    known = list(parameters_of(endpoint))
    required = [one.name for one in known if one.required]
    return {"type": "object", "properties": {one.name: one.schema for one in known}, "required": required}


def result_schemas(endpoint: dict[str, Any]) -> list[Any]:
    """Return the schema of each part of the result."""
    return [as_dict(one).get("type") for one in as_list(endpoint.get("returns"))]


def is_file(schema: Any) -> bool:
    """Return whether values of this schema are a file's description."""
    return {"path", "meta"} <= as_dict(as_dict(schema).get("properties")).keys()


def is_file_data(value: Any) -> bool:
    """Return whether the value is a file's description, by whatever version of Gradio."""
    known = as_dict(value)
    kind = as_dict(known.get("meta")).get("_type")
    return isinstance(known.get("path"), str) and (kind == "gradio.FileData" or known.keys() >= _OLD_FILE)


def _parameter(place: int, described: dict[str, Any]) -> SpaceParameter:
    name = str(described.get("parameter_name") or f"argument_{place}")
    default, kind = described.get("parameter_default"), described.get("type")
    # A file as a default is one of the app's own, or claims to be one of ours: neither can be sent.
    required = not described.get("parameter_has_default") or _holds_file(default)
    shown = {} if required else {"default": default}
    schema = {} if _has_files(kind) else as_dict(kind)
    told = {**schema, **shown, "description": _description(described, _has_files(kind))}
    return SpaceParameter(name, told, _has_files(kind), required, None if required else default)


def _description(described: dict[str, Any], file: bool) -> str:
    label = _NO_LABEL.sub("", str(described.get("label") or ""))
    if file:
        # The app's own words tell of paths, and no path of a program's is one here.
        return f"{label} {_FILE_HINT}".strip()
    told = str(as_dict(described.get("python_type")).get("description") or "")
    return ": ".join(filter(None, [label, told]))


def _holds_file(value: Any) -> bool:
    if isinstance(value, dict):
        known = as_dict(value)
        return "path" in known or any(map(_holds_file, known.values()))
    return any(map(_holds_file, as_list(value)))


def _has_files(schema: Any) -> bool:
    known = as_dict(schema)
    members = [known.get("items"), *as_list(known.get("anyOf")), *as_list(known.get("prefixItems"))]
    return is_file(known) or any(_has_files(member) for member in members if member)
