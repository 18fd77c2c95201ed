"""Tool calls that run while the guest goes on: START, WAIT and CANCEL."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING

from cloche.runtime.bridge.loops import Settled, background_loops, start_awaiting
from cloche.runtime.bridge.protocol import EMPTY_REPLY, Start, error_reply
from cloche.runtime.bridge.tool_calls import ToolCalls, start_call
from cloche.runtime.dispatch import UnknownTool
from cloche.runtime.result import ToolCallRecord
from cloche.runtime.running.run_state import LONGEST, now
from cloche.runtime.running.threads import tool_threads

if TYPE_CHECKING:
    import asyncio

__all__ = ["Background"]

_MOST_THREADS = 32
"""Synchronous tools that one run has running at once; more of them wait their turn."""


class _Task:
    """One background call."""

    __slots__ = ("call", "context", "future", "record")

    def __init__(self, call: Start, record: ToolCallRecord) -> None:
        self.call = call
        self.record = record
        self.context = copy_context()
        self.future: Future[Settled] | None = None


class Background:
    """The background calls of one run. Everything but the tools themselves happens on the guest's thread."""

    def __init__(self, calls: ToolCalls, loop: "asyncio.AbstractEventLoop | None") -> None:
        self._calls = calls
        self._run = calls.run
        self._loop = loop
        self._tasks: dict[int, _Task] = {}
        self._workers = _Workers()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, call: Start, size: int) -> bytes:
        """Begin a call and return the reply to START."""
        refusal = self._refusal(call)
        if refusal is not None:
            return refusal
        record = self._calls.begin(call.name, call.args, call.kwargs, size, now())
        try:
            is_async = self._calls.tools.is_async(call.name)
        except UnknownTool as error:
            return self._calls.failed(record, error)
        task = self._tasks[call.id] = _Task(call, record)
        if is_async:
            self._perform(task)
        else:
            self._workers.submit(lambda: task.context.run(self._perform, task))
        return EMPTY_REPLY

    def wait(self, timeout: float | None) -> list[bytes]:
        """Wait until a call ends or the time is up, and return an item for WAIT's reply for each that has ended."""
        run = self._run
        until = None if timeout is None else now() + min(timeout, LONGEST)
        if self._tasks or until is not None:
            run.doing = self._names()
            run.wait_for(self._has_news, until)
            run.doing = ""
        return self._collect()

    def drain(self) -> list[bytes]:
        """Wait for all calls and return their items for WAIT's reply. Ends the run at its deadline."""
        items: list[bytes] = []
        while self._tasks:
            items += self.wait(None)
        return items

    def cancel(self, id: int) -> None:
        """Give a call up. An id that is not pending is no error."""
        task = self._tasks.pop(id, None)
        if task is not None:
            _give_up(task)

    def close(self) -> None:
        """Give all calls up, at the run's end. A synchronous tool that is running cannot be stopped: it is left."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            _give_up(task)
        self._workers.close()

    def _refusal(self, call: Start) -> bytes | None:
        most = self._run.limits.pending
        if call.id in self._tasks:
            return error_reply("ValueError", f"a background call with the id {call.id} is pending already")
        if len(self._tasks) >= most:
            text = f"{most} tool calls are pending and that is the limit: await some of them before starting more"
            return error_reply("RuntimeError", text)
        return None

    def _perform(self, task: _Task) -> None:
        outcome = start_call(self._calls.tools, task.call.name, task.call.args, task.call.kwargs)
        if hasattr(outcome, "__await__"):
            task.future = start_awaiting(outcome, self._loop or background_loops.get())
            task.future.add_done_callback(lambda future: self._awaited(task, future))
        else:
            self._run.post((task, outcome if type(outcome) is Settled else Settled(outcome, None)))

    def _awaited(self, task: _Task, future: "Future[Settled]") -> None:
        if not future.cancelled():
            self._run.post((task, future.result()))

    def _collect(self) -> list[bytes]:
        finished, items = self._run.finished, list[bytes]()
        while finished:
            task: _Task
            task, settled = finished.popleft()
            if self._is_awaited(task):
                items.append(self._finish(task, settled))
        return items

    def _has_news(self) -> bool:
        """Return whether a call has ended that somebody waits for. A guest that is told nothing takes it for time."""
        finished = self._run.finished
        while finished and not self._is_awaited(finished[0][0]):
            finished.popleft()
        return bool(finished)

    def _is_awaited(self, task: _Task) -> bool:
        """Return whether a call was not cancelled in between."""
        return self._tasks.get(task.call.id) is task

    def _finish(self, task: _Task, settled: Settled) -> bytes:
        del self._tasks[task.call.id]
        return self._calls.finish(task.record, settled, task.call.id)

    def _names(self) -> str:
        if len(self._tasks) == 1:
            return f"the tool {next(iter(self._tasks.values())).call.name!r}"
        return f"{len(self._tasks)} tools" if self._tasks else ""


class _Workers:
    """Threads for one run's synchronous background tools: so many at once, the others wait their turn."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Callable[[], None]] = deque()
        self._active = 0
        self._futures: set[Future[None]] = set()

    def submit(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._queue.append(job)
            if self._active == _MOST_THREADS:
                return
            self._active += 1
        future = tool_threads.submit(self._work)
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)

    def close(self) -> None:
        with self._lock:
            self._queue.clear()
        for future in tuple(self._futures):
            tool_threads.abandon(future)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._active -= 1
                    return
                job = self._queue.popleft()
            job()


def _give_up(task: _Task) -> None:
    if task.future is not None:
        task.future.cancel()
    task.record.end("cancelled", now() - task.record.started)
