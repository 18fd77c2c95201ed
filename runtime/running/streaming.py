"""From a callback on one thread to an async iterator on another."""

import threading
from collections import deque
from typing import TYPE_CHECKING

from cloche.runtime.events import Event, Output, Stream

if TYPE_CHECKING:
    import asyncio

__all__ = ["EventFeed"]


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
