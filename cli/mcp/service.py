"""What the server does, apart from the protocol: programs, sessions, files."""

import base64
import binascii
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypedDict

from cloche.runtime.errors import CallerError, GuestError
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

__all__ = ["FileContent", "OpenSessions", "Service", "ServiceError"]


class ServiceError(Exception):
    """What a client asked for cannot be done; the text says why, and is for the client."""


@dataclass(slots=True)
class _Open:
    session: Session
    used: float


class OpenSessions:
    """Sessions by unguessable ids: at most ``max_open`` of them, and those unused for ``idle`` seconds make room.

    Used from one thread, the server's event loop.
    """

    def __init__(self, sandbox: Sandbox, max_open: int, idle: float) -> None:
        self._sandbox = sandbox
        self._max_open = max_open
        self._idle = idle
        self._open: dict[str, _Open] = {}

    def open(self) -> str:
        """Open a session and return its id. Raises ServiceError when there are too many."""
        self._close_idle()
        if len(self._open) >= self._max_open:
            raise ServiceError(f"{self._max_open} sessions are open, and no more are allowed: close one of them first")
        name = secrets.token_hex(8)
        self._open[name] = _Open(self._sandbox.session(), monotonic())
        return name

    def get(self, name: str) -> Session:
        """Return an open session. Raises ServiceError for an unknown id, or one that was idle for too long."""
        self._close_idle()
        if name not in self._open:
            raise ServiceError(f"there is no session {name[:40]!r}; open_session starts one")
        self._open[name].used = monotonic()
        return self._open[name].session

    def close(self, name: str) -> None:
        """Close a session. Raises ServiceError for an unknown id."""
        self.get(name).close()
        del self._open[name]

    def names(self) -> list[str]:
        """Return the ids of the open sessions."""
        self._close_idle()
        return list(self._open)

    def close_all(self) -> None:
        """Close every session, ending what runs in them."""
        for held in self._open.values():
            held.session.close()
        self._open.clear()

    def _close_idle(self) -> None:
        oldest = monotonic() - self._idle
        for name in [name for name, held in self._open.items() if held.used < oldest]:
            self._open.pop(name).session.close()


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
        with _for_client():
            if session is None:
                return await self.sandbox.arun(code, limits=limits)
            return await self.sessions.get(session).arun(code, limits=limits)

    async def put_file(self, session: str, path: str, text: str | None, data: str | None) -> int:
        """Write a file and return its size."""
        content = _content(text, data)
        with _for_client():
            await self.sessions.get(session).aput_file(path, content)
        return len(content)

    async def get_file(self, session: str, path: str) -> FileContent:
        """Return a file."""
        with _for_client():
            data = await self.sessions.get(session).aget_file(path)
        try:
            return FileContent(path=path, size=len(data), text=data.decode(), base64=None)
        except UnicodeDecodeError:
            return FileContent(path=path, size=len(data), text=None, base64=base64.b64encode(data).decode())

    async def list_files(self, session: str, path: str) -> list[str]:
        """Return the paths of all files below a folder."""
        with _for_client():
            return await self.sessions.get(session).alist_files(path)

    def _limits(self, time: float | None) -> Limits | None:
        """Return the limits with a shorter time: clients may ask for less than the server's limit, not for more."""
        max_time = self.sandbox.limits.time
        if time is None:
            return None
        if not time > 0 or (max_time is not None and time > max_time):
            at_most = "" if max_time is None else f" and at most {max_time}"
            raise ServiceError(f"time must be seconds above 0{at_most}, got {time}")
        return self.sandbox.limits.replace(time=time)


@contextmanager
def _for_client() -> Generator[None, None, None]:
    """Turn what the client got wrong, and what the guest refused, into a ServiceError of the same text."""
    try:
        yield
    except (CallerError, GuestError) as error:
        raise ServiceError(str(error)) from error


def _content(text: str | None, data: str | None) -> bytes:
    if (text is None) == (data is None):
        raise ServiceError("give the content either as text or as base64")
    try:
        return base64.b64decode(data, validate=True) if data is not None else (text or "").encode()
    except (binascii.Error, ValueError):
        raise ServiceError("the content is not valid base64") from None
