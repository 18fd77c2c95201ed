"""A guarded tool as a Tool of its own, for whoever keeps a registry of their own."""

from collections.abc import Callable
from typing import Any

from cloche.host_tools.base import Tool

__all__ = ["WrappedTool"]

_Call = Callable[[str, list[Any], dict[str, Any]], Any]
_Check = Callable[[str, list[Any], dict[str, Any]], None]


class WrappedTool(Tool):
    """Looks like ``inner``, and each call of it, checked or not, goes through ``call``.

    ``check`` raises what ``call`` would for a call that is not made yet.
    """

    def __init__(self, inner: Tool, name: str, call: _Call, check: _Check) -> None:
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
        self._guarded_call = call
        self._guarded_check = check

    def accept(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments if tool and policies take them; the policies see them again when the call is made."""
        self._guarded_check(self.name, args, kwargs)
        return super().accept(args, kwargs, called)

    def invoke(self, args: list[Any], kwargs: dict[str, Any], called: str = "") -> Any:
        """Make the call if the policies allow it. Policies and records know the tool by its own name."""
        return self._guarded_call(self.name, args, kwargs)

    def perform(self, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make the call if the policies allow it."""
        return self._guarded_call(self.name, args, kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Make the call if the policies allow it."""
        return self._guarded_call(self.name, list(args), kwargs)
