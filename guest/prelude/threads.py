"""Threads say that they cannot start, and waiting for another thread says that there is none."""

import queue
import threading
import time
from typing import Any, NoReturn

from cloche_guest.patching import put
from cloche_guest.reasons import NO_THREADS

__all__ = ["install"]


def install() -> None:
    """Make ``threading.Thread.start`` raise, and endless waits on conditions, events and queues too."""
    put(threading.Thread, start=_cannot_start)
    put(threading.Condition, wait=_wait)
    # The C class waits where no Python code can see it.
    put(queue, SimpleQueue=vars(queue)["_PySimpleQueue"])


def _cannot_start(thread: threading.Thread) -> NoReturn:
    raise RuntimeError(NO_THREADS)


def _wait(condition: threading.Condition, timeout: float | None = None) -> bool:
    """Stand in for Condition.wait: nobody else can notify, so only time can pass."""
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
