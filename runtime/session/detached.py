"""Performing a run on a thread of its own, and waiting for it: by blocking, by awaiting, or event by event."""

import contextvars
import threading
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from io import StringIO
from math import inf
from typing import TYPE_CHECKING, Any

from cloche.runtime.errors import GuestError, Interrupted
from cloche.runtime.machine_api import now
from cloche.runtime.result import Event, Output, Result, Stream
from cloche.runtime.session.execution import GRACE, Execution, Overtaken
from cloche.runtime.threads import Work, guest_threads, longest_wait
from cloche.runtime.wasm.signals import acquire, deferred

if TYPE_CHECKING:
    import asyncio

__all__ = ["Detached", "EventFeed", "perform_async"]

# How long to wait for a run that is about to start or to end, before looking again.
_SHORT = 0.25
_MAX_TURNS = 1_000


class Detached:
    """A run that is performed by a guest thread. A thread that a tool blocks past the deadline is left behind."""

    _result: Result[Any] | None = None
    _error: BaseException | None = None
    _overtaken = False

    def __init__(self, execution: Execution, loop: "asyncio.AbstractEventLoop | None" = None) -> None:
        """Prepare the run. With a ``loop`` it can be awaited there, else it can be waited for; once."""
        self.execution = execution
        # Held until the run is settled.
        self._settling = allocate_lock()
        self._settling.acquire()
        self._loop = loop
        if loop is not None:
            self._awaited: asyncio.Future[None] = loop.create_future()
        self._context = contextvars.copy_context()
        self._work = Work(self._perform, self._tell)
        execution.leave, execution.begun = self._leave, allocate_lock()

    def wait(self) -> Result[Any]:
        """Perform the run and return its result, blocking meanwhile. An exception such as Ctrl-C ends the run first.

        Raises BlockedTools.
        """
        try:
            guest_threads.start(self._work)
            while not acquire(self._settling, self._patience()):
                self._leave_if_overdue()
        except BaseException:
            self.give_up(Interrupted())
            raise
        return self._outcome()

    async def wait_async(self) -> Result[Any]:
        """Perform the run and await its result. Being cancelled ends the run first. Raises BlockedTools."""
        import asyncio

        waiting = self._awaited
        try:
            guest_threads.start(self._work)
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=self._patience())
                if not waiting.done():
                    self._leave_if_overdue()
        except asyncio.CancelledError:
            self.give_up(Interrupted("the awaiting task was cancelled"))
            await asyncio.wait({waiting}, timeout=_SHORT)
            raise
        except BaseException:
            self.give_up(Interrupted())
            raise
        return self._outcome()

    def give_up(self, error: GuestError) -> None:
        """End the run and settle it, if it is not settled."""
        with deferred():
            # Whether its thread has begun is not known: the exception may have come while it was started.
            self.execution.cancel()
            self._leave(error)

    def _leave(self, error: GuestError) -> bool:
        """Settle the run without its thread, if it is not settled. Returns whether that was done here."""
        result = self.execution.abandon(error)
        if result is None:
            return False
        guest_threads.abandon(self._work)
        self._result = result
        self._settle()
        return True

    def _perform(self) -> None:
        try:
            self._result = self._context.run(self.execution.perform, stack_checked=True)
        except Overtaken:
            self._overtaken = True
        except BaseException as error:
            # Whatever it is, it belongs to the thread that waits.
            self._error = error

    def _tell(self) -> None:
        if not self._overtaken:
            self._settle()

    def _settle(self) -> None:
        # The method and this object hold each other.
        self.execution.leave = None
        self._settling.release()
        if self._loop is not None:
            # A loop that was closed meanwhile refuses: nothing waits there any more.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        if not self._awaited.done():
            self._awaited.set_result(None)

    def _outcome(self) -> Result[Any]:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _leave_if_overdue(self) -> None:
        if self.execution.is_overdue:
            self._leave(self.execution.run.time_exceeded())

    def _patience(self) -> float:
        deadline = self.execution.run.stop.deadline
        return longest_wait() if deadline == inf else min(longest_wait(), max(_SHORT / 10, deadline + GRACE - now()))


async def perform_async(
    begin: "Callable[[asyncio.AbstractEventLoop], Execution]",
) -> tuple[Execution, Result[Any]]:
    """Begin a run, perform it on another thread, and await its result. Being cancelled ends the run first."""
    import asyncio

    loop, detached = asyncio.get_running_loop(), None
    try:
        with deferred():
            detached = Detached(begin(loop), loop)
        return detached.execution, await detached.wait_async()
    except BaseException:
        if detached is not None:
            # A signal between two lines: the session must not stay taken by a run that never begins.
            detached.give_up(Interrupted())
        raise


class EventFeed:
    """Hands events from the guest's thread to one async reader.

    A reader that lags behind gets its pending output in larger pieces, so what is kept stays within the output limit
    however small the pieces were that the guest wrote. One that lags behind by many turns of the two streams no longer
    gets these in turn, but one piece of each between two other events.
    """

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        import asyncio

        self._loop = loop
        self._lock = threading.Lock()
        self._events: deque[Event | _Pieces] = deque()
        # Output that is still at the end of the events, by its stream.
        self._open: dict[Stream, _Pieces] = {}
        self._arrived = asyncio.Event()
        self._woken = False
        self._ended = False

    def put(self, event: Event) -> None:
        """From any thread: add an event."""
        with self._lock:
            if isinstance(event, Output):
                self._add_output(event)
            else:
                self._open.clear()
                self._events.append(event)
            woken, self._woken = self._woken, True
        # Once until the reader looks: the loop would keep an entry for each event while it is busy elsewhere.
        if not woken:
            self._loop.call_soon_threadsafe(self._arrived.set)

    def end(self, _: object = None) -> None:
        """From the loop's thread: let the reader stop once it has read everything."""
        self._ended = True
        self._arrived.set()

    def __aiter__(self) -> "EventFeed":
        return self

    async def __anext__(self) -> Event:
        """Return the next event; ends after :meth:`end`."""
        while True:
            # Cleared before looking, so that whatever arrives after the look is not slept through.
            self._arrived.clear()
            event = self._next()
            if event is not None:
                return event
            if self._ended:
                raise StopAsyncIteration
            await self._arrived.wait()

    def _add_output(self, output: Output) -> None:
        last, pieces = self._events[-1] if self._events else None, self._open.get(output.stream)
        if pieces is None or (pieces is not last and len(self._events) < _MAX_TURNS):
            pieces = self._open[output.stream] = _Pieces(output.stream)
            self._events.append(pieces)
        pieces.add(output.text)

    def _next(self) -> Event | None:
        with self._lock:
            self._woken = False
            event = self._events.popleft() if self._events else None
            if isinstance(event, _Pieces) and self._open.get(event.stream) is event:
                del self._open[event.stream]
        return event.joined() if isinstance(event, _Pieces) else event


class _Pieces:
    """Output of one stream, in the pieces in which it came."""

    __slots__ = ("_text", "stream")

    def __init__(self, stream: Stream) -> None:
        self.stream: Stream = stream
        self._text = StringIO()

    def add(self, text: str) -> None:
        """Take another piece."""
        self._text.write(text)

    def joined(self) -> Output:
        """Return all of it as one event."""
        return Output(self.stream, self._text.getvalue())
