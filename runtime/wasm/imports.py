"""The host's side of the guest's five imports: every number from the guest is checked before it is used.

:class:`GuestImports` serves one guest. The engine enters it through :data:`CALLBACKS`, one function for each import,
which finds the guest that this thread runs. Each of them catches everything, because an exception that leaves a ctypes
callback makes it return an undefined pointer. Signals, the one thing that can raise before a callback's first line, are
kept away by :mod:`cloche.runtime.wasm.signals`, and the recursion limit by the machine.
"""

import ctypes
from typing import Any, Protocol

from cloche.runtime.errors import ProtocolError
from cloche.runtime.machine_api import UNANSWERED, Handlers
from cloche.runtime.wasm import native
from cloche.runtime.wasm.deadlines import Control, RunningGuest, here, must_end
from cloche.runtime.wasm.meter import LOOK, Meter
from cloche.runtime.wasm.pausing import LOAN

__all__ = ["CALLBACKS", "EXPORTS", "IMPORTS", "MAX_FRAME", "NOT_YET", "GuestImports", "Linear", "ServedGuest"]

# The whole door: name -> (parameters, results). A module that imports anything else is refused.
IMPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "call": (("i32", "i32", "i32", "i32"), ("i32",)),
    "take": (("i32",), ()),
    "write": (("i32", "i32", "i32"), ()),
    "clock": (("i32",), ("i64",)),
    "entropy": (("i32", "i32"), ()),
}
# And what it must export beside its memory and its stack pointer.
EXPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cloche_inbox": (("i32",), ("i32",)),
    "cloche_step": (("i32",), ("i64",)),
}
# The default cap of one frame from the guest, in bytes.
MAX_FRAME = 64 * 1024 * 1024
# An answer's length travels as a signed 32-bit number.
_MAX_ANSWER = (1 << 31) - 1
_MAX_TIME = 1 << 63
NOT_YET = 0xFFFF_FFFE
"""In place of an answer's length, -2 as the guest sees it: there is none yet."""


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
    ``kept`` is an answer that the guest has not taken yet. ``unanswered`` says that a call has no answer yet. What
    it costs the guest to have it later is given back to ``meter``: of ``costs``, by how the guest says that it went.
    Until it has left it has ``lent`` units more, as with any pause.
    """

    __slots__ = ("costs", "handlers", "kept", "lent", "max_frame", "memory", "meter", "unanswered")

    def __init__(self, handlers: Handlers, max_frame: int = MAX_FRAME, costs: tuple[int, ...] = ()) -> None:
        self.handlers = handlers
        self.max_frame = max_frame
        self.costs = costs
        self.meter: Meter | None = None
        self.unanswered = False
        self.lent = 0
        self.kept: bytes | None = None
        self.memory: Linear = _NoMemory()

    def call(self, request: int, length: int, response: int, capacity: int) -> int:
        """Answer one call frame with the answer's length; one longer than ``capacity`` is kept for :meth:`take`.

        With the number :data:`NOT_YET` if there is no answer yet: it is what the next call without a frame returns.
        """
        # Everything in one place: this is the path of every tool call, where each further function is felt.
        memory = self.memory
        if length > self.max_frame:
            self._check_length(length)
        # Both before the handler acts: a bad buffer must not cost a side effect.
        frame = memory.read_for(request, length, response, capacity)
        self.kept = None
        answer = self.handlers.call(frame)
        if not length:
            self._settle(request)
        if len(answer) > capacity or answer is UNANSWERED:
            return self.keep(answer)
        memory.write(response, answer)
        return len(answer)

    def direct(self) -> tuple[Any, Any]:
        """Return what a door in C may call instead of :meth:`call`: who makes usual calls, and who answers any frame.

        None for each that there is not. Handlers that are not Cloche's own are called by :meth:`call` alone: what a
        signal's handler raises inside of them is raised there, see ``signals``, which looks for our frame.
        """
        handlers = self.handlers
        own = type(handlers).__module__.startswith("cloche.")
        return (handlers if hasattr(handlers, "usual_calls") else None, handlers.call) if own else (None, None)

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
        self.handlers.write(stream, self.memory.read(pointer, length))

    def clock(self, which: int) -> int:
        """Return a clock's nanoseconds: 0 since the epoch, 1 monotonic."""
        if which not in (0, 1):
            raise ProtocolError(f"there is no clock {which}")
        now = self.handlers.clock(which)
        if not -_MAX_TIME <= now < _MAX_TIME:
            raise ValueError(f"{now} nanoseconds do not fit a 64-bit clock")
        return now

    def entropy(self, pointer: int, length: int) -> None:
        """Fill a span with random bytes."""
        self._check_length(length)
        self.memory.check(pointer, length)
        data = self.handlers.entropy(length)
        if len(data) != length:
            raise ValueError(f"the entropy handler returned {len(data)} bytes instead of {length}")
        self.memory.write(pointer, data)

    def _settle(self, how: int) -> None:
        """Give back what it has cost the guest to take an answer later."""
        # Once for each call: it has cost more than that.
        if self.unanswered and self.meter is not None:
            # It could not leave if something is still lent.
            self.meter.numbers[0] += (self.costs[how] if how < len(self.costs) else 0) - self.lent
        self.unanswered, self.lent = False, 0

    def keep(self, answer: bytes) -> int:
        """Keep an answer for :meth:`take`, and return its length; or note that there is none yet."""
        if answer is UNANSWERED:
            self.unanswered = True
            if self.meter is not None:
                self.lent += LOAN
                self.meter.numbers[0] += LOAN
            return NOT_YET
        if len(answer) > _MAX_ANSWER:
            raise ValueError(f"an answer of {len(answer)} bytes cannot travel to the guest")
        self.kept = answer
        return len(answer)

    def _check_length(self, length: int) -> None:
        if length > self.max_frame:
            raise ProtocolError(f"a frame of {length} bytes is larger than {self.max_frame}")


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


class ServedGuest(RunningGuest):
    """A guest whose imports are served by ``host``; None while it is idle."""

    __slots__ = ("host",)

    def __init__(self, control: Control, host: GuestImports | None) -> None:
        super().__init__(control)
        self.host = host


# A raw value takes 16 bytes and a 32-bit number its first 4: the arguments are every fourth of these words.
_Arguments = ctypes.c_uint32 * 16


def _host() -> GuestImports:
    guest = here.guest
    if not isinstance(guest, ServedGuest) or guest.host is None:
        raise RuntimeError("a guest called an import while this thread was running none")
    return guest.host


def _halt(error: BaseException) -> int:
    guest = here.guest
    if guest is not None:
        guest.control.halt(error)
    trap: int = native.trap_new(b"stopped", 7)
    return trap


@native.import_callback
def _on_call(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        words = _Arguments.from_address(values)
        # Without the help of ``_host``: where there is no guest, or no host, the attribute is what is missing.
        guest: Any = here.guest
        words[0] = guest.host.call(words[0], words[4], words[8], words[12])
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_take(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        _host().take(_Arguments.from_address(values)[0])
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_write(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        words = _Arguments.from_address(values)
        _host().write(words[0], words[4], words[8])
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_clock(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        which = _Arguments.from_address(values)[0]
        guest = here.guest
        if which == LOOK and guest is not None and guest.control.meter is not None:
            return native.trap_new(b"stopped", 7) if must_end(guest.control) else 0
        ctypes.c_int64.from_address(values).value = _host().clock(which)
        return 0
    except BaseException as error:
        return _halt(error)


@native.import_callback
def _on_entropy(_env: int | None, _caller: int, values: int, _count: int) -> int:
    try:
        words = _Arguments.from_address(values)
        _host().entropy(words[0], words[4])
        return 0
    except BaseException as error:
        return _halt(error)


CALLBACKS = {"call": _on_call, "take": _on_take, "write": _on_write, "clock": _on_clock, "entropy": _on_entropy}
"""The engine's entry for each import, by its name. Kept for as long as the process lives."""
