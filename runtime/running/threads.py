"""Threads with a stack that fits a guest, kept for reuse."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from cloche.runtime.errors import BlockedTools

__all__ = ["ABANDONED_LIMIT", "GUEST_STACK", "ThreadPool", "guest_threads", "tool_threads"]

T = TypeVar("T")

GUEST_STACK = 16 << 20
"""Bytes of stack of each thread: several times what WebAssembly is given, so that a tool has room too."""
ABANDONED_LIMIT = 64
"""How many guests' threads may be stuck in tools past their deadline before new runs are refused, per process."""
_MOST_LEFT_TOOLS = 512
_MOST_IDLE = 16

_Job = tuple["Future[Any]", Callable[[], Any]]

# threading.stack_size() is one setting for the whole process: hold it only while a thread of ours starts.
_stack_size_lock = threading.Lock()


class ThreadPool:
    """Daemon threads, started when needed and reused.

    There is no upper bound: a job always starts at once. A job that may never end is declared so with
    :meth:`abandon`, and the number of those is bounded.
    """

    def __init__(self, name: str = "cloche", stack: int = GUEST_STACK, abandoned_limit: int = ABANDONED_LIMIT) -> None:
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
        stays = len(self._idle) < _MOST_IDLE
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
tool_threads = ThreadPool("cloche-tool", abandoned_limit=_MOST_LEFT_TOOLS)
"""The process's threads for tools in the background, which hold no guest and so weigh less."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=guest_threads.forget)
    os.register_at_fork(after_in_child=tool_threads.forget)
