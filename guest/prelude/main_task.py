"""The task that a program's outermost coroutine runs in, driven by Python code alone.

asyncio's own tasks step their coroutine from C, under which no plain call can wait for an answer. Here the coroutine is
stepped by a ``for`` over a generator that delegates to it, and the loop is turned in between.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine as awaitable
from typing import Any, Protocol

from cloche_guest.substitutes import hidden

__all__ = ["MainTask", "Turning", "run_main"]

# What asyncio.current_task() goes by.
_enter_task: Callable[[Any, Any], None] = vars(asyncio.tasks)["_enter_task"]
_leave_task: Callable[[Any, Any], None] = vars(asyncio.tasks)["_leave_task"]


class Turning(Protocol):
    """What is asked of the event loop: see :class:`cloche_guest.loop.BridgeLoop`."""

    def begin_running(self) -> None:
        """Become the running loop. Raises RuntimeError if one runs."""
        ...

    def end_running(self) -> None:
        """Stop being the running loop."""
        ...

    def turn(self, waiter: "asyncio.Future[Any] | None") -> None:
        """Do once what there is to do, or wait for it. Raises RuntimeError if the program stopped the loop."""
        ...


class MainTask(asyncio.Future[Any]):
    """What ``asyncio.current_task()`` gives in it: it can be cancelled, named and waited for like any task."""

    def __init__(self, steps: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._coroutine = steps
        self._name = "main"
        self._requests = 0
        self._must_cancel = False
        self._waiter: asyncio.Future[Any] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask for a CancelledError where the task waits; returns False if it is done."""
        if self.done():
            return False
        self._requests += 1
        if self._waiter is None or not self._waiter.cancel(msg):
            self._must_cancel = True
        return True

    def abandon(self) -> None:
        """Be done, as a cancelled task is: the coroutine has raised."""
        super().cancel()

    def cancelling(self) -> int:
        """Return how many requests to cancel there are."""
        return self._requests

    def uncancel(self) -> int:
        """Take back a request to cancel; return how many there are."""
        self._requests = max(0, self._requests - 1)
        self._must_cancel = self._must_cancel and self._requests > 0
        return self._requests

    def get_name(self) -> str:
        """Return its name."""
        return self._name

    def set_name(self, value: object, /) -> None:
        """Set its name."""
        self._name = str(value)

    def get_coro(self) -> Coroutine[Any, Any, Any]:
        """Return the coroutine."""
        return self._coroutine

    def get_context(self) -> Context:
        """Return a copy of the context: it runs in the program's own."""
        return copy_context()

    def wait(self, loop: Turning, yielded: Any) -> BaseException | None:
        """Turn the loop until what the coroutine waits for has come; return an exception to throw into it, or None."""
        problem = self._watch(yielded)
        if problem is not None:
            return problem
        woken: list[object] = []
        if self._waiter is None:
            self.get_loop().call_soon(woken.append, None)
        else:
            self._waiter.add_done_callback(woken.append)
        while not woken:
            loop.turn(self._waiter)
        return self._woken()

    def _watch(self, yielded: Any) -> BaseException | None:
        self._waiter = None
        if yielded is None:
            return None
        if getattr(yielded, "_asyncio_future_blocking", None) is not True:
            return RuntimeError(f"an awaitable yielded {yielded!r:.100}, which asyncio cannot wait for")
        yielded._asyncio_future_blocking = False
        if yielded.get_loop() is not self.get_loop():
            return RuntimeError(f"{yielded!r:.200} belongs to another event loop")
        self._waiter = yielded
        if self._must_cancel and yielded.cancel():
            self._must_cancel = False
        return None

    def _woken(self) -> BaseException | None:
        self._waiter = None
        if not self._must_cancel:
            return None
        self._must_cancel = False
        return asyncio.CancelledError()


@hidden
def run_main(loop: Any, coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine as the main task of a loop that is not running, and return its value."""
    task = MainTask(coroutine, loop)
    value: list[Any] = []
    loop.begin_running()
    try:
        _drive(loop, task, _steps(coroutine, value))
    except BaseException:
        coroutine.close()
        task.abandon()
        raise
    finally:
        loop.end_running()
    task.set_result(value[0])
    return value[0]


@awaitable
@hidden
def _steps(coroutine: Coroutine[Any, Any, Any], value: list[Any]) -> Generator[Any, Any, None]:
    value.append((yield from coroutine))


@hidden
def _drive(loop: Any, task: MainTask, steps: Any) -> None:
    _enter_task(loop, task)
    try:
        # Between this `for` and the program's own code there is none in C.
        for yielded in steps:
            _pause(loop, task, steps, yielded)
    finally:
        _leave_task(loop, task)


@hidden
def _pause(loop: Any, task: MainTask, steps: Any, yielded: Any) -> None:
    error = _waited(loop, task, yielded)
    while error is not None:
        try:
            yielded = steps.throw(error)
        except StopIteration:
            # The generator is at its end, and so is the loop over it.
            return
        error = _waited(loop, task, yielded)


def _waited(loop: Any, task: MainTask, yielded: Any) -> BaseException | None:
    _leave_task(loop, task)
    try:
        return task.wait(loop, yielded)
    finally:
        _enter_task(loop, task)
