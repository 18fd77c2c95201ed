"""One call that a suspended program waits for, as the caller sees it."""

from dataclasses import dataclass
from typing import Any

from cloche.runtime.bridge.protocol import Call, Start, parse_call
from cloche.runtime.errors import ProtocolError, SnapshotCorrupt
from cloche.runtime.suspension.waiting import HeldCall

__all__ = ["SuspendedCall", "pending", "view"]


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
    return _view(held.id, held.frame, held.needs_approval, held.line)


def pending(suspension: dict[str, Any] | None) -> tuple[SuspendedCall, ...]:
    """Return what to show of the calls in a snapshot that wait. Raises SnapshotCorrupt for what is no such thing."""
    try:
        return () if suspension is None else tuple(map(_pending, suspension["held"]))
    except (KeyError, TypeError, ProtocolError) as error:
        raise SnapshotCorrupt(f"it was made by something else: its waiting calls ({error!r:.200})") from None


def _pending(row: object) -> SuspendedCall:
    match row:
        case [int(id_), bytes(frame), bool(needs_approval), None | int() as line, None | float()]:
            return _view(id_, frame, needs_approval, line)
        case _:
            raise TypeError("a row of another shape")


def _view(id_: int, frame: bytes, needs_approval: bool, line: int | None) -> SuspendedCall:
    call = parse_call(frame)
    if not isinstance(call, Call | Start):
        raise TypeError("a frame that is no call")
    return SuspendedCall(id_, call.name, call.args, call.kwargs, line, needs_approval)
