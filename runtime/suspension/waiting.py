"""The calls of one run that wait for answers, and the rule by which they do."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cloche.runtime.bridge.protocol import Call, Start
from cloche.runtime.bridge.protocol import Waiting as WaitingResponse
from cloche.runtime.dispatch import Dispatcher, as_suspending
from cloche.runtime.errors import ClocheError, ProtocolError
from cloche.runtime.result import ToolCallRecord

__all__ = ["CannotWait", "HeldCall", "Rule", "WaitingCalls"]

Rule = Callable[[str, list[Any], dict[str, Any]], bool]
"""Decides by a call's name, positional and keyword arguments whether it waits. What it raises ends the run."""


class CannotWait(ClocheError):
    """A call has to wait, and its program was not started in a way that allows it."""

    guest_type = "CannotSuspendHere"

    def __init__(self, tool: str) -> None:
        super().__init__(tool)
        self.guest_message = (
            f"{tool}() has to wait for an answer, and this program was started with run(), which waits for nobody: "
            "the host has to start it with session.start()"
        )


@dataclass(slots=True)
class HeldCall:
    """A call that waits. ``frame`` is what the guest sent, and all that it will ever be called with.

    ``since`` is when it began to wait, in seconds since the epoch, and ``line`` the program's line that it stands in,
    once the program is suspended.
    """

    id: int
    call: Call | Start
    frame: bytes
    record: ToolCallRecord
    needs_approval: bool
    since: float
    line: int | None = None


class WaitingCalls:
    """What of one run waits. ``every`` has all calls wait; ``allowed`` is False for a run that cannot."""

    def __init__(self, tools: Dispatcher, *, allowed: bool, rule: Rule | None = None, every: bool = False) -> None:
        self.allowed = allowed
        self.rule = rule
        self.every = every
        self.held: dict[int, HeldCall] = {}
        self.undelivered: list[bytes] = []
        self.next_id = 1
        self._tools = as_suspending(tools)

    @classmethod
    def none_in(cls, tools: Dispatcher) -> "WaitingCalls | None":
        """Return what refuses to wait, for a run that cannot; None where no tool asks for it."""
        suspending = as_suspending(tools)
        return cls(tools, allowed=False) if suspending is not None and suspending.any_suspends() else None

    def wants(self, call: Call | Start) -> bool:
        """Return whether a call has to wait. Raises what the rule raises."""
        if self.every or (self._tools is not None and self._tools.suspends(call.name)):
            return True
        return self.rule is not None and bool(self.rule(call.name, call.args, call.kwargs))

    def check(self, call: Call | Start) -> None:
        """Raise CannotWait, or what the tool's own check of the arguments raises."""
        if not self.allowed:
            raise CannotWait(call.name)
        if self._tools is not None:
            self._tools.check(call.name, call.args, call.kwargs)

    def hold(self, call: Call | Start, frame: bytes, record: ToolCallRecord) -> int:
        """Have a call wait and return its id."""
        id_, self.next_id = self.next_id, self.next_id + 1
        self.held[id_] = HeldCall(id_, call, frame, record, self.needs_approval(call.name), time.time())
        return id_

    def needs_approval(self, name: str) -> bool:
        """Return whether a tool is called only by somebody's leave."""
        return self._tools is not None and self._tools.needs_approval(name)

    def settle(self, response: WaitingResponse) -> None:
        """Take over the lines. Raises ProtocolError unless the program waits for exactly the calls that do wait."""
        if not self.held or response.lines.keys() != self.held.keys():
            raise ProtocolError("a program that waits for other calls than those that wait")
        for id_, line in response.lines.items():
            self.held[id_].line = line
