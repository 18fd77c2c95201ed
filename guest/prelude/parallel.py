"""Which functions are tools, and how each is started in the background instead of called."""

from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["is_proxy", "remember", "twin_of"]

_twins: WeakKeyDictionary[FunctionType, Callable[..., Any]] = WeakKeyDictionary()


def remember(proxy: FunctionType, coroutine: FunctionType) -> None:
    """Note that ``coroutine(...)`` runs the same tool as ``proxy(...)``, in the background."""
    # An async tool is its own twin; holding it here would keep it for ever.
    if proxy is not coroutine:
        _twins[proxy] = coroutine
    else:
        _twins[proxy] = _itself


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
    twin = _twins.get(function) if isinstance(function, FunctionType) else None
    return None if twin is _itself else twin


def _itself() -> None: ...
