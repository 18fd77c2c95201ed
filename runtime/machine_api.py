"""The seam between a session and the engine below it: what each side may ask of the other.

A session drives one :class:`Machine` and serves it as its :class:`Handlers`. Tests put a fake machine here.
"""

from collections.abc import Sequence
from math import inf
from time import perf_counter
from typing import NamedTuple, Protocol

__all__ = ["PAUSED", "UNANSWERED", "Handlers", "Machine", "MachineSource", "Piece", "Place", "StopRun"]

Piece = tuple[int, bytes | memoryview]
"""Some bytes of memory, behind the address where they belong."""


PAUSED = b"\x91\x03"
"""What a step returns, this very object, when its guest was paused: an empty request resumes it."""


UNANSWERED = b"\xc1"
"""What a handler returns, this very object, for a call that has no answer yet."""


class Place(NamedTuple):
    """A place in a program, as the guest says: a file, a line or 0, and a function."""

    filename: str
    line: int
    function: str


now = perf_counter
"""Seconds on the one clock of all deadlines."""


class StopSignal:
    """When and why a run must end: one for each, set by whoever ends it, and read wherever it may be at work.

    ``deadline`` is a time of ``now``, infinite for none. ``reason`` is what ends the run, once that is known.
    """

    # Defaults of the class: one is made for each run, and most of them keep one or both.
    deadline: float = inf
    reason: BaseException | None = None

    @classmethod
    def within(cls, seconds: float | None) -> "StopSignal":
        """Return the signal of what must have ended so many seconds from now; None for no deadline."""
        stop = cls()
        if seconds is not None:
            stop.deadline = now() + seconds
        return stop

    def set(self, reason: BaseException) -> None:
        """From any thread: end the run for this reason, unless there is one already. Wakes nothing that waits."""
        if self.reason is None:
            self.reason = reason

    def is_due(self, moment: float) -> bool:
        """Return whether the run must have ended by then."""
        return self.reason is not None or moment >= self.deadline


class StopRun(Exception):
    """Raised by a handler to end the run by a trap, which the guest cannot catch.

    ``reason`` is the error to report: a GuestError for the result, or the caller's own exception to raise
    again once the guest has been left.
    """

    def __init__(self, reason: BaseException) -> None:
        super().__init__(reason)
        self.reason = reason


class Handlers(Protocol):
    """The host's end of the bridge. Whatever a handler raises is caught at the boundary and ends the run."""

    def call(self, frame: bytes) -> bytes:
        """Answer one call frame.

        UNANSWERED: there is no answer yet, and the guest leaves if it can; the empty frame, then or at once, asks for
        it. Only where the machine's source says that its guests can leave at calls.
        """
        ...

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of stdout (1) or stderr (2)."""
        ...

    def clock(self, which: int) -> int:
        """Return nanoseconds: 0 since the epoch, 1 monotonic."""
        ...

    def entropy(self, size: int) -> bytes:
        """Return exactly ``size`` random bytes."""
        ...


class Machine(Protocol):
    """One live guest. Used by one thread at a time, except for :meth:`wake`."""

    @property
    def dead(self) -> bool:
        """Whether the guest was ended or closed, so that it can do nothing more."""
        ...

    def step(self, request: bytes, *, stack_checked: bool = False) -> bytes:
        """Handle one request and return the response. ``stack_checked``: this thread's stack has room for it.

        Raises Stopped, and the machine is dead, if the guest was ended; MemoryExceeded if the request found no room,
        or a CallerError if nothing was run.
        """
        ...

    def allow(self, fuel: int | None, stop: StopSignal) -> None:
        """Set the fuel left, unless it is None, and let the guest trap when this signal says so, until the next one."""
        ...

    def set_fuel(self, amount: int) -> None:
        """Set the fuel left."""
        ...

    def fuel_left(self) -> int:
        """Return the fuel left."""
        ...

    def wake(self) -> None:
        """From any thread: have a guest that computes look at its signal now."""
        ...

    def pause(self) -> bool:
        """From any thread: have the guest leave as soon as it can, so that ``step`` returns PAUSED.

        A step that begins now or is in progress is asked; ask again, every few milliseconds, until it has left. Returns
        False, without asking, if the image cannot do it.
        """
        ...

    def unpause(self) -> None:
        """From any thread: ask no longer. A guest that has been asked may still leave."""
        ...

    def locate(self) -> list[Place] | None:
        """From any thread: return the places from which C code was called that has not returned, the outermost first.

        None while that is not known yet: ask again. Only a guest that computes can say.
        """
        ...

    def memory_size(self) -> int:
        """Return the bytes of linear memory, which never shrinks."""
        ...

    def view(self) -> memoryview:
        """Return a view over all of the memory, valid until the memory grows or the machine is closed."""
        ...

    def written(self) -> list[tuple[int, int]]:
        """Return the spans of the memory outside of which it is certainly as the image left it."""
        ...

    def restore(self, pieces: Sequence[Piece], size: int, stack_pointer: int) -> None:
        """Bring a machine that is as the image left it to another one's state.

        These pieces of its memory are written, after it was grown to at least ``size`` bytes, and the stack pointer
        is set. Raises MemoryError where the limit does not allow that size.
        """
        ...

    def vacate(self, spans: list[tuple[int, int]]) -> None:
        """Give the guest back, between two steps, once its state has been copied: ``spans`` are what it has written.

        Until :meth:`occupy`, only the fuel left and the memory's size can be asked for, and it can be closed.
        """
        ...

    def occupy(self) -> None:
        """Have a guest again, as the image left it, with the fuel left that there was: for :meth:`restore`."""
        ...

    @property
    def stack_pointer(self) -> int:
        """The guest's own stack pointer, the one piece of its state outside the memory."""
        ...

    def close(self) -> None:
        """Free the guest. Safe to call twice."""
        ...


class MachineSource(Protocol):
    """Makes fresh machines of one image. Used from several threads at once."""

    @property
    def digest(self) -> str:
        """The SHA-256 of the image, in hexadecimal: a snapshot fits only the image it was made from."""
        ...

    @property
    def caps(self) -> dict[str, int] | None:
        """The caps that the interpreter of a fresh machine applies, by their names there; None if not known."""
        ...

    @property
    def metered(self) -> bool:
        """Whether its machines count fuel."""
        ...

    @property
    def can_pause(self) -> bool:
        """Whether its machines can be paused."""
        ...

    @property
    def can_leave(self) -> bool:
        """Whether its guests can leave at a call that has no answer yet; ``step`` then returns PAUSED, too."""
        ...

    @property
    def min_memory(self) -> int:
        """Bytes of linear memory that a fresh machine has."""
        ...

    def new(self, handlers: Handlers, memory_limit: int) -> Machine:
        """Return a machine as the image left it, with this cap of linear memory in bytes."""
        ...

    def pristine(self) -> memoryview:
        """Return the memory of a machine as the image left it, to compare others with."""
        ...

    def fits_here(self) -> bool:
        """Return whether the calling thread's stack has room for a guest."""
        ...
