"""The host's side of the guest's five imports: every number from the guest is checked before it is used.

The engine adapters pass the raw arguments, as unsigned 32-bit numbers, and catch whatever is raised here.
"""

from collections.abc import Callable
from typing import ParamSpec, Protocol, TypeVar

from cloche.runtime.errors import ProtocolError
from cloche.runtime.machine_api import Handlers

__all__ = ["IMPORTS", "MAX_FRAME", "GuestImports", "Linear"]

# The whole door: name -> (parameters, results). A module that imports anything else is refused.
IMPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "call": (("i32", "i32", "i32", "i32"), ("i32",)),
    "take": (("i32",), ()),
    "write": (("i32", "i32", "i32"), ()),
    "clock": (("i32",), ("i64",)),
    "entropy": (("i32", "i32"), ()),
}
# The default cap of one frame from the guest, in bytes.
MAX_FRAME = 64 * 1024 * 1024
# An answer's length travels as a signed 32-bit number.
_MAX_ANSWER = (1 << 31) - 1
_MAX_TIME = 1 << 63

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Linear(Protocol):
    """The part of a guest's memory that the imports use; each raises ProtocolError outside the memory."""

    def check(self, pointer: int, length: int) -> None:
        """Raise ProtocolError unless the span lies inside the memory."""
        ...

    def read(self, pointer: int, length: int) -> bytes:
        """Return a copy of the span."""
        ...

    def read_for(self, pointer: int, length: int, answer: int, capacity: int) -> bytes:
        """Return a copy of the first span, if the second one lies inside the memory too."""
        ...

    def write(self, pointer: int, data: bytes) -> None:
        """Copy ``data`` to the pointer."""
        ...


class GuestImports:
    """Serves one guest's imports from its handlers.

    ``max_frame`` caps, in bytes, what the guest may pass or ask for at once. ``memory`` is set once the guest exists.
    ``kept`` is an answer that the guest has not taken yet. ``in_handler`` is true while a handler runs: only then may
    a signal's exception be raised where it arrives.
    """

    __slots__ = ("_handlers", "_max_frame", "in_handler", "kept", "memory")

    def __init__(self, handlers: Handlers, max_frame: int = MAX_FRAME) -> None:
        self._handlers = handlers
        self._max_frame = max_frame
        self.kept: bytes | None = None
        self.in_handler = False
        self.memory: Linear = _NoMemory()

    def call(self, request: int, length: int, response: int, capacity: int) -> int:
        """Answer one call frame with the answer's length; one longer than ``capacity`` is kept for :meth:`take`."""
        # Everything in one place: this is the path of every tool call, where each further function is felt.
        memory = self.memory
        if length > self._max_frame:
            self._check_length(length)
        # Both before the handler acts: a bad buffer must not cost a side effect.
        frame = memory.read_for(request, length, response, capacity)
        self.kept = None
        self.in_handler = True
        try:
            answer = self._handlers.call(frame)
        finally:
            self.in_handler = False
        if len(answer) > capacity:
            return self._keep(answer)
        memory.write(response, answer)
        return len(answer)

    def take(self, destination: int) -> None:
        """Copy the kept answer to the guest and forget it."""
        if self.kept is None:
            raise ProtocolError("no answer is kept")
        self.memory.write(destination, self.kept)
        self.kept = None

    def write(self, stream: int, pointer: int, length: int) -> None:
        """Hand on a piece of stdout (1) or stderr (2)."""
        if stream not in (1, 2):
            raise ProtocolError(f"there is no output stream {stream}")
        self._check_length(length)
        self._ask(self._handlers.write, stream, self.memory.read(pointer, length))

    def clock(self, which: int) -> int:
        """Return a clock's nanoseconds: 0 since the epoch, 1 monotonic."""
        if which not in (0, 1):
            raise ProtocolError(f"there is no clock {which}")
        now = self._ask(self._handlers.clock, which)
        if not -_MAX_TIME <= now < _MAX_TIME:
            raise ValueError(f"{now} nanoseconds do not fit a 64-bit clock")
        return now

    def entropy(self, pointer: int, length: int) -> None:
        """Fill a span with random bytes."""
        self._check_length(length)
        self.memory.check(pointer, length)
        data = self._ask(self._handlers.entropy, length)
        if len(data) != length:
            raise ValueError(f"the entropy handler returned {len(data)} bytes instead of {length}")
        self.memory.write(pointer, data)

    def _ask(self, handler: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        self.in_handler = True
        try:
            return handler(*args, **kwargs)
        finally:
            self.in_handler = False

    def _keep(self, answer: bytes) -> int:
        if len(answer) > _MAX_ANSWER:
            raise ValueError(f"an answer of {len(answer)} bytes cannot travel to the guest")
        self.kept = answer
        return len(answer)

    def _check_length(self, length: int) -> None:
        if length > self._max_frame:
            raise ProtocolError(f"a frame of {length} bytes is larger than {self._max_frame}")


class _NoMemory:
    """Stands in until the guest exists: an import called by a module's start function finds nothing to reach."""

    def check(self, pointer: int, length: int) -> None:
        raise _too_early()

    def read(self, pointer: int, length: int) -> bytes:
        raise _too_early()

    def read_for(self, pointer: int, length: int, answer: int, capacity: int) -> bytes:
        raise _too_early()

    def write(self, pointer: int, data: bytes) -> None:
        raise _too_early()


def _too_early() -> ProtocolError:
    return ProtocolError("the guest called an import before it was ready")
