"""Which functions are tools, and how each is started in the background instead of called."""

from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["is_proxy", "remember", "twin_of"]

_Make = Callable[[], Callable[..., Any]]

_twins: WeakKeyDictionary[FunctionType, _Make | None] = WeakKeyDictionary()


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
