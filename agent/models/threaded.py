"""Models without async methods, awaited all the same: each call on a thread of its own."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

__all__ = ["in_thread", "stream_in_thread"]

T = TypeVar("T")
_END = object()


async def in_thread(call: Callable[[], T]) -> T:
    """Await a blocking call. Being cancelled leaves the thread to itself; its outcome is dropped."""
    # Not the loop's executor: it has few threads, and a hundred agents may wait for a model at once.
    future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    context = contextvars.copy_context()
    _start(lambda: context.run(_settle, future, call))
    return await future


async def stream_in_thread(make: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Iterate over a blocking iterator. Leaving early ends it at its next item."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Any] = asyncio.Queue()
    left = threading.Event()
    _start(lambda: _feed(make, lambda item: _call_soon(loop, queue.put_nowait, item), left))
    try:
        while (item := await queue.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()


def _start(work: Callable[[], object]) -> None:
    threading.Thread(target=work, daemon=True, name="cloche-model").start()


def _settle(future: "asyncio.Future[Any]", call: Callable[[], Any]) -> None:
    loop = future.get_loop()
    try:
        value = call()
    except BaseException as error:
        _call_soon(loop, _set_error, future, error)
    else:
        _call_soon(loop, _set_result, future, value)


def _set_result(future: "asyncio.Future[Any]", value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _set_error(future: "asyncio.Future[Any]", error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


def _feed(make: Callable[[], Iterator[Any]], put: Callable[[Any], None], left: threading.Event) -> None:
    try:
        for item in make():
            put(item)
            if left.is_set():
                return
    except BaseException as error:
        put(error)
    put(_END)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> None:
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        # The loop was closed while the model was still thinking: nobody waits for the answer.
        return
