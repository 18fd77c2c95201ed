"""The effect of running a step's program in the agent's session."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any

from cloche.agent.events import AgentEvent, Printed, ToolCallEnded, ToolCallStarted
from cloche.agent.flow.effects import Effect
from cloche.agent.flow.run import Run
from cloche.agent.flow.threads import aevents_of, events_of
from cloche.runtime.events import Event, Output, ToolFinished, ToolStarted
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.session import Session

__all__ = ["RunCode"]

Put = Callable[[Any], object]


class RunCode(Effect[Result[Any]]):
    """Run a program; its output and tool calls are told as they happen. The value is the session's Result."""

    def __init__(self, run: Run, session: Session, code: str, limits: Limits, hidden: frozenset[str]) -> None:
        self._run = run
        self._session = session
        self._code = code
        self._limits = limits
        self._hidden = hidden

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
            self.value = self._session.run(self._code, limits=self._limits, on_event=self._listener(put))

    async def _awork(self, put: Put) -> None:
        self._run.check_interrupted()
        with self._run.scoped():
            self.value = await self._session.arun(self._code, limits=self._limits, on_event=self._listener(put))

    def _listener(self, put: Put) -> Callable[[Event], None]:
        def listen(event: Event) -> None:
            told = self._event(event)
            if told is not None:
                put(self._run.tell(told))

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


def _nowhere(_: Any) -> None:
    return None
