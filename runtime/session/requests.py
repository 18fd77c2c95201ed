"""What a session asks of its guest: the frames to send, what is expected back, and the errors that may come instead."""

import re
from typing import Any

from cloche.runtime.bridge.pending import Answer
from cloche.runtime.bridge.protocol import FailureReport, Op, is_list, request, set_request
from cloche.runtime.bridge.run_state import RunState
from cloche.runtime.errors import (
    ConfigurationError,
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
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.wasm.imports import MAX_FRAME
from cloche.runtime.wasm.traps import StopKind, Stopped

__all__ = [
    "ContinuePaused",
    "Request",
    "Resume",
    "RunProgram",
    "as_bytes",
    "as_paths",
    "error_of_failure",
    "error_of_stop",
    "exit_code",
    "get_file",
    "get_variable",
    "list_files",
    "put_file",
    "set_variable",
    "winds_up",
]

# What fits one frame from the guest, with the few bytes around it.
_HEADER = 64
_LARGEST_FILE = MAX_FRAME - (1 << 20)
_EXIT_CODES = {"": 0, "None": 0, "False": 0, "True": 1}
_STATUS = re.compile(r"-?[0-9]{1,10}", re.ASCII)
# The largest piece of memory that the interpreter asks for by itself.
_ARENA = 1 << 20
# Characters of a class name; the guest can make longer ones, and forge any.
_MAX_NAME = 200


class Request:
    """Frames to send to a guest in order; the last answer's value is the result.

    ``max_bytes`` caps that value's encoded bytes, where it is not the limit of results. ``code`` is the program, if one
    is run: that takes from the session's budget. ``answers`` are those with which a suspended program is resumed, after
    these frames.
    """

    code: str | None = None
    max_bytes: int | None = None
    answers: dict[int, Answer] | None = None

    def __init__(self, frame: bytes) -> None:
        self._frame = frame

    def frames(self, guest: SessionGuest, limits: Limits) -> list[bytes]:
        """Return the frames, once the session is known to be free: what the guest has to learn first is in its state.

        Raises BudgetSpent where nothing is left for a program.
        """
        return [*guest.introduction(limits), self._frame]


class RunProgram(Request):
    """Runs a program. Raises ConfigurationError if it, or its ``stdin``, is not text.

    ``last`` says that no other follows in its session: it winds up as at the end of a process.
    """

    def __init__(self, code: object, stdin: object = None, last: bool = False) -> None:
        if not isinstance(code, str):
            raise ConfigurationError("code", f"a {type(code).__name__} is not a program: pass its source as a str")
        if stdin is not None and not isinstance(stdin, str):
            raise ConfigurationError("stdin", f"a {type(stdin).__name__} is not text to read: pass a str")
        self.code = self._code = code
        self._extra: dict[str, Any] | None = None
        # To tell the guest costs a short program 5 % of its fuel.
        last = last and winds_up(code)
        if last or stdin is not None:
            self._extra = {"last": True} if last else {}
            if stdin is not None:
                self._extra["stdin"] = stdin

    def frames(self, guest: SessionGuest, limits: Limits) -> list[bytes]:
        """Return the frame to run it, after one for new random numbers where the guest has another one's."""
        return guest.run_frames(self._code, limits, self._extra)


def winds_up(code: str) -> bool:
    """Return whether a last program may have something to wind up: nothing can come of one without these."""
    return "import" in code or "yield" in code or "__del__" in code


class Resume(Request):
    """Resumes a suspended program with these answers."""

    def __init__(self, answers: dict[int, Answer]) -> None:
        self.answers = answers

    def frames(self, guest: SessionGuest, limits: Limits) -> list[bytes]:
        """Return what comes before."""
        return guest.awakening()


class ContinuePaused(Request):
    """Lets a paused program continue. It takes no message: the interpreter stands in the middle of another one."""

    def __init__(self) -> None:
        super().__init__(b"")

    def frames(self, guest: SessionGuest, limits: Limits) -> list[bytes]:
        """Return the empty frame, alone: nothing can be said to the guest meanwhile."""
        guest.learn_nothing()
        return [b""]


class _GetFile(Request):
    """Reads a file, which may be larger than a value: the cap is raised for this one request."""

    def frames(self, guest: SessionGuest, limits: Limits) -> list[bytes]:
        self.max_bytes = max(limits.result, min(limits.file_bytes, _LARGEST_FILE))
        return super().frames(guest, limits.replace(result=self.max_bytes + _HEADER))


def set_variable(name: str, value: Any) -> Request:
    """Set a variable. Raises the codec's errors, or ConfigurationError for the name."""
    return Request(set_request(_identifier(name), value))


def get_variable(name: str) -> Request:
    """Read a variable. Raises ConfigurationError for the name."""
    return Request(request(Op.GET, _identifier(name)))


def put_file(path: str, data: bytes | str) -> Request:
    """Write a file."""
    content = data.encode() if isinstance(data, str) else bytes(data)
    return Request(request(Op.PUT_FILE, _path(path), content))


def get_file(path: str) -> Request:
    """Read a file of any size that a guest may hold, up to 63 MiB."""
    return _GetFile(request(Op.GET_FILE, _path(path)))


def list_files(path: str) -> Request:
    """List the files below a folder."""
    return Request(request(Op.LIST_FILES, _path(path)))


def as_bytes(value: Any) -> bytes:
    """Return a file's content as the guest sent it. Raises ProtocolError."""
    if type(value) is not bytes:
        raise ProtocolError("a file's content is not bytes")
    return value


def as_paths(value: Any) -> list[str]:
    """Return a list of paths as the guest sent it. Raises ProtocolError."""
    if not is_list(value) or any(type(path) is not str for path in value):
        raise ProtocolError("a list of files is not a list of text")
    return value


def _identifier(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise ConfigurationError("name", f"{name!r:.60} is not a Python name")
    return name


def _path(path: object) -> str:
    if not isinstance(path, str) or not path or "\0" in path:
        raise ConfigurationError("path", f"{path!r:.60} is not a path in the guest")
    return path


def error_of_stop(stopped: Stopped, run: RunState) -> BaseException:
    """Return why a guest was ended: a GuestError for the result, or an exception that is the caller's own."""
    match stopped.kind:
        case StopKind.HOST | StopKind.INTERRUPTED:
            return run.stop.reason or stopped.reason or GuestCrashed(str(stopped))
        case StopKind.TIME:
            return run.time_exceeded()
        case StopKind.FUEL:
            limit = run.limits.fuel or 0
            return FuelExhausted(limit, limit)
        case StopKind.STACK:
            return StackOverflow()
        case _:
            return GuestCrashed(str(stopped))


def error_of_failure(failure: FailureReport, limits: Limits, memory: int, max_bytes: int | None = None) -> GuestError:
    """Return the error for a failure that the guest reported; its texts are cut to the limits once more.

    ``max_bytes`` replaces the cap on the value's encoded bytes.
    """
    message = failure.message[: limits.message]
    if failure.kind == "unserializable":
        return UnserializableValue(message)
    if failure.kind == "too_large":
        cap = limits.result if max_bytes is None else max_bytes
        return ResultTooLarge(cap, cap)
    if _is_out_of_memory(failure, limits, memory):
        return MemoryExceeded(memory, limits.memory)
    return GuestException(failure.type_name[:_MAX_NAME], message, failure.traceback[: limits.traceback], failure.line)


def exit_code(failure: FailureReport) -> int | None:
    """Return the status with which a program ended itself, as Python reads the argument of ``sys.exit``; else None."""
    if (failure.module, failure.type_name) != ("builtins", "SystemExit"):
        return None
    known = _EXIT_CODES.get(failure.message)
    if known is not None:
        return known
    # A status that a process could have. Any other argument is a message for people.
    return int(failure.message) if _STATUS.fullmatch(failure.message) else 1


def _is_out_of_memory(failure: FailureReport, limits: Limits, memory: int) -> bool:
    if failure.module != "builtins":
        return False
    # The interpreter's own MemoryError has no message; one that a program or a parser raised has. A SystemError is
    # what is left of it where the interpreter could not even make that.
    full = memory + _ARENA > limits.memory
    return (failure.type_name == "MemoryError" and not failure.message) or (failure.type_name == "SystemError" and full)
