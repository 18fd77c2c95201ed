"""Tool calls whose answers come later: the program stands still until the host sends them.

Built-in code on the stack cannot be left and entered again; the error then says what to write instead.
"""

import linecache
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import _cloche
from cloche_guest import streams
from cloche_guest.sources import snippet_frame, snippet_line
from cloche_guest.tool_errors import CannotSuspendHere
from cloche_guest.values import decode, encode

__all__ = [
    "answer",
    "collect",
    "expect",
    "forget",
    "has_arrived",
    "is_suspended",
    "seconds_left_out",
    "serve_with",
]

_MAX_SHOWN = 80
_AWAIT = (
    "{tool}() has to wait for its answer, and a plain call inside a task cannot: "
    "write `await asyncio.to_thread({tool}, ...)`, or await the coroutine directly instead of making a task of it"
)
_LOOP = (
    "{tool}() has to wait for its answer, and cannot while built-in code calls the program back{place}: "
    "make the calls in a plain for loop first and use their values, as in `answers = [{tool}(x) for x in items]`"
)
_SUSPENDED = 1
_RESUME = 2
_WITHDRAW = 5
_leave = _cloche.suspend
_monotonic = time.monotonic


class _Call(NamedTuple):
    """A call that waits. ``number`` is the id of a started one, and None for a plain call."""

    number: int | None
    line: int | None


class _State:
    suspended = False
    left_out = 0.0
    serve: Callable[[bytes], bytes]
    take_over: Callable[[dict[str, Any]], None]


_waiting: dict[int, _Call] = {}
_arrived: dict[int, list[Any]] = {}


def serve_with(step: Callable[[bytes], bytes], take_over: Callable[[dict[str, Any]], None]) -> None:
    """Set what answers requests while the program is suspended, and what applies the options of RESUME."""
    _State.serve, _State.take_over = staticmethod(step), staticmethod(take_over)


def is_suspended() -> bool:
    """Tell whether the program is suspended; the caller is then answering a request meanwhile."""
    return _State.suspended


def seconds_left_out() -> float:
    """Return how long the program has been suspended so far, by the monotonic clock."""
    return _State.left_out


def answer(id_: int, tool: str) -> list[Any]:
    """Suspend the program until the outcome of a plain call has come, and return it.

    Raises CannotSuspendHere where C code is on the stack; the call is then withdrawn on the host.
    """
    _waiting[id_] = _Call(None, snippet_line())
    while id_ not in _arrived:
        if not _suspend():
            _withdraw(id_)
            raise CannotSuspendHere(_advice(tool, _cloche.blocked_at()))
    del _waiting[id_]
    return _arrived.pop(id_)


def expect(id_: int, number: int) -> None:
    """Note that the host has the started call ``number`` wait, under an id of its own."""
    _waiting[id_] = _Call(number, snippet_line())


def collect() -> list[list[Any]]:
    """Return ``[number, *outcome]`` of each started call that has an outcome, suspending the program if none has.

    Raises CannotSuspendHere where C code is on the stack.
    """
    while not has_arrived():
        if not _suspend():
            raise CannotSuspendHere(_advice("the event loop", _cloche.blocked_at()))
    started = [id_ for id_ in _arrived if _is_started(id_)]
    return [[_waiting.pop(id_).number, *_arrived.pop(id_)] for id_ in started]


def has_arrived() -> bool:
    """Tell whether a started call has an outcome that was not collected yet."""
    return any(map(_is_started, _arrived))


def forget(number: int) -> bool:
    """Give up a started call. Returns False if it is none that waits."""
    for id_, call in _waiting.items():
        if call.number == number:
            _withdraw(id_)
            return True
    return False


def _is_started(id_: int) -> bool:
    return _waiting[id_].number is not None


def _withdraw(id_: int) -> None:
    del _waiting[id_]
    if _arrived.pop(id_, None) is None:
        _cloche.call(encode([_WITHDRAW, id_]))


def _suspend() -> bool:
    """Leave the program until outcomes come. Returns False at once where that is impossible."""
    streams.flush()
    response = encode([_SUSPENDED, [[id_, call.line] for id_, call in _waiting.items()]])
    _State.suspended = True
    try:
        return _served(response)
    finally:
        _State.suspended = False


def _served(response: bytes) -> bool:
    """Answer requests, the first of them with ``response``, until one resumes the program."""
    while True:
        since = _monotonic()
        # This call is where the program stands still: it must be made by the eval loop itself.
        request = _leave(response)
        _State.left_out += _monotonic() - since
        if request is None:
            return False
        operation, *operands = decode(request)
        if operation == _RESUME:
            return _resumed(*operands)
        response = _State.serve(request)


def _resumed(outcomes: list[list[Any]], options: dict[str, Any]) -> bool:
    _State.take_over(options)
    _arrived.update((id_, outcome) for id_, *outcome in outcomes if id_ in _waiting)
    return True


def _advice(tool: str, caller: FrameType | None) -> str:
    """Return the text of CannotSuspendHere. ``caller`` is the frame that called the built-in code, if known."""
    if caller is not None and _module(caller).partition(".")[0] == "asyncio":
        return _AWAIT.format(tool=tool)
    return _LOOP.format(tool=tool, place=_place(caller))


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _place(caller: FrameType | None) -> str:
    frame = snippet_frame(caller)
    if frame is None:
        return ""
    text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
    return f", at line {frame.f_lineno}: `{shown}`"
