"""What an agent's loop asks to be done, and the two drivers that do it: blocking, or awaiting."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from cloche.agent.events import AgentEvent, TextDelta
from cloche.agent.loop.run import Run
from cloche.agent.models.base import (
    AsyncModel,
    Delta,
    ModelRequest,
    Piece,
    Reply,
    last_reply,
    stream_in_thread,
)
from cloche.runtime.threads import acall_on_thread, tool_threads

__all__ = [
    "AskModel",
    "CallFunction",
    "Effect",
    "Loop",
    "Put",
    "Work",
    "adrive",
    "aevents_of",
    "drive",
    "events_of",
    "finished",
]

T = TypeVar("T")
Put = Callable[[Any], object]
Work = Callable[[Put], object]
"""Does something, and calls its argument with each event that happens meanwhile."""


class Effect(Generic[T]):
    """Something to do. It is performed once; its outcome is then in ``value``.

    Both ways of performing it yield events, after observers have seen them, but only if the run is streamed.
    """

    value: T

    def perform(self) -> Iterator[AgentEvent]:
        """Do it, blocking this thread."""
        raise NotImplementedError

    def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Do it, awaiting."""
        raise NotImplementedError


Loop = Generator[AgentEvent | Effect[Any], Any, Any]
"""An agent's loop: yields events and effects, and is sent back each effect's value, or thrown what it raised."""


def drive(flow: Loop) -> Iterator[AgentEvent]:
    """Perform a loop on this thread and yield its events. Leaving early closes it."""
    try:
        item = next(flow)
        while True:
            if not isinstance(item, Effect):
                yield item
                item = flow.send(None)
                continue
            try:
                yield from item.perform()
            except Exception as error:
                item = flow.throw(error)
            else:
                item = flow.send(item.value)
    except StopIteration:
        return
    finally:
        flow.close()


async def adrive(flow: Loop) -> AsyncGenerator[AgentEvent, None]:
    """Like :func:`drive`, awaiting. Being cancelled closes the loop."""
    try:
        item = next(flow)
        while True:
            if not isinstance(item, Effect):
                yield item
                item = flow.send(None)
                continue
            try:
                async with aclosing(item.aperform()) as events:
                    async for event in events:
                        yield event
            except Exception as error:
                item = flow.throw(error)
            else:
                item = flow.send(item.value)
    except StopIteration:
        return
    finally:
        flow.close()


class CallFunction(Effect[T]):
    """Call a function that may block for a while, or whose result is to be awaited."""

    def __init__(self, function: Callable[[], Any], *, blocks: bool = True) -> None:
        self._function = function
        self._blocks = blocks

    def perform(self) -> Iterator[AgentEvent]:
        """Call it; a result that is awaitable gets an event loop of its own."""
        self.value = finished(self._function())
        return iter(())

    async def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Call it, on another thread if it blocks."""
        value = await acall_on_thread(self._function) if self._blocks else self._function()
        self.value = await value if hasattr(value, "__await__") else value
        # What makes this an async generator: a call has no events of its own.
        nothing: tuple[AgentEvent, ...] = ()
        for event in nothing:
            yield event


class AskModel(Effect[Reply]):
    """Ask the run's model."""

    def __init__(self, run: Run, model: Any, request: ModelRequest) -> None:
        self._run = run
        self._model = model
        self._request = request

    def perform(self) -> Iterator[AgentEvent]:
        """Ask, and yield the text as it comes if the run is streamed."""
        if not self._run.streamed:
            self.value = self._model.generate(self._request)
            return
        piece: Piece | None = None
        for piece in self._model.stream(self._request):
            self._run.check_interrupted()
            if isinstance(piece, Delta):
                yield self._run.emit(self._event(piece))
        self.value = last_reply(piece)

    async def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Like :meth:`perform`; an interrupt ends the waiting at once."""
        if not self._run.streamed:
            self.value = await self._run.interruptible(self._asked())
            return
        pieces = self._pieces()
        piece: Piece | None = None
        while (found := await self._run.interruptible(_next(pieces))) is not None:
            piece = found
            if isinstance(piece, Delta):
                yield self._run.emit(self._event(piece))
        self.value = last_reply(piece)

    async def _asked(self) -> Reply:
        if isinstance(self._model, AsyncModel):
            return await self._model.agenerate(self._request)
        return await acall_on_thread(lambda: self._model.generate(self._request))

    def _pieces(self) -> AsyncIterator[Piece]:
        if isinstance(self._model, AsyncModel):
            return self._model.astream(self._request)
        return stream_in_thread(lambda: self._model.stream(self._request))

    def _event(self, delta: Delta) -> TextDelta:
        return TextDelta(delta.text, delta.restart, **self._run.stamp)


async def _next(pieces: AsyncIterator[Piece]) -> Piece | None:
    return await anext(pieces, None)


def events_of(work: Work) -> Iterator[Any]:
    """Do ``work`` on another thread and yield what it puts; at its end raise what it raised."""
    queue: SimpleQueue[Any] = SimpleQueue()
    context = contextvars.copy_context()
    end = _End()
    tool_threads.submit(lambda: end.perform(context, work, queue.put))
    while (item := queue.get()) is not end:
        yield item
    if end.error is not None:
        raise end.error


async def aevents_of(work: Callable[[Put], Any]) -> AsyncGenerator[Any, None]:
    """Await ``work(put)`` and yield what it puts, from whichever thread; leaving early cancels it."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    end = _End()
    task = asyncio.ensure_future(work(lambda item: loop.call_soon_threadsafe(queue.put_nowait, item)))

    # Behind everything that was put before: both take the way through the loop's one queue.
    def put_end(_: object) -> None:
        loop.call_soon(queue.put_nowait, end)

    task.add_done_callback(put_end)
    try:
        while (item := await queue.get()) is not end:
            yield item
        await task
    finally:
        task.cancel()
        await asyncio.wait({task})


def finished(value: Any) -> Any:
    """Return the value, awaited if it is awaitable; also where a loop runs on this thread, as in a notebook."""
    if not hasattr(value, "__await__"):
        return value
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(value))
    with ThreadPoolExecutor(1, thread_name_prefix="cloche-await") as pool:
        return pool.submit(contextvars.copy_context().run, asyncio.run, _awaited(value)).result()


async def _awaited(value: Any) -> Any:
    return await value


class _End:
    """Put behind the last event."""

    def __init__(self) -> None:
        self.error: BaseException | None = None

    def perform(self, context: contextvars.Context, work: Work, put: Put) -> None:
        try:
            context.run(work, put)
        except BaseException as error:
            self.error = error
        put(self)
