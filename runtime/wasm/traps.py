"""Why a guest was ended, in words that do not depend on the engine's version."""

from enum import Enum

from wasmtime import TrapCode

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


_KINDS = {
    "OUT_OF_FUEL": StopKind.FUEL,
    # Only reached without our own epoch callback, which answers with an error of its own instead.
    "INTERRUPT": StopKind.INTERRUPTED,
    "STACK_OVERFLOW": StopKind.STACK,
    "MEMORY_OUT_OF_BOUNDS": StopKind.MEMORY,
    "HEAP_MISALIGNED": StopKind.MEMORY,
    "ALLOCATION_TOO_LARGE": StopKind.MEMORY,
    "TABLE_OUT_OF_BOUNDS": StopKind.TABLE,
    "INDIRECT_CALL_TO_NULL": StopKind.CALL,
    "BAD_SIGNATURE": StopKind.CALL,
    "NULL_REFERENCE": StopKind.CALL,
    "INTEGER_OVERFLOW": StopKind.ARITHMETIC,
    "INTEGER_DIVISION_BY_ZERO": StopKind.ARITHMETIC,
    "BAD_CONVERSION_TO_INTEGER": StopKind.ARITHMETIC,
    "UNREACHABLE": StopKind.UNREACHABLE,
    "UNCAUGHT_EXCEPTION": StopKind.UNREACHABLE,
}
# Threads, garbage collection, stack switching and components are off, so these cannot come from our guest.
# They are listed, not defaulted, so that a new engine's new code is noticed by a test.
_SWITCHED_OFF = """
    ATOMIC_WAIT_NON_SHARED_MEMORY ARRAY_OUT_OF_BOUNDS CAST_FAILURE UNHANDLED_TAG CONTINUATION_ALREADY_CONSUMED
    DISABLED_OPCODE ASYNC_DEADLOCK CANNOT_ENTER_COMPONENT CANNOT_LEAVE_COMPONENT CANNOT_BLOCK_SYNC_TASK NO_ASYNC_RESULT
    INVALID_CHAR DEBUG_ASSERT_STRING_ENCODING_FINISHED DEBUG_ASSERT_EQUAL_CODE_UNITS DEBUG_ASSERT_POINTER_ALIGNED
    DEBUG_ASSERT_UPPER_BITS_UNSET STRING_OUT_OF_BOUNDS LIST_OUT_OF_BOUNDS INVALID_DISCRIMINANT UNALIGNED_POINTER
    TASK_CANCEL_NOT_CANCELLED TASK_CANCEL_OR_RETURN_TWICE SUBTASK_CANCEL_AFTER_TERMINAL TASK_RETURN_INVALID
    WAITABLE_SET_DROP_HAS_WAITERS SUBTASK_DROP_NOT_RESOLVED THREAD_NEW_INDIRECT_INVALID_TYPE
    THREAD_NEW_INDIRECT_UNINITIALIZED BACKPRESSURE_OVERFLOW UNSUPPORTED_CALLBACK_CODE CANNOT_RESUME_THREAD
    CONCURRENT_FUTURE_STREAM_OP REFERENCE_COUNT_OVERFLOW STREAM_OP_TOO_BIG WAITABLE_SYNC_AND_ASYNC
"""
_KINDS.update(dict.fromkeys(_SWITCHED_OFF.split(), StopKind.ENGINE))


def kind_of(code: TrapCode | None) -> StopKind:
    """Return the kind of a trap code; UNKNOWN for a trap without one, or with one this table does not know."""
    return StopKind.UNKNOWN if code is None else _KINDS.get(code.name, StopKind.UNKNOWN)


def trap_text(message: str) -> str:
    """Return what the engine says of a trap, without its backtrace of numbers; empty where it says nothing."""
    return message.partition("wasm trap: ")[2].split("\n")[0]


class Stopped(Exception):
    """A guest was ended before it answered. Its machine is dead and must be closed.

    ``kind`` says what ended it, ``detail`` is the engine's message (may be empty), ``code`` the engine's trap code
    if it gave one, and ``reason`` the exception that a handler raised or that an interrupt carried.
    """

    def __init__(
        self, kind: StopKind, detail: str = "", code: TrapCode | None = None, reason: BaseException | None = None
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
