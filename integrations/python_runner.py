"""What the tools made for other frameworks have in common: a program in, and what came of it as text."""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Generator, Hashable, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from cloche.agent.observations import observation_of
from cloche.agent.prompting import stubs
from cloche.host_tools import ToolLike
from cloche.host_tools.registry import registry_of
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.sandbox import Sandbox
from cloche.runtime.session.session import Session

__all__ = ["PARAMETERS", "PythonRunner"]

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"code": {"type": "string", "description": "The whole program."}},
    "required": ["code"],
    "additionalProperties": False,
}
"""The JSON schema of such a tool's arguments."""

_SECONDS = 60.0
_PATIENCE = 0.005


class _Seat:
    """One conversation's session, used by one call at a time; ``users`` are those that use it or wait for it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.lock = threading.Lock()
        self.users = 0


class PythonRunner:
    """Runs programs for many conversations, each in a session of its own, so that none sees another's variables.

    ``tools``   functions, Tools, or tools of LangChain or smolagents: what programs may call; they run in this process.
    ``limits``  of one program; default ``Limits(time=60)``.
    ``sessions``  how many are kept; the one that was used longest ago makes room for the next. Default 32.
    ``shown``   characters of output, and of the value, that are given back. Default 20,000.

    The text says what a program did wrong, and what became of the variables. Used from any thread or event loop.
    """

    def __init__(
        self,
        tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (),
        *,
        limits: Limits | None = None,
        sessions: int = 32,
        shown: int = 20_000,
    ) -> None:
        self._tools = registry_of(tools)
        self._sandbox = Sandbox(self._tools, limits=Limits(time=_SECONDS) if limits is None else limits)
        self._most = max(1, sessions)
        self._shown = shown
        self._seats: OrderedDict[Hashable, _Seat] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def description(self) -> str:
        """What a model has to know to use it."""
        text = (
            "Run a Python program in a sandbox without network and files of the host. What it prints, and the value of "
            "its last expression, come back as text. Variables stay for the next program of this conversation."
        )
        listed = stubs(self._tools.specs())
        return f"{text} These functions are defined in it:\n\n{listed}" if listed else text

    def run(self, code: str, conversation: Hashable = None) -> str:
        """Run a program and return what a model should see of it; ``None`` has a fresh session every time."""
        if conversation is None:
            with self._sandbox.session() as session:
                return self._text(session.run(code))
        with self._taken(conversation) as seat, seat.lock:
            return self._text(seat.session.run(code))

    async def arun(self, code: str, conversation: Hashable = None) -> str:
        """Like :meth:`run`, awaiting; coroutine tools run on this loop. Being cancelled ends the program."""
        if conversation is None:
            with self._sandbox.session() as session:
                return self._text(await session.arun(code))
        with self._taken(conversation) as seat:
            # Polled, as a thread that waits for the lock could not be cancelled.
            while not seat.lock.acquire(blocking=False):
                await asyncio.sleep(_PATIENCE)
            try:
                return self._text(await seat.session.arun(code))
            finally:
                seat.lock.release()

    def forget(self, conversation: Hashable) -> None:
        """Free a conversation's session; its next program begins anew."""
        with self._lock:
            seat = self._seats.pop(conversation, None)
        if seat is not None:
            seat.session.close()

    def close(self) -> None:
        """Free all sessions. Safe to call twice."""
        for conversation in list(self._seats):
            self.forget(conversation)

    @contextmanager
    def _taken(self, conversation: Hashable) -> Generator[_Seat, None, None]:
        """Have a seat that is not taken away to make room."""
        with self._lock:
            seat = self._seats.get(conversation)
            if seat is None:
                self._make_room()
                seat = self._seats[conversation] = _Seat(self._sandbox.session())
            self._seats.move_to_end(conversation)
            seat.users += 1
        try:
            yield seat
        finally:
            with self._lock:
                seat.users -= 1

    def _make_room(self) -> None:
        idle = [key for key, seat in self._seats.items() if not seat.users]
        for key in idle[: max(0, len(self._seats) + 1 - self._most)]:
            self._seats.pop(key).session.close()

    def _text(self, result: Result[Any]) -> str:
        return observation_of(result, self._tools, self._shown)
