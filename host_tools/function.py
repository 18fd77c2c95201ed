"""Functions as tools: the ``@tool`` decorator."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from cloche.host_tools.base import Tool
from cloche.host_tools.docstrings import Docstring
from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.names import check_name

__all__ = ["FunctionTool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class FunctionTool(Tool, Generic[P, R_co]):
    """A function as a tool. It can still be called as before, with the same signature and without checks.

    ``typed`` asks for an annotation on each parameter; without it, those that have none accept anything.
    For the other arguments and the errors see :func:`tool`.
    """

    def __init__(
        self,
        function: Callable[P, R_co],
        *,
        name: str | None = None,
        description: str | None = None,
        blocking: bool | None = None,
        suspend: bool = False,
        approval: bool = False,
        typed: bool = True,
    ) -> None:
        if inspect.isclass(function):
            raise ToolDefinitionError(f"tool {function.__name__!r}", "it is a class: pass a function or a Tool object")
        self.name = name or _name(function)
        self._tool_read(self, function, Docstring(), typed=typed)
        self.blocking = (not self.is_async) if blocking is None else blocking
        self.suspend, self.approval = suspend, approval
        if description is not None:
            self.description = self._tool_documentation = inspect.cleandoc(description)
        self._tool_run = function
        functools.update_wrapper(cast("Any", self), function, updated=())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function."""
        return self._tool_run(*args, **kwargs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function, as if it had never been decorated."""
        return cast("R_co", self._tool_run(*args, **kwargs))

    def __repr__(self) -> str:
        return f"<tool {self.name}>"


class _Decorator(Protocol):
    def __call__(self, function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    blocking: bool | None = None,
    suspend: bool = False,
    approval: bool = False,
) -> _Decorator: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    blocking: bool | None = None,
    suspend: bool = False,
    approval: bool = False,
) -> Any:
    """Make a tool of a typed function, plain or ``async``: ``@tool``, or ``@tool(name=..., blocking=False)``.

    ``name`` and ``description`` default to the function's name and docstring (Google style: its ``Args`` describe
    the arguments). ``blocking=False`` promises that a plain function never waits nor takes long, so that it can
    run on the run's own thread; see :class:`Tool`. With ``suspend=True`` a call suspends the program until somebody
    gives it a value, with ``approval=True`` until somebody approves or denies it: see ``Session.start``. Every
    parameter has to be annotated; ``Any`` accepts everything.

    Raises ToolDefinitionError at once if the name, a missing annotation or a type that cannot be checked
    stands in the way.
    """

    def decorate(function: Callable[P, R]) -> FunctionTool[P, R]:
        if name is not None:
            check_name(name, shadow_builtins=True)
        return FunctionTool(
            function, name=name, description=description, blocking=blocking, suspend=suspend, approval=approval
        )

    return decorate if function is None else decorate(function)


def _name(function: Callable[..., Any]) -> str:
    inner = function.func if isinstance(function, functools.partial) else function
    return str(getattr(inner, "__name__", type(inner).__name__))
