"""Why a guest was ended, in words that do not depend on the engine's version."""

from enum import Enum

__all__ = ["StopKind", "Stopped", "kind_of", "trap_text"]


class StopKind(Enum):
    """What ended a guest."""

    HOST = "a host handler ended the run"
    INTERRUPTED = "the run was interrupted"
    TIME = "the deadline passed"
    FUEL = "the fuel ran out"
    STACK = "the stack overflowed"
    MEMORY = "an access outside the memory"
    TABLE = "an access outside a table"
    CALL = "an indirect call to a missing or different function"
    ARITHMETIC = "an undefined arithmetic result"
    UNREACHABLE = "the guest aborted"
    ENGINE = "a trap of an engine feature that is switched off"
    UNKNOWN = "a trap without a code"


# By the numbers of the engine's trap codes.
_KINDS = {
    0: StopKind.STACK,
    1: StopKind.MEMORY,
    2: StopKind.MEMORY,  # a misaligned access
    3: StopKind.TABLE,
    4: StopKind.CALL,  # of nothing
    5: StopKind.CALL,  # of a function of another type
    6: StopKind.ARITHMETIC,  # an overflow
    7: StopKind.ARITHMETIC,  # a division by zero
    8: StopKind.ARITHMETIC,  # a conversion to an integer
    9: StopKind.UNREACHABLE,
    # Only reached without our own epoch callback, which answers with an error of its own instead.
    10: StopKind.INTERRUPTED,
    11: StopKind.FUEL,
    13: StopKind.CALL,  # of a null reference
    15: StopKind.MEMORY,  # an allocation that is too large
    49: StopKind.UNREACHABLE,  # an exception that was not caught
}
# The others up to here belong to threads, garbage collection, stack switching and components. These are off, so that no
# guest of ours ends so. A test compares with the engine's own list, so that a new code is noticed.
_MAX_CODE = 53


def kind_of(code: int | None) -> StopKind:
    """Return the kind of a trap code; UNKNOWN for a trap without one, or with one that is new."""
    if code is None or code > _MAX_CODE:
        return StopKind.UNKNOWN
    return _KINDS.get(code, StopKind.ENGINE)


def trap_text(message: str) -> str:
    """Return what the engine says of a trap, without its backtrace of numbers; empty where it says nothing."""
    return message.partition("wasm trap: ")[2].split("\n")[0]


class Stopped(Exception):
    """A guest was ended before it answered. Its machine is dead and must be closed.

    ``kind`` says what ended it, ``detail`` is the engine's message (may be empty), ``code`` the number of the engine's
    trap code if it gave one, and ``reason`` the exception that a handler raised or that an interrupt carried.
    """

    def __init__(
        self, kind: StopKind, detail: str = "", code: int | None = None, reason: BaseException | None = None
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        if self.reason is not None:
            return f"{self.kind.value}: {type(self.reason).__name__}"
        return f"{self.kind.value}: {self.detail}" if self.detail else self.kind.value
