"""Threads that nobody has to wait for."""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

__all__ = ["Daemons"]

T = TypeVar("T")


class Daemons(Executor):
    """Runs each function on a daemon thread of its own.

    The interpreter waits at its end for the threads of other executors: an app that keeps its line open and never
    answers would keep this process from ending.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Start the function and return its future."""
        future: Future[T] = Future()
        threading.Thread(target=_run, args=(future, fn, args, kwargs), name="cloche-space", daemon=True).start()
        return future


def _run(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(fn(*args, **kwargs))
    except BaseException as error:
        future.set_exception(error)
