"""Performing a run on a thread of its own, and waiting for it: by blocking, by awaiting, or event by event."""

import contextvars
import threading
from collections import deque
from concurrent.futures import Future
from math import inf
from typing import TYPE_CHECKING, Any

from cloche.runtime.bridge.run_state import now
from cloche.runtime.errors import GuestError, Interrupted
from cloche.runtime.result import Event, Output, Result, Stream
from cloche.runtime.session.execution import GRACE, Execution, Overtaken
from cloche.runtime.threads import guest_threads

if TYPE_CHECKING:
    import asyncio

__all__ = ["Detached", "EventFeed"]


class EventFeed:
    """Hands events from the guest's thread to one async reader.

    A reader that lags behind gets its pending output in one piece per stream, so what is kept stays within the
    output limit however small the pieces were that the guest wrote.
    """

    def __init__(self, loop: "asyncio.AbstractEventLoop") -> None:
        import asyncio

        self._loop = loop
        self._lock = threading.Lock()
        self._events: deque[Event | _Pieces] = deque()
        self._arrived = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        """From any thread: add an event."""
        with self._lock:
            if not self._joined(event):
                self._events.append(_Pieces(event) if isinstance(event, Output) else event)
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

    def _joined(self, event: Event) -> bool:
        last = self._events[-1] if self._events else None
        return isinstance(event, Output) and isinstance(last, _Pieces) and last.add(event)

    def _next(self) -> Event | None:
        with self._lock:
            event = self._events.popleft() if self._events else None
        return event.joined() if isinstance(event, _Pieces) else event


class _Pieces:
    """Output of one stream, in the pieces in which it came."""

    def __init__(self, first: Output) -> None:
        self._stream: Stream = first.stream
        self._texts = [first.text]

    def add(self, output: Output) -> bool:
        """Take another piece, if it is of the same stream."""
        if output.stream != self._stream:
            return False
        self._texts.append(output.text)
        return True

    def joined(self) -> Output:
        """Return all of it as one event."""
        return Output(self._stream, "".join(self._texts))


# How long to wait for a run that is about to start or to end, before looking again.
_SHORT = 0.25


class Detached:
    """A run that is performed by a guest thread. A thread that a tool blocks past the deadline is left behind."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._outcome: Future[Result[Any]] = Future()
        # Running from the start: a cancelled waiter must not cancel the outcome itself.
        self._outcome.set_running_or_notify_cancel()
        context = contextvars.copy_context()
        self._thread = guest_threads.submit(lambda: context.run(self._perform))

    def wait(self) -> Result[Any]:
        """Block until the run is settled and return its result. An exception such as Ctrl-C ends the run first."""
        try:
            while not self._is_settled_within(self._patience()):
                self._leave_if_overdue()
        except BaseException:
            self.leave(Interrupted())
            raise
        return self._outcome.result()

    async def wait_async(self) -> Result[Any]:
        """Await the run's result. Being cancelled ends the run first."""
        import asyncio

        waiting = asyncio.wrap_future(self._outcome)
        # Seen, even if nobody awaits it any more.
        waiting.add_done_callback(lambda future: future.exception())
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=self._patience())
                if not waiting.done():
                    self._leave_if_overdue()
        except asyncio.CancelledError:
            self.leave(Interrupted("the awaiting task was cancelled"))
            await asyncio.wait({waiting}, timeout=_SHORT)
            raise
        return waiting.result()

    def interrupt(self, reason: GuestError) -> bool:
        """From any thread: end the run, even if a tool blocks it. Returns whether it was still going on."""
        if self.execution.run.doing:
            return self.leave(reason)
        going_on = self.execution.interrupt(reason)
        # The tool may have been entered in between; see Host, which looks in the opposite order.
        if going_on and self.execution.run.doing:
            self.leave(reason)
        return going_on

    def leave(self, error: GuestError) -> bool:
        """Settle the run without its thread, if it is not settled. Returns whether that was done here."""
        result = self.execution.abandon(error)
        if result is None:
            return False
        guest_threads.abandon(self._thread)
        self._outcome.set_result(result)
        return True

    def _perform(self) -> None:
        try:
            result = self.execution.perform()
        except Overtaken:
            return
        except BaseException as error:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(result)

    def _is_settled_within(self, seconds: float | None) -> bool:
        try:
            self._outcome.exception(timeout=seconds)
        except TimeoutError:
            return False
        return True

    def _leave_if_overdue(self) -> None:
        if self.execution.is_overdue:
            self.leave(self.execution.run.time_exceeded())

    def _patience(self) -> float | None:
        deadline = self.execution.run.deadline
        return None if deadline == inf else max(_SHORT / 10, deadline + GRACE - now())
