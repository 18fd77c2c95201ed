"""The bridge's frames: building what the host sends, checking what the guest sends. No I/O and no state.

A guest can send any bytes. Parsing accepts exactly the shapes below, with exactly these types (a bool is not an
int, a subclass is not its base), and raises ProtocolError for everything else.
"""

import re
from enum import IntEnum
from typing import Any, NamedTuple, TypeGuard

from cloche.runtime.errors import ProtocolError
from cloche.runtime.result import DISPLAY_KINDS, Display, ValueRepr
from cloche.runtime.values import Look, MalformedValue, decode, encode, encode_after
from cloche.runtime.work import long_work

__all__ = [
    "ABI",
    "AS_IT_IS",
    "EMPTY_REPLY",
    "FINISHED",
    "MAX_NAME",
    "NOTHING",
    "Call",
    "CallFrame",
    "Cancel",
    "FailureReport",
    "FinishedResponse",
    "Op",
    "Reading",
    "Response",
    "Sleep",
    "Start",
    "Wait",
    "WaitingResponse",
    "Withdraw",
    "error_reply",
    "is_dict",
    "is_id",
    "is_list",
    "known_line",
    "parse_call",
    "parse_response",
    "read_plain_call",
    "request",
    "resume_request",
    "run_request",
    "set_request",
    "value_reply",
    "wait_reply",
    "waits_reply",
]


ABI = 1
"""The version of the frames and of the guest's imports and exports: a snapshot of another one is not restored."""


class Op(IntEnum):
    """The first item of each request to the guest."""

    RUN = 1
    RESUME = 2
    DEFINE = 3
    SET = 4
    GET = 5
    PUT_FILE = 6
    GET_FILE = 7
    LIST_FILES = 8
    LIMITS = 9
    RESEED = 10
    SETTLE = 11


class Reading(NamedTuple):
    """How to read a message that was measured: what arrays in it may take as lists, and what a long one looks at."""

    budget: int
    look: Look | None


AS_IT_IS = Reading(0, None)
"""For a message that was not measured: the codec's own bounds hold."""


class FailureReport(NamedTuple):
    """Why a request failed in the guest; every text is the guest's own."""

    kind: str
    type_name: str
    module: str
    message: str
    traceback: str
    line: int | None


class FinishedResponse(NamedTuple):
    """The guest answered a request. A value that cannot leave the guest is a ValueRepr."""

    value: Any
    failure: FailureReport | None
    displays: tuple[Display, ...] = ()


class WaitingResponse(NamedTuple):
    """The program waits for the outcomes of these calls: their ids, and the program's lines that they stand in."""

    lines: dict[int, int | None]


Response = FinishedResponse | WaitingResponse


class Call(NamedTuple):
    """Call a tool and wait for it."""

    name: str
    args: list[Any]
    kwargs: dict[str, Any]


class Start(NamedTuple):
    """Call a tool in the background, under an id that the guest chose."""

    id: int
    name: str
    args: list[Any]
    kwargs: dict[str, Any]


class Wait(NamedTuple):
    """Wait until a background call ends, at most ``timeout`` seconds (None: as long as it takes)."""

    timeout: float | None


class Cancel(NamedTuple):
    """Cancel a background call."""

    id: int


class Sleep(NamedTuple):
    """Sleep for so many seconds."""

    seconds: float


class Withdraw(NamedTuple):
    """The program no longer waits for the outcome of the pending call with this id."""

    id: int


CallFrame = Call | Start | Wait | Cancel | Sleep | Withdraw


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Return whether a value is a list and nothing derived from it."""
    return type(value) is list


def is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    """Return whether a value is a dict and nothing derived from it."""
    return type(value) is dict


_TEXT: frozenset[Any] = frozenset({str})
_KINDS = frozenset({"exception", "unserializable", "too_large"})
_FAILURE_KEYS = frozenset({"kind", "type", "module", "message", "traceback", "line"})
MAX_NAME = 256
"""Characters of a tool's name that are kept; a tool of the host has far fewer."""
_MIME = re.compile(r"(?:text|image|application)/[a-z0-9][a-z0-9.+-]{0,60}", re.ASCII)
_CALL_HEAD = b"\x94\x00"
_MAX_REASON = 1_000


def run_request(code: str, filename: str, options: dict[str, Any]) -> bytes:
    """Return the request to run ``code``; ``filename`` is text of at most 31 ASCII characters."""
    # By hand, as it is on the path of every run.
    name = bytes((0xA0 | len(filename),)) + filename.encode("ascii")
    return b"\x94\x01" + encode(code, where="code") + name + (encode(options) if options else b"\x80")


def request(op: Op, *items: Any, where: str = "request") -> bytes:
    """Return any request. Raises the codec's error, naming ``where``, for a value that cannot cross."""
    return encode([int(op), *items], where=where)


def set_request(name: str, value: Any) -> bytes:
    """Return the request to set a variable. Raises the codec's errors, which name the path in the variable."""
    # By hand, so that the value is encoded under its own name.
    return b"\x92" + bytes([Op.SET]) + b"\x81" + encode(name) + encode(value, where=name)


NOTHING = encode([0, None, None])
"""What the guest answers, as a rule."""
FINISHED = FinishedResponse(None, None)
"""The same, parsed."""


def parse_response(data: bytes, reading: Reading = AS_IT_IS) -> Response:
    """Return what the guest answered. Raises ProtocolError."""
    frame = _frame(data, "response", reading)
    # The usual answer first, without the price of a match statement.
    if len(frame) == 3 and frame[0] == 0 and frame[2] is None:
        return FinishedResponse(frame[1], None)
    displays: tuple[Display, ...] = ()
    if len(frame) == 4 and frame[0] == 0 and is_list(frame[3]):
        displays = tuple(map(_display, frame.pop()))
    match frame:
        case [0, value, None]:
            return FinishedResponse(value, None, displays)
        case [0, None, error] if is_dict(error):
            return FinishedResponse(None, _failure(error), displays)
        case [0, str(), error] if is_dict(error) and (failure := _failure(error)).kind == "unserializable":
            # The value as it writes itself, and why it stays in the guest.
            return FinishedResponse(ValueRepr(frame[1], failure.message[:_MAX_REASON]), None, displays)
        case [1, calls] if is_list(calls):
            return WaitingResponse(dict(map(_waiting, calls)))
        case _:
            raise ProtocolError("a response of an unknown shape")


def parse_call(data: bytes, reading: Reading = AS_IT_IS) -> CallFrame:
    """Return what the guest asks for. Raises ProtocolError."""
    return _parse_items(_frame(data, "call", reading))


def read_plain_call(data: bytes, reading: Reading = AS_IT_IS) -> list[Any] | None:
    """Return the items of CALL, the frame that nearly all are; None for another. Raises ProtocolError.

    Its first two bytes say that it is a list of four items beginning with 0, so that nothing is left to look at but
    the others. One that is written in more bytes than it takes is another.
    """
    if data[:2] != _CALL_HEAD:
        return None
    try:
        items: list[Any] = decode(data) if reading is AS_IT_IS else _decode(data, reading)
    except MalformedValue as error:
        raise ProtocolError(f"a malformed call: {error}") from None
    _, name, args, kwargs = items
    # As ``_is_call``, without the call.
    if type(name) is not str or type(args) is not list or type(kwargs) is not dict:
        return None
    if kwargs and not _TEXT.issuperset(map(type, items[3])):
        return None
    if len(name) > MAX_NAME:
        items[1] = _cut(name)
    return items


def _parse_items(frame: list[Any]) -> CallFrame:
    match frame:
        case [0, name, args, kwargs] if _is_call(name, args, kwargs):
            return Call(_cut(name), args, kwargs)
        case [1, id_, name, args, kwargs] if is_id(id_) and _is_call(name, args, kwargs):
            return Start(id_, _cut(name), args, kwargs)
        case [2, timeout] if timeout is None or _is_duration(timeout):
            return Wait(timeout)
        case [3, id_] if is_id(id_):
            return Cancel(id_)
        case [4, seconds] if _is_duration(seconds):
            return Sleep(seconds)
        case [5, id_] if is_id(id_):
            return Withdraw(id_)
        case _:
            raise ProtocolError("a call frame of an unknown shape")


def _cut(name: str) -> str:
    """Return the name, so much of it that it is known to be none of a tool."""
    return name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}..."


EMPTY_REPLY = encode([0, None])
"""The reply to a call frame that has no value."""


def value_reply(value: Any, *, id: int | None = None, limit: int | None = None, look: Look | None = None) -> bytes:
    """Return a tool's value as the reply to CALL, or with an ``id`` as one item of the reply to WAIT.

    Raises the codec's errors, naming the path in ``result``; ``limit`` caps the value's encoded bytes, and ``look`` is
    called while a long one is written.
    """
    # The value is encoded alone, so that errors name its own path, and put into a list by hand.
    before = b"\x92\x00" if id is None else b"\x93" + encode(id) + b"\x00"
    if type(value) is bytes:
        return encode_after(before, value, where="result", limit=limit)
    return before + encode(value, where="result", limit=limit, look=look)


def error_reply(type_name: str, message: str, *, id: int | None = None) -> bytes:
    """Return a tool's error as the reply to CALL, or with an ``id`` as one item of the reply to WAIT."""
    return encode([1, type_name, message] if id is None else [id, 1, type_name, message])


def wait_reply(items: list[bytes]) -> bytes:
    """Return the reply to WAIT made of encoded items, which are not encoded a second time."""
    return b"".join([b"\x92\x00", b"\xdd", len(items).to_bytes(4, "big"), *items])


def waits_reply(id: int | None) -> bytes:
    """Return the reply to CALL or START that the call waits, under this id; to WAIT, with None, that all calls do."""
    return encode([2, id])


def resume_request(outcomes: list[bytes], options: dict[str, Any]) -> bytes:
    """Return the request to resume a suspended program with outcomes, encoded like the items of the reply to WAIT."""
    return b"".join([b"\x93\x02\xdd", len(outcomes).to_bytes(4, "big"), *outcomes, encode(options)])


def _decode(data: bytes, reading: Reading) -> Any:
    if reading.look is None:
        return decode(data, budget=reading.budget, measured=True)
    with long_work:
        return decode(data, budget=reading.budget, measured=True, look=reading.look)


def _frame(data: bytes, what: str, reading: Reading) -> list[Any]:
    """Return a message that is a list beginning with an int."""
    try:
        frame: Any = decode(data) if reading is AS_IT_IS else _decode(data, reading)
    except MalformedValue as error:
        raise ProtocolError(f"a malformed {what}: {error}") from None
    if not is_list(frame) or not frame or type(frame[0]) is not int:
        raise ProtocolError(f"a {what} of an unknown shape")
    return frame


def _failure(error: dict[Any, Any]) -> FailureReport:
    if error.keys() != _FAILURE_KEYS:
        raise ProtocolError("an error report of an unknown shape")
    kind, name, module, message, traceback = (error[key] for key in ("kind", "type", "module", "message", "traceback"))
    if any(type(text) is not str for text in (kind, name, module, message, traceback)):
        raise ProtocolError("an error report with something other than text")
    if kind not in _KINDS:
        raise ProtocolError("an error report of an unknown kind")
    line = error["line"]
    if line is not None and type(line) is not int:
        raise ProtocolError("an error report with a line that is not a number")
    return FailureReport(kind, name, module, message, traceback, known_line(line))


def _display(item: Any) -> Display:
    if is_list(item) and len(item) == 2 and is_dict(item[1]) and all(map(_is_format, item[1].items())):
        for kind in DISPLAY_KINDS:
            if kind == item[0]:
                return Display(kind, item[1])
    raise ProtocolError("a display of an unknown shape")


def _is_format(item: tuple[Any, Any]) -> bool:
    """Return whether this is a MIME type, and what is of that type: text, or of images bytes."""
    mime, content = item
    if type(mime) is not str or not _MIME.fullmatch(mime):
        return False
    return type(content) is (str if mime.startswith(("text/", "application/")) or mime == "image/svg+xml" else bytes)


def _waiting(call: Any) -> tuple[int, int | None]:
    match call:
        case [id_, None | int() as line] if is_id(id_) and type(line) is not bool:
            return id_, known_line(line)
        case _:
            raise ProtocolError("a waiting call of an unknown shape")


def known_line(line: int | None) -> int | None:
    """Return a line's number, or None for one that no program has: it may be so long that it cannot be printed."""
    return line if line is not None and 0 < line < 1 << 31 else None


def is_id(value: object) -> TypeGuard[int]:
    """Return whether this can be a call's number."""
    return type(value) is int and 0 <= value < 1 << 63


def _is_duration(value: Any) -> bool:
    # A nan is not at least 0, as every comparison with it is false.
    return type(value) in (int, float) and value >= 0


def _is_call(name: Any, args: Any, kwargs: Any) -> bool:
    names = kwargs
    if type(name) is not str or type(args) is not list or type(kwargs) is not dict:
        return False
    return not names or _TEXT.issuperset(map(type, names))
