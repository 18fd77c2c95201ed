"""Calls of tools: frames built and sent, answers read, and the functions that stand for tools."""

from collections.abc import Callable, Coroutine
from functools import partial
from itertools import count
from types import FunctionType
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from _cloche import ask as _ask
from _cloche import call as _send
from _cloche import count_threads as _count_threads
from _cloche import suspend as _leave
from _cloche import unpark as _unpark
from cloche_guest import suspension
from cloche_guest.state import CAPS
from cloche_guest.tool_errors import tool_error
from cloche_guest.values import ValueCodecError, decode, encode
from cloche_guest.values.records import type_of

__all__ = [
    "Inbox",
    "call",
    "caller",
    "cancel",
    "deliver",
    "forget_route",
    "has_routes",
    "is_proxy",
    "outcome",
    "remember",
    "route",
    "sleep",
    "start",
    "twin_of",
    "wait",
]

_Make = Callable[[], Callable[..., Any]]
_CALL, _START, _WAIT, _CANCEL, _SLEEP = range(5)
_OK, _, _WAITS = range(3)
_next_id: Callable[[], int] = count(1).__next__
_twins: WeakKeyDictionary[FunctionType, _Make | None] = WeakKeyDictionary()


class Inbox(list[list[Any]]):
    """Outcomes of started calls, ``[id, *outcome]`` each: a thread waits for it, and is woken when one has come."""


_routes: dict[int, Inbox] = {}
"""Where the outcomes of started calls go that threads wait for."""


def caller(name: str, shape: FunctionType) -> Callable[..., Any]:
    """Return the function that calls this tool with what it is called with: arguments bound, sent, answer returned.

    ``shape`` is the function with the tool's parameters. What it returns raises Python's own TypeError for arguments
    that do not fit, TypeError (ValueError for size) naming the argument that cannot cross, and what the tool raised.
    """
    prefix = b"\x94\x00" + encode(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        shape(*args, **kwargs)
        answer = _ask(prefix, args, kwargs, CAPS.argument)
        if type_of(answer) is tuple:
            return _result(answer[0], name) if answer else _call(name, list(args), kwargs, shape)
        return answer

    return call


def _call(name: str, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> Any:
    if not _count_threads():
        return _result(_send(_frame(name, args, kwargs, shape)), name)
    number = start(name, args, kwargs, shape)
    inbox = _routes[number] = Inbox()
    try:
        while not inbox:
            # This call is where the thread is left, while others run.
            _leave((inbox, None, True))
    finally:
        if not inbox:
            cancel(number)
    value, error = outcome(inbox[0][1:])
    if error is not None:
        raise error
    return value


def _frame(name: str, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> bytes:
    try:
        return encode([_CALL, name, args, kwargs], limit=CAPS.argument)
    except ValueCodecError as error:
        _blame(error, args, kwargs, shape)


def _result(reply: bytes, name: str) -> Any:
    answer = decode(reply)
    return _value(suspension.answer(answer[1], name) if answer[0] == _WAITS else answer)


def _value(answer: list[Any]) -> Any:
    if answer[0] == _OK:
        return answer[1]
    raise tool_error(answer[1], answer[2])


def start(name: str, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> int:
    """Start a tool in the background on the host and return the id of the call; errors as in :func:`caller`."""
    number = _next_id()
    try:
        frame = encode([_START, number, name, args, kwargs], limit=CAPS.argument)
    except ValueCodecError as error:
        _blame(error, args, kwargs, shape)
    answer = decode(_send(frame))
    if answer[0] == _WAITS:
        suspension.expect(answer[1], number)
    elif answer[0] != _OK:
        raise tool_error(answer[1], answer[2])
    return number


def call(name: str, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> tuple[int | None, Any]:
    """Call a tool and return None and its value; or a number, for a call that waits as if it had been started.

    Errors as in :func:`caller`.
    """
    answer = decode(_send(_frame(name, args, kwargs, shape)))
    if answer[0] == _WAITS:
        number = _next_id()
        suspension.expect(answer[1], number)
        return number, None
    return None, _value(answer)


def wait(timeout: float | None) -> list[list[Any]]:
    """Wait until a started call finished, or ``timeout`` seconds; return ``[id, *outcome]`` of each that did."""
    if suspension.has_arrived():
        return suspension.collect()
    answer = decode(_send(encode([_WAIT, timeout])))
    finished: list[list[Any]] = suspension.collect() if answer[0] == _WAITS else answer[1]
    return finished


def has_routes() -> bool:
    """Tell whether a thread waits for a started call."""
    return bool(_routes)


def route(number: int, inbox: Inbox) -> None:
    """Have the outcome of a started call put into that inbox by :func:`deliver`."""
    _routes[number] = inbox


def forget_route(number: int) -> None:
    """Have the outcome of that call be taken by whoever waits next."""
    _routes.pop(number, None)


def deliver(timeout: float | None) -> bool:
    """Wait as :func:`wait` does, and put outcomes where they belong. Return whether any has come."""
    finished = wait(None if timeout is None else max(0.0, timeout))
    for arrived in finished:
        inbox = _routes.pop(arrived[0], None)
        if inbox is not None:
            inbox.append(arrived)
            _unpark(inbox)
    return bool(finished)


def cancel(number: int) -> None:
    """Tell the host that the result of this started call is no longer wanted."""
    _routes.pop(number, None)
    if not suspension.forget(number):
        _send(encode([_CANCEL, number]))


def sleep(seconds: float) -> None:
    """Let the host wait; nothing is running meanwhile."""
    _send(encode([_SLEEP, seconds]))


def outcome(parts: list[Any]) -> tuple[Any, Exception | None]:
    """Return the value, or the exception, that an outcome stands for: ``[0, value]`` or ``[1, type, message]``."""
    return (parts[1], None) if parts[0] == _OK else (None, tool_error(parts[1], parts[2]))


def remember(proxy: FunctionType, make_twin: _Make | None) -> None:
    """Note that a function is a tool, and how to make the coroutine function that runs the same in the background.

    None for one that is a coroutine function itself. Few are ever asked for, and each would cost every isolate.
    """
    _twins[proxy] = make_twin


def is_proxy(value: object) -> bool:
    """Tell whether the value is a proxy of a tool, of this definition of the tools or an earlier one."""
    return isinstance(value, FunctionType) and value in _twins


def twin_of(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]] | None:
    """Return the coroutine function that runs a plain tool in the background; None for anything else.

    A ``functools.partial`` of a tool counts as the tool.
    """
    if isinstance(function, partial):
        inner = twin_of(function.func)
        return None if inner is None else partial(inner, *function.args, **function.keywords)
    make_twin = _twins.get(function) if isinstance(function, FunctionType) else None
    return None if make_twin is None else make_twin()


def _blame(error: ValueCodecError, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> NoReturn:
    """Find the argument that cannot cross: encoding them one by one costs time only where there is an error."""
    for label, value in [*_labels(args, shape), *kwargs.items()]:
        try:
            encode(value, where=f"argument {label!r}", limit=CAPS.argument)
        except ValueCodecError as precise:
            raise _plain(precise) from None
    raise _plain(error) from None


def _plain(error: ValueCodecError) -> Exception:
    return TypeError(str(error)) if isinstance(error, TypeError) else ValueError(str(error))


def _labels(args: list[Any], shape: FunctionType) -> list[tuple[str, Any]]:
    code = shape.__code__
    named = code.co_varnames[: code.co_argcount]
    rest = code.co_varnames[code.co_argcount + code.co_kwonlyargcount :]
    extra = [f"*{rest[0]}[{i}]" for i in range(len(args) - len(named))] if rest else []
    return list(zip([*named, *extra], args, strict=False))
