"""An asyncio event loop that waits by asking the host: the bridge is its only selector.

Timers sleep on the host, tools run there in parallel; there are no sockets, pipes or signals to watch. While there are
threads, the loop waits as one of them. Where nothing runs and no timer is set, no task can ever continue: the deadlock
is an error in the program.
"""

import asyncio
import sys
import threading
from asyncio import format_helpers
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from types import FunctionType
from types import coroutine as awaitable
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

from _cloche import begin_step, end_step, enter_context, exit_context, fail_step
from _cloche import count_threads as _count_threads
from _cloche import suspend as _leave
from _cloche import unpark as _unpark
from cloche_guest import calls
from cloche_guest.substitutes import hidden
from cloche_guest.suspension import seconds_left_out
from cloche_guest.unsupported.reasons import NO_PROCESSES

__all__ = ["DEADLOCK", "BridgeLoop", "call_in_background", "install"]

DEADLOCK = (
    "deadlock: every task waits for something that can never happen. "
    "No tool call is running and no timer is set, so nothing can wake the program"
)
"""What the RuntimeError says with which a deadlock ends."""

_Args = TypeVarTuple("_Args")
_Value = TypeVar("_Value")
_describe_callback: Callable[..., str] = vars(format_helpers)["_format_callback_source"]
_Finished = tuple[asyncio.Future[Any], list[Any]]
# A program that spins on sleep(0) asks the host only every so often: each question is a trip across the bridge.
_SPINS_PER_POLL = 8


class BridgeLoop(asyncio.BaseEventLoop):
    """The guest's event loop. Everything asyncio offers works that needs no file descriptor or process.

    When every task waits for something that can never happen, the main task gets a RuntimeError saying so.
    Closing it cancels the tool calls that are still running. A selector is taken and not used, as there is nothing to
    select from.
    """

    def __init__(self, selector: object = None) -> None:
        super().__init__()
        self._selector = self  # what BaseEventLoop asks for events
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._main: asyncio.Future[Any] | None = None
        self._ahead = 0.0
        self._spins = 0
        self._stopping = False
        self._thread_id: int | None = None
        self._outer: asyncio.Future[Any] | None = None
        self._inbox = calls.Inbox()
        self._is_woken = False

    def time(self) -> float:
        """Return seconds on the loop's clock, which passes every timer slept for even where the host's stands still.

        While the program is suspended it stands still: no timer runs out meanwhile.
        """
        return super().time() + self._ahead - seconds_left_out()

    def run_until_complete(self, future: Any) -> Any:
        """Run until the future is done; see asyncio."""
        self._check_closed()  # type: ignore[attr-defined]  # before ensure_future, so that no task is left behind
        main = asyncio.ensure_future(future, loop=self)
        previous, self._main = self._main, main
        try:
            return super().run_until_complete(main)
        finally:
            self._main = previous

    def begin_running(self) -> None:
        """Become the running loop, for :func:`cloche_guest.main_task.run_main`. Raises RuntimeError if one runs."""
        self._check_closed()  # type: ignore[attr-defined]
        self._check_running()  # type: ignore[attr-defined]
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            firstiter=self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
            finalizer=self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
        )
        self._thread_id = threading.get_ident()
        asyncio.events._set_running_loop(self)
        self._outer = self._main

    def end_running(self) -> None:
        """Stop being the running loop."""
        self._main, self._stopping, self._thread_id = self._outer, False, None
        asyncio.events._set_running_loop(None)
        sys.set_asyncgen_hooks(*self._hooks)

    def turn(self, waiter: asyncio.Future[Any] | None) -> None:
        """Do once what there is to do, or wait for it; ``waiter`` is what the main task waits for.

        Raises RuntimeError if the program stopped the loop.
        """
        self._main = waiter
        self._run_once()  # type: ignore[attr-defined]
        if self._stopping:
            raise RuntimeError("Event loop stopped before Future completed.")

    def select(self, timeout: float | None) -> list[_Finished]:
        """Wait for finished calls as long as no timer is due; None waits without an end."""
        if _count_threads():
            return self._take_turns(timeout)
        if timeout == 0:
            return self._poll()
        if not self._pending and timeout is None:
            return self._stuck()
        deadline = None if timeout is None else self.time() + timeout
        finished = self._wait(timeout)
        if deadline is not None and not finished:
            self._ahead += max(0.0, deadline - self.time())
        return finished

    async def call_tool(self, name: str, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> Any:
        """Run a tool in the background; cancelling the waiting task cancels the call on the host."""
        if self._is_idle():
            # Nothing could happen meanwhile: one trip across the bridge, where there are two, and none around the loop.
            number, value = calls.call(name, args, kwargs, shape)
            if number is None:
                return value
        else:
            number = calls.start(name, args, kwargs, shape)
        future = self._pending[number] = self.create_future()
        try:
            return await future
        finally:
            if self._pending.pop(number, None) is not None:
                calls.cancel(number)

    def _is_idle(self) -> bool:
        """Return whether there is nothing for the loop to do or to wait for beside the task that runs."""
        if self._pending or self._ready or self._scheduled or _count_threads():  # type: ignore[attr-defined]
            return False
        task: Any = asyncio.current_task(self)
        # One that has been cancelled hears of it where it waits.
        return task is None or not task._must_cancel

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Args], _Value], *args: *_Args
    ) -> asyncio.Future[_Value]:
        """Run ``func`` in a thread, and return its future; a tool is started in the background without one."""
        twin = calls.twin_of(func)
        if twin is not None:
            self._check_closed()  # type: ignore[attr-defined]
            return self.create_task(twin(*args))
        return super().run_in_executor(executor, func, *args)

    def close(self) -> None:
        """Cancel the calls still running on the host and close the loop. Safe to call twice."""
        super().close()
        while self._pending:
            calls.cancel(self._pending.popitem()[0])

    def __del__(self) -> None:
        """Close, without asyncio's warning: the loop holds nothing that could leak."""
        if not self.is_closed() and not self.is_running():
            self.close()

    async def subprocess_exec(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise OSError: there are no processes."""
        raise OSError(NO_PROCESSES)

    subprocess_shell = subprocess_exec

    def _take_turns(self, timeout: float | None) -> list[_Finished]:
        """Do what select() does, as one of several threads."""
        if self._pending:
            for number in self._pending:
                calls.route(number, self._inbox)
        if timeout == 0:
            self._spins += 1
            if self._pending and not self._spins % _SPINS_PER_POLL:
                calls.deliver(0)
        elif not self._is_woken and not self._inbox:
            deadline = None if timeout is None else self.time() + timeout
            # This call is where the thread is left.
            if not _leave((self._inbox, timeout, bool(self._pending))) and deadline is not None:
                self._ahead += max(0.0, deadline - self.time())
        self._is_woken = False
        arrived, pop = self._inbox[:], self._pending.pop
        self._inbox.clear()
        found = [(pop(number, None), outcome) for number, *outcome in arrived]
        return [(future, outcome) for future, outcome in found if future is not None]

    def _poll(self) -> list[_Finished]:
        self._spins += 1
        if not self._pending or self._spins % _SPINS_PER_POLL:
            return []
        return self._collect(0)

    def _wait(self, timeout: float | None) -> list[_Finished]:
        self._spins = 0
        if self._pending:
            return self._collect(timeout)
        calls.sleep(timeout or 0.0)
        return []

    def _collect(self, timeout: float | None) -> list[_Finished]:
        pop = self._pending.pop
        finished = calls.wait(timeout)
        for number, *_ in finished:
            calls.forget_route(number)
        found = [(pop(number, None), outcome) for number, *outcome in finished]
        return [(future, outcome) for future, outcome in found if future is not None]

    def _stuck(self) -> list[_Finished]:
        _release(self._main)
        return []

    def _process_events(self, event_list: list[_Finished]) -> None:
        for future, parts in event_list:
            if not future.done():
                _settle(future, parts)

    def _write_to_self(self) -> None:
        """Have the loop look at what another thread has given it."""
        self._is_woken = True
        _unpark(self._inbox)


def _release(main: asyncio.Future[Any] | None) -> None:
    """Raise RuntimeError where the main task waits, so that its traceback shows that line.

    Where there is no such place (run_forever, say) it is raised here, out of the loop.
    """
    waiter = _innermost(main)
    if waiter is None or waiter.done():
        _give_up()
    try:
        waiter.set_exception(RuntimeError(DEADLOCK))
    except (RuntimeError, asyncio.InvalidStateError):
        _give_up()


def _innermost(main: asyncio.Future[Any] | None) -> asyncio.Future[Any] | None:
    """Follow tasks that wait for tasks: only a plain future can be given an exception."""
    waiter: Any = main
    while isinstance(waiter, asyncio.Task):
        waiter = getattr(cast("Any", waiter), "_fut_waiter", None)
    return cast("asyncio.Future[Any] | None", waiter)


def _give_up() -> NoReturn:
    raise RuntimeError(DEADLOCK)


def _settle(future: asyncio.Future[Any], parts: list[Any]) -> None:
    value, error = calls.outcome(parts)
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


async def call_in_background(name: str, args: list[Any], kwargs: dict[str, Any], shape: FunctionType) -> Any:
    """Run a tool in the background of the running loop and return its value; raises what the tool raised."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, BridgeLoop):
        raise RuntimeError(
            f"{name}() needs the sandbox's own event loop: use await, asyncio.run or asyncio.new_event_loop()"
        )
    return await loop.call_tool(name, args, kwargs, shape)


@awaitable
@hidden
def _steps(coroutine: Any, outcome: Any) -> Generator[Any, Any, None]:
    try:
        outcome.append((yield from coroutine))
    finally:
        # Else the frames of an exception would hold the task that it belongs to, through this one.
        coroutine = outcome = None


def _run(self: Any) -> None:
    """Stand in for ``Handle._run``: the same, with no C code below callbacks and tasks."""
    try:
        enter_context(self._context)
        try:
            callback, args = self._callback, self._args
            steps = begin_step(callback, args, _steps)
            if steps is not None:
                try:
                    # Between this `for` and the task's coroutine there is no C code.
                    for yielded in steps:
                        end_step(callback, args, yielded)
                        break
                    else:
                        end_step(callback, args)
                except BaseException as error:
                    fail_step(callback, args, error, 1)
            elif len(args) == 1:
                callback(args[0])
            else:
                callback(*args)
        finally:
            exit_context(self._context)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        _report(self, error)
    # Else an exception and this frame would hold each other.
    self = callback = args = steps = yielded = None


def _report(handle: Any, error: BaseException) -> None:
    shown = _describe_callback(handle._callback, handle._args, debug=handle._loop.get_debug())
    context = {"message": f"Exception in callback {shown}", "exception": error, "handle": handle}
    if handle._source_traceback:
        context["source_traceback"] = handle._source_traceback
    handle._loop.call_exception_handler(context)


def install() -> None:
    """Have all event loops step their tasks with no C code below them."""
    handle: Any = asyncio.Handle
    handle._run = _run
