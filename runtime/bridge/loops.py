"""An event loop in the background, for coroutine tools of callers that have none running."""

import os
import threading
from collections.abc import Awaitable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from cloche.runtime.errors import BlockedTools
from cloche.runtime.running.threads import ABANDONED_LIMIT

if TYPE_CHECKING:
    import asyncio

__all__ = ["BackgroundLoops", "Settled", "background_loops", "start_awaiting"]


class Settled:
    """How a call or an awaitable ended. A plain class, as a named tuple takes twice as long to make."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any, error: BaseException | None) -> None:
        self.value = value
        self.error = error


class _Stuck(NamedTuple):
    loop: "asyncio.AbstractEventLoop"
    reacted: threading.Event


class BackgroundLoops:
    """The process's background event loop, and those that were given up because a tool blocked them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: asyncio.AbstractEventLoop | None = None
        self._stuck: list[_Stuck] = []

    def get(self) -> "asyncio.AbstractEventLoop":
        """Return a running loop, starting one if needed. Raises BlockedTools if too many are stuck."""
        with self._lock:
            if self._current is None:
                self._current = self._recovered() or self._started()
            return self._current

    def check(self, loop: "asyncio.AbstractEventLoop", patience: float = 0.1) -> None:
        """Give a background loop up if it does not react: a coroutine that blocks in it holds up all others."""
        if loop is not self._current:
            return
        reacted = threading.Event()
        loop.call_soon_threadsafe(reacted.set)
        if not reacted.wait(patience):
            self._give_up(_Stuck(loop, reacted))

    def forget(self) -> None:
        """Drop all loops: after a fork, the child has no threads to run them."""
        self._current = None
        self._stuck.clear()

    def _give_up(self, stuck: _Stuck) -> None:
        with self._lock:
            if self._current is stuck.loop:
                self._current = None
                self._stuck.append(stuck)

    def _recovered(self) -> "asyncio.AbstractEventLoop | None":
        for stuck in self._stuck:
            if stuck.reacted.is_set():
                self._stuck.remove(stuck)
                return stuck.loop
        return None

    def _started(self) -> "asyncio.AbstractEventLoop":
        import asyncio

        if len(self._stuck) >= ABANDONED_LIMIT:
            raise BlockedTools(len(self._stuck), ABANDONED_LIMIT)
        loop = asyncio.new_event_loop()
        threading.Thread(target=loop.run_forever, name="cloche-loop", daemon=True).start()
        return loop


def start_awaiting(awaitable: Awaitable[Any], loop: "asyncio.AbstractEventLoop") -> "Future[Settled]":
    """Await something on a loop that another thread runs; the future never fails, whatever the awaitable raises."""
    import asyncio

    return asyncio.run_coroutine_threadsafe(_settle(awaitable), loop)


async def _settle(awaitable: Awaitable[Any]) -> Settled:
    try:
        return Settled(await awaitable, None)
    except BaseException as error:
        # Not only Exception: asyncio would let SystemExit and the like end the loop's thread.
        return Settled(None, error)


background_loops = BackgroundLoops()
"""The loops of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=background_loops.forget)
