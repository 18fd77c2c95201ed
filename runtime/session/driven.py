"""A run that a scheduler drives and a coroutine awaits, and its events."""

import contextvars
import threading
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from io import StringIO
from math import inf
from typing import TYPE_CHECKING, Any

from cloche.runtime.driving.scheduler import Scheduler, standing_in
from cloche.runtime.errors import BlockedTools, GuestError, Interrupted
from cloche.runtime.machine_api import now
from cloche.runtime.result import Event, Output, Result, Stream
from cloche.runtime.session.execution import Execution, Overtaken
from cloche.runtime.session.resting import resting
from cloche.runtime.threads import post
from cloche.runtime.wasm.signals import deferred

if TYPE_CHECKING:
    import asyncio

__all__ = ["Driven", "EventFeed", "perform_async"]

_READY, _STEPPING, _WAITING, _OVER = range(4)
_MAX_TURNS = 1_000


class Driven:
    """A run on a scheduler's threads, awaited on a loop.

    It is ready, until a thread of the scheduler steps it; then it is ready again, as its slice was over, or it waits
    for something, or it is over. Whoever takes it out of "ready" or "waiting", under the lock, has it alone.
    """

    _result: Result[Any] | None = None
    _error: BaseException | None = None
    _begun = False

    def __init__(
        self, execution: Execution, loop: "asyncio.AbstractEventLoop", scheduler: Scheduler, account: str
    ) -> None:
        self.execution = execution
        self.account = account
        self.leaves = execution.can_leave
        self.standing_in: Callable[[], AbstractContextManager[None]] = standing_in
        self._scheduler = scheduler
        self._loop = loop
        self._awaited: asyncio.Future[None] = loop.create_future()
        self._context = contextvars.copy_context()
        self._lock = allocate_lock()
        self._state = _READY
        self._since = now()
        # When the scheduler will poke it.
        self._poked_at = inf
        # Whether it waits and is counted as one that has kept its guest.
        self._keeps = False
        execution.run.driver, execution.leave = self, self._be_interrupted
        execution.run.hands_over = True

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._state == _OVER

    async def outcome(self) -> Result[Any]:
        """Have the run driven and await its result. Being cancelled ends it first. Raises BlockedTools."""
        import asyncio

        try:
            self._scheduler.submit(self)
            await self._awaited
        except asyncio.CancelledError:
            self.give_up(Interrupted("the awaiting task was cancelled"))
            raise
        except BaseException:
            self.give_up(Interrupted())
            raise
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def advance(self) -> bool:
        """On a thread of the scheduler: step it. Returns whether it is ready again."""
        with self._lock:
            if self._state != _READY:
                return False
            self._state = _STEPPING
        self._wake_up()
        self.execution.leave_out(now() - self._since)
        self._begun = True
        try:
            self._result = self._context.run(self.execution.advance)
        except Overtaken:
            self._state = _OVER
            return False
        except BaseException as error:
            # Whatever it is, it belongs to the coroutine that waits.
            self._error = error
            self._settle()
            return False
        if self._result is not None:
            self._settle()
            return False
        return self._stand()

    def ask(self) -> None:
        """Have it leave its thread, for its slice is over."""
        pausing = self.execution.pausing
        if pausing is not None:
            pausing.nudge()

    def poke(self) -> None:
        """Have it go on if what it waits for has come, or it has to end."""
        with self._lock:
            if self._state != _WAITING:
                return
            waits = self.execution.run.still_waits()
            if not waits:
                self._state, self._since = _READY, now()
        if waits:
            self._be_poked()
        else:
            # With too many threads left behind, one that is there will have it in time.
            with suppress(BlockedTools):
                self._scheduler.submit(self)

    def unstick(self) -> bool:
        """End it without its thread if that has not come back in time. Returns whether it was ended here."""
        return self._state == _STEPPING and self.execution.is_overdue and self._leave(self.execution.time_exceeded())

    def give_up(self, error: GuestError) -> None:
        """End the run and settle it, if it is not settled."""
        with deferred():
            with self._lock:
                stands = self._state in (_READY, _WAITING)
                if stands:
                    self._state = _OVER
            if stands:
                self._drop(error)
            else:
                self._leave(error)

    def _be_interrupted(self, error: GuestError) -> bool:
        """End the run at once that waits for a tool, if it does. Returns whether it was in progress."""
        with self._lock:
            state = self._state
            if state == _WAITING:
                self._state = _OVER
        if state == _WAITING:
            self._drop(error)
        elif state == _READY:
            self.execution.run.interrupt(error)
        return state in (_READY, _WAITING) or self._leave(error)

    def _drop(self, error: GuestError) -> None:
        self._wake_up()
        try:
            self._result = self._context.run(self.execution.drop, error)
        except BaseException as raised:
            self._error = raised
        self._settle()

    def _wake_up(self) -> None:
        if self._keeps:
            self._keeps = False
            resting.wakes()

    def _stand(self) -> bool:
        run = self.execution.run
        kept = self.execution.kept
        if kept is not None and run.still_waits():
            self._keeps = resting.keeps(kept)
            if not self._keeps:
                self.execution.begin_rest()
        with self._lock:
            waits = run.still_waits()
            self._state, self._since = _WAITING if waits else _READY, now()
        if waits:
            self._be_poked()
        return not waits

    def _be_poked(self) -> None:
        run = self.execution.run
        wait = run.wait
        if wait is None:
            return
        moment = min(wait.until, run.stop.deadline)
        if self._poked_at <= now():
            self._poked_at = inf
        if moment < self._poked_at:
            self._poked_at = moment
            self._scheduler.wake_at(moment, self)

    def _leave(self, error: GuestError) -> bool:
        """Settle the run without its thread, if it is not settled. Returns whether that was done here."""
        result = self.execution.abandon(error)
        if result is None:
            return False
        self._result = result
        self._settle()
        return True

    def _settle(self) -> None:
        self._state = _OVER
        # The method and this object hold each other.
        self.execution.leave = None
        # A loop that was closed meanwhile refuses: nothing waits there any more.
        with suppress(RuntimeError):
            post(self._loop, self._wake)

    def _wake(self) -> None:
        if not self._awaited.done():
            self._awaited.set_result(None)


async def perform_async(
    begin: "Callable[[asyncio.AbstractEventLoop], Execution]", scheduler: Scheduler | None, account: str
) -> tuple[Execution, Result[Any]]:
    """Begin a run, have the scheduler drive it, by default the shared one, and await its result.

    Being cancelled ends the run first.
    """
    import asyncio

    scheduler = Scheduler.shared() if scheduler is None else scheduler
    loop, driven = asyncio.get_running_loop(), None
    try:
        with deferred():
            driven = Driven(begin(loop), loop, scheduler, account)
        return driven.execution, await driven.outcome()
    except BaseException:
        if driven is not None:
            # A signal between two lines: the session must not stay taken by a run that never begins.
            driven.give_up(Interrupted())
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
