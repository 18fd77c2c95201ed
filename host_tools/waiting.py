"""Tools that are told how their calls were answered that waited for somebody."""

from typing import Any, Protocol, runtime_checkable

from cloche.host_tools.base import Tool
from cloche.runtime.dispatch import Waited

__all__ = ["Informed", "answered", "approved"]


@runtime_checkable
class Informed(Protocol):
    """What a tool has beside the methods of :class:`Tool` if it takes part in how its calls are answered."""

    def invoke_approved(self, call: Waited) -> Any:
        """Do what :meth:`Tool.invoke` does, for a call that waited and was approved."""
        ...

    def accept_answer(self, call: Waited, value: Any, error: BaseException | None) -> Any:
        """Return or raise what the program gets; see :meth:`cloche.runtime.dispatch.Answering.answered`."""
        ...


def approved(tool: Tool, call: Waited) -> Any:
    """Make a call that was approved; an async tool gives an awaitable."""
    if isinstance(tool, Informed):
        return tool.invoke_approved(call)
    return tool.invoke(call.args, call.kwargs, call.name)


def answered(tool: Tool | None, call: Waited, value: Any, error: BaseException | None) -> Any:
    """Return or raise what the program gets from a call that is answered; ``tool`` is None if it is gone meanwhile."""
    if isinstance(tool, Informed):
        return tool.accept_answer(call, value, error)
    if error is not None:
        raise error
    return value
