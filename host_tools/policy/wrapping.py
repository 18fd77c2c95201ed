"""A guarded tool as a Tool of its own, for whoever keeps a registry of their own."""

from typing import Any, Protocol

from cloche.host_tools.base import Tool
from cloche.runtime.dispatch import Waited

__all__ = ["Guard", "WrappedTool", "unwrapped"]


class Guard(Protocol):
    """What every call of a wrapped tool goes through; the methods are those of a dispatcher."""

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make a call, checked or not."""
        ...

    def check(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise what ``call`` would for a call that is not made yet."""
        ...

    def approved(self, call: Waited) -> Any:
        """Make a call that waited and was approved."""
        ...

    def answered(self, call: Waited, value: Any, error: BaseException | None) -> Any:
        """Return or raise what a call gives that was answered."""
        ...


class WrappedTool(Tool):
    """Looks like ``inner``, and each call of it goes through ``guard``."""

    def __init__(self, inner: Tool, name: str, guard: Guard) -> None:
        self.inner = inner
        self.name = name
        self.description = inner.description
        self.is_async = inner.is_async
        # Without these, a registry would make calls at once that have to wait for somebody's leave.
        self.suspend, self.approval = inner.suspend, inner.approval
        # A policy may wait for somebody, whatever the tool itself does.
        self.blocking = not inner.is_async
        self._tool_signature = inner._tool_signature  # pyright: ignore[reportPrivateUsage]
        self._tool_arguments = inner._tool_arguments  # pyright: ignore[reportPrivateUsage]
        self._tool_docstring = inner._tool_docstring  # pyright: ignore[reportPrivateUsage]
        self._tool_documentation = inner._tool_documentation  # pyright: ignore[reportPrivateUsage]
        self._guard = guard

    def accept(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments if tool and policies take them; the policies see them again when the call is made."""
        self._guard.check(self.name, args, kwargs)
        return super().accept(args, kwargs, called)

    def invoke(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> Any:
        """Make the call if the policies allow it. Policies and records know the tool by its own name."""
        return self._guard.call(self.name, args, kwargs)

    def perform(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make the call if the policies allow it."""
        return self._guard.call(self.name, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call if the policies allow it."""
        return self._guard.call(self.name, list(args), kwargs)

    def invoke_approved(self, call: Waited) -> Any:
        """Make a call that was approved, if the policies allow it."""
        return self._guard.approved(call._replace(name=self.name))

    def accept_answer(self, call: Waited, value: Any, error: BaseException | None) -> Any:
        """Return or raise what the policies let through of an answer."""
        return self._guard.answered(call._replace(name=self.name), value, error)


def unwrapped(tool: Tool) -> Tool:
    """Return the tool itself, without what guards it."""
    while isinstance(tool, WrappedTool):
        tool = tool.inner
    return tool
