"""A guest that keeps its state from run to run."""

import threading
from collections.abc import AsyncGenerator
from typing import Any, overload

from cloche.runtime.budget import Spent
from cloche.runtime.events import Event, Finished
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.running import jobs as requests
from cloche.runtime.running.run_state import Listener
from cloche.runtime.running.session_guest import Guest
from cloche.runtime.running.streaming import EventFeed
from cloche.runtime.sessions.contents import Contents, GuestPath
from cloche.runtime.sessions.starting import Starts
from cloche.runtime.sessions.usual import UsualRuns
from cloche.runtime.sizes import parse_count
from cloche.runtime.snapshots.snapshot import Snapshot
from cloche.runtime.snapshots.taking import make_twin, take_snapshot
from cloche.runtime.suspension.pauses import Origin, Pauses

__all__ = ["GuestPath", "Session"]

_MOST_FORKS = 10_000


class Session(UsualRuns, Starts, Contents):
    """One interpreter in a sandbox, with the variables, functions, imports and files that its programs make.

    Made by :meth:`Sandbox.session`. Used by one caller at a time: another one gets SessionBusy. Each method has a twin
    for async callers, named with an ``a`` in front. As a context manager, it is closed at the end.

    After a run that was ended by a limit, a trap or an interrupt, the session is back where that run began, and the
    result says so in ``rolled_back``. A run that ends with an ordinary exception leaves what it has done, as in a REPL.
    A session made with ``rollback=False`` instead ends with such a run.
    """

    def __init__(self, guest: Guest, limits: Limits, origin: Origin | None = None) -> None:
        self._guest = guest
        self._limits = limits
        self._busy = threading.Lock()
        self._ended = ""
        self._current = None
        self._pauses = Pauses(self, guest, self._control())
        if origin is not None:
            self._pauses.adopt(origin)

    def run(self, code: str, *, limits: Limits | None = None, on_event: Listener | None = None) -> Result[Any]:
        """Run a program and return its result; what the program does wrong is on the result, not raised.

        ``limits`` replace the session's for this run; their ``memory`` must be the session's own. ``on_event`` is
        called with each event while the guest stands still, on the guest's thread; what it raises ends the run and is
        raised here.

        Raises SessionBusy, SessionClosed, and BlockedTools where too many tools are stuck.
        """
        if limits is None and on_event is None and type(code) is str:
            result = self._run_usual(code)
            if result is not None:
                return result
        return self._wait(requests.run(code), limits, on_event)

    async def arun(self, code: str, *, limits: Limits | None = None, on_event: Listener | None = None) -> Result[Any]:
        """Like :meth:`run`, on another thread. Coroutine tools run on this loop. Being cancelled ends the run."""
        return await self._await(requests.run(code), limits, on_event)

    async def stream(self, code: str, *, limits: Limits | None = None) -> AsyncGenerator[Event, None]:
        """Run a program and yield its events as they happen, Finished last. Leaving the iteration ends the run."""
        import asyncio

        feed = EventFeed(asyncio.get_running_loop())
        task = asyncio.ensure_future(self.arun(code, limits=limits, on_event=feed.put))
        task.add_done_callback(feed.end)
        try:
            async for event in feed:
                yield event
            yield Finished(await task)
        finally:
            task.cancel()
            # Waited for, so that the session can be used again right after.
            await asyncio.wait({task})

    @property
    def spent(self) -> Spent:
        """What the session has used in all its runs so far, those before it was restored or forked included."""
        return self._guest.spent

    def snapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> Snapshot:
        """Return the session as a value, from which :meth:`Sandbox.restore` makes sessions in any process.

        With a ``key`` (at least 16 random bytes) it is sealed, and restored only with that key; with a ``tenant``,
        only for that one. The session goes on as if nothing had happened.

        Raises SessionBusy, SessionClosed, or ConfigurationError for the key.
        """
        return self._at_rest(lambda: self._snapshot(key, tenant))

    async def asnapshot(self, *, key: bytes | None = None, tenant: str | None = None) -> Snapshot:
        """Like :meth:`snapshot`, on another thread."""
        import asyncio

        return await asyncio.to_thread(self.snapshot, key=key, tenant=tenant)

    @overload
    def fork(self) -> "Session": ...

    @overload
    def fork(self, n: int) -> "list[Session]": ...

    def fork(self, n: int | None = None) -> "Session | list[Session]":
        """Return another session in the state of this one, or a list of ``n`` of them; all go on independently.

        A fork draws random numbers of its own, unless the sandbox has a seed: then all draw the same. Its budget is
        what is left of this session's, for each of them.

        Raises SessionBusy, SessionClosed, or ConfigurationError for a number below 0.
        """
        forks = self._at_rest(lambda: self._forks(parse_count("n", 1 if n is None else n, most=_MOST_FORKS, least=0)))
        return forks[0] if n is None else forks

    @overload
    async def afork(self) -> "Session": ...

    @overload
    async def afork(self, n: int) -> "list[Session]": ...

    async def afork(self, n: int | None = None) -> "Session | list[Session]":
        """Like :meth:`fork`, on another thread."""
        import asyncio

        forks = await asyncio.to_thread(self.fork, 1 if n is None else n)
        return forks[0] if n is None else forks

    def __repr__(self) -> str:
        at_rest = "idle" if self._pauses.current is None else "suspended"
        state = f"ended: {self._ended}" if self._ended else "running" if self._busy.locked() else at_rest
        return f"<Session {state}, {self.spent.runs} runs>"

    def _snapshot(self, key: bytes | None, tenant: str | None) -> Snapshot:
        origin = self._pauses.as_origin()
        suspension = None if origin is None else origin.suspension
        return take_snapshot(self._guest, key=key, tenant=tenant, suspension=suspension)

    def _forks(self, n: int) -> "list[Session]":
        checkpoint, origin = self._guest.checkpoint(), self._pauses.as_origin()
        return [Session(make_twin(self._guest, checkpoint), self._limits, origin) for _ in range(n)]
