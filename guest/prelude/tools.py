"""The tools among a program's global names: a function each, with the tool's own name, signature and docstring."""

from collections.abc import Callable, MutableMapping
from functools import partial
from types import FunctionType
from typing import Any, TypedDict, cast

from cloche_guest import calls
from cloche_guest.calls import is_proxy, remember
from cloche_guest.loop import call_in_background
from cloche_guest.tool_errors import CannotSuspendHere, ToolError

__all__ = ["ToolSpec", "Toolbox", "make_proxy", "signature_function"]

_POSITIONAL_ONLY, _POSITIONAL_OR_KEYWORD, _VAR_POSITIONAL, _KEYWORD_ONLY, _VAR_KEYWORD = range(5)
_CO_VARARGS, _CO_VARKEYWORDS = 0x04, 0x08
_Param = list[Any]  # [name, kind, has_default, default, annotation]

ToolSpec = TypedDict(
    "ToolSpec",
    {"name": str, "params": list[_Param], "returns": str, "doc": str, "async": bool},
)
"""What the host tells about a tool: kinds are ``inspect._ParameterKind`` values, annotations are text or empty."""


_ERRORS = {"ToolError": ToolError, "CannotSuspendHere": CannotSuspendHere}


class Toolbox:
    """Keeps one namespace's tools in step with the host's set, and has beside them the errors that calls raise.

    ``make`` makes the function of a tool; ``defined`` are those functions by name.
    """

    def __init__(self, namespace: MutableMapping[str, Any]) -> None:
        self._namespace = namespace
        self.make: Callable[[ToolSpec], FunctionType] = make_proxy
        self.defined: dict[str, FunctionType] = {}

    def define(self, specs: list[ToolSpec]) -> None:
        """Replace the whole set: names no longer present disappear.

        A variable of the program's own that has a tool's name stays and hides the tool.
        """
        fresh = {spec["name"]: self.make(spec) for spec in specs}
        self._remove_stale()
        if fresh:
            for name, kind in _ERRORS.items():
                self._namespace.setdefault(name, kind)
        for name, proxy in fresh.items():
            if name not in self._namespace or is_proxy(self._namespace[name]):
                self._namespace[name] = proxy
        self.defined = fresh

    def _remove_stale(self) -> None:
        for name, proxy in self.defined.items():
            if self._namespace.get(name) is proxy:
                del self._namespace[name]


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


class _Annotation(str):
    """An annotation as text, shown without quotation marks: the types behind it are the host's."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _nothing() -> None: ...


_FLAGS = _nothing.__code__.co_flags
_GLOBALS = {"__name__": "tools"}
_PLACES = {_POSITIONAL_ONLY: 0, _POSITIONAL_OR_KEYWORD: 0, _KEYWORD_ONLY: 1, _VAR_POSITIONAL: 2, _VAR_KEYWORD: 3}


def signature_function(spec: ToolSpec) -> FunctionType:
    """Return a function with the name, parameters, defaults, annotations and docstring of ``spec``.

    Calling it returns None, or raises the TypeError that a Python function of this signature raises. It serves as
    ``__wrapped__`` of the proxy, which is where ``inspect.signature`` and ``help`` find the real signature.
    """
    # In the order of a code object's names: positional parameters, keyword-only ones, *args, **kwargs.
    params = sorted(spec["params"], key=_place)
    function = FunctionType(_code(spec["name"], params), _GLOBALS)
    function.__defaults__ = tuple([p[3] for p in params if p[2] and p[1] <= _POSITIONAL_OR_KEYWORD]) or None
    function.__kwdefaults__ = {p[0]: p[3] for p in params if p[2] and p[1] == _KEYWORD_ONLY}
    function.__annotations__ = {p[0]: _Annotation(p[4]) for p in params if p[4]}
    if spec["returns"]:
        function.__annotations__["return"] = _Annotation(spec["returns"])
    function.__doc__ = spec["doc"] or None
    return function


def _place(param: _Param) -> int:
    return _PLACES[param[1]]


def _code(name: str, params: list[_Param]) -> Any:
    kinds = [p[1] for p in params]
    flags = _FLAGS | _CO_VARARGS * kinds.count(_VAR_POSITIONAL) | _CO_VARKEYWORDS * kinds.count(_VAR_KEYWORD)
    positional_only = kinds.count(_POSITIONAL_ONLY)
    return _nothing.__code__.replace(
        co_argcount=positional_only + kinds.count(_POSITIONAL_OR_KEYWORD),
        co_posonlyargcount=positional_only,
        co_kwonlyargcount=kinds.count(_KEYWORD_ONLY),
        co_nlocals=len(kinds),
        co_varnames=tuple([p[0] for p in params]),
        co_flags=flags,
        co_name=name,
        co_qualname=name,
    )
