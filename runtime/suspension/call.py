"""One call that a suspended program waits for, as the caller sees it."""

from dataclasses import dataclass
from typing import Any

from cloche.runtime.bridge.protocol import Call, Start, parse_call
from cloche.runtime.suspension.waiting import HeldCall

__all__ = ["SuspendedCall", "view"]


@dataclass(frozen=True, slots=True)
class SuspendedCall:
    """A tool call that waits for an answer.

    ``id``        names it among the calls of one run; from 1 in the order in which they were made.
    ``name``      the tool's name, and ``args`` and ``kwargs`` what the program gave it: a copy, so that changing them
                  changes nothing.
    ``line``      the program's line, from 1, that the call stands in; None where that is not known. The guest says so.
    ``needs_approval``  whether it waits for leave to call the tool, and not for a value.
    """

    id: int
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    line: int | None
    needs_approval: bool

    def __str__(self) -> str:
        return f"{self.name}() (call {self.id})"


def view(held: HeldCall) -> SuspendedCall:
    """Return what to show of a call that waits."""
    call = parse_call(held.frame)
    assert isinstance(call, Call | Start)
    return SuspendedCall(held.id, call.name, call.args, call.kwargs, held.line, held.needs_approval)
