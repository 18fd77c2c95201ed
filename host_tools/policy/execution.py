"""The two ways a call can go: on the caller's thread, or awaited on an event loop.

The steps of a call are written once, as a coroutine. On the caller's thread nothing in it ever suspends.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Any, Protocol, TypeVar, cast

from cloche.runtime.threads import tool_threads

__all__ = ["AwaitedExecution", "CallExecution", "Expired", "InlineExecution", "ThreadExecution", "finish_inline"]


T = TypeVar("T")


class Expired(Exception):
    """The time given to a tool is over. A class of its own: tools raise TimeoutError themselves."""


class CallExecution(Protocol):
    """How to call and how to wait."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Return what the tool returns. Raises Expired when ``timeout`` seconds are over."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class InlineExecution:
    """For plain tools whose approvers are plain too."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Call on this thread, or with a timeout on another, which is left behind if it does not come back."""
        return perform() if timeout is None else call_in_thread(perform, timeout)

    async def sleep(self, seconds: float) -> None:
        """Hold the thread up."""
        time.sleep(seconds)


class AwaitedExecution:
    """For coroutine tools."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Await the tool on this loop, and cancel it when the time is over."""
        async with _expiring(timeout):
            return await perform()

    async def sleep(self, seconds: float) -> None:
        """Let others run."""
        await asyncio.sleep(seconds)


class ThreadExecution(AwaitedExecution):
    """For plain tools that somebody asynchronous must approve."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Call on another thread, which is left behind if it does not come back in time."""
        context = copy_context()
        future = tool_threads.submit(lambda: context.run(perform))
        try:
            async with _expiring(timeout):
                # Shielded: a thread cannot be cancelled, and its future belongs to the thread.
                return await asyncio.shield(asyncio.wrap_future(future))
        except (Expired, asyncio.CancelledError):
            if not future.done():
                tool_threads.abandon(future)
            raise


def call_in_thread(perform: Callable[[], T], timeout: float | None) -> T:
    """Return what ``perform`` returns, called on another thread. Raises Expired and leaves it behind."""
    context = copy_context()
    future = tool_threads.submit(lambda: context.run(perform))
    try:
        return future.result(timeout)
    except FutureTimeout:
        if future.done():
            raise  # the tool's own
        tool_threads.abandon(future)
        raise Expired from None


@asynccontextmanager
async def _expiring(seconds: float | None) -> AsyncGenerator[None, None]:
    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise Expired from None
        raise


def finish_inline(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end."""
    try:
        steps.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    steps.close()
    raise RuntimeError("a plain approver returned something to await: make it a coroutine function")
