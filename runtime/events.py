"""What happens during a run, as typed events, in the order in which it happens."""

from dataclasses import dataclass
from typing import Any, Literal

from cloche.runtime.result import Result, ToolCallRecord

__all__ = ["Event", "Finished", "Output", "Stream", "ToolFinished", "ToolStarted"]

Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Output:
    """The program printed ``text`` (never empty). A character is never split over two events."""

    stream: Stream
    text: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is about to be called. The same ``record`` comes back in :class:`ToolFinished`."""

    record: ToolCallRecord


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call ended; ``record`` has its outcome."""

    record: ToolCallRecord


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended. Always the last event, and always there, whatever the run did."""

    result: Result[Any]


Event = Output | ToolStarted | ToolFinished | Finished
