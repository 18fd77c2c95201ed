"""The tools that a sandbox offers, by the names that programs call them by; it may change at any time."""

import inspect
import itertools
import threading
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self, cast, runtime_checkable

from cloche.host_tools.errors import ToolDefinitionError
from cloche.host_tools.frameworks import adapted
from cloche.host_tools.handles import PLAIN, Handles, Later
from cloche.host_tools.names import check_name
from cloche.host_tools.tools import FunctionTool, Tool
from cloche.runtime.dispatch import AnsweredCall, ToolSpec, UnknownTool

__all__ = ["Informed", "ToolLike", "ToolRegistry", "answered", "approved", "call_id", "made_as", "registry_of"]


@runtime_checkable
class Informed(Protocol):
    """What a tool has beside the methods of :class:`Tool` if it takes part in how its calls are answered."""

    def invoke_approved(self, call: AnsweredCall) -> Any:
        """Do what :meth:`Tool.invoke` does, for a call that waited and was approved."""
        ...

    def accept_answer(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        """Return or raise what the program gets; see :meth:`cloche.runtime.dispatch.AnsweringDispatcher.answered`."""
        ...


def approved(tool: Tool, call: AnsweredCall) -> Any:
    """Make a call that was approved; an async tool gives an awaitable."""
    if isinstance(tool, Informed):
        return tool.invoke_approved(call)
    return tool.invoke(call.args, call.kwargs, call.name)


def answered(tool: Tool | None, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
    """Return or raise what the program gets from a call that is answered; ``tool`` is None if it is gone meanwhile."""
    if isinstance(tool, Informed):
        return tool.accept_answer(call, value, error)
    if error is not None:
        raise error
    return value


ToolLike = Tool | Callable[..., Any]
"""What can be registered: a Tool, or a plain function, whose parameters without annotation accept anything."""

# The id of the call that is being made here, once a tool has asked for it. The runtime carries it to its threads.
_call_in_hand: ContextVar[list[str]] = ContextVar("cloche_call")

# One count for all registries: two of them never show the same version, even if one takes the other's place.
_versions = itertools.count(1)


def call_id() -> str:
    """Return the id of the call that a tool is being run for; empty outside of any.

    No two calls have the same. The attempts of a ``Retry`` are one call, and so is a call that was approved, in every
    copy of its session. So a tool that remembers the ids of what it did, or passes them on to a service as keys of
    idempotence, does nothing twice.
    """
    holder = _call_in_hand.get(None)
    if holder is None:
        return ""
    if not holder[0]:
        holder[0] = uuid.uuid4().hex
    return holder[0]


def made_as(key: str, make: Callable[[], Any], *, awaited: bool) -> Any:
    """Return what ``make`` returns, with ``key`` as the call's id, for what is awaited too; empty: one of its own."""
    holder = [key]
    token = _call_in_hand.set(holder)
    try:
        value = make()
    finally:
        _call_in_hand.reset(token)
    return _Awaited(value, holder) if awaited else value


class _Awaited(Later):
    """Awaits what a tool returned, with the call's id."""

    def __init__(self, value: Awaitable[Any], holder: list[str]) -> None:
        super().__init__(value)
        self._holder = holder

    def steps(self) -> Generator[Any, Any, Any]:
        """Await it."""
        token = _call_in_hand.set(self._holder)
        try:
            return (yield from self.value.__await__())
        finally:
            _call_in_hand.reset(token)


@dataclass(frozen=True)
class _Table:
    """The tools at one moment. Never changed, so readers need no lock."""

    tools: dict[str, Tool]
    version: int

    @cached_property
    def specs(self) -> list[ToolSpec]:
        return [tool.spec(name) for name, tool in self.tools.items()]

    @cached_property
    def blocking(self) -> frozenset[str]:
        return frozenset(name for name, tool in self.tools.items() if tool.blocking and not tool.is_async)

    @cached_property
    def suspends(self) -> bool:
        return any(tool.suspend or tool.approval for tool in self.tools.values())


class ToolRegistry(MutableMapping[str, Tool]):
    """Names and the tools behind them; the key is the name that programs call, whatever the tool's own name is.

    It may be changed at any time and from any thread; each change is atomic and the next run sees it. A call
    that has begun keeps the tool it began with. Iteration covers the tools of the moment it started.
    ``adopt``, if set, gets each tool that is registered from then on and returns the one that is registered in its
    place; what it raises refuses the tool. ``handles``, if set, lets objects that cannot cross stay on the host:
    programs get handles of them, and tools the objects again. ``shadow_builtins`` allows names of Python's builtins.
    It is a :class:`cloche.runtime.dispatch.Dispatcher`, ``Suspending`` and ``Answering``.

    Raises ToolDefinitionError for a name or function that cannot be a tool; the registry is then as before.
    """

    def __init__(
        self, tools: Iterable[ToolLike] | Mapping[str, ToolLike] = (), *, shadow_builtins: bool = False
    ) -> None:
        self.adopt: Callable[[str, Tool], Tool] | None = None
        self.handles: Handles | None = None
        self._shadow_builtins = shadow_builtins
        self._lock = threading.Lock()
        self._table = _Table({}, next(_versions))
        if isinstance(tools, Mapping):
            named = cast("Mapping[str, ToolLike]", tools)
            self._replace({name: self._checked(name, tool) for name, tool in named.items()})
        else:
            for tool in tools:
                self.add(tool)

    def add(self, tool: ToolLike) -> Tool:
        """Register a tool under its own name and return it. A name that is taken raises ToolDefinitionError."""
        added = _as_tool(tool)
        if not added.name:
            raise ToolDefinitionError(f"tool {type(added).__name__!r}", "it has no name: set `name = ...` in the class")
        name = check_name(added.name, shadow_builtins=self._shadow_builtins)
        self._check_free(name, added)
        adopted = self._adopted(name, added)
        with self._lock:
            self._check_free(name, added)
            self._replace({**self._table.tools, name: adopted})
        return adopted

    def __setitem__(self, name: str, tool: ToolLike) -> None:
        added = self._adopted(name, self._checked(name, tool))
        with self._lock:
            self._replace({**self._table.tools, name: added})

    def __delitem__(self, name: str) -> None:
        with self._lock:
            tools = dict(self._table.tools)
            del tools[name]
            self._replace(tools)

    def __getitem__(self, name: str) -> Tool:
        return self._table.tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.tools)

    def __len__(self) -> int:
        return len(self._table.tools)

    def __repr__(self) -> str:
        return f"ToolRegistry({', '.join(self)})"

    def copy(self) -> Self:
        """Return a registry with the same tools that changes independently of this one."""
        return type(self)(dict(self._table.tools), shadow_builtins=self._shadow_builtins)

    def specs(self) -> list[ToolSpec]:
        """Return what the guest needs to know of each tool.

        Ask for :meth:`version` first: a change in between then shows as a newer version next time.
        """
        return list(self._table.specs)

    def version(self) -> int:
        """Return a number that grows with every change and that no other registry of this process has."""
        return self._table.version

    def is_async(self, name: str) -> bool:
        """Return whether a call gives an awaitable. Raises UnknownTool."""
        return self._find(name).is_async

    def blocking(self, name: str | None = None) -> bool:
        """Return whether this synchronous tool may block; without a name, whether any may."""
        names = self._table.blocking
        return bool(names) if name is None else name in names

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any | Awaitable[Any]:
        """Check the arguments, run the tool and return its value, or the awaitable of it.

        Raises UnknownTool, ToolRejected for wrong arguments, or whatever the tool raises.
        """
        tool = self._table.tools.get(name)  # and not _find: a call is counted in microseconds
        if tool is None:
            raise UnknownTool(name)
        handles = self.handles
        if handles is not None and handles.objects:
            args, kwargs = handles.resolved(args), handles.resolved(kwargs)
        holder = [""]
        token = _call_in_hand.set(holder)
        try:
            value = tool.invoke(args, kwargs, name)
        finally:
            _call_in_hand.reset(token)
        if handles is None:
            return _Awaited(value, holder) if tool.is_async else value
        if tool.is_async:
            return handles.shown_later(_Awaited(value, holder))
        return value if type(value) in PLAIN else handles.shown(value)

    def any_suspends(self) -> bool:
        """Return whether any tool suspends or needs approval."""
        return self._table.suspends

    def suspends(self, name: str) -> bool:
        """Return whether calls of this tool wait for an answer."""
        tool = self._table.tools.get(name)
        return tool is not None and (tool.suspend or tool.approval)

    def needs_approval(self, name: str) -> bool:
        """Return whether calls of this tool wait for approval."""
        tool = self._table.tools.get(name)
        return tool is not None and tool.approval

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise UnknownTool, or ToolRejected for arguments that do not fit, without running the tool."""
        if self.handles is not None:
            args, kwargs = self.handles.resolved(args), self.handles.resolved(kwargs)
        self._find(name).accept(args, kwargs, name)

    def approved(self, call: AnsweredCall) -> Any:
        """Do what :meth:`call` does, for a call that waited and was approved."""
        tool, handles = self._find(call.name), self.handles
        if handles is None:
            return made_as(call.key, lambda: approved(tool, call), awaited=tool.is_async)
        given = call._replace(args=handles.resolved(call.args), kwargs=handles.resolved(call.kwargs))
        value = made_as(call.key, lambda: approved(tool, given), awaited=tool.is_async)
        return handles.shown_later(value) if tool.is_async else handles.shown(value)

    def answered(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        """Return the value or raise the error, unless the tool has something to say about its answers."""
        return answered(self._table.tools.get(call.name), call, value, error)

    def _find(self, name: str) -> Tool:
        tool = self._table.tools.get(name)
        if tool is None:
            raise UnknownTool(name)
        return tool

    def _checked(self, name: str, tool: ToolLike) -> Tool:
        return _as_tool(tool, check_name(name, shadow_builtins=self._shadow_builtins))

    def _check_free(self, name: str, tool: Tool) -> None:
        if self._table.tools.get(name, tool) is not tool:
            problem = "another tool has this name; give one of them another, or replace it: registry[name] = tool"
            raise ToolDefinitionError(f"tool {name!r}", problem)

    def _adopted(self, name: str, tool: Tool) -> Tool:
        return tool if self.adopt is None else self.adopt(name, tool)

    def _replace(self, tools: dict[str, Tool]) -> None:
        self._table = _Table(tools, next(_versions))


def registry_of(tools: Any) -> ToolRegistry:
    """Return the registry for what a caller gave a sandbox as its tools: a list, a mapping by name, or one tool.

    Raises ToolDefinitionError for what cannot be a tool.
    """
    if isinstance(tools, Mapping):
        return ToolRegistry(cast("Mapping[str, ToolLike]", tools))
    return ToolRegistry([tools] if callable(tools) else _items(tools))


def _items(tools: Any) -> list[ToolLike]:
    try:
        return list(tools)
    except TypeError:
        problem = f"expected a list of tools, a dict by name, or a ToolRegistry, got {type(tools).__name__}"
        raise ToolDefinitionError("tools", problem) from None


def _as_tool(tool: ToolLike, name: str = "") -> Tool:
    if isinstance(tool, Tool):
        return tool
    foreign = _adapted(tool)
    if foreign is not None:
        return foreign
    if not callable(tool):
        raise ToolDefinitionError("tool", f"expected a function or a Tool, got {type(tool).__name__}")
    return FunctionTool(tool, name=name or None, typed=False)


def _adapted(tool: Any) -> Tool | None:
    """Return a tool of another framework as one of ours. Plain functions, the usual case, are none."""
    if inspect.isroutine(tool) or inspect.isclass(tool):
        return None
    return adapted(tool)
