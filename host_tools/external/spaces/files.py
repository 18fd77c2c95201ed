"""A Gradio app's endpoints as JSON schemas, and files to and from it: bytes on this side, whatever is on the other.

gradio_client uploads the file at ``path`` of whatever looks like a file's description, and fetches whatever address an
answer names. So a program's values are sent without anything that looks like one, and only files of the app itself,
by the app's own address, are fetched.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import to_jsonable_python

from cloche.host_tools.display import brief_with_type
from cloche.host_tools.errors import ToolFailed, ToolRejected
from cloche.host_tools.json_schema import as_dict, as_list
from cloche.runtime.errors import bytes_text

__all__ = [
    "Folder",
    "Purse",
    "SpaceParameter",
    "endpoint_schema",
    "is_file",
    "is_file_data",
    "parameters_of",
    "received",
    "result_schemas",
    "sent",
]


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


def endpoint_schema(endpoint: dict[str, Any]) -> dict[str, Any]:
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
    properties = {**schema, **shown, "description": _description(described, _has_files(kind))}
    return SpaceParameter(name, properties, _has_files(kind), required, None if required else default)


def _description(described: dict[str, Any], file: bool) -> str:
    label = _NO_LABEL.sub("", str(described.get("label") or ""))
    if file:
        # The app's own words speak of paths, and no path of a program's is one here.
        return f"{label} {_FILE_HINT}".strip()
    explained = str(as_dict(described.get("python_type")).get("description") or "")
    return ": ".join(filter(None, [label, explained]))


def _holds_file(value: Any) -> bool:
    if isinstance(value, dict):
        known = as_dict(value)
        return "path" in known or any(map(_holds_file, known.values()))
    return any(map(_holds_file, as_list(value)))


def _has_files(schema: Any) -> bool:
    known = as_dict(schema)
    members = [known.get("items"), *as_list(known.get("anyOf")), *as_list(known.get("prefixItems"))]
    return is_file(known) or any(_has_files(member) for member in members if member)


_META = {"_type": "gradio.FileData"}
# How apps know what a file is: by the end of its name.
_ENDINGS = {
    b"\x89PNG": ".png",
    b"\xff\xd8\xff": ".jpg",
    b"GIF8": ".gif",
    b"%PDF": ".pdf",
    b"ID3": ".mp3",
    b"OggS": ".ogg",
    b"fLaC": ".flac",
}


class Folder:
    """The files of one call, on their way to the app: written to ``path`` under names of our own."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._count = 0

    def put(self, content: bytes) -> dict[str, Any]:
        """Write a file and return its description."""
        self._count += 1
        place = self._path / f"file{self._count}{_ending(content)}"
        place.write_bytes(content)
        return {"path": str(place), "orig_name": place.name, "meta": dict(_META)}


class Purse:
    """How many bytes of files one answer may still bring."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit

    def take(self, count: int) -> None:
        """Take bytes out. Raises ToolFailed when there are none left."""
        self.left -= count
        if self.left < 0:
            raise ToolFailed("ValueError", f"the app's files have more than the limit of {bytes_text(self.limit)}")


def sent(value: Any, folder: Folder, *, file: bool = False) -> Any:
    """Return a program's value as the app gets it: bytes become files, an address becomes one where ``file`` says so.

    Raises ToolRejected for a file's description: those name paths, and a program's paths are not of this host.
    """
    if isinstance(value, (bytes, bytearray)):
        return folder.put(bytes(value))
    if isinstance(value, (list, tuple)):
        return [sent(one, folder, file=file) for one in _parts(value)]
    if isinstance(value, dict):
        return {str(key): sent(one, folder) for key, one in _plain(value).items()}
    if file and isinstance(value, str):
        return _address(value)
    try:
        return to_jsonable_python(value)
    except ValueError as error:
        raise ToolRejected("TypeError", f"this tool takes JSON data and bytes, got {brief_with_type(value)}") from error


def received(value: Any, fetch: Callable[[dict[str, Any]], bytes]) -> Any:
    """Return an app's value as the program gets it: files as bytes, and what only a page would need left out."""
    if is_file_data(value):
        return fetch(value)
    if as_dict(value).get("__type__") == "update":
        return received(as_dict(value).get("value"), fetch)
    if isinstance(value, dict):
        return {key: received(one, fetch) for key, one in as_dict(value).items()}
    if isinstance(value, tuple):
        return tuple(received(_parts(value), fetch))
    return [received(one, fetch) for one in as_list(value)] if isinstance(value, list) else value


def _parts(value: Any) -> list[Any]:
    return list(value)


def _plain(value: Any) -> dict[Any, Any]:
    known: dict[Any, Any] = dict(value)
    if "path" in known or "meta" in known:
        raise ToolRejected("ValueError", "describe no file by its path: give its content as bytes, or its URL as str")
    return known


def _address(value: str) -> Any:
    if not value.startswith(("http://", "https://")):
        raise ToolRejected("ValueError", "this argument is a file: give its content as bytes, or its URL as str")
    return {"path": value, "url": value, "orig_name": value.rpartition("/")[2], "meta": dict(_META)}


def _ending(content: bytes) -> str:
    if content[:4] == b"RIFF":
        return {b"WEBP": ".webp", b"WAVE": ".wav"}.get(content[8:12], ".bin")
    return next((ending for start, ending in _ENDINGS.items() if content.startswith(start)), ".bin")
