"""One thread is all there is: pools run their work inline, and threads say that they cannot start."""

import concurrent.futures
import concurrent.futures.thread
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from cloche_guest.unsupported.reasons import NO_PROCESSES, NO_THREADS, put

__all__ = ["ProcessPoolExecutor", "ThreadPoolExecutor", "install"]


class ThreadPoolExecutor(concurrent.futures.Executor):
    """Runs each task inline when it is submitted, so tasks run one after another and in order.

    Every future is finished when ``submit`` returns; what a task raises is raised by ``result()``.
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
        if initializer is not None:
            initializer(*initargs)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Run ``fn(*args, **kwargs)`` now and return its finished future; RuntimeError after shutdown."""
        if self._shutdown:
            raise RuntimeError("cannot schedule new futures after shutdown")
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # as a worker thread does: even SystemExit belongs to the future
            future.set_exception(error)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Refuse further work; there is none left to wait for."""
        self._shutdown = True


class ProcessPoolExecutor(concurrent.futures.Executor):
    """Cannot be made: there are no processes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError(f"{NO_PROCESSES}; use concurrent.futures.ThreadPoolExecutor, which runs the work inline")


def install() -> None:
    """Make ``threading.Thread.start`` and endless waits for other threads raise, and pools run their work inline."""
    for executor in (ThreadPoolExecutor, ProcessPoolExecutor):
        executor.__module__ = "concurrent.futures"
    put(concurrent.futures, ThreadPoolExecutor=ThreadPoolExecutor, ProcessPoolExecutor=ProcessPoolExecutor)
    put(concurrent.futures.thread, ThreadPoolExecutor=ThreadPoolExecutor)
    put(threading.Thread, start=_cannot_start)
    put(threading.Condition, wait=_wait)
    # The C class waits where no Python code can see it.
    put(queue, SimpleQueue=vars(queue)["_PySimpleQueue"])


def _cannot_start(thread: threading.Thread) -> NoReturn:
    raise RuntimeError(NO_THREADS)


def _wait(condition: threading.Condition, timeout: float | None = None) -> bool:
    """Stand in for Condition.wait: there is no other thread to notify it, so only time can pass."""
    if not _owned(condition):
        raise RuntimeError("cannot wait on un-acquired lock")
    if timeout is None:
        raise RuntimeError(f"deadlock: waiting for another thread, but {NO_THREADS}")
    if timeout > 0:
        time.sleep(timeout)
    return False


def _owned(condition: Any) -> bool:
    owned: bool = condition._is_owned()
    return owned
