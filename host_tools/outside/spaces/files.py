"""Files to and from a Gradio app: bytes on this side, whatever is on the other.

gradio_client uploads the file at ``path`` of whatever looks like a file's description, and fetches whatever address an
answer names. So a program's values are sent without anything that looks like one, and only files of the app itself,
by the app's own address, are fetched.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from cloche.host_tools.brief import brief_with_type
from cloche.host_tools.errors import ToolFailed, ToolRejected
from cloche.host_tools.outside.json_shapes import as_dict, as_list
from cloche.host_tools.outside.spaces.shapes import is_file_data
from cloche.runtime.amounts import bytes_text

__all__ = ["Folder", "Purse", "received", "sent"]

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
