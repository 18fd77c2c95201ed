"""What a session's guest holds: variables and files, to read and to set from outside."""

from os import PathLike, fspath
from typing import Any

from cloche.runtime.running import jobs as requests
from cloche.runtime.sessions.turns import Turns

__all__ = ["Contents", "GuestPath"]

GuestPath = str | PathLike[str]


class Contents(Turns):
    """The variables and files of a session."""

    def set(self, name: str, value: Any) -> None:
        """Set a variable. Raises TypeError if the value cannot cross, or the GuestError that prevented it."""
        self._wait(requests.set_variable(name, value)).unwrap()

    async def aset(self, name: str, value: Any) -> None:
        """Like :meth:`set`."""
        (await self._await(requests.set_variable(name, value))).unwrap()

    def get(self, name: str) -> Any:
        """Return a variable's value. Raises GuestException (NameError) if there is none, or UnserializableValue."""
        return self._wait(requests.get_variable(name)).unwrap()

    async def aget(self, name: str) -> Any:
        """Like :meth:`get`."""
        return (await self._await(requests.get_variable(name))).unwrap()

    def put_file(self, path: GuestPath, data: bytes | str) -> None:
        """Write a file in the guest, making its folders. A relative path lies in /work; text is written as UTF-8.

        Raises GuestException (OSError) where there is no room.
        """
        self._wait(requests.put_file(fspath(path), data)).unwrap()

    async def aput_file(self, path: GuestPath, data: bytes | str) -> None:
        """Like :meth:`put_file`."""
        (await self._await(requests.put_file(fspath(path), data))).unwrap()

    def get_file(self, path: GuestPath) -> bytes:
        """Return a file's content. Raises GuestException (FileNotFoundError or another OSError)."""
        return requests.as_bytes(self._wait(requests.get_file(fspath(path))).unwrap())

    async def aget_file(self, path: GuestPath) -> bytes:
        """Like :meth:`get_file`."""
        return requests.as_bytes((await self._await(requests.get_file(fspath(path)))).unwrap())

    def list_files(self, path: GuestPath = "/work") -> list[str]:
        """Return the absolute paths of all files below a folder, sorted. Raises GuestException (FileNotFoundError)."""
        return requests.as_paths(self._wait(requests.list_files(fspath(path))).unwrap())

    async def alist_files(self, path: GuestPath = "/work") -> list[str]:
        """Like :meth:`list_files`."""
        return requests.as_paths((await self._await(requests.list_files(fspath(path)))).unwrap())
