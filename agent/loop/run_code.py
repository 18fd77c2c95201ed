"""The effect of running a step's program in the agent's session."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from cloche.agent.events import AgentEvent, Printed, ToolCallEnded, ToolCallStarted
from cloche.agent.loop.effects import Effect, aevents_of, events_of
from cloche.agent.loop.run import CallReplies, Run
from cloche.runtime.limits import Limits
from cloche.runtime.result import Event, Output, ToolFinished, ToolStarted
from cloche.runtime.session.session import Outcome, Session, Suspended

__all__ = ["ResumeCode", "RunCode"]


Put = Callable[[Any], object]
Listener = Callable[[Event], None]


class RunCode(Effect[Outcome]):
    """Run a program; its output and tool calls become events as they happen. The value is the session's Result.

    With ``waits``, it is the Suspended program if calls are pending.
    """

    def __init__(
        self, run: Run, session: Session, code: str, limits: Limits, hidden: frozenset[str], *, waits: bool = False
    ) -> None:
        self._run = run
        self._session = session
        self._code = code
        self._limits = limits
        self._hidden = hidden
        self._waits = waits

    def perform(self) -> Iterator[AgentEvent]:
        """Run it on this thread; on another one if the run is streamed. Leaving early interrupts it."""
        if not self._run.streamed:
            self._work(_nowhere)
            return
        done = False
        try:
            yield from events_of(self._work)
            done = True
        finally:
            if not done:
                self._session.interrupt()

    async def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Run it; coroutine tools run on this loop. Being cancelled interrupts it."""
        if not self._run.streamed:
            await self._awork(_nowhere)
            return
        async with aclosing(aevents_of(self._awork)) as events:
            async for event in events:
                yield event

    def _work(self, put: Put) -> None:
        self._run.check_interrupted()
        with self._run.scoped():
            self.value = self._begin(self._listener(put))

    async def _awork(self, put: Put) -> None:
        self._run.check_interrupted()
        with self._run.scoped():
            self.value = await self._abegin(self._listener(put))

    def _begin(self, listener: Listener) -> Outcome:
        begin = self._session.start if self._waits else self._session.run
        return begin(self._code, limits=self._limits, on_event=listener)

    async def _abegin(self, listener: Listener) -> Outcome:
        begin = self._session.astart if self._waits else self._session.arun
        return await begin(self._code, limits=self._limits, on_event=listener)

    def _listener(self, put: Put) -> Listener:
        def listen(event: Event) -> None:
            shown = self._event(event)
            if shown is not None:
                put(self._run.emit(shown))

        return listen

    def _event(self, event: Event) -> AgentEvent | None:
        stamp = self._run.stamp
        match event:
            case Output():
                return Printed(event.stream, event.text, **stamp)
            case ToolStarted() if event.record.name not in self._hidden:
                # Before the call is made: what this raises ends the program here.
                self._run.ledger.call(1)
                self._run.ledger.check()
                return ToolCallStarted(event.record, **stamp)
            case ToolFinished() if event.record.name not in self._hidden:
                return ToolCallEnded(event.record, **stamp)
            case _:
                return None


class ResumeCode(RunCode):
    """Resume the program that is suspended in a session, with replies to its calls."""

    def __init__(
        self, run: Run, suspended: Suspended, replies: CallReplies, limits: Limits, hidden: frozenset[str]
    ) -> None:
        super().__init__(run, suspended.session, "", limits, hidden, waits=True)
        self._suspended, self._replies = suspended, replies

    def _begin(self, listener: Listener) -> Outcome:
        return self._suspended.resume(**self._replies.options, on_event=listener)

    async def _abegin(self, listener: Listener) -> Outcome:
        return await self._suspended.aresume(**self._replies.options, on_event=listener)


def _nowhere(_: Any) -> None:
    return None
