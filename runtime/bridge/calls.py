"""The tool calls of one run: counted, recorded, and answered with bytes whatever the tool does.

A program waits for a call at once (CALL), or lets it run in the background and asks for its outcome (START, WAIT and
CANCEL).
"""

import threading
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from math import inf
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from cloche.runtime.bridge.host_memory import SHORT
from cloche.runtime.bridge.protocol import EMPTY_REPLY, Start, error_reply, value_reply
from cloche.runtime.bridge.run_state import MAX_WAIT, Delay, RunState
from cloche.runtime.dispatch import Dispatcher, UnknownTool
from cloche.runtime.errors import CallsExceeded, GuestVisibleError
from cloche.runtime.machine_api import now
from cloche.runtime.result import CALL_COST, ToolCallRecord, ToolFinished, ToolStarted, message_of
from cloche.runtime.threads import (
    Awaiting,
    Settled,
    Work,
    background_loops,
    guest_threads,
    tool_threads,
)
from cloche.runtime.values import UnserializableError, ValueCodecError
from cloche.runtime.wasm.signals import signal_behind

if TYPE_CHECKING:
    import asyncio
    from concurrent.futures import Future

__all__ = ["Awaited", "BackgroundCalls", "HandedOver", "Paces", "ToolCalls", "error_text", "start_call"]


_MAX_NAME = 200


class ToolCalls:
    """The tool calls of one run."""

    def __init__(self, tools: Dispatcher, run: RunState) -> None:
        self.tools = tools
        self.run = run
        self.memory = run.memory
        self._failed: ToolCallRecord | None = None

    def begin(self, name: str, args: list[Any], kwargs: dict[str, Any], cost: int, started: float) -> ToolCallRecord:
        """Count a call and open its record; its arguments take ``cost`` bytes. Ends the run if it is one too many."""
        run = self.run
        run.calls_made += 1
        max_calls = run.limits.calls
        if max_calls is not None and run.calls_made > max_calls:
            run.end(CallsExceeded(run.calls_made, max_calls))
        record = ToolCallRecord(name, args, kwargs, started)
        run.calls.append(record)
        memory = self.memory
        if cost:
            record.charge = cost = CALL_COST + cost
            memory.used += cost
            if memory.hurries:
                # How long the tool takes is not known.
                memory.rest()
        else:
            memory.used += CALL_COST
        if memory.used > memory.limit:
            memory.relieve(0)
        if run.listener is not None:
            run.emit(ToolStarted(record))
        return record

    def finish(self, record: ToolCallRecord, settled: Settled, id: int | None = None) -> bytes:
        """Close the record and return the encoded reply: to CALL, or one item of WAIT's where there is an ``id``."""
        # Not by its truth: an exception's class may say that it is empty.
        if settled.error is not None:
            return self.failed(record, settled.error, id)
        return self.returned(record, settled.value, id)

    def returned(self, record: ToolCallRecord, value: Any, id: int | None = None) -> bytes:
        """Like :meth:`finish`, for a call that returned a value."""
        try:
            reply = value_reply(value, id=id, limit=self.run.limits.result, look=self.memory.look)
        except Exception as error:
            # Not only the codec's errors: a value's own methods run while it is encoded.
            return self.failed(record, error, id)
        record.value = value
        # As ``end`` and ``_tell`` do, without the calls.
        if record.outcome == "running":
            record.outcome, record.seconds = "returned", now() - record.started
        memory = self.memory
        if len(reply) > SHORT:
            memory.add_value(record, value, len(reply))
        if memory.hurries:
            memory.rest()
        if self.run.listener is not None:
            self.run.emit(ToolFinished(record))
        return reply

    def failed(self, record: ToolCallRecord, error: BaseException, id: int | None = None) -> bytes:
        """Like :meth:`finish`, for a call that raised, or was refused."""
        record.fail(error)
        record.end("raised", now() - record.started)
        self.let_go()
        self._failed = record
        reply = error_reply(*error_text(error, record.name, self.run.limits.message), id=id)
        if self.memory.hurries:
            self.memory.rest()
        if self.run.listener is not None:
            self.run.emit(ToolFinished(record))
        return reply

    def let_go(self) -> None:
        """Have the last record of a failed call keep nothing alive of the functions that the call was made by.

        They are over by the next call, or at the run's end.
        """
        if self._failed is not None:
            self._failed.let_go()
            self._failed = None

    def drop(self, record: ToolCallRecord) -> None:
        """Close the record of a call that is no longer waited for."""
        record.end("cancelled", now() - record.started)
        if self.run.listener is not None:
            self.run.emit(ToolFinished(record))


def start_call(tools: Dispatcher, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Call the tool and return its value or its awaitable; or Settled, with the error, if it raised.

    What a signal's handler raises while a tool runs on the main thread, such as KeyboardInterrupt, is the user's and
    goes through; anything else a tool raises is the guest's, be it SystemExit.
    """
    try:
        return tools.call(name, args, kwargs)
    except BaseException as error:
        signalled = signal_behind(error)
        if signalled is not None:
            raise signalled from None
        return Settled(None, error)


class HandedOver:
    """One call of a tool on a thread that can be left behind."""

    __slots__ = ("_call", "_context", "_over", "_record", "_work", "outcome", "seconds")

    def __init__(self, record: ToolCallRecord, context: Context, *call: Any) -> None:
        self._record = record
        self._context = context
        self._call = call
        self._over = False
        self.outcome: Any = None
        self.seconds = 0.0

    def start(self, tell: Callable[[], object]) -> None:
        """Make the call. Raises BlockedTools."""
        self._work = Work(self._make, tell)
        guest_threads.start(self._work)

    def is_over(self) -> bool:
        """Whether ``outcome`` is what ``start_call`` returns for the tool."""
        return self._over

    def give_up(self) -> None:
        """Leave the thread behind, if it has not come back."""
        if not self._work.over:
            guest_threads.abandon(self._work)
            self._record.end("abandoned", now() - self._record.started)

    def _make(self) -> None:
        began = now()
        self.outcome = self._context.run(start_call, *self._call)
        self.seconds = now() - began
        self._over = True


class Paces:
    """Which tools that may block have not done so: they are called where the program is, until one takes long.

    Handing a call over costs several times what a quick tool takes. One that blocks after all holds up its thread for
    as long as that takes, and is handed over from then on.
    """

    __slots__ = ("_quick",)

    def __init__(self) -> None:
        self._quick: dict[str, int] = {}

    @classmethod
    def of(cls, tools: Dispatcher) -> "Paces":
        """Return what is known of these tools, in all their sandbox's runs."""
        try:
            return _paces.setdefault(tools, cls())
        except TypeError:
            # Not hashable, or without weak references.
            return cls()

    def is_quick(self, name: str) -> bool:
        """Return whether its latest calls were quick."""
        return self._quick.get(name, 0) >= _PROVEN

    def note(self, name: str, seconds: float) -> None:
        """Take note of how long a call took."""
        self._quick[name] = self._quick.get(name, 0) + 1 if seconds < _QUICK else 0


# Seconds that a quick tool takes, and how many of its calls show that it is one.
_QUICK, _PROVEN = 0.001, 3
_paces: WeakKeyDictionary[Dispatcher, Paces] = WeakKeyDictionary()


class Awaited:
    """Something that is awaited on a loop that another thread runs."""

    __slots__ = ("_awaiting", "_loop", "is_over")

    def __init__(
        self, awaitable: Awaitable[Any], loop: "asyncio.AbstractEventLoop", tell: Callable[[], object]
    ) -> None:
        self._loop = loop
        self._awaiting = Awaiting(awaitable, loop)
        self.is_over = self._awaiting.is_over
        self._awaiting.start(lambda _: tell())

    @property
    def outcome(self) -> Settled | None:
        """How it has ended."""
        return self._awaiting.outcome

    def give_up(self) -> None:
        """Cancel it, if it is not over."""
        if not self.is_over():
            self._awaiting.cancel()
            background_loops.check(self._loop)


def error_text(error: BaseException, tool: str, max_length: int) -> tuple[str, str]:
    """Return the type name and the message that the guest may see, and no more of the exception than that."""
    if isinstance(error, UnknownTool):
        return "NameError", str(error)[:max_length]
    if isinstance(error, ValueCodecError):
        kind = "TypeError" if isinstance(error, UnserializableError) else "ValueError"
        return kind, f"the tool {tool!r} returned a value that cannot be sent: {error}"[:max_length]
    if isinstance(error, GuestVisibleError):
        return error.guest_type[:_MAX_NAME], error.guest_message[:max_length]
    return type(error).__name__, _message(error)[:max_length]


def _message_of_os(error: OSError) -> str:
    # Its text holds the host's file names; a lone text in one of Python's own classes is what the tool's author wrote.
    if isinstance(error.strerror, str):
        return error.strerror
    written = type(error).__module__ == "builtins" and len(error.args) == 1 and type(error.args[0]) is str
    return error.args[0] if written else ""


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        return _message_of_os(error)
    return message_of(error)


_MAX_THREADS = 32
"""Synchronous tools that one run has running at once; more of them wait their turn."""


class _Task:
    """One background call."""

    __slots__ = ("awaiting", "call", "context", "record")

    def __init__(self, call: Start, record: ToolCallRecord) -> None:
        self.call = call
        self.record = record
        self.context = copy_context()
        self.awaiting: Awaiting | None = None


class BackgroundCalls:
    """The background calls of one run. Everything but the tools themselves happens on the guest's thread."""

    def __init__(self, calls: ToolCalls, loop: "asyncio.AbstractEventLoop | None") -> None:
        self._calls = calls
        self._run = calls.run
        self._loop = loop
        self._tasks: dict[int, _Task] = {}
        self._workers = _Workers()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, call: Start, cost: int) -> bytes:
        """Begin a call and return the reply to START."""
        refusal = self._refusal(call)
        if refusal is not None:
            return refusal
        record = self._calls.begin(call.name, call.args, call.kwargs, cost, now())
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

    def begin_wait(self, timeout: float | None) -> Delay:
        """Return what to wait for until a call ends or the time is up; :meth:`collect` says what has come."""
        until = inf if timeout is None else now() + min(timeout, MAX_WAIT)
        if not self._tasks and timeout is None:
            until = 0.0
        self._run.tools = self._names()
        return Delay(self._has_news, until)

    def collect(self) -> list[bytes]:
        """Return an item for WAIT's reply for each call that has ended."""
        self._run.tools = ""
        return self._collect()

    def drain(self) -> list[bytes]:
        """Wait for all calls and return their items for WAIT's reply. Ends the run at its deadline."""
        items: list[bytes] = []
        while self._tasks:
            wait = self.begin_wait(None)
            self._run.wait_for(wait.is_over, wait.until)
            news = self.collect()
            self._run.memory.add(sum(map(len, news)))
            items += news
        return items

    def cancel(self, id: int) -> None:
        """Cancel a call. An id that is not pending is not an error."""
        task = self._tasks.pop(id, None)
        if task is not None:
            _give_up(task)

    def close(self) -> None:
        """Cancel all calls, at the run's end. A synchronous tool that is running cannot be stopped: it is abandoned."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            _give_up(task)
        self._workers.close()

    def _refusal(self, call: Start) -> bytes | None:
        limit = self._run.limits.pending
        if call.id in self._tasks:
            return error_reply("ValueError", f"a background call with the id {call.id} is pending already")
        if len(self._tasks) >= limit:
            text = f"{limit} tool calls are pending and that is the limit: await some of them before starting more"
            return error_reply("RuntimeError", text)
        return None

    def _perform(self, task: _Task) -> None:
        outcome = start_call(self._calls.tools, task.call.name, task.call.args, task.call.kwargs)
        if hasattr(outcome, "__await__"):
            task.awaiting = Awaiting(outcome, self._loop or background_loops.get())
            task.awaiting.start(lambda settled: self._run.post((task, settled)))
        else:
            self._run.post((task, outcome if type(outcome) is Settled else Settled(outcome, None)))

    def _collect(self) -> list[bytes]:
        finished, items, size = self._run.finished, list[bytes](), 0
        # What is left is in the reply to the next wait: no reply is made of all that many calls return.
        while finished and size <= self._run.limits.result:
            task: _Task
            task, settled = finished.popleft()
            if self._is_awaited(task):
                items.append(self._finish(task, settled))
                size += len(items[-1])
        return items

    def _has_news(self) -> bool:
        """Return whether a call that is waited for has ended. A guest that gets no answer takes it for a timeout."""
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
            if self._active == _MAX_THREADS:
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
    if task.awaiting is not None:
        task.awaiting.cancel()
    task.record.end("cancelled", now() - task.record.started)
