"""What a session's guest holds: variables and files, to read and to set from outside."""

from os import PathLike, fspath
from typing import Any

from cloche.runtime.running import jobs
from cloche.runtime.sessions.turns import Turns

__all__ = ["Contents", "GuestPath"]

GuestPath = str | PathLike[str]


class Contents(Turns):
    """The variables and files of a session."""

    def set(self, name: str, value: Any) -> None:
        """Set a variable. Raises TypeError if the value cannot cross, or the GuestError that prevented it."""
        self._wait(jobs.set_variable(name, value)).unwrap()

    async def aset(self, name: str, value: Any) -> None:
        """Like :meth:`set`."""
        (await self._await(jobs.set_variable(name, value))).unwrap()

    def get(self, name: str) -> Any:
        """Return a variable's value. Raises GuestException (NameError) if there is none, or UnserializableValue."""
        return self._wait(jobs.get_variable(name)).unwrap()

    async def aget(self, name: str) -> Any:
        """Like :meth:`get`."""
        return (await self._await(jobs.get_variable(name))).unwrap()

    def put_file(self, path: GuestPath, data: bytes | str) -> None:
        """Write a file in the guest, making its folders. A relative path lies in /work; text is written as UTF-8.

        Raises GuestException (OSError) where there is no room.
        """
        self._wait(jobs.put_file(fspath(path), data)).unwrap()

    async def aput_file(self, path: GuestPath, data: bytes | str) -> None:
        """Like :meth:`put_file`."""
        (await self._await(jobs.put_file(fspath(path), data))).unwrap()

    def get_file(self, path: GuestPath) -> bytes:
        """Return a file's content. Raises GuestException (FileNotFoundError or another OSError)."""
        return jobs.as_bytes(self._wait(jobs.get_file(fspath(path))).unwrap())

    async def aget_file(self, path: GuestPath) -> bytes:
        """Like :meth:`get_file`."""
        return jobs.as_bytes((await self._await(jobs.get_file(fspath(path)))).unwrap())

    def list_files(self, path: GuestPath = "/work") -> list[str]:
        """Return the absolute paths of all files below a folder, sorted. Raises GuestException (FileNotFoundError)."""
        return jobs.as_paths(self._wait(jobs.list_files(fspath(path))).unwrap())

    async def alist_files(self, path: GuestPath = "/work") -> list[str]:
        """Like :meth:`list_files`."""
        return jobs.as_paths((await self._await(jobs.list_files(fspath(path)))).unwrap())
