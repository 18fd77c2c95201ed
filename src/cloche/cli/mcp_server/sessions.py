"""The sessions that clients of the server have open."""

import secrets
from dataclasses import dataclass
from time import monotonic

from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session import Session

__all__ = ["OpenSessions", "ServiceError"]


class ServiceError(Exception):
    """What a client asked for cannot be done; the text says why, and is for the client."""


@dataclass(slots=True)
class _Open:
    session: Session
    used: float


class OpenSessions:
    """Sessions by unguessable ids: at most ``most`` of them, and those unused for ``idle`` seconds make room.

    Used from one thread, the server's event loop.
    """

    def __init__(self, sandbox: Sandbox, most: int, idle: float) -> None:
        self._sandbox = sandbox
        self._most = most
        self._idle = idle
        self._open: dict[str, _Open] = {}

    def open(self) -> str:
        """Open a session and return its id. Raises ServiceError when there are too many."""
        self._close_idle()
        if len(self._open) >= self._most:
            raise ServiceError(f"{self._most} sessions are open, the most there may be: close one of them first")
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
