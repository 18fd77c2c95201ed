"""Async tools that may be called without ``await``, as models do it.

Such a call blocks and returns the value; an awaited one runs beside others.
"""

import builtins
import functools
import opcode
import operator
import sys
from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any

from cloche_guest import calls
from cloche_guest.program import NAMESPACE
from cloche_guest.step import toolbox
from cloche_guest.tools import ToolSpec, make_proxy
from cloche_guest.values.records import type_of

__all__ = ["begin", "settled"]

_AWAITS, _DROPS = opcode.opmap["GET_AWAITABLE"], opcode.opmap["POP_TOP"]
_IS_COROUTINE_CODE = 0x80
# What takes calls that are to be awaited.
_TAKERS = frozenset(
    ("TaskGroup", "as_completed", "create_task", "ensure_future", "gather", "run", "shield", "wait", "wait_for")
)
_MAX_DEPTH = 8


def begin() -> None:
    """Have the async tools of this session, and those it gets later, be callable plainly. Safe to call twice."""
    if toolbox.make is _made:
        return
    toolbox.make = _made
    for name, proxy in toolbox.defined.items():
        if proxy.__code__.co_flags & _IS_COROUTINE_CODE:
            toolbox.defined[name] = NAMESPACE[name] = _either(proxy)


def settled(value: Any, depth: int = 0) -> Any:
    """Return the value of a call that was not awaited, also where it is in a container; anything else as it is."""
    if isinstance(value, _Waiting):
        return value._value()  # pyright: ignore[reportPrivateUsage]
    kind = type_of(value)
    if depth == _MAX_DEPTH or kind not in (list, tuple, dict):
        return value
    fields: Any = value
    parts: list[Any] = list(fields.values() if kind is dict else fields)
    now = [settled(part, depth + 1) for part in parts]
    if all(new is old for new, old in zip(now, parts, strict=True)):
        return fields
    if kind is dict:
        return dict(zip(fields, now, strict=True))
    return tuple(now) if kind is tuple else now


def _made(spec: ToolSpec) -> FunctionType:
    proxy = make_proxy(spec)
    return _either(proxy) if spec["async"] else proxy


def _either(background: Any) -> FunctionType:
    """Return the function of an async tool: awaited it runs beside others, called plainly it blocks."""
    name, shape = background.__name__, background.__wrapped__
    blocking = calls.caller(name, shape)

    @functools.wraps(background)
    def call(*args: Any, **kwargs: Any) -> Any:
        shape(*args, **kwargs)
        frame = sys._getframe(1)  # pyright: ignore[reportPrivateUsage]
        use = _use_of(frame)
        if use == _AWAITS:
            return background(*args, **kwargs)
        if use != _DROPS and _knows_async(frame):
            start = functools.partial(background, *args, **kwargs)
            return _Waiting(name, start, functools.partial(blocking, *args, **kwargs))
        return blocking(*args, **kwargs)

    # As a plain tool has it: for asyncio.to_thread.
    both: Any = call
    calls.remember(both, lambda: background)
    function: FunctionType = both
    return function


def _use_of(frame: FrameType) -> int:
    """Return the instruction that gets what this frame's call returns."""
    code = frame.f_code.co_code
    # Behind the call itself there may be empty places, which the interpreter keeps for itself.
    following = frame.f_lasti + 2
    while following < len(code) and code[following] == 0:
        following += 2
    return code[following] if following < len(code) else 0


def _knows_async(frame: FrameType | None) -> bool:
    """Return whether the program that makes the call awaits something later, in this frame or further out.

    An ``import asyncio`` alone is no sign of it, and a value that is not awaited is better the value itself.
    """
    while frame is not None and frame.f_globals.get("__name__") == "__main__":
        code = frame.f_code
        if not _TAKERS.isdisjoint(code.co_names) or _AWAITS in code.co_code[::2]:
            return True
        frame = frame.f_back
    return False


class _Waiting:
    """A call of an async tool that may yet be awaited: a coroutine, and its value as soon as it is used as one."""

    def __init__(self, name: str, start: Callable[[], Any], block: Callable[[], Any]) -> None:
        self._name, self._start, self._block = name, start, block
        self._coroutine: Any = None
        self._known: list[Any] = []

    def _inner(self) -> Any:
        if self._coroutine is None:
            self._coroutine = self._start()
        return self._coroutine

    def _value(self) -> Any:
        if not self._known:
            if self._coroutine is not None:
                raise RuntimeError(f"{self._name}() runs in the background already: await it")
            self._known.append(self._block())
        return self._known[0]

    def __await__(self) -> Any:
        return _known(self._known[0]).__await__() if self._known else self._inner().__await__()

    def send(self, value: Any) -> Any:
        """As a coroutine's."""
        return self._inner().send(value)

    def throw(self, *error: Any) -> Any:
        """As a coroutine's."""
        return self._inner().throw(*error)

    def close(self) -> None:
        """As a coroutine's."""
        if self._coroutine is not None:
            self._coroutine.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._value(), name)

    def __del__(self) -> None:
        self.close()
        if self._coroutine is None and not self._known:
            print(f"{self._name}() was never called, as its result was not used", file=sys.stderr)


async def _known(value: Any) -> Any:
    return value


def _forwarded(function: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        values = [self._value(), *map(settled, args)]
        return function(*(reversed(values) if swapped else values))

    return method


def _forward() -> None:
    """Have a waiting call be its value wherever that is used: as text, number or container, and in expressions."""
    for name in ("str", "repr", "len", "iter", "bool", "int", "float", "format"):
        setattr(_Waiting, f"__{name}__", _forwarded(getattr(builtins, name)))
    for name in ("eq", "ne", "lt", "le", "gt", "ge", "contains", "getitem", "index"):
        setattr(_Waiting, f"__{name}__", _forwarded(getattr(operator, f"__{name}__")))
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or"):
        function = getattr(operator, f"__{name}__")
        setattr(_Waiting, f"__{name}__", _forwarded(function))
        setattr(_Waiting, f"__r{name}__", _forwarded(function, swapped=True))
    # As a coroutine's: asyncio.gather keeps what it was given in a dict.
    _Waiting.__hash__ = object.__hash__  # type: ignore[method-assign]


_forward()
