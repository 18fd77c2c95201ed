"""What the server does, apart from the protocol: programs, sessions, files."""

import base64
import binascii
from typing import Any, TypedDict

from cloche.cli.mcp_server.sessions import OpenSessions, ServiceError
from cloche.runtime.errors import CallerError, GuestError
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox

__all__ = ["FileContent", "Service"]


class FileContent(TypedDict):
    """A file: ``text`` if it is UTF-8, else None and ``base64``."""

    path: str
    size: int
    text: str | None
    base64: str | None


class Service:
    """Runs programs for clients in one sandbox. Its methods raise ServiceError for what a client got wrong."""

    def __init__(self, sandbox: Sandbox, sessions: OpenSessions) -> None:
        self.sandbox = sandbox
        self.sessions = sessions

    async def run(self, code: str, session: str | None, time: float | None) -> Result[Any]:
        """Run a program in a fresh guest or a session; being cancelled ends it."""
        limits = self._limits(time)
        try:
            if session is None:
                return await self.sandbox.arun(code, limits=limits)
            return await self.sessions.get(session).arun(code, limits=limits)
        except CallerError as error:
            raise ServiceError(str(error)) from error

    async def put_file(self, session: str, path: str, text: str | None, data: str | None) -> int:
        """Write a file and return its size."""
        content = _content(text, data)
        try:
            await self.sessions.get(session).aput_file(path, content)
        except (CallerError, GuestError) as error:
            raise ServiceError(str(error)) from error
        return len(content)

    async def get_file(self, session: str, path: str) -> FileContent:
        """Return a file."""
        try:
            data = await self.sessions.get(session).aget_file(path)
        except (CallerError, GuestError) as error:
            raise ServiceError(str(error)) from error
        try:
            return FileContent(path=path, size=len(data), text=data.decode(), base64=None)
        except UnicodeDecodeError:
            return FileContent(path=path, size=len(data), text=None, base64=base64.b64encode(data).decode())

    async def list_files(self, session: str, path: str) -> list[str]:
        """Return the paths of all files below a folder."""
        try:
            return await self.sessions.get(session).alist_files(path)
        except (CallerError, GuestError) as error:
            raise ServiceError(str(error)) from error

    def _limits(self, time: float | None) -> Limits | None:
        """Return the limits with a shorter time: clients may ask for less than they are given, and not for more."""
        most = self.sandbox.limits.time
        if time is None:
            return None
        if not time > 0 or (most is not None and time > most):
            raise ServiceError(f"time has to be more than 0 and at most {most} seconds, got {time}")
        return self.sandbox.limits.replace(time=time)


def _content(text: str | None, data: str | None) -> bytes:
    if (text is None) == (data is None):
        raise ServiceError("give the content either as text or as base64")
    try:
        return base64.b64decode(data, validate=True) if data is not None else (text or "").encode()
    except (binascii.Error, ValueError):
        raise ServiceError("the content is not valid base64") from None
