"""What a demo program is expected to do, and how its result deviates from that."""

from dataclasses import dataclass
from typing import Any, Protocol

from cloche.cli.shown import brief_repr
from cloche.runtime.errors import GuestError, GuestException
from cloche.runtime.result import Result, ToolCallRecord

__all__ = ["Ends", "Expectation", "Gives", "Raises"]


class Expectation(Protocol):
    """One program's expected outcome."""

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        ...


@dataclass(frozen=True, slots=True)
class Gives:
    """The program ends well with this value; with ``together`` all its tool calls ran at the same time."""

    value: Any
    together: bool = False

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        if result.error is not None or result.value != self.value:
            return f"expected the value {brief_repr(self.value, 80)}"
        if self.together and not _overlap(result.calls):
            return "expected the tool calls to run at the same time"
        return ""


@dataclass(frozen=True, slots=True)
class Raises:
    """The program ends with an exception of its own, of this class name, whose text holds ``saying``."""

    type_name: str
    saying: str = ""

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        error = result.error
        if isinstance(error, GuestException) and error.type_name == self.type_name and self.saying in error.message:
            return ""
        return f"expected the program to raise {self.type_name}"


@dataclass(frozen=True, slots=True)
class Ends:
    """The sandbox ends the program with this error."""

    error: type[GuestError]

    def deviation(self, result: Result[Any]) -> str:
        """Return what is not as expected; empty if all is."""
        return "" if type(result.error) is self.error else f"expected {self.error.__name__}"


def _overlap(calls: list[ToolCallRecord]) -> bool:
    """Return whether the last call began before the first one ended."""
    return bool(calls) and max(call.started for call in calls) < min(
        call.started + (call.seconds or 0.0) for call in calls
    )
