"""Performing a run on a thread of its own, and waiting for it."""

import contextvars
from _thread import allocate_lock
from math import inf
from typing import Any

from cloche.runtime.errors import GuestError, Interrupted
from cloche.runtime.machine_api import now
from cloche.runtime.result import Result
from cloche.runtime.session.execution import GRACE, Execution, Overtaken
from cloche.runtime.session.guest import SessionGuest
from cloche.runtime.threads import Work, guest_threads, longest_wait
from cloche.runtime.wasm.signals import acquire, deferred

__all__ = ["Detached", "perform_here"]

# Of the time after the deadline, the least in which a run is looked at again.
_SHORT = 0.025


class Detached:
    """A run that is performed by a guest thread. A thread that a tool blocks past the deadline is left behind."""

    _result: Result[Any] | None = None
    _error: BaseException | None = None
    _overtaken = False

    def __init__(self, execution: Execution) -> None:
        """Prepare the run. It can be waited for once."""
        self.execution = execution
        # Held until the run is settled.
        self._settling = allocate_lock()
        self._settling.acquire()
        self._context = contextvars.copy_context()
        self._work = Work(self._perform, self._tell)
        execution.leave, execution.begun = self._leave, allocate_lock()

    def wait(self) -> Result[Any]:
        """Perform the run and return its result, blocking meanwhile. An exception such as Ctrl-C ends the run first.

        Raises BlockedTools.
        """
        try:
            guest_threads.start(self._work)
            while not acquire(self._settling, self._patience()):
                self._leave_if_overdue()
        except BaseException:
            self.give_up(Interrupted())
            raise
        return self._outcome()

    def give_up(self, error: GuestError) -> None:
        """End the run and settle it, if it is not settled."""
        with deferred():
            # Whether its thread has begun is not known: the exception may have come while it was started.
            self.execution.cancel()
            self._leave(error)

    def _leave(self, error: GuestError) -> bool:
        """Settle the run without its thread, if it is not settled. Returns whether that was done here."""
        result = self.execution.abandon(error)
        if result is None:
            return False
        guest_threads.abandon(self._work)
        self._result = result
        self._settle()
        return True

    def _perform(self) -> None:
        try:
            self._result = self._context.run(self.execution.perform, stack_checked=True)
        except Overtaken:
            self._overtaken = True
        except BaseException as error:
            # Whatever it is, it belongs to the thread that waits.
            self._error = error

    def _tell(self) -> None:
        if not self._overtaken:
            self._settle()

    def _settle(self) -> None:
        # The method and this object hold each other.
        self.execution.leave = None
        self._settling.release()

    def _outcome(self) -> Result[Any]:
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def _leave_if_overdue(self) -> None:
        if self.execution.is_overdue:
            self._leave(self.execution.run.time_exceeded())

    def _patience(self) -> float:
        deadline = self.execution.run.stop.deadline
        return longest_wait() if deadline == inf else min(longest_wait(), max(_SHORT, deadline + GRACE - now()))


def perform_here(guest: SessionGuest, execution: Execution, calls_often: bool) -> Result[Any]:
    """Perform a run and return its result: on this thread, or on one of its own.

    A tool that may block is called on another thread, so that the run can end in time without it. Where the session's
    last run made many calls, it is cheaper to have the whole run on a thread that can be left behind.
    """
    run = execution.run
    blocking = guest.tools.blocking()
    if (blocking and calls_often and run.listener is None) or not guest.source.fits_here():
        return Detached(execution).wait()
    try:
        run.hands_over = blocking
        return execution.perform(stack_checked=True)
    except BaseException as error:
        if guest.holder is execution:
            # Ctrl-C between two of our own lines: the session must not stay busy, nor keep half of a run.
            guest.discard()
            guest.note_loss(error)
            guest.release()
        raise
