"""The host's end of the bridge: what a guest's imports do, within one run's limits."""

from collections.abc import Awaitable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from cloche.runtime.bridge.background import Background
from cloche.runtime.bridge.loops import Settled, background_loops, start_awaiting
from cloche.runtime.bridge.protocol import (
    EMPTY_REPLY,
    Call,
    CallFrame,
    Cancel,
    Sleep,
    Start,
    Wait,
    error_reply,
    parse_call,
    wait_reply,
)
from cloche.runtime.bridge.tape import Tape
from cloche.runtime.bridge.tool_calls import ToolCalls, start_call
from cloche.runtime.bridge.world import World
from cloche.runtime.dispatch import Dispatcher
from cloche.runtime.errors import ProtocolError
from cloche.runtime.running.run_state import LONGEST, RunState, now

if TYPE_CHECKING:
    import asyncio

__all__ = ["Host"]

_FRAME = 4096
"""Bytes of a call frame besides its arguments, at most: the guest's own cap is on the arguments alone."""


class Host:
    """Serves one guest's imports. ``begin`` comes before each run and ``end`` after it."""

    __slots__ = ("_background", "_calls", "_loop", "_run", "_tape", "_tools", "_world")

    def __init__(self, tools: Dispatcher, world: World, tape: Tape) -> None:
        self._tools = tools
        self._world = world
        self._tape = tape

    def begin(self, run: RunState, loop: "asyncio.AbstractEventLoop | None") -> None:
        """Serve this run. Coroutine tools run on ``loop``, or on the background loop if there is none."""
        self._run = run
        self._loop = loop
        self._calls: ToolCalls | None = None
        self._background: Background | None = None

    def end(self) -> None:
        """Give up what still runs in the background."""
        if self._background is not None:
            self._background.close()

    def call(self, frame: bytes) -> bytes:
        """Answer a call frame, or end the run."""
        tape = self._tape
        if tape.replaying:
            return tape.replay_call(frame)
        reply = self._answer(frame)
        tape.record_call(frame, reply)
        return reply

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
        run = self._run
        run.check()
        most = run.limits.argument
        if len(frame) > most + _FRAME:
            return error_reply("ValueError", f"the arguments take {len(frame)} bytes and the limit is {most}")
        try:
            message = parse_call(frame)
        except ProtocolError as error:
            run.stop(error)
        if type(message) is Call:
            return self._call(message, len(frame))
        return self._other(message, len(frame))

    def _other(self, message: CallFrame, size: int) -> bytes:
        match message:
            case Start():
                return self._in_background().start(message, size)
            case Wait(timeout):
                return self._wait(timeout)
            case Sleep(seconds):
                self._pause(seconds)
            case Cancel(id_):
                self._in_background().cancel(id_)
            case Call():
                return self._call(message, size)
        return EMPTY_REPLY

    def _call(self, call: Call, size: int) -> bytes:
        run, calls = self._run, self._tool_calls()
        record = calls.begin(call.name, call.args, call.kwargs, size)
        run.doing = f"the tool {call.name!r}"
        # After "doing" is set: whoever interrupts sets the reason first and looks at "doing" second.
        if run.stop_reason is not None:
            run.check()
        outcome = start_call(self._tools, call)
        settled = outcome if isinstance(outcome, Settled) else self._await(outcome)
        # A tool that came back too late has an answer, but nobody to give it to.
        run.check()
        run.doing = ""
        return calls.finish(record, settled)

    def _await(self, awaitable: Awaitable[Any]) -> Settled:
        run = self._run
        loop = self._loop or background_loops.get()
        future: Future[Settled] = start_awaiting(awaitable, loop)
        future.add_done_callback(lambda _: run.post())
        try:
            run.wait_for(future.done)
        finally:
            if not future.done():
                future.cancel()
                background_loops.check(loop)
        return future.result()

    def _wait(self, timeout: float | None) -> bytes:
        background = self._background
        if background is None or (not len(background) and timeout is not None):
            self._pause(timeout or 0.0)
            return wait_reply([])
        items = background.wait(timeout)
        if not items and timeout is not None:
            self._world.pass_time(min(timeout, LONGEST))
        return wait_reply(items)

    def _pause(self, seconds: float) -> None:
        seconds = min(seconds, LONGEST)
        if not self._world.has_fixed_clock:
            self._run.wait_for(_never, now() + seconds)
        self._world.pass_time(seconds)

    def _tool_calls(self) -> ToolCalls:
        if self._calls is None:
            self._calls = ToolCalls(self._tools, self._run)
        return self._calls

    def _in_background(self) -> Background:
        if self._background is None:
            self._background = Background(self._tool_calls(), self._loop)
        return self._background


def _never() -> bool:
    return False
