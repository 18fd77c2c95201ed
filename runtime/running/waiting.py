"""Performing a run on a thread of its own, and waiting for it in two ways: by blocking, and by awaiting."""

import contextvars
from concurrent.futures import Future
from math import inf
from typing import Any

from cloche.runtime.errors import GuestError, Interrupted
from cloche.runtime.result import Result
from cloche.runtime.running.execution import GRACE, Execution, Overtaken
from cloche.runtime.running.run_state import now
from cloche.runtime.running.threads import guest_threads

__all__ = ["Detached"]

# How long to wait for a run that is about to start or to end, before looking again.
_SHORT = 0.25


class Detached:
    """A run that is performed by a guest thread. A thread that a tool blocks past the deadline is left behind."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution
        self._outcome: Future[Result[Any]] = Future()
        # Running from the start: a cancelled waiter must not cancel the outcome itself.
        self._outcome.set_running_or_notify_cancel()
        context = contextvars.copy_context()
        self._thread = guest_threads.submit(lambda: context.run(self._perform))

    def wait(self) -> Result[Any]:
        """Block until the run is settled and return its result. An exception such as Ctrl-C ends the run first."""
        try:
            while not self._is_settled_within(self._patience()):
                self._leave_if_overdue()
        except BaseException:
            self.leave(Interrupted())
            raise
        return self._outcome.result()

    async def wait_async(self) -> Result[Any]:
        """Await the run's result. Being cancelled ends the run first."""
        import asyncio

        waiting = asyncio.wrap_future(self._outcome)
        # Seen, even if nobody awaits it any more.
        waiting.add_done_callback(lambda future: future.exception())
        try:
            while not waiting.done():
                await asyncio.wait({waiting}, timeout=self._patience())
                if not waiting.done():
                    self._leave_if_overdue()
        except asyncio.CancelledError:
            self.leave(Interrupted("the awaiting task was cancelled"))
            await asyncio.wait({waiting}, timeout=_SHORT)
            raise
        return waiting.result()

    def interrupt(self, reason: GuestError) -> bool:
        """From any thread: end the run, even if a tool blocks it. Returns whether it was still going on."""
        if self.execution.run.doing:
            return self.leave(reason)
        going_on = self.execution.interrupt(reason)
        # The tool may have been entered in between; see Host, which looks in the opposite order.
        if going_on and self.execution.run.doing:
            self.leave(reason)
        return going_on

    def leave(self, error: GuestError) -> bool:
        """Settle the run without its thread, if it is not settled. Returns whether that was done here."""
        result = self.execution.abandon(error)
        if result is None:
            return False
        guest_threads.abandon(self._thread)
        self._outcome.set_result(result)
        return True

    def _perform(self) -> None:
        try:
            result = self.execution.perform()
        except Overtaken:
            return
        except BaseException as error:
            self._outcome.set_exception(error)
        else:
            self._outcome.set_result(result)

    def _is_settled_within(self, seconds: float | None) -> bool:
        try:
            self._outcome.exception(timeout=seconds)
        except TimeoutError:
            return False
        return True

    def _leave_if_overdue(self) -> None:
        if self.execution.is_overdue:
            self.leave(self.execution.run.time_exceeded())

    def _patience(self) -> float | None:
        deadline = self.execution.run.deadline
        return None if deadline == inf else max(_SHORT / 10, deadline + GRACE - now())
