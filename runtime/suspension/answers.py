"""What a caller says to a call that waits."""

from typing import Any, NamedTuple

from cloche.runtime.errors import ClocheError

__all__ = ["Answer", "Approval", "CallDenied", "Failure", "Value"]


class Value(NamedTuple):
    """The call returns this."""

    value: Any


class Failure(NamedTuple):
    """The call raises this, in the guest's terms."""

    error: BaseException


class Approval(NamedTuple):
    """The tool is called now, with the arguments that the guest sent."""


Answer = Value | Failure | Approval


class CallDenied(ClocheError):
    """A call was not approved; in the guest it is a PermissionError with the reason."""

    guest_type = "PermissionError"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    @property
    def guest_message(self) -> str:
        """What the program reads."""
        return f"{self.tool}() is not allowed: {self.reason}" if self.reason else f"{self.tool}() is not allowed"

    def __str__(self) -> str:
        return self.guest_message
