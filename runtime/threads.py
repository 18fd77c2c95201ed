"""The process's threads with a stack that fits a guest, kept for reuse, and its background event loop."""

import os
import sys
import threading
from _queue import SimpleQueue  # Python's own, also where gevent has put one of its own into the module queue
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from math import inf
from threading import get_ident, get_native_id, main_thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from weakref import WeakKeyDictionary

from cloche.runtime.errors import BlockedTools

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

__all__ = [
    "GUEST_STACK",
    "MAX_ABANDONED",
    "Awaiting",
    "BackgroundLoops",
    "Expired",
    "Settled",
    "ThreadPool",
    "Work",
    "acall_on_thread",
    "background_loops",
    "call_on_thread",
    "close_unawaited",
    "expiring",
    "guest_threads",
    "longest_wait",
    "post",
    "prepared",
    "tool_threads",
]


T = TypeVar("T")

GUEST_STACK = 16 << 20
"""Bytes of stack of each thread: several times what WebAssembly is given, so that a tool has room too."""
MAX_ABANDONED = 64
"""How many guests' threads may be stuck in tools past their deadline before new runs are refused, per process."""
_MAX_ABANDONED_TOOLS = 512
_MAX_IDLE = 16
# Where a future of ours keeps its work.
_WORK = "cloche_work"
_BLINK = 0.1
# Locks wait no longer than some weeks on some platforms.
_LONG = 86_400.0

# threading.stack_size() is one setting for the whole process: hold it only while a thread of ours starts.
_stack_size_lock = threading.Lock()


def longest_wait() -> float:
    """Return for how many seconds this thread may wait in one piece, before it looks and waits again.

    Python notes a signal and wakes the main thread if that waits. If it comes in the microseconds in which that thread
    is about to wait, nothing wakes it, and Ctrl-C would be raised only when what is waited for is over.
    """
    return _BLINK if get_ident() == main_thread().ident else _LONG


class Work:
    """A function to call on a thread of the pool, and what is called there when that thread is ready for more work.

    Neither may raise. ``begun`` says whether it was given to a thread, ``over`` whether the function has returned.
    """

    __slots__ = ("begun", "function", "over", "tell")

    def __init__(self, function: Callable[[], object], tell: Callable[[], object]) -> None:
        self.function = function
        self.tell = tell
        self.begun = self.over = False


class _Outcome(Generic[T]):
    """Calls a function on a thread of the pool, and settles its future when that thread is ready for more work."""

    def __init__(self, function: Callable[[], T], future: "Future[T]") -> None:
        self._function = function
        self._future = future
        self._returned: T
        self._raised: BaseException | None = None
        future.set_running_or_notify_cancel()

    def call(self) -> None:
        try:
            self._returned = self._function()
        except BaseException as error:
            # Whatever it is, it belongs to the thread that waits.
            self._raised = error
        del self._function

    def settle(self) -> None:
        if self._raised is None:
            self._future.set_result(self._returned)
        else:
            self._future.set_exception(self._raised)


def prepared(function: Callable[[], T]) -> "tuple[Work, Future[T]]":
    """Return the work of calling a function, and the future of its outcome."""
    # Here, as it imports logging, and most processes need neither.
    from concurrent.futures import Future

    future: Future[T] = Future()
    outcome = _Outcome(function, future)
    work = vars(future)[_WORK] = Work(outcome.call, outcome.settle)
    return work, future


class _Pipe:
    """Where a thread waits for its next work.

    A pipe and not a queue: the kernel takes a write for the writer's last act before it waits, and wakes the reader on
    the same processor. To a thread that waits for a lock it sends an interrupt, and on to a processor that sleeps, as
    a rule: 6 microseconds there and back against 14.
    """

    __slots__ = ("_reader", "_work", "_writer")

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def put(self, work: Work) -> None:
        self._work = work
        os.write(self._writer, b"\0")

    def get(self) -> Work:
        os.read(self._reader, 1)
        work = self._work
        del self._work
        return work

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


_Inbox = _Pipe | SimpleQueue[Work]


class ThreadPool:
    """Daemon threads, started when needed and reused.

    There is no upper bound: work always starts at once. Work that may never end is declared so with
    :meth:`abandon`: it is in ``left_behind`` until it ends by itself, and how much may be there is bounded.
    """

    def __init__(self, name: str = "cloche", stack: int = GUEST_STACK, max_abandoned: int = MAX_ABANDONED) -> None:
        self._name = name
        self._stack = stack
        self._max_abandoned = max_abandoned
        self._idle: list[_Inbox] = []
        self._pipes = 0
        self.left_behind: set[Work] = set()
        self.niceness = 0
        """How much nicer than the process threads are that start from now on; on Linux, where each has its own."""

    @property
    def abandoned(self) -> int:
        """How much work was left behind and still runs."""
        return len(self.left_behind)

    def check(self) -> None:
        """Raise BlockedTools if too much work was left behind."""
        if len(self.left_behind) >= self._max_abandoned:
            raise BlockedTools(len(self.left_behind), self._max_abandoned)

    def start(self, work: Work) -> None:
        """Do the work on a thread of its own. Raises BlockedTools."""
        if self.left_behind:
            self.check()
        try:
            inbox = self._idle.pop()
        except IndexError:
            inbox = self._new_thread()
        work.begun = True
        inbox.put(work)

    def submit(self, function: Callable[[], T]) -> "Future[T]":
        """Call the function on a thread of its own and return the future of its outcome. Raises BlockedTools."""
        work, future = prepared(function)
        self.start(work)
        return future

    def abandon(self, task: "Work | Future[Any]") -> None:
        """Declare that this work is not waited for any more, and count it until it ends by itself."""
        work: Work = task if isinstance(task, Work) else vars(task)[_WORK]
        self.left_behind.add(work)
        if work.over:
            self.left_behind.discard(work)

    def forget(self) -> None:
        """Drop all threads: after a fork, the child has none of them."""
        for inbox in self._idle:
            if isinstance(inbox, _Pipe):
                inbox.close()
        self._idle.clear()
        self.left_behind.clear()
        self._pipes = 0

    def _new_thread(self) -> _Inbox:
        # Only as many pipes as there are threads that stay: a process has no end of threads, but of open files.
        inbox: _Inbox = _Pipe() if self._pipes < _MAX_IDLE else SimpleQueue()
        self._pipes += isinstance(inbox, _Pipe)
        thread = threading.Thread(target=self._serve, args=(inbox,), name=self._name, daemon=True)
        with _stack_size_lock:
            before = threading.stack_size(self._stack)
            try:
                thread.start()
            finally:
                threading.stack_size(before)
        return inbox

    def _serve(self, inbox: _Inbox) -> None:
        if self.niceness and sys.platform == "linux":
            usual = os.getpriority(os.PRIO_PROCESS, os.getpid())
            os.setpriority(os.PRIO_PROCESS, get_native_id(), usual + self.niceness)
        while self._perform(inbox):
            pass
        if isinstance(inbox, _Pipe):
            self._pipes -= 1
            inbox.close()

    def _perform(self, inbox: _Inbox) -> bool:
        """Do the next work. Its objects are dropped before more is waited for."""
        work = inbox.get()
        work.function()
        work.over = True
        if self.left_behind:
            self.left_behind.discard(work)
        # Idle first, then tell: whoever was waiting may have the next work for this very thread.
        stays = len(self._idle) < _MAX_IDLE
        if stays:
            self._idle.append(inbox)
        work.tell()
        return stays


guest_threads = ThreadPool("cloche-guest")
"""The process's threads for guests, with the tools that they call and wait for."""
tool_threads = ThreadPool("cloche-tool", max_abandoned=_MAX_ABANDONED_TOOLS)
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


class _Post:
    """What other threads have for one loop to do, which is woken once for all of it: each time costs two switches.

    While there is anything, the loop looks again in its next turn, before it waits: what comes meanwhile need not wake
    it. It does not hold the loop, which may end before it.
    """

    __slots__ = ("_calls", "_woken")

    def __init__(self) -> None:
        self._calls: deque[Callable[[], object]] = deque()
        self._woken = False

    def put(self, loop: "asyncio.AbstractEventLoop", call: Callable[[], object]) -> None:
        if loop.is_closed():
            raise RuntimeError("the event loop is closed")
        self._calls.append(call)
        if not self._woken:
            self._woken = True
            loop.call_soon_threadsafe(self._deliver, loop)

    def _deliver(self, loop: "asyncio.AbstractEventLoop") -> None:
        calls = self._calls
        again = self._woken = bool(calls)
        # After that look: one that comes later wakes the loop again, and one that came just before it is seen here.
        try:
            for _ in range(len(calls)):
                calls.popleft()()
        finally:
            if again:
                loop.call_soon(self._deliver, loop)


_posts: "WeakKeyDictionary[asyncio.AbstractEventLoop, _Post]" = WeakKeyDictionary()


def post(loop: "asyncio.AbstractEventLoop", call: Callable[[], object]) -> None:
    """From any thread: have a loop call this soon. It must not raise. Raises RuntimeError if the loop is closed."""
    found = _posts.get(loop)
    if found is None:
        found = _posts.setdefault(loop, _Post())
    found.put(loop, call)


def close_unawaited(awaitable: Awaitable[Any]) -> None:
    """Close what is never to be awaited: a coroutine that is only dropped warns that it was forgotten."""
    close: object = getattr(awaitable, "close", None)
    if callable(close):
        close()


class Awaiting:
    """Something that is awaited on a loop which another thread runs, within this one's context.

    ``tell`` is called there when it has ended, and ``outcome`` is there; the awaitable may raise what it likes.
    """

    __slots__ = ("_awaitable", "_context", "_given_up", "_loop", "_task", "_tell", "outcome")

    def __init__(self, awaitable: Awaitable[Any], loop: "asyncio.AbstractEventLoop") -> None:
        self._awaitable = awaitable
        self._loop = loop
        self._context = copy_context()
        self._task: asyncio.Task[Settled] | None = None
        self._given_up = False
        self._tell: Callable[[Settled], object] = _ignore
        self.outcome: Settled | None = None

    def start(self, tell: Callable[[Settled], object]) -> None:
        """Begin. Raises RuntimeError if the loop is closed."""
        self._tell = tell
        post(self._loop, self._begin)

    def is_over(self) -> bool:
        """Whether there is an outcome."""
        return self.outcome is not None

    def cancel(self) -> None:
        """From any thread: cancel it."""
        self._given_up = True
        with suppress(RuntimeError):
            post(self._loop, self._cancel)

    def _begin(self) -> None:
        self._task = self._loop.create_task(_settle(self._awaitable), context=self._context)
        self._task.add_done_callback(self._end)
        if self._given_up:
            self._task.cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: "asyncio.Task[Settled]") -> None:
        if task.cancelled():
            # Before its first step: nothing has looked at what it was to await.
            close_unawaited(self._awaitable)
        self.outcome = Settled(None, _cancelled()) if task.cancelled() else task.result()
        self._tell(self.outcome)


def _ignore(_: Settled) -> None:
    pass


def _cancelled() -> BaseException:
    from asyncio import CancelledError

    return CancelledError()


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


class Expired(Exception):
    """The time given to a call is over. A class of its own: what is called may raise TimeoutError itself."""


def call_on_thread(function: Callable[[], T], timeout: float | None = None) -> T:
    """Return what a function returns, called on another thread within this one's context.

    Raises Expired after ``timeout`` seconds, as well as what the function raises, and BlockedTools. A thread that is
    not waited for any more is left behind.
    """
    future, until = _on_thread(function), inf if timeout is None else monotonic() + timeout
    try:
        while True:
            try:
                return future.result(max(0.0, min(until - monotonic(), longest_wait())))
            except TimeoutError:
                if future.done():
                    # The function's own.
                    raise
                if monotonic() >= until:
                    raise Expired from None
    finally:
        if not future.done():
            tool_threads.abandon(future)


async def acall_on_thread(function: Callable[[], T], timeout: float | None = None) -> T:
    """Like :func:`call_on_thread`, awaited. Being cancelled leaves the thread behind."""
    import asyncio

    # Not the loop's executor: it has few threads, and a hundred callers may wait at once.
    future = _on_thread(function)
    try:
        async with expiring(timeout):
            return await asyncio.wrap_future(future)
    except (Expired, asyncio.CancelledError):
        if not future.done():
            tool_threads.abandon(future)
        raise


@asynccontextmanager
async def expiring(seconds: float | None) -> AsyncGenerator[None, None]:
    """Cancel what is awaited inside after so many seconds, None for never. Raises Expired then."""
    import asyncio

    timeout = asyncio.timeout(seconds)
    try:
        async with timeout:
            yield
    except TimeoutError:
        if timeout.expired():
            raise Expired from None
        raise


def _on_thread(function: Callable[[], T]) -> "Future[T]":
    context = copy_context()
    return tool_threads.submit(lambda: context.run(function))
