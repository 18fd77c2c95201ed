"""The host's own work on what a guest sends, which ends with the run however much there is to do.

Reading and checking a message is Python and C on the caller's thread, where neither fuel nor an epoch counts. So long
messages are worked on in pieces, and between two of them the work looks whether its run is over.
"""

import gc
import sys
import threading
import time
from contextvars import ContextVar
from typing import Any, Protocol

__all__ = ["HostWork", "WorkEnded", "current_work", "discard", "long_work", "look", "short_turns", "take"]


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


class _ShortTurns:
    """While any thread is inside, the others need not wait long for their turn.

    A thread that waits for the interpreter's lock asks for it after 5 ms, which is fifty times as long as a neighbour's
    whole run.
    """

    def __init__(self) -> None:
        # May be entered again: the garbage collector, which can run between any two lines, ends what was given up.
        self._lock = threading.RLock()
        self._users = 0
        self._interval = 0.0

    def __enter__(self) -> None:
        with self._lock:
            is_first = self._users == 0
            self._users += 1
            if is_first:
                self._interval = sys.getswitchinterval()
                sys.setswitchinterval(min(self._interval, _INTERVAL))
                # Whoever waits already would do so for the whole of the usual time.
                time.sleep(0)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                sys.setswitchinterval(self._interval)


class _LongWork:
    """While any thread is inside, nothing is searched for garbage, and turns are short.

    No part of a message is garbage, and the collector would go through all of it again and again.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._collects = False

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._collects = gc.isenabled()
                gc.disable()
        short_turns.__enter__()

    def __exit__(self, *_: object) -> None:
        short_turns.__exit__()
        with self._lock:
            self._users -= 1
            if not self._users and self._collects:
                _grow_old()
                gc.enable()


_INTERVAL = 0.000_05
_MANY_NEW = 10_000


def _grow_old() -> None:
    """Spare the collector what is new: it would look through a message's million lists at once, and once more later.

    Frozen and released again, all objects are old ones, without a look at any. What a host has frozen itself stays so.
    """
    if gc.get_count()[0] > _MANY_NEW and not gc.get_freeze_count():
        gc.freeze()
        gc.unfreeze()


short_turns = _ShortTurns()
"""``with short_turns:`` around work that others may have to wait for; it may be nested."""
long_work = _LongWork()
"""``with long_work:`` around the work on a long message; it may be nested."""


_PART = 1_000
_MIN_PART = 32
_AT_ONCE = 400_000
"""Bytes that are freed between two turns of other threads: a fifth of a millisecond's work."""
_OURS = 2
"""References to an object that a function has from nowhere else: its variable, and the argument of ``getrefcount``."""


def discard(held: list[Any], size: int) -> None:
    """Empty a list that takes ``size`` bytes, and what is in no other place, some thousand values at a time.

    While a million values are freed at once, no other thread runs. What is still used elsewhere is not changed.
    """
    with long_work:
        while held:
            item = held.pop()
            if not item or type(item) not in _EMPTIED or sys.getrefcount(item) > _OURS:
                continue
            count = _part_of(len(item), size)
            part: list[Any]
            if type(item) in _LISTS:
                part = item[-count:]
                del item[-count:]
            else:
                part = [item.popitem()[1] for _ in range(count)]
            if item:
                held.append(item)
            # Only long ones: to take all apart would take far longer than to free them.
            held += [inner for inner in part if type(inner) in _EMPTIED and (len(inner) > _PART or len(part) == 1)]
            del part


def _part_of(count: int, size: int) -> int:
    """Return how many of a container's items to free at once, if it were all that takes the size."""
    fits = count * _AT_ONCE // size
    return max(1 if count < _PART else _MIN_PART, min(fits, count))


_LISTS: frozenset[type] = frozenset({list})
_EMPTIED: frozenset[type] = _LISTS | {dict}
