"""Functions that have a tool's signature and do nothing: CPython itself binds, and complains in its own words."""

from collections.abc import Iterable
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


def signature_function(spec: ToolSpec) -> FunctionType:
    """Return a function with the name, parameters, defaults, annotations and docstring of ``spec``.

    Calling it returns None, or raises the TypeError that a Python function of this signature raises. It serves as
    ``__wrapped__`` of the proxy, which is where ``inspect.signature`` and ``help`` find the real signature.
    """
    params = spec["params"]
    plain = [p for p in params if p[1] <= _POSITIONAL_OR_KEYWORD]
    keyword = [p for p in params if p[1] == _KEYWORD_ONLY]
    function = FunctionType(_code(spec, plain, keyword), {"__name__": "tools"}, spec["name"], _defaults(plain))
    function.__kwdefaults__ = {p[0]: p[3] for p in keyword if p[2]}
    function.__annotations__ = _annotations(spec)
    function.__doc__ = spec["doc"] or None
    return function


def _code(spec: ToolSpec, plain: list[_Param], keyword: list[_Param]) -> Any:
    rest = [p for kind in (_VAR_POSITIONAL, _VAR_KEYWORD) for p in spec["params"] if p[1] == kind]
    names = tuple(p[0] for p in [*plain, *keyword, *rest])
    return _nothing.__code__.replace(
        co_argcount=len(plain),
        co_posonlyargcount=sum(p[1] == _POSITIONAL_ONLY for p in plain),
        co_kwonlyargcount=len(keyword),
        co_nlocals=len(names),
        co_varnames=names,
        co_flags=_nothing.__code__.co_flags | _flags(rest),
        co_name=spec["name"],
        co_qualname=spec["name"],
    )


def _flags(rest: Iterable[_Param]) -> int:
    return sum(_CO_VARARGS if p[1] == _VAR_POSITIONAL else _CO_VARKEYWORDS for p in rest)


def _defaults(plain: Iterable[_Param]) -> tuple[Any, ...]:
    return tuple(p[3] for p in plain if p[2])


def _annotations(spec: ToolSpec) -> dict[str, str]:
    texts = [*((p[0], p[4]) for p in spec["params"]), ("return", spec["returns"])]
    return {name: _Annotation(text) for name, text in texts if text}
