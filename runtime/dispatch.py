"""The seam to the layer above: how a run asks for its tools, and nothing about what tools are."""

from collections.abc import Awaitable
from functools import lru_cache
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict, cast, runtime_checkable

from cloche.runtime.converters import converter, register_converter

__all__ = [
    "AnsweredCall",
    "AnsweringDispatcher",
    "Dispatcher",
    "NoTools",
    "SuspendingDispatcher",
    "ToolSpec",
    "UnknownTool",
    "as_answering",
    "as_dispatcher",
    "as_suspending",
    "register_converter",
]

# The keyword "async" cannot be a field of a class body, hence the functional form.
ToolSpec = TypedDict(
    "ToolSpec",
    {
        "name": str,
        "params": list[list[Any]],
        "returns": str,
        "doc": str,
        "async": NotRequired[bool],
    },
)
"""What the guest needs to build one tool's proxy function.

``params`` holds ``[name, kind, has_default, default, annotation]`` lists in order, where ``kind`` is the
value of an ``inspect.Parameter`` kind; ``async`` tools are coroutine functions in the guest (default: no).
"""


class UnknownTool(KeyError):
    """No tool of that name is registered."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"no tool is named {self.name!r}"


@runtime_checkable
class Dispatcher(Protocol):
    """The tools of a sandbox, as the runtime sees them. Safe to use from several threads at once."""

    def specs(self) -> list[ToolSpec]:
        """Return what the guest has to know of each tool; every value can cross the bridge."""
        ...

    def version(self) -> int:
        """Return a number that changes whenever the set of tools changes."""
        ...

    def is_async(self, name: str) -> bool:
        """Return whether a call of this tool gives an awaitable. Raises UnknownTool."""
        ...

    def blocking(self, name: str | None = None) -> bool:
        """Return whether this synchronous tool may block the thread that calls it; without a name, whether any may.

        Such a tool is called on a thread that can be left behind. False for an unknown tool.
        """
        ...

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any | Awaitable[Any]:
        """Call a tool and return its value, or the awaitable of it.

        Raises UnknownTool, or whatever the tool raises. Of an exception, its class name and its text reach the
        guest; of a GuestVisibleError its ``guest_type`` and ``guest_message``.
        """
        ...


@runtime_checkable
class SuspendingDispatcher(Protocol):
    """What a dispatcher also has if calls of its tools can wait for an answer, with the program suspended meanwhile."""

    def any_suspends(self) -> bool:
        """Return whether any tool suspends."""
        ...

    def suspends(self, name: str) -> bool:
        """Return whether calls of this tool wait for an answer; False for an unknown tool."""
        ...

    def needs_approval(self, name: str) -> bool:
        """Return whether what they wait for is leave to call the tool; False for an unknown tool."""
        ...

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise what :meth:`Dispatcher.call` raises for these arguments, without calling the tool."""
        ...


class AnsweredCall(NamedTuple):
    """A call that waited for an answer: what the program sent, and since when, in seconds since the epoch.

    ``key`` is the same for this call in every copy of its session, and no other call's.
    """

    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    since: float
    key: str = ""


@runtime_checkable
class AnsweringDispatcher(Protocol):
    """What a dispatcher also has if it takes part in the answers to calls that waited, on the thread that resumes.

    Without it, calls that were approved are made with :meth:`Dispatcher.call`, and values reach the program as given.
    """

    def approved(self, call: AnsweredCall) -> Any | Awaitable[Any]:
        """Make a call that was approved; value and exceptions are those of :meth:`Dispatcher.call`."""
        ...

    def answered(self, call: AnsweredCall, value: Any, error: BaseException | None) -> Any:
        """Return what a call that is not made gives the program: the ``value``, or what takes its place.

        Where there is an ``error`` the call is to raise it, and so does this; what else this raises, the call raises.
        The error is a CallDenied for a call that was refused, and CancelledError for one that is given up.
        """
        ...


@lru_cache(maxsize=256)
def _has_methods(kind: type[Any], protocol: type[Any]) -> bool:
    return issubclass(kind, protocol)


def as_suspending(tools: Dispatcher) -> SuspendingDispatcher | None:
    """Return the dispatcher as a Suspending, None if it is none. Cheap, unlike a look at its methods for each run."""
    return cast("SuspendingDispatcher", tools) if _has_methods(type(tools), SuspendingDispatcher) else None


def as_answering(tools: Dispatcher) -> AnsweringDispatcher | None:
    """Return the dispatcher as an Answering, None if it is none. As cheap."""
    return cast("AnsweringDispatcher", tools) if _has_methods(type(tools), AnsweringDispatcher) else None


class NoTools:
    """The dispatcher of a sandbox without tools."""

    def specs(self) -> list[ToolSpec]:
        """Return an empty list."""
        return []

    def version(self) -> int:
        """Return 0, for ever."""
        return 0

    def is_async(self, name: str) -> bool:
        """Raise UnknownTool."""
        raise UnknownTool(name)

    def blocking(self, name: str | None = None) -> bool:
        """Return False."""
        return False

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Raise UnknownTool."""
        raise UnknownTool(name)


def as_dispatcher(tools: Any) -> Dispatcher:
    """Return the dispatcher for what a caller gave as tools. Raises ConfigurationError."""
    if tools is None:
        return NoTools()
    if isinstance(tools, Dispatcher):
        return tools
    dispatcher: Dispatcher = converter()(tools)
    return dispatcher
