"""The two ways a call can go: on the caller's thread, or awaited on an event loop.

The steps of a call are written once, as a coroutine. On the caller's thread nothing in it ever suspends.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar, cast

from cloche.runtime.threads import acall_on_thread, call_on_thread, expiring

__all__ = ["AwaitedExecution", "CallExecution", "InlineExecution", "ThreadExecution", "finish_inline"]


T = TypeVar("T")


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
        return perform() if timeout is None else call_on_thread(perform, timeout)

    async def sleep(self, seconds: float) -> None:
        """Hold the thread up."""
        time.sleep(seconds)


class AwaitedExecution:
    """For coroutine tools."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Await the tool on this loop, and cancel it when the time is over."""
        async with expiring(timeout):
            return await perform()

    async def sleep(self, seconds: float) -> None:
        """Let others run."""
        await asyncio.sleep(seconds)


class ThreadExecution(AwaitedExecution):
    """For plain tools with an asynchronous approver."""

    async def call(self, perform: Callable[[], Any], timeout: float | None) -> Any:
        """Call on another thread, which is left behind if it does not come back in time."""
        return await acall_on_thread(perform, timeout)


def finish_inline(steps: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never suspends to its end."""
    try:
        steps.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    steps.close()
    raise RuntimeError("a plain approver returned something to await: make it a coroutine function")
