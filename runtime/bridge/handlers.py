"""The host's end of the bridge: what a guest's imports do, within one run's limits."""

from collections.abc import Awaitable, Callable
from contextvars import Context, Token, copy_context
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, NoReturn

from cloche.runtime.bridge.calls import Awaited, BackgroundCalls, HandedOver, Paces, ToolCalls, start_call
from cloche.runtime.bridge.environment import Environment
from cloche.runtime.bridge.host_memory import SHORT
from cloche.runtime.bridge.pending import (
    Answer,
    MakeCall,
    PendingCall,
    PendingCalls,
    approving_dispatcher,
    cancel_pending,
    settle_answer,
)
from cloche.runtime.bridge.protocol import (
    AS_IT_IS,
    EMPTY_REPLY,
    Call,
    CallFrame,
    Cancel,
    Reading,
    Sleep,
    Start,
    Wait,
    Withdraw,
    error_reply,
    parse_call,
    read_plain_call,
    resume_request,
    wait_reply,
    waits_reply,
)
from cloche.runtime.bridge.run_state import MAX_WAIT, Delay, RunState
from cloche.runtime.bridge.transcript import Tape
from cloche.runtime.dispatch import Dispatcher, as_suspending
from cloche.runtime.errors import ClocheError, GuestCrashed, ProtocolError
from cloche.runtime.machine_api import UNANSWERED, StopRun, now
from cloche.runtime.result import ToolCallRecord
from cloche.runtime.threads import Settled, background_loops
from cloche.runtime.values import MalformedValue
from cloche.runtime.wasm.signals import signal_behind
from cloche.runtime.work import HostWork, WorkEnded, current_work

if TYPE_CHECKING:
    import asyncio

__all__ = ["BridgeHandlers", "PendingHandlers"]


class PendingHandlers:
    """The waiting calls of one run, on the guest's thread."""

    def __init__(self, waiting: PendingCalls, calls: ToolCalls) -> None:
        self._waiting = waiting
        self._calls = calls

    def hold(self, call: Call | Start, frame: bytes, cost: int) -> bytes | None:
        """Return the reply to a call that waits, or that was refused; None for one that is to be made now."""
        waiting, calls = self._waiting, self._calls
        try:
            if not waiting.wants(call):
                return None
        except BaseException as error:
            # The caller's own rule: nothing of the guest's.
            calls.run.end(error)
        # The frame is kept, too.
        record = calls.begin(call.name, call.args, call.kwargs, cost + len(frame), now())
        try:
            waiting.check(call)
            self._check_room()
        except Exception as error:
            signalled = signal_behind(error)
            if signalled is not None:
                calls.run.end(signalled)
            return calls.failed(record, error)
        return waits_reply(waiting.hold(call, frame, record))

    def withdraw(self, id_: int) -> None:
        """Cancel a call. An id that does not wait is not an error."""
        held = self._waiting.held.pop(id_, None)
        if held is not None:
            self._calls.drop(held.record)
            cancel_pending(self._calls.tools, held)

    def answer(self, answers: dict[int, Answer], dispatch: Callable[[PendingCall], Settled]) -> list[bytes]:
        """Take these calls out and return their outcomes, encoded; ``dispatch`` makes the calls that were approved."""
        outcomes: list[bytes] = []
        for id_, answer in answers.items():
            held = self._waiting.held[id_]
            if isinstance(answer, MakeCall):
                held.edited = answer.edited
                settled = dispatch(held)
            else:
                settled = settle_answer(self._calls.tools, held, answer)
            del self._waiting.held[id_]
            outcomes.append(self._calls.finish(held.record, settled, id_))
        return outcomes

    def _check_room(self) -> None:
        limit = self._calls.run.limits.pending
        if len(self._waiting.held) >= limit:
            raise RuntimeError(f"{limit} tool calls are pending and that is the limit: await some before starting more")


_LONG = 32_768
_FRAME_OVERHEAD = 4096
"""Bytes of a call frame besides its arguments, at most: the guest's own cap is on the arguments alone."""


class BridgeHandlers:
    """Serves one guest's imports. ``begin`` comes before each run and ``end`` after it."""

    __slots__ = (
        "_background",
        "_calls",
        "_context",
        "_held",
        "_loop",
        "_paces",
        "_run",
        "_suspending",
        "_tape",
        "_tools",
        "_work",
        "_world",
    )

    def __init__(self, tools: Dispatcher, world: Environment, tape: Tape) -> None:
        self._tools = tools
        self._suspending = as_suspending(tools)
        self._world = world
        self._tape = tape
        self._paces: Paces | None = None

    def begin(self, run: RunState, loop: "asyncio.AbstractEventLoop | None") -> None:
        """Serve this run. Coroutine tools run on ``loop``, or on the background loop if there is none."""
        self._run = run
        self._loop = loop
        self._calls: ToolCalls | None = None
        self._background: BackgroundCalls | None = None
        self._context: Context | None = None
        self._held = None if run.waiting is None else PendingHandlers(run.waiting, self._tool_calls())
        self._work: Token[HostWork | None] | None = None

    def drain(self) -> None:
        """Wait for what still runs in the background: a suspended program finds it done when it is resumed."""
        if self._background is not None and self._run.waiting is not None:
            self._run.waiting.undelivered += self._background.drain()

    def resume(self, answers: dict[int, Answer], options: dict[str, Any]) -> bytes:
        """Make the calls that were approved, and return the request that resumes the program with all answers."""
        outcomes = [] if self._held is None else self._held.answer(answers, self._dispatch)
        return resume_request(outcomes, options)

    def end(self) -> None:
        """Cancel what still runs in the background, and keep nothing of what is over."""
        if self._work is not None:
            current_work.reset(self._work)
        if self._run.wait is not None:
            self._run.wait.give_up()
            self._run.wait = None
        if self._background is not None:
            self._background.close()
        if self._calls is not None:
            self._calls.let_go()
        self._run.rest()

    def call(self, frame: bytes) -> bytes:
        """Answer a call frame, or end the run. UNANSWERED if there is no answer yet: the empty frame asks for it."""
        tape = self._tape
        if tape.replaying:
            return tape.replay_call(frame)
        try:
            reply = self._answer(frame) if frame else self._late_answer()
        except (Exception, WorkEnded) as error:
            self._fail(error)
        if reply is UNANSWERED:
            assert self._run.wait is not None
            self._run.wait.place = tape.reserve_call(frame)
        elif frame:
            tape.record_call(frame, reply)
        return reply

    def usual_calls(self) -> tuple[Any, ...] | None:
        """Return what a door in C has to know to make usual calls of this run by itself; None if none is usual.

        That is one of few bytes, which no listener hears of. A door does what :meth:`call` does. It asks again when
        Python has answered a frame.
        """
        tape = self._tape
        if tape.replaying:
            return None
        run = self._run
        if self._held is not None or run.listener is not None or run.driver is not None:
            return None
        suspends = None if self._suspending is None else self._suspending.any_suspends
        limit, memory = run.limits.calls, self._tool_calls().memory
        start = self._start_handed if run.hands_over else start_call
        made_by = (self._tools, start, ToolCallRecord, self.finish_usual, suspends, tape.record_call)
        parts = (run, run.stop, run.calls, memory, *made_by)
        return parts, run.stop.deadline, -1 if limit is None else limit, memory.limit

    def finish_usual(self, record: ToolCallRecord, outcome: Any) -> bytes:
        """Return the reply to a usual call that did not return a short plain value, or end the run. For a door in C."""
        try:
            outcome, calls = self._settled(record, outcome), self._tool_calls()
            return calls.finish(record, outcome) if type(outcome) is Settled else calls.returned(record, outcome)
        except (Exception, WorkEnded) as error:
            self._fail(error)

    def _start_handed(self, tools: Dispatcher, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Do as ``start_call`` where tools that may block are handed over; it can end the run. For a door in C."""
        if not tools.blocking(name):
            return start_call(tools, name, args, kwargs)
        try:
            return self._hand_over(self._run.calls[-1], name, args, kwargs)
        except (Exception, WorkEnded) as error:
            self._fail(error)

    def _late_answer(self) -> bytes:
        """Return the answer to the call that had none, waiting for it if need be."""
        run, wait = self._run, self._run.wait
        if wait is None:
            run.end(ProtocolError("an answer was asked for, and no call waits for one"))
        run.wait_for(wait.is_over, wait.until)
        run.wait = None
        reply = wait.finish()
        self._tape.fill(wait.place, reply)
        return reply

    def _fail(self, error: Exception | WorkEnded) -> NoReturn:
        """End the run because of what answering a call has raised."""
        if isinstance(error, WorkEnded):
            self._run.check()
            raise error
        if isinstance(error, StopRun | ClocheError) or signal_behind(error):
            raise error
        # What nothing foresaw came of what the guest sent, and ends its run only.
        crash = GuestCrashed(f"the host could not answer its call: {type(error).__name__}")
        crash.__cause__ = error
        raise StopRun(crash) from None

    def write(self, stream: int, data: bytes) -> None:
        """Take a piece of output, or end the run."""
        if not self._tape.replaying:
            self._run.write(stream, data)

    def clock(self, which: int) -> int:
        """Return the session's time in nanoseconds."""
        if self._tape.replaying:
            return self._tape.replay_clock()
        moment = self._world.now(which)
        self._tape.record_clock(moment)
        return moment

    def entropy(self, size: int) -> bytes:
        """Return the session's next random bytes."""
        if self._tape.replaying:
            return self._tape.replay_entropy(size)
        data = self._world.random(size)
        self._tape.record_entropy(data)
        return data

    def _answer(self, frame: bytes) -> bytes:
        # The path of every tool call: what each check finds as a rule is seen here, without a call of its own.
        run, started, size = self._run, now(), len(frame)
        if run.stop.reason is not None or started >= run.stop.deadline:
            run.check()
        if size > run.limits.argument + _FRAME_OVERHEAD:
            return error_reply("ValueError", f"the arguments take {size} bytes and the limit is {run.limits.argument}")
        cost, reading = (0, AS_IT_IS) if size <= SHORT else self._measured(frame)
        suspending = self._suspending
        may_wait = self._held is not None or (suspending is not None and suspending.any_suspends())
        try:
            call = None if may_wait else read_plain_call(frame, reading)
            if call is None:
                return self._answer_any(parse_call(frame, reading), frame, cost)
        except ProtocolError as error:
            run.end(error)
        return self._call(call[1], call[2], call[3], cost, started)

    def _measured(self, frame: bytes) -> tuple[int, Reading]:
        """Make room for a frame, and return what it takes and how to read it. Ends the run if there is no room."""
        run = self._run
        try:
            cost, look = run.memory.measure(frame)
        except MalformedValue as error:
            run.end(ProtocolError(f"a malformed call: {error}"))
        if self._work is None and len(frame) > _LONG:
            # For the checks of arguments, which are far away: they look at it as well.
            self._work = current_work.set(run.memory)
            self._context = None
        return cost, Reading(2 * run.limits.host_memory, look)

    def _answer_any(self, message: CallFrame, frame: bytes, cost: int) -> bytes:
        if self._held is None and self._suspending is not None and self._suspending.any_suspends():
            # There was no such tool when the run began: what takes its place meanwhile is not called without approval.
            self._run.waiting = PendingCalls(self._tools, allowed=False)
            self._held = PendingHandlers(self._run.waiting, self._tool_calls())
        if self._held is not None and isinstance(message, Call | Start):
            reply = self._held.hold(message, frame, cost)
            if reply is not None:
                return reply
        return self._other(message, cost)

    def _other(self, message: CallFrame, cost: int) -> bytes:
        match message:
            case Start():
                return self._in_background().start(message, cost)
            case Wait(timeout):
                return self._wait(timeout)
            case Sleep(seconds):
                return self._sleep(seconds, EMPTY_REPLY)
            case Cancel(id_):
                self._in_background().cancel(id_)
            case Withdraw(id_):
                self._withdraw(id_)
            case Call():
                return self._call(message.name, message.args, message.kwargs, cost, now())
        return EMPTY_REPLY

    def _call(self, name: str, args: list[Any], kwargs: dict[str, Any], cost: int, started: float) -> bytes:
        calls = self._calls or self._tool_calls()
        record = calls.begin(name, args, kwargs, cost, started)
        if self._run.driver is not None:
            return self._call_later(record, name, args, kwargs)
        outcome = self._outcome(record, name, args, kwargs)
        return calls.finish(record, outcome) if type(outcome) is Settled else calls.returned(record, outcome)

    def _outcome(self, record: ToolCallRecord, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call a tool, wait for it, and return its value; or how it settled, if it raised or was awaited."""
        run = self._run
        stop = run.stop
        run.tool = name
        # After "tool" is set: whoever interrupts sets the reason first and looks at "doing" second.
        if stop.reason is not None:
            run.check()
        if run.hands_over and self._tools.blocking(name):
            outcome = self._hand_over(record, name, args, kwargs)
        else:
            outcome = start_call(self._tools, name, args, kwargs)
        return self._settled(record, outcome)

    def _settled(self, record: ToolCallRecord, outcome: Any) -> Any:
        """Return a tool's value, or how it settled; ends the run if it came too late."""
        run = self._run
        # Cheaper than isinstance(outcome, Awaitable), and than a function for it.
        if hasattr(outcome, "__await__"):
            outcome = self._await(record, outcome)
        # A tool that came back too late has an answer that no program waits for.
        if run.stop.reason is not None or now() >= run.stop.deadline:
            run.check()
        run.tool = ""
        return outcome

    def _call_later(self, record: ToolCallRecord, name: str, args: list[Any], kwargs: dict[str, Any]) -> bytes:
        """Call a tool, and have the run leave its thread where that takes time."""
        run = self._run
        run.tool = name
        run.check()
        blocking = self._tools.blocking(name)
        if blocking and self._paces is None:
            self._paces = Paces.of(self._tools)
        paces = self._paces if blocking else None
        if paces is not None and not paces.is_quick(name):
            call = self._begin_hand_over(record, name, args, kwargs)
            return self._later(
                Delay(call.is_over, inf), partial(self._finish_handed, record, call, paces), call.give_up
            )
        began = now()
        outcome = start_call(self._tools, name, args, kwargs)
        if paces is not None:
            paces.note(name, now() - began)
        if not hasattr(outcome, "__await__"):
            return self._finish_call(record, outcome)
        pending = self._begin_await(outcome)
        return self._later(
            Delay(pending.is_over, inf), lambda: self._finish_call(record, pending.outcome), pending.give_up
        )

    def _finish_handed(self, record: ToolCallRecord, call: HandedOver, paces: Paces) -> bytes:
        paces.note(record.name, call.seconds)
        return self._finish_call(record, call.outcome)

    def _finish_call(self, record: ToolCallRecord, outcome: Any) -> bytes:
        if hasattr(outcome, "__await__"):
            outcome = self._await(record, outcome)
        self._run.check()
        self._run.tool = ""
        calls = self._tool_calls()
        return calls.finish(record, outcome) if type(outcome) is Settled else calls.returned(record, outcome)

    def _later(self, wait: Delay, finish: Callable[[], bytes], give_up: Callable[[], object]) -> bytes:
        """Have the run leave its thread until that is over, or wait here if it cannot."""
        run = self._run
        leaves = run.driver is not None and run.driver.leaves and run.wait is None
        if leaves and not wait.is_over() and now() < wait.until:
            wait.finish, wait.give_up, run.wait = finish, give_up, wait
            return UNANSWERED
        # A finalizer may make a call while the program is about to leave at another one.
        try:
            run.wait_for(wait.is_over, wait.until)
        except BaseException:
            give_up()
            raise
        return finish()

    def _hand_over(self, record: ToolCallRecord, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Call a tool on another thread, left behind if the run ends first; return what ``start_call`` does."""
        call = self._begin_hand_over(record, name, args, kwargs)
        try:
            self._run.wait_for(call.is_over)
        finally:
            call.give_up()
        return call.outcome

    def _begin_hand_over(
        self, record: ToolCallRecord, name: str, args: list[Any], kwargs: dict[str, Any]
    ) -> HandedOver:
        if self._context is None:
            self._context = copy_context()
        call = HandedOver(record, self._context, self._tools, name, args, kwargs)
        call.start(self._run.post)
        return call

    def _dispatch(self, held: PendingCall) -> Settled:
        """Make a call that waited: what the guest sent then, read again, or what its approver made of it."""
        call = parse_call(held.frame)
        assert isinstance(call, Call | Start)
        args, kwargs = (call.args, call.kwargs) if held.edited is None else ([], held.edited)
        held.record.args, held.record.kwargs = args, kwargs
        # In this way and not with an argument more, which every call would have to carry.
        tools, self._tools = self._tools, approving_dispatcher(self._tools, held)
        try:
            outcome = self._outcome(held.record, call.name, args, kwargs)
        finally:
            self._tools = tools
        return outcome if type(outcome) is Settled else Settled(outcome, None)

    def _withdraw(self, id_: int) -> None:
        if self._held is not None:
            self._held.withdraw(id_)

    def _await(self, record: ToolCallRecord, awaitable: Awaitable[Any]) -> Settled:
        pending = self._begin_await(awaitable)
        try:
            self._run.wait_for(pending.is_over)
        except BaseException:
            pending.give_up()
            record.end("cancelled", now() - record.started)
            raise
        assert pending.outcome is not None
        return pending.outcome

    def _begin_await(self, awaitable: Awaitable[Any]) -> Awaited:
        return Awaited(awaitable, self._loop or background_loops.get(), self._run.post)

    def _wait(self, timeout: float | None) -> bytes:
        background, waiting = self._background, self._run.waiting
        if waiting is not None and waiting.undelivered:
            items, waiting.undelivered = waiting.undelivered, []
            return wait_reply(items)
        # Timers do not keep it from being suspended: its clock stands still then. A poll asks only what is there.
        if timeout != 0 and waiting is not None and waiting.held and not background:
            return waits_reply(None)
        if background is None or (not len(background) and timeout is not None):
            return self._sleep(timeout or 0.0, wait_reply([]))
        return self._later(background.begin_wait(timeout), lambda: self._collect(background, timeout), _nothing)

    def _collect(self, background: BackgroundCalls, timeout: float | None) -> bytes:
        items = background.collect()
        if not items and timeout is not None:
            self._world.pass_time(min(timeout, MAX_WAIT))
        return wait_reply(items)

    def _sleep(self, seconds: float, reply: bytes) -> bytes:
        seconds = min(seconds, MAX_WAIT)
        if self._world.has_fixed_clock:
            self._world.pass_time(seconds)
            return reply
        return self._later(Delay(_never, now() + seconds), lambda: reply, _nothing)

    def _tool_calls(self) -> ToolCalls:
        if self._calls is None:
            self._calls = ToolCalls(self._tools, self._run)
        return self._calls

    def _in_background(self) -> BackgroundCalls:
        if self._background is None:
            self._background = BackgroundCalls(self._tool_calls(), self._loop)
        return self._background


def _never() -> bool:
    return False


def _nothing() -> None:
    pass
