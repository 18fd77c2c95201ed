"""How calls that waited pass through a dispatcher when they are answered."""

from typing import Any

from cloche.runtime.bridge.loops import Settled
from cloche.runtime.bridge.protocol import Call, Start, parse_call
from cloche.runtime.dispatch import Answering, Dispatcher, NoTools, Waited
from cloche.runtime.suspension.answers import Failure, Value
from cloche.runtime.suspension.waiting import HeldCall
from cloche.runtime.wasm.signals import is_from_signal

__all__ = ["approving", "give_up", "given"]


def approving(tools: Dispatcher, held: HeldCall) -> Dispatcher:
    """Return the dispatcher to make a call with that was approved."""
    return _Approved(tools, held) if isinstance(tools, Answering) else tools


def given(tools: Dispatcher, held: HeldCall, answer: Value | Failure) -> Settled:
    """Return how a call ends that is answered and not made. On the thread that the program goes on with."""
    value, error = (None, answer.error) if isinstance(answer, Failure) else (answer.value, None)
    if not isinstance(tools, Answering):
        return Settled(value, error)
    try:
        return Settled(tools.answered(_waited(held), value, error), None)
    except BaseException as raised:
        if is_from_signal(raised):
            raise
        return Settled(None, raised)


def give_up(tools: Dispatcher, held: HeldCall) -> None:
    """Tell of a call that waits for nothing any more."""
    if isinstance(tools, Answering):
        from asyncio import CancelledError

        given(tools, held, Failure(CancelledError()))


class _Approved(NoTools):
    """Has the one call made as one that was approved."""

    def __init__(self, tools: Answering, held: HeldCall) -> None:
        self._tools = tools
        self._since = held.since

    def call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Make the call; what the guest sent was read anew for it."""
        return self._tools.approved(Waited(name, args, kwargs, self._since))


def _waited(held: HeldCall) -> Waited:
    """Return the call as the guest sent it, and not as anybody may have changed it since."""
    call = parse_call(held.frame)
    assert isinstance(call, Call | Start)
    return Waited(call.name, call.args, call.kwargs, held.since)
