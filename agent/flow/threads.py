"""Work on another thread whose events are read here, blocking or awaiting."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

__all__ = ["Work", "aevents_of", "events_of", "finished"]

Put = Callable[[Any], object]
Work = Callable[[Put], object]
"""Does something and puts events meanwhile."""


def events_of(work: Work) -> Iterator[Any]:
    """Do ``work`` on another thread and yield what it puts; at its end raise what it raised."""
    queue: SimpleQueue[Any] = SimpleQueue()
    context = contextvars.copy_context()
    end = _End()
    threading.Thread(target=end.perform, args=(context, work, queue.put), daemon=True, name="cloche-agent").start()
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

    # After everything that was put before: both go through the loop's one queue.
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
