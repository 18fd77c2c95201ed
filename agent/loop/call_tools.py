"""The effect of calling tools side by side, as a ToolCallingAgent does."""

import asyncio
import contextvars
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from time import perf_counter
from typing import Any

from cloche.agent.events import AgentEvent, ToolCallEnded, ToolCallStarted
from cloche.agent.loop.effects import Effect, aevents_of, events_of, finished
from cloche.agent.loop.run import Run
from cloche.host_tools import ToolRegistry
from cloche.runtime.errors import GuestVisibleError
from cloche.runtime.result import CallOutcome, ToolCallRecord
from cloche.runtime.threads import acall_on_thread

__all__ = ["ApprovalUnavailable", "CallTools"]


Put = Callable[[Any], object]
_MAX_THREADS = 16


class CallTools(Effect[list[ToolCallRecord]]):
    """Call tools at the same time, ``agents`` among them. The value is their records, in order; nothing raises."""

    def __init__(
        self,
        run: Run,
        tools: ToolRegistry,
        calls: Sequence[tuple[str, dict[str, Any]]],
        agents: frozenset[str] = frozenset(),
    ) -> None:
        self._run = run
        self._tools = tools
        self._agents = agents
        self.value = [ToolCallRecord(name, [], arguments) for name, arguments in calls]

    def perform(self) -> Iterator[AgentEvent]:
        """Call them on this thread if it is one, else each on its own."""
        if not self._run.streamed:
            self._work(_nowhere)
            return
        yield from events_of(self._work)

    async def aperform(self) -> AsyncGenerator[AgentEvent, None]:
        """Call them: coroutine tools on this loop, the others each on a thread."""
        if not self._run.streamed:
            await self._run.interruptible(self._awork(_nowhere))
            return
        async with aclosing(aevents_of(self._awork)) as events:
            async for event in events:
                yield event

    def _work(self, put: Put) -> None:
        if len(self.value) == 1:
            self._call(self.value[0], put)
            return
        with ThreadPoolExecutor(_MAX_THREADS, thread_name_prefix="cloche-tools") as pool:
            for record in self.value:
                pool.submit(contextvars.copy_context().run, self._call, record, put)

    async def _awork(self, put: Put) -> None:
        await asyncio.gather(*(self._acall(record, put) for record in self.value))

    def _call(self, record: ToolCallRecord, put: Put) -> None:
        with self._run.scoped(), _Account(self._run, record, put):
            record.value = finished(self._made(record))

    async def _acall(self, record: ToolCallRecord, put: Put) -> None:
        with self._run.scoped(), _Account(self._run, record, put):
            if self._is_quick(record.name):
                value = self._made(record)
            else:
                value = await acall_on_thread(lambda: self._made(record))
            record.value = await value if hasattr(value, "__await__") else value

    def _made(self, record: ToolCallRecord) -> Any:
        # A call that has to be approved or answered would suspend a program, and there is none here. Nor may an agent
        # wait that is called: it does without what it would wait for.
        if self._tools.suspends(record.name) and record.name not in self._agents:
            raise ApprovalUnavailable(record.name)
        return self._tools.call(record.name, [], record.kwargs)

    def _is_quick(self, name: str) -> bool:
        tool = self._tools.get(name)
        return tool is None or tool.is_async or not tool.blocking


class ApprovalUnavailable(GuestVisibleError):
    """A tool that has to be approved, or answered later, was called by an agent that runs no programs."""

    guest_type = "PermissionError"

    def __init__(self, tool: str) -> None:
        super().__init__(tool)
        self.tool = tool

    def __str__(self) -> str:
        return (
            f"{self.tool} has to wait for an approval or an answer, which this agent cannot: it was not called. "
            "Do without it"
        )


class _Account:
    """Emits one call's beginning and end, and keeps what it raises on its record."""

    def __init__(self, run: Run, record: ToolCallRecord, put: Put) -> None:
        self._run = run
        self._record = record
        self._put = put

    def __enter__(self) -> None:
        self._record.started = perf_counter()
        self._put(self._run.emit(ToolCallStarted(self._record, **self._run.stamp)))

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> bool:
        self._record.error = error
        self._record.end(_outcome(error), perf_counter() - self._record.started)
        self._put(self._run.emit(ToolCallEnded(self._record, **self._run.stamp)))
        return isinstance(error, Exception)


def _outcome(error: BaseException | None) -> CallOutcome:
    if error is None:
        return "returned"
    return "raised" if isinstance(error, Exception) else "cancelled"


def _nowhere(_: Any) -> None:
    return None
