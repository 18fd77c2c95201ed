"""The process's threads with a stack that fits a guest, kept for reuse, and its background event loop."""

import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from cloche.runtime.errors import BlockedTools

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "GUEST_STACK",
    "MAX_ABANDONED",
    "BackgroundLoops",
    "Settled",
    "ThreadPool",
    "background_loops",
    "guest_threads",
    "start_awaiting",
    "tool_threads",
]


T = TypeVar("T")

GUEST_STACK = 16 << 20
"""Bytes of stack of each thread: several times what WebAssembly is given, so that a tool has room too."""
MAX_ABANDONED = 64
"""How many guests' threads may be stuck in tools past their deadline before new runs are refused, per process."""
_MAX_ABANDONED_TOOLS = 512
_MAX_IDLE = 16

_Job = tuple["Future[Any]", Callable[[], Any]]

# threading.stack_size() is one setting for the whole process: hold it only while a thread of ours starts.
_stack_size_lock = threading.Lock()


class ThreadPool:
    """Daemon threads, started when needed and reused.

    There is no upper bound: a job always starts at once. A job that may never end is declared so with
    :meth:`abandon`, and the number of those is bounded.
    """

    def __init__(self, name: str = "cloche", stack: int = GUEST_STACK, abandoned_limit: int = MAX_ABANDONED) -> None:
        self._name = name
        self._stack = stack
        self._abandoned_limit = abandoned_limit
        self._idle: list[SimpleQueue[_Job]] = []
        self._abandoned: set[Future[Any]] = set()

    @property
    def abandoned(self) -> int:
        """How many jobs were left behind and still run."""
        return len(self._abandoned)

    def check(self) -> None:
        """Raise BlockedTools if too many jobs were left behind."""
        if len(self._abandoned) >= self._abandoned_limit:
            raise BlockedTools(len(self._abandoned), self._abandoned_limit)

    def submit(self, function: Callable[[], T]) -> Future[T]:
        """Run the function on a thread of its own and return the future of its outcome. Raises BlockedTools."""
        self.check()
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        self._thread_queue().put((future, function))
        return future

    def abandon(self, future: Future[Any]) -> None:
        """Declare that nobody waits for this job any more, and count it until it ends by itself."""
        self._abandoned.add(future)
        future.add_done_callback(self._abandoned.discard)

    def forget(self) -> None:
        """Drop all threads: after a fork, the child has none of them."""
        self._idle.clear()
        self._abandoned.clear()

    def _thread_queue(self) -> "SimpleQueue[_Job]":
        try:
            return self._idle.pop()
        except IndexError:
            queue: SimpleQueue[_Job] = SimpleQueue()
            self._start(queue)
            return queue

    def _start(self, queue: "SimpleQueue[_Job]") -> None:
        thread = threading.Thread(target=self._work, args=(queue,), name=self._name, daemon=True)
        with _stack_size_lock:
            before = threading.stack_size(self._stack)
            try:
                thread.start()
            finally:
                threading.stack_size(before)

    def _work(self, queue: "SimpleQueue[_Job]") -> None:
        while self._perform(queue):
            pass

    def _perform(self, queue: "SimpleQueue[_Job]") -> bool:
        """Do the next job. Its objects are let go of before the next one is waited for."""
        future, function = queue.get()
        value, error = _outcome(function)
        # Idle first, told second: whoever was waiting may have the next job for this very thread.
        stays = len(self._idle) < _MAX_IDLE
        if stays:
            self._idle.append(queue)
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)
        return stays


def _outcome(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return function(), None
    except BaseException as error:
        # Whatever it is, it belongs to the thread that waits.
        return None, error


guest_threads = ThreadPool("cloche-guest")
"""The process's threads for guests, with the tools that they call and wait for."""
tool_threads = ThreadPool("cloche-tool", abandoned_limit=_MAX_ABANDONED_TOOLS)
"""The process's threads for tools in the background, which hold no guest and so weigh less."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=guest_threads.forget)
    os.register_at_fork(after_in_child=tool_threads.forget)


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

        if len(self._stuck) >= MAX_ABANDONED:
            raise BlockedTools(len(self._stuck), MAX_ABANDONED)
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
