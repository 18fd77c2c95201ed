"""Functions that have a tool's signature and do nothing: CPython itself binds, and complains in its own words."""

from types import FunctionType
from typing import Any, TypedDict

__all__ = ["ToolSpec", "signature_function"]

_POSITIONAL_ONLY, _POSITIONAL_OR_KEYWORD, _VAR_POSITIONAL, _KEYWORD_ONLY, _VAR_KEYWORD = range(5)
_CO_VARARGS, _CO_VARKEYWORDS = 0x04, 0x08
_Param = list[Any]  # [name, kind, has_default, default, annotation]

ToolSpec = TypedDict(
    "ToolSpec",
    {"name": str, "params": list[_Param], "returns": str, "doc": str, "async": bool},
)
"""What the host tells about a tool: kinds are ``inspect._ParameterKind`` values, annotations are text or empty."""


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
