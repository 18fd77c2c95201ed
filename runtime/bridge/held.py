"""Calls that wait: taken in, given up, and answered when the program goes on."""

from collections.abc import Callable

from cloche.runtime.bridge.loops import Settled
from cloche.runtime.bridge.protocol import Call, Start, waits_reply
from cloche.runtime.bridge.tool_calls import ToolCalls
from cloche.runtime.running.run_state import now
from cloche.runtime.suspension.answers import Answer, Approval
from cloche.runtime.suspension.passing import give_up, given
from cloche.runtime.suspension.waiting import HeldCall, WaitingCalls

__all__ = ["Held"]


class Held:
    """The waiting calls of one run, on the guest's thread."""

    def __init__(self, waiting: WaitingCalls, calls: ToolCalls) -> None:
        self._waiting = waiting
        self._calls = calls

    def hold(self, call: Call | Start, frame: bytes) -> bytes | None:
        """Return the reply to a call that waits, or that was refused; None for one that is to be made now."""
        waiting, calls = self._waiting, self._calls
        try:
            if not waiting.wants(call):
                return None
        except BaseException as error:
            # The caller's own rule: nothing of the guest's.
            calls.run.stop(error)
        record = calls.begin(call.name, call.args, call.kwargs, len(frame), now())
        try:
            waiting.check(call)
            self._check_room()
        except Exception as error:
            return calls.failed(record, error)
        return waits_reply(waiting.hold(call, frame, record))

    def withdraw(self, id_: int) -> None:
        """Give a call up. An id that does not wait is no error."""
        held = self._waiting.held.pop(id_, None)
        if held is not None:
            self._calls.drop(held.record)
            give_up(self._calls.tools, held)

    def answer(self, answers: dict[int, Answer], dispatch: Callable[[HeldCall], Settled]) -> list[bytes]:
        """Take these calls out and return their outcomes, encoded; ``dispatch`` makes the calls that were approved."""
        outcomes: list[bytes] = []
        for id_, answer in answers.items():
            held = self._waiting.held[id_]
            settled = dispatch(held) if isinstance(answer, Approval) else given(self._calls.tools, held, answer)
            del self._waiting.held[id_]
            outcomes.append(self._calls.finish(held.record, settled, id_))
        return outcomes

    def _check_room(self) -> None:
        most = self._calls.run.limits.pending
        if len(self._waiting.held) >= most:
            raise RuntimeError(f"{most} tool calls are pending and that is the limit: await some before starting more")
