"""Files handed to programs and taken from them, by name and never by path."""

import os
import re
import threading
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import cast

from cloche.host_tools.errors import ToolRejected
from cloche.host_tools.tools import Tool, tool
from cloche.runtime.errors import ConfigurationError
from cloche.runtime.limits import parse_size

__all__ = ["SharedFiles"]


# One plain name: no separators, no dots in front, nothing that a shell or another system reads in its own way.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
# Names that are devices on Windows, whatever follows the dot.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_Given = Iterable[str | PathLike[str]] | Mapping[str, str | PathLike[str]]


class SharedFiles:
    """Files of the host that programs may read, and a folder for those that they hand over.

    ``give``     paths of files, known to programs by their last part, or a dict of names and paths.
    ``take``     the folder for what programs save; without it they can save nothing. It must exist.
    ``size``     bytes of one file, either way; default 3 MiB, below the limit of one call's arguments.
    ``max_files``  that programs may save; default 100.
    ``replace``  whether a file saved before may be replaced; default no.

    Raises ConfigurationError for a file or folder that does not exist, or two files of one name.
    """

    def __init__(
        self,
        give: _Given = (),
        take: str | PathLike[str] | None = None,
        *,
        size: int | str = "3 MiB",
        max_files: int = 100,
        replace: bool = False,
    ) -> None:
        self._given = _named(give)
        self._folder = None if take is None else _folder(take)
        self._size = parse_size("size", size, maximum=1 << 31)
        self._max_files = max_files
        self._replace = replace
        self._saving = threading.Lock()

    def tools(self) -> list[Tool]:
        """Return the tools ``list_files``, ``read_file`` and, where there is a folder for it, ``save_file``."""
        return [self._list_tool(), self._read_tool(), *([self._save_tool()] if self._folder else [])]

    def _list_tool(self) -> Tool:
        @tool
        def list_files() -> dict[str, int]:
            """Return the names of the files there are to read, each with its size in bytes."""
            return {name: path.stat().st_size for name, path in self._given.items()}

        return list_files

    def _read_tool(self) -> Tool:
        @tool
        def read_file(name: str) -> bytes:
            """Return a file's content as bytes.

            Args:
                name: one of the names that list_files() returns
            """
            return self._read(name)

        return read_file

    def _save_tool(self) -> Tool:
        @tool
        def save_file(name: str, data: bytes | str) -> str:
            """Hand a file over to the user, and return the name it has now.

            Args:
                name: a plain name, without folders
                data: its content; text is written as UTF-8
            """
            self._save(name, data.encode() if isinstance(data, str) else data)
            return name

        return save_file

    def _read(self, name: str) -> bytes:
        path = self._given.get(name)
        if path is None:
            known = ", ".join(self._given) or "none"
            raise ToolRejected("FileNotFoundError", f"there is no file {name[:100]!r}; there are: {known[:500]}")
        with path.open("rb") as file:
            data = file.read(self._size + 1)
        if len(data) > self._size:
            raise ToolRejected("ValueError", f"{name!r} is larger than {self._size} bytes, which is the limit")
        return data

    def _save(self, name: str, data: bytes) -> None:
        if not _NAME.fullmatch(name) or name.endswith((".", " ")) or name.partition(".")[0].lower() in _DEVICES:
            raise ToolRejected("ValueError", f"{name[:100]!r} is not a plain name of a file, such as report.csv")
        if len(data) > self._size:
            raise ToolRejected("ValueError", f"{len(data)} bytes are more than {self._size}, the limit for one file")
        # One at a time: calls side by side would all find room for one more.
        with self._saving:
            self._write(name, data)

    def _write(self, name: str, data: bytes) -> None:
        folder = self._folder or Path()
        if len(os.listdir(folder)) >= self._max_files and not (self._replace and (folder / name).exists()):
            raise ToolRejected("ValueError", f"{self._max_files} files were saved, and that is the limit")
        # O_EXCL follows no link, so a link prepared under this name is never written through.
        if self._replace:
            (folder / name).unlink(missing_ok=True)
        try:
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise ToolRejected("FileExistsError", f"there is a file {name!r} already: choose another name") from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)


def _named(give: _Given) -> dict[str, Path]:
    named: dict[str, Path] = {}
    for name, path in _pairs(give):
        if name in named:
            raise ConfigurationError("give", f"two files are named {name!r}: give a dict of names and paths")
        if not path.is_file():
            raise ConfigurationError("give", f"there is no file {str(path)!r}")
        named[name] = path.resolve()
    return named


def _pairs(give: _Given) -> list[tuple[str, Path]]:
    if isinstance(give, Mapping):
        return [(name, Path(path)) for name, path in cast("Mapping[str, str]", give).items()]
    return [(Path(path).name, Path(path)) for path in give]


def _folder(path: str | PathLike[str]) -> Path:
    if not Path(path).is_dir():
        raise ConfigurationError("take", f"there is no folder {os.fspath(path)!r}: make it first")
    return Path(path).resolve()
