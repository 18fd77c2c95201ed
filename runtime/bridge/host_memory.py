"""What one run takes of the host's memory: records, calls that wait, answers, output and values, in one count.

A message is counted by what it takes when it is decoded, which can be sixty times its bytes. Records of calls that are
over give way, the oldest first; what is still in use cannot, and ends the run where it is more than the limit.
"""

import sys
from _thread import allocate_lock
from gc import get_referents
from typing import Any, NoReturn

from cloche.runtime.errors import HostMemoryExceeded
from cloche.runtime.machine_api import StopRun, StopSignal, now
from cloche.runtime.result import CALL_COST, ToolCallRecord
from cloche.runtime.values import Look
from cloche.runtime.values.cost import TooCostly, cost_of
from cloche.runtime.work import WorkEnded, long_work, short_turns

__all__ = ["SHORT", "HostMemory", "size_of"]

SHORT = 32
"""Bytes of a message up to which it is part of what every call costs: see ``CALL_COST``."""
_PIECES = 32_768
"""Bytes below which no message takes long."""
_DENSE = 6
"""Bytes of memory for each one sent, above which a message has so many parts that it is read in pieces."""
_PER_BYTE = 64
_GUESSED = 2_048
"""Bytes up to which a value is taken for as dear as it can be."""
_MAX_LOOKED_AT = 50_000
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})


class _Turns:
    """Short turns of threads, which are the whole process's, until they are ended, or the run that asked is given up.

    An object of its own, so that freeing any other run's count runs no Python code, in which a signal would be lost.
    """

    __slots__ = ("_are_short",)

    def __init__(self) -> None:
        self._are_short = True
        short_turns.__enter__()

    def end(self) -> None:
        if self._are_short:
            self._are_short = False
            short_turns.__exit__()

    __del__ = end


class HostMemory:
    """The count of one run, and what work on its messages looks at. Counted by the guest's thread alone.

    ``used`` is what is counted now, in bytes, and ``limit`` what may be. ``calls`` are the run's records, each with its
    part of it in ``charge``.
    ``hurries`` while there was work to look at that is not known to be over.
    """

    __slots__ = ("_calls", "_first", "_lock", "_output", "_taken", "_turns", "hurries", "limit", "stop", "used")

    def __init__(self, limit: int, calls: list[ToolCallRecord], stop: StopSignal) -> None:
        self.limit = limit
        self.used = 0
        self._calls = calls
        self._first = 0
        self._output = 0
        self._taken = 0
        self._lock = allocate_lock()
        self._turns: _Turns | None = None
        self.hurries = False
        self.stop = stop

    def look(self) -> None:
        """Raise WorkEnded if the run has to end. From now on threads take short turns, until :meth:`rest`."""
        # First: what still looks after the run has ended, on a thread that was left behind, makes no turns short.
        if self.stop.is_due(now()):
            raise WorkEnded
        if not self.hurries:
            with self._lock:
                if not self.hurries:
                    self.hurries = True
                    self._turns = _Turns()

    def rest(self) -> None:
        """Have threads take their usual turns again: there is no more to look at. From any thread."""
        with self._lock:
            if self._turns is not None:
                self.hurries = False
                self._turns.end()
                self._turns = None

    def take(self, size: int) -> None:
        """Count bytes that the work on the latest message needs beside it, and look. Raises WorkEnded; see HostWork."""
        self._taken += size
        if self.used + self._taken > self.limit and not self._has_room(self._taken):
            self.stop.set(self._exceeded(self._taken))
        self.look()

    def measure(self, data: bytes) -> tuple[int, Look | None]:
        """Return what a message takes once it is decoded, and what to decode it with; room has been made for it.

        Ends the run if there is none. Raises MalformedValue, and WorkEnded if the run's time is over.
        """
        self._taken = 0
        try:
            if len(data) < _PIECES:
                cost = cost_of(data, self.limit, self.look)
            else:
                self.look()
                with long_work:
                    cost = cost_of(data, self.limit, self.look)
        except TooCostly as error:
            self._end(self._exceeded(error.cost))
        if self.used + cost > self.limit:
            self.relieve(cost)
        return cost, (self.look if len(data) >= _PIECES and cost > _DENSE * len(data) else None)

    def add(self, cost: int) -> None:
        """Count so many bytes more. Ends the run if there is no room for them."""
        self.used += cost
        if self.used > self.limit:
            self.relieve(0)

    def add_value(self, record: ToolCallRecord, value: Any, size: int) -> None:
        """Count a call's value, which was encoded in so many bytes."""
        cost = _PER_BYTE * size
        if size > _GUESSED:
            cost = min(cost, size_of(value, cost))
        record.charge += cost
        self.add(cost)

    def count_output(self, size: int) -> None:
        """Have so many bytes counted for what was printed, and no more what was counted for it before."""
        size, self._output = size - self._output, size
        self.add(size)

    def relieve(self, needed: int) -> None:
        """Trim records, the oldest first, until there is room for ``needed`` bytes. Ends the run if there is none."""
        if not self._has_room(needed):
            self._end(self._exceeded(needed))

    def _has_room(self, needed: int) -> bool:
        calls = self._calls
        for index in range(self._first, len(calls)):
            if self.used + needed <= self.limit:
                return True
            record = calls[index]
            if record.outcome != "running":
                self.used -= record.charge - CALL_COST if not record.trimmed else 0
                # First: the error that leads there is cut off from its traceback by trimming.
                record.let_go()
                record.trim()
                self._first += index == self._first
        return self.used + needed <= self.limit

    def _exceeded(self, needed: int) -> HostMemoryExceeded:
        return HostMemoryExceeded(self.used + needed, self.limit)

    def _end(self, error: BaseException) -> NoReturn:
        self.stop.set(error)
        raise StopRun(self.stop.reason or error)


def size_of(value: Any, otherwise: int) -> int:
    """Return the bytes that a value takes, what is in it counted as often as it is there.

    ``otherwise`` is returned for one of more parts than it is worth to look at.
    """
    level, size, count = [value], 0, 0
    while level:
        size += sum(map(sys.getsizeof, level)) + 8 * len(level)
        inside = [item for item in level if type(item) in _CONTAINERS]
        count += sum(map(len, inside))
        if count > _MAX_LOOKED_AT:
            return otherwise
        level = get_referents(*inside) if inside else []
    return size
