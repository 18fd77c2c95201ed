"""One thread is all there is: what a program starts runs inside it, when the program waits.

A started thread runs as soon as whoever runs now waits: for its end, a queue, an event, or time. It then runs to its
end, with others inside it where it waits itself. So most programs with threads give what they give elsewhere, and
where two of them would have to take turns, the deadlock is an error.
"""

import _thread
import _threading_local
import concurrent.futures
import concurrent.futures.thread
import contextvars
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count, cycle
from typing import Any, NoReturn

from cloche_guest.unsupported.reasons import NO_PROCESSES, THREADS_IN_TURN, put

__all__ = ["ProcessPoolExecutor", "ThreadPoolExecutor", "finish", "install"]

_MAX_WORKERS = 5
"""As elsewhere on one processor."""
_sleep = time.sleep
_now = time.monotonic
_real_put: Callable[..., None] = vars(queue.Queue)["put"]
_main = threading.get_ident()
_idents = count(_main + 1)
_pools = count()
_ident_now = [_main]
"""The idents of the threads that run, each inside the one before it."""
_pending: deque[threading.Thread] = deque()
"""Threads that were started and have not run yet."""
_running: list[threading.Thread] = []
"""Those that run, each inside the one before it."""
_deadlines: list[float] = []
"""When those that wait for a time are due, each below the next."""


class _Parked(BaseException):
    """Unwinds a daemon thread that waits for what can only be done below it: as at a program's end, it is left."""


class _Stuck(RuntimeError):
    """A deadlock. Unlike other errors of a thread it reaches who waits for the thread."""

    __module__ = "builtins"


_Stuck.__name__ = _Stuck.__qualname__ = "RuntimeError"


class _Handle:
    """What ``threading.Thread`` asks about the thread that stands behind it."""

    def __init__(self, thread: threading.Thread) -> None:
        self.thread = thread
        self.ident = next(_idents)
        self.finished = False
        self._seen = False

    def is_done(self) -> bool:
        """Tell whether it has run. A program that asks again waits for it, so it runs then."""
        if self._seen and self.thread in _pending:
            _pending.remove(self.thread)
            _run(self.thread)
        self._seen = True
        return self.finished

    def join(self, timeout: float | None = None) -> None:
        """Run it, if it has not run yet; wait for it otherwise."""
        if self.thread in _pending:
            _pending.remove(self.thread)
            _run(self.thread)
        _block(lambda: self.finished, timeout)


class ThreadPoolExecutor(concurrent.futures.Executor):
    """Runs each task inline when it is submitted, so tasks run one after another and in order.

    Each has the name and the ident of the worker that it would have elsewhere. Every future is finished when
    ``submit`` returns; what a task raises is raised by ``result()``.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        self._shutdown = False
        self._prefix = thread_name_prefix or f"ThreadPoolExecutor-{next(_pools)}"
        self._max_workers = max_workers or _MAX_WORKERS
        self._turns = cycle(range(self._max_workers))
        self._workers: dict[int, threading.Thread] = {}
        if initializer is not None:
            initializer(*initargs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Run ``fn(*args, **kwargs)`` now and return its finished future; RuntimeError after shutdown."""
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        active: dict[int, threading.Thread] = vars(threading)["_active"]
        worker = self._worker()
        ident = worker.ident or _main
        active[ident] = worker
        _ident_now.append(ident)
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # as a worker thread does: even SystemExit belongs to the future
            future.set_exception(error)
        finally:
            _ident_now.pop()
            active.pop(ident, None)
        return future

    def _worker(self) -> threading.Thread:
        """Return the thread that the next task is said to run on; it is never started."""
        number = next(self._turns)
        if number not in self._workers:
            worker: Any = threading.Thread(name=f"{self._prefix}_{number}")
            worker._ident = worker._native_id = next(_idents)
            worker._started.set()
            self._workers[number] = worker
        return self._workers[number]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further work; there is none left to wait for."""
        self._shutdown = True


class ProcessPoolExecutor(concurrent.futures.Executor):
    """Cannot be made: there are no processes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError(f"{NO_PROCESSES}; use concurrent.futures.ThreadPoolExecutor, which runs the work inline")


def install() -> None:
    """Put threads that run when the program waits, and pools that run their work inline, in place."""
    for executor in (ThreadPoolExecutor, ProcessPoolExecutor):
        executor.__module__ = "concurrent.futures"
    put(concurrent.futures, ThreadPoolExecutor=ThreadPoolExecutor, ProcessPoolExecutor=ProcessPoolExecutor)
    put(concurrent.futures.thread, ThreadPoolExecutor=ThreadPoolExecutor)
    put(threading.Thread, start=_start)
    put(threading.Condition, wait=_wait)
    put(threading, get_ident=_get_ident, local=_threading_local.local)
    put(_thread, get_ident=_get_ident, start_new_thread=_start_new_thread)
    put(sleep, __self__=time, __wrapped__=_sleep, __text_signature__=getattr(_sleep, "__text_signature__", None))
    put(time, sleep=sleep)
    # The C class waits where no Python code can see it.
    put(queue, SimpleQueue=vars(queue)["_PySimpleQueue"])
    put(queue.Queue, put=_put)


def finish() -> None:
    """Run the threads that a program has left, but for daemons, which wait for the next one. Raises as a deadlock."""
    for thread in [thread for thread in _pending if not thread.daemon]:
        if thread in _pending:
            _pending.remove(thread)
            _run(thread)


def _start(thread: Any) -> None:
    """Stand in for ``Thread.start``: the thread runs when the program waits."""
    if not thread._initialized:
        raise RuntimeError("thread.__init__() not called")
    if thread._started.is_set():
        raise RuntimeError("threads can only be started once")
    thread._handle = _Handle(thread)
    thread._ident = thread._native_id = thread._handle.ident
    active: dict[int, threading.Thread] = vars(threading)["_active"]
    active[thread._ident] = thread
    thread._started.set()
    _pending.append(thread)


def _start_new_thread(function: Callable[..., object], args: tuple[Any, ...], kwargs: Any = None, /) -> int:
    thread = threading.Thread(target=function, args=args, kwargs=kwargs, daemon=True)
    thread.start()
    return thread.ident or 0


# Of no Python frame: tracers would see it in every import.
_get_ident: Callable[[], int] = partial(_ident_now.__getitem__, -1)


def _run(thread: Any) -> None:
    """Run a thread to its end, or until a daemon has to be left."""
    _running.append(thread)
    _ident_now.append(thread.ident or _main)
    try:
        contextvars.Context().run(_run_guarded, thread)
    except _Parked:
        return
    finally:
        _running.pop()
        _ident_now.pop()
    thread._handle.finished = True
    vars(threading)["_active"].pop(thread.ident, None)


def _run_guarded(thread: Any) -> None:
    try:
        thread.run()
    except (_Parked, _Stuck):
        raise
    except BaseException:
        thread._invoke_excepthook(thread)


def _block(ready: Callable[[], bool], timeout: float | None) -> bool:
    """Run other threads until ``ready``, or for so many seconds; return whether it is. Raises as a deadlock."""
    deadline = None if timeout is None else _now() + timeout
    while not ready():
        if _pending:
            _run(_pending.popleft())
        elif deadline is None:
            _give_up()
        else:
            _nap(deadline)
            return ready()
    return True


def _give_up() -> NoReturn:
    if _running and _running[-1].daemon:
        raise _Parked
    raise _Stuck(f"deadlock: waiting for another thread, and none is left that can run: {THREADS_IN_TURN}")


def _nap(until: float) -> None:
    """Sleep until then; a daemon is left where another one below it is due before."""
    due = min(_deadlines, default=until)
    if due < until and _running and _running[-1].daemon:
        _sleep(max(0.0, due - _now()))
        raise _Parked
    _sleep(max(0.0, until - _now()))


def sleep(seconds: float, /) -> None:
    """Stand in for ``time.sleep``: threads that were started run meanwhile."""
    if not _pending and not _running:
        return _sleep(seconds)
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    deadline = _now() + seconds
    if not _running:
        _deadlines.append(deadline)
        try:
            while _pending:
                _run(_pending.popleft())
        finally:
            _deadlines.pop()
    return _nap(deadline)


def _wait(condition: Any, timeout: float | None = None) -> bool:
    """Stand in for ``Condition.wait``: other threads run meanwhile, and one of them may notify it."""
    if not condition._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = threading.Lock()
    waiter.acquire()
    condition._waiters.append(waiter)
    saved = condition._release_save()
    notified = False
    try:
        notified = _block(lambda: waiter.acquire(False), timeout)
        return notified
    finally:
        condition._acquire_restore(saved)
        if not notified and waiter in condition._waiters:
            condition._waiters.remove(waiter)


def _put(self: Any, item: Any, block: bool = True, timeout: float | None = None) -> None:
    """Stand in for ``Queue.put``: a full queue takes one item more where the putter would wait without an end.

    Who would make room runs after it, or below it.
    """
    if not block or timeout is not None or not (_pending or _running) or not 0 < self.maxsize <= self._qsize():
        return _real_put(self, item, block, timeout)
    with self.not_full:
        if self.is_shutdown:
            raise vars(queue)["ShutDown"]
        self._put(item)
        self.unfinished_tasks += 1
        self.not_empty.notify()
    return None
