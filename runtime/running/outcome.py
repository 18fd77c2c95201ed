"""From how a guest ended to the error that the caller sees."""

from cloche.runtime.bridge.protocol import FINISHED, NOTHING, Failure, Finished, Response, Waiting, parse_response
from cloche.runtime.errors import (
    FuelExhausted,
    GuestCrashed,
    GuestError,
    GuestException,
    MemoryExceeded,
    ProtocolError,
    ResultTooLarge,
    StackOverflow,
    UnserializableValue,
)
from cloche.runtime.limits import Limits
from cloche.runtime.running.run_state import RunState
from cloche.runtime.suspension.waiting import WaitingCalls
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = ["check_answer", "check_finished", "error_of_failure", "error_of_stop"]

# The largest piece of memory that the interpreter asks for by itself.
_ARENA = 1 << 20
# Characters become at most four bytes, and a report has a few short fields beside its texts.
_PER_CHARACTER = 4
_REPORT = 4096


def check_answer(response: bytes, limits: Limits, waiting: WaitingCalls | None, most: int | None = None) -> Response:
    """Return a checked response. Raises ProtocolError; ``most`` replaces the cap on the value's encoded bytes.

    A program is suspended only where calls of it wait, and for just those.
    """
    if response == NOTHING:
        return FINISHED
    cap = (limits.result if most is None else most) + _PER_CHARACTER * (limits.message + limits.traceback) + _REPORT
    if len(response) > cap:
        raise ProtocolError(f"a response of {len(response)} bytes, where {cap} is the most")
    answer = parse_response(response)
    if isinstance(answer, Waiting):
        if waiting is None:
            raise ProtocolError("the program was suspended, which nobody asked for")
        waiting.settle(answer)
    return answer


def check_finished(response: bytes, limits: Limits) -> Finished:
    """Return a checked response that cannot be a suspension. Raises ProtocolError."""
    answer = check_answer(response, limits, None)
    assert isinstance(answer, Finished)
    return answer


def error_of_stop(stopped: Stopped, run: RunState) -> BaseException:
    """Return why a guest was ended: a GuestError for the result, or an exception that is the caller's own."""
    match stopped.kind:
        case StopKind.HOST | StopKind.INTERRUPTED:
            return stopped.reason or run.stop_reason or GuestCrashed(str(stopped))
        case StopKind.TIME:
            return run.time_exceeded()
        case StopKind.FUEL:
            limit = run.limits.fuel or 0
            return FuelExhausted(limit, limit)
        case StopKind.STACK:
            return StackOverflow()
        case _:
            return GuestCrashed(str(stopped))


def error_of_failure(failure: Failure, limits: Limits, memory: int, most: int | None = None) -> GuestError:
    """Return the error for a failure that the guest reported; its texts are cut to the limits once more.

    ``most`` replaces the cap on the value's encoded bytes.
    """
    message = failure.message[: limits.message]
    if failure.kind == "unserializable":
        return UnserializableValue(message)
    if failure.kind == "too_large":
        cap = limits.result if most is None else most
        return ResultTooLarge(cap, cap)
    if _is_out_of_memory(failure, limits, memory):
        return MemoryExceeded(memory, limits.memory)
    return GuestException(failure.type_name, message, failure.traceback[: limits.traceback], failure.line)


def _is_out_of_memory(failure: Failure, limits: Limits, memory: int) -> bool:
    if failure.module != "builtins":
        return False
    # The interpreter's own MemoryError has no message; one that a program or a parser raised has. A SystemError is
    # what is left of it where the interpreter could not even make that.
    full = memory + _ARENA > limits.memory
    return (failure.type_name == "MemoryError" and not failure.message) or (failure.type_name == "SystemError" and full)
