"""What a Gradio app says of an endpoint, as the JSON schema of a tool; and which of its values are files."""

from typing import Any

from cloche.host_tools.outside.json_shapes import as_dict, as_list

__all__ = ["arguments_schema", "has_files", "is_file", "is_file_data", "result_schemas"]


def arguments_schema(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the arguments: a property for each parameter, files as anything."""
    parameters = as_list(endpoint.get("parameters"))
    named = {_name(one, place): one for place, one in enumerate(map(as_dict, parameters))}
    required = [name for name, one in named.items() if not _has_default(one)]
    return {"type": "object", "properties": {name: _property(one) for name, one in named.items()}, "required": required}


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
    return isinstance(known.get("path"), str) and (kind == "gradio.FileData" or "url" in known)


def _name(parameter: dict[str, Any], place: int) -> str:
    return str(parameter.get("parameter_name") or f"argument_{place}")


def _has_default(parameter: dict[str, Any]) -> bool:
    # A file as a default is one of the app's own, or claims to be one of ours: neither can be sent.
    return bool(parameter.get("parameter_has_default")) and not _holds_file(parameter.get("parameter_default"))


def _holds_file(value: Any) -> bool:
    if isinstance(value, dict):
        known = as_dict(value)
        return "path" in known or any(map(_holds_file, known.values()))
    return any(map(_holds_file, as_list(value)))


def _property(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter.get("type")
    label = str(parameter.get("label") or "")
    told = str(as_dict(parameter.get("python_type")).get("description") or "")
    default = {"default": parameter.get("parameter_default")} if _has_default(parameter) else {}
    if has_files(schema):
        # The app's own words tell of paths, and no path of a program's is one here.
        return {"description": f"{label} (bytes, or the URL of a file; a list of them for several)".strip(), **default}
    return {**as_dict(schema), "description": ": ".join(filter(None, [label, told])), **default}


def has_files(schema: Any) -> bool:
    """Return whether values of this schema are a file or a list of files."""
    known = as_dict(schema)
    members = [known.get("items"), *as_list(known.get("anyOf")), *as_list(known.get("prefixItems"))]
    return is_file(known) or any(has_files(member) for member in members if member)
