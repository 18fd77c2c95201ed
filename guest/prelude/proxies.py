"""One function per registered tool, with the tool's own name, signature and docstring."""

from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any, cast

from cloche_guest import calls
from cloche_guest.loop import call_in_background
from cloche_guest.parallel import remember
from cloche_guest.signatures import ToolSpec, signature_function

__all__ = ["make_proxy"]


def make_proxy(spec: ToolSpec) -> FunctionType:
    """Return the guest's function for one tool: a coroutine function if the tool is async, else a plain one.

    A plain one can still run in parallel through ``asyncio.to_thread``. Arguments are checked against the signature
    before anything is sent; a call that does not fit raises Python's own TypeError.
    """
    shape = signature_function(spec)
    if spec["async"]:
        coroutine = _coroutine_proxy(shape)
        remember(coroutine, None)
        return coroutine
    plain = _dress(calls.caller(spec["name"], shape), shape)
    remember(plain, partial(_coroutine_proxy, shape))
    return plain


def _coroutine_proxy(shape: FunctionType) -> FunctionType:
    name = shape.__name__

    async def call(*args: Any, **kwargs: Any) -> Any:
        shape(*args, **kwargs)
        return await call_in_background(name, list(args), kwargs, shape)

    return _dress(call, shape)


def _dress(call: Callable[..., Any], shape: FunctionType) -> FunctionType:
    function = cast("FunctionType", call)
    function.__name__ = function.__qualname__ = shape.__name__
    function.__module__ = "tools"
    function.__doc__ = shape.__doc__
    function.__annotations__ = shape.__annotations__
    vars(function)["__wrapped__"] = shape
    return function
