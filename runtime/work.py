"""The host's own work on what a guest sends, which ends with the run however much there is to do.

Reading and checking a message is Python and C on the caller's thread, where neither fuel nor an epoch counts. So long
messages are worked on in pieces, and between two of them the work looks whether its run is over.
"""

import gc
import sys
import threading
from contextvars import ContextVar
from typing import Protocol

__all__ = ["HostWork", "WorkEnded", "current_work", "long_work", "look", "take"]


class WorkEnded(BaseException):
    """The run that the work was for is over; no Exception, so that nothing on the way takes it for a bad value."""


class HostWork(Protocol):
    """What the work on a message has to ask, from whichever thread it is done on."""

    def look(self) -> None:
        """Raise WorkEnded if the run has to end."""
        ...

    def take(self, size: int) -> None:
        """Count bytes that the work takes beside the message, and look. Raises WorkEnded where they are too many."""
        ...


current_work: ContextVar[HostWork | None] = ContextVar("cloche_work", default=None)
"""The work of the run that this context belongs to, once the run has sent a long message."""


def look() -> None:
    """Raise WorkEnded if the run that sent what is being worked on has to end."""
    work = current_work.get()
    if work is not None:
        work.look()


def take(size: int) -> None:
    """Count bytes that a copy of what a run sent takes. Raises WorkEnded where there is no room for them."""
    work = current_work.get()
    if work is not None:
        work.take(size)


class _LongWork:
    """While any thread is inside, nothing is searched for garbage, and the others need not wait long for their turn.

    No part of a message is garbage, and the collector would go through all of it again and again. And a thread that
    waits for the interpreter's lock asks for it after 5 ms, which is ten times as long as a neighbour's whole run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._collects = False
        self._interval = 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._collects, self._interval = gc.isenabled(), sys.getswitchinterval()
                gc.disable()
                sys.setswitchinterval(min(self._interval, _INTERVAL))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._interval)
                if self._collects:
                    gc.enable()


_INTERVAL = 0.000_1

long_work = _LongWork()
"""``with long_work:`` around the work on a long message; it may be nested."""
