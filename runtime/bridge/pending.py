"""The calls of one run that wait for an answer, what an answer is, and how it reaches the program."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cloche.runtime.bridge.protocol import Call, Start, WaitingResponse, is_id, known_line, parse_call
from cloche.runtime.dataclass import dataclass
from cloche.runtime.dispatch import AnsweredCall, AnsweringDispatcher, Dispatcher, NoTools, as_answering, as_suspending
from cloche.runtime.errors import GuestVisibleError, ProtocolError, SnapshotCorrupt
from cloche.runtime.result import ToolCallRecord
from cloche.runtime.threads import Settled
from cloche.runtime.wasm.signals import signal_behind

__all__ = [
    "Answer",
    "CallDenied",
    "CannotSuspend",
    "GiveValue",
    "MakeCall",
    "PendingCall",
    "PendingCalls",
    "RaiseError",
    "SuspendRule",
    "SuspendedCall",
    "approving_dispatcher",
    "as_suspended_call",
    "cancel_pending",
    "settle_answer",
    "suspended_calls",
]


class GiveValue(NamedTuple):
    """The call returns this."""

    value: Any


class RaiseError(NamedTuple):
    """The call raises this, in the guest's terms."""

    error: BaseException


class MakeCall(NamedTuple):
    """The tool is called now, with the arguments that the guest sent, or with ``edited`` ones by name."""

    edited: dict[str, Any] | None = None


Answer = GiveValue | RaiseError | MakeCall


class CallDenied(GuestVisibleError):
    """A call was not approved; in the guest it is a PermissionError with the reason."""

    guest_type = "PermissionError"

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(tool, reason)
        self.tool = tool
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.tool}() is not allowed: {self.reason}" if self.reason else f"{self.tool}() is not allowed"


SuspendRule = Callable[[str, list[Any], dict[str, Any]], bool]
"""Decides by a call's name, positional and keyword arguments whether it waits. What it raises ends the run."""


class CannotSuspend(GuestVisibleError):
    """A call has to wait, and its program was not started in a way that allows it."""

    guest_type = "CannotSuspendHere"

    def __init__(self, tool: str) -> None:
        super().__init__(tool)
        self.tool = tool

    def __str__(self) -> str:
        return (
            f"{self.tool}() has to wait for an answer, and this program was started with run(), which cannot wait: "
            "the host has to start it with session.start()"
        )


@dataclass(slots=True)
class PendingCall:
    """A call that waits. ``frame`` is what the guest sent, and all that it is called with, unless it is ``edited``.

    ``since`` is when it began to wait, in seconds since the epoch, and ``line`` the program's line that it stands in,
    once the program is suspended. ``mark`` stands for the time where that is not to be known.
    """

    id: int
    call: Call | Start
    frame: bytes
    record: ToolCallRecord
    needs_approval: bool
    since: float
    line: int | None = None
    mark: str = ""
    edited: dict[str, Any] | None = None


class PendingCalls:
    """What of one run waits. ``every`` has all calls wait; ``allowed`` is False for a run that cannot.

    ``mark`` tells the run from all others where its session is repeatable and so has no time to tell it by; else empty.
    """

    def __init__(
        self, tools: Dispatcher, *, allowed: bool, rule: SuspendRule | None = None, every: bool = False
    ) -> None:
        self.allowed = allowed
        self.rule = rule
        self.every = every
        self.mark = ""
        self.held: dict[int, PendingCall] = {}
        self.undelivered: list[bytes] = []
        self.next_id = 1
        self._tools = as_suspending(tools)

    def wants(self, call: Call | Start) -> bool:
        """Return whether a call has to wait. Raises what the rule raises."""
        if self.every or (self._tools is not None and self._tools.suspends(call.name)):
            return True
        return self.rule is not None and bool(self.rule(call.name, call.args, call.kwargs))

    def check(self, call: Call | Start) -> None:
        """Raise CannotWait, or what the tool's own check of the arguments raises."""
        if not self.allowed:
            raise CannotSuspend(call.name)
        if self._tools is not None:
            self._tools.check(call.name, call.args, call.kwargs)

    def hold(self, call: Call | Start, frame: bytes, record: ToolCallRecord) -> int:
        """Have a call wait and return its id."""
        id_, self.next_id = self.next_id, self.next_id + 1
        self.held[id_] = PendingCall(
            id_, call, frame, record, self.needs_approval(call.name), time.time(), mark=self.mark
        )
        return id_

    def needs_approval(self, name: str) -> bool:
        """Return whether a tool is called only with approval."""
        return self._tools is not None and self._tools.needs_approval(name)

    def settle(self, response: WaitingResponse) -> None:
        """Take over the lines. Raises ProtocolError unless the program waits for exactly the calls that do wait."""
        if not self.held or response.lines.keys() != self.held.keys():
            raise ProtocolError("a program that waits for other calls than those that wait")
        for id_, line in response.lines.items():
            self.held[id_].line = line


@dataclass(frozen=True, slots=True)
class SuspendedCall:
    """A tool call that waits for an answer.

    ``id``        names it among the calls of one run; from 1 in the order in which they were made.
    ``name``      the tool's name, and ``args`` and ``kwargs`` what the program gave it: a copy, so that changing them
                  changes nothing.
    ``line``      the program's line, from 1, that the call stands in; None where that is not known. The guest says so.
    ``needs_approval``  whether it waits for approval to call the tool, and not for a value.
    """

    id: int
    name: str
    args: list[Any]
    kwargs: dict[str, Any]
    line: int | None
    needs_approval: bool

    def __str__(self) -> str:
        return f"{self.name}() (call {self.id})"


def as_suspended_call(held: PendingCall) -> SuspendedCall:
    """Return what to show of a call that waits."""
    return _suspended_call(held.id, held.frame, held.needs_approval, held.line)


def suspended_calls(suspension: dict[str, Any] | None) -> tuple[SuspendedCall, ...]:
    """Return what to show of the waiting calls in a snapshot. Raises SnapshotCorrupt for anything else."""
    try:
        waits = suspension is not None and not suspension.get("paused")
        return tuple(map(_from_row, suspension["held"])) if suspension is not None and waits else ()
    except (KeyError, TypeError, ProtocolError) as error:
        raise SnapshotCorrupt(f"it was made by something else: its waiting calls ({error!r:.200})") from None


def _from_row(row: object) -> SuspendedCall:
    match row:
        case [int(id_), bytes(frame), bool(needs_approval), None | int() as line, None | float() | str()] if is_id(id_):
            return _suspended_call(id_, frame, needs_approval, known_line(line))
        case _:
            raise TypeError("a row of another shape")


def _suspended_call(id_: int, frame: bytes, needs_approval: bool, line: int | None) -> SuspendedCall:
    call = parse_call(frame)
    if not isinstance(call, Call | Start):
        raise TypeError("a frame that is not a call")
    return SuspendedCall(id_, call.name, call.args, call.kwargs, line, needs_approval)


def approving_dispatcher(tools: Dispatcher, held: PendingCall) -> Dispatcher:
    """Return the dispatcher to make a call with that was approved."""
    answering = as_answering(tools)
    return tools if answering is None else _ApprovedDispatcher(answering, held)


def settle_answer(tools: Dispatcher, held: PendingCall, answer: GiveValue | RaiseError) -> Settled:
    """Return how a call ends that is answered and not made. On the thread that the program is resumed on."""
    value, error = (None, answer.error) if isinstance(answer, RaiseError) else (answer.value, None)
    answering = as_answering(tools)
    if answering is None:
        return Settled(value, error)
    try:
        return Settled(answering.answered(_answered_call(held), value, error), None)
    except BaseException as raised:
        signalled = signal_behind(raised)
        if signalled is not None:
            raise signalled from None
        return Settled(None, raised)


def cancel_pending(tools: Dispatcher, held: PendingCall) -> None:
    """Report a call that no longer waits for an answer."""
    if as_answering(tools) is not None:
        from asyncio import CancelledError

        settle_answer(tools, held, RaiseError(CancelledError()))


class _ApprovedDispatcher(NoTools):
    """Has the one call made as one that was approved."""

    def __init__(self, tools: AnsweringDispatcher, held: PendingCall) -> None:
        self._tools = tools
        self._held = held

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make the call; what the guest sent was read anew for it."""
        return self._tools.approved(AnsweredCall(name, args, kwargs, self._held.since, _key(self._held)))


def _answered_call(held: PendingCall) -> AnsweredCall:
    """Return the call as the guest sent it, whatever was changed since."""
    call = parse_call(held.frame)
    assert isinstance(call, Call | Start)
    return AnsweredCall(call.name, call.args, call.kwargs, held.since, _key(held))


def _key(held: PendingCall) -> str:
    # Here, as few programs wait.
    from hashlib import sha256

    digest = sha256(f"{held.mark or repr(held.since)} {held.id} ".encode())
    digest.update(held.frame)
    return digest.hexdigest()[:32]
