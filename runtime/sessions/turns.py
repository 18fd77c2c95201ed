"""Whose turn it is in a session, and one job in its guest at a time."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from cloche.runtime.errors import ConfigurationError, Interrupted, SessionBusy, SessionClosed
from cloche.runtime.limits import Limits
from cloche.runtime.result import Result
from cloche.runtime.running import jobs as requests
from cloche.runtime.running.execution import Execution
from cloche.runtime.running.run_state import Listener, RunState
from cloche.runtime.running.session_guest import Guest
from cloche.runtime.running.threads import guest_threads
from cloche.runtime.running.waiting import Detached
from cloche.runtime.suspension.pauses import Pauses
from cloche.runtime.suspension.waiting import WaitingCalls

if TYPE_CHECKING:
    import asyncio

    from cloche.runtime.sessions.usual import UsualRun

__all__ = ["Turns"]

T = TypeVar("T")


class Turns:
    """A guest that one caller at a time has jobs done in. ``Session`` sets the attributes when it is made."""

    _guest: Guest
    _limits: Limits
    _pauses: Pauses
    _busy: threading.Lock
    _ended: str
    _current: "Execution | Detached | UsualRun | None"

    def interrupt(self) -> bool:
        """From any thread: end the run that is going on; its error is Interrupted. Returns whether there was one."""
        return self._interrupt(Interrupted())

    def close(self) -> None:
        """End the session and free its memory, interrupting a run that is going on. Safe to call twice."""
        self._ended = self._ended or "it was closed"
        if self._busy.acquire(blocking=False):
            self._guest.close()
            self._busy.release()
        else:
            self._interrupt(Interrupted("the session was closed"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _wait(
        self, job: requests.MakeJob, limits: Limits | None = None, listener: Listener | None = None
    ) -> Result[Any]:
        return self._performed(self._begin(job, limits, listener, None))[1]

    def _performed(self, execution: Execution) -> tuple[Execution, Result[Any]]:
        return execution, self._perform(execution)

    def _perform(self, execution: Execution) -> Result[Any]:
        if not self._fits_here():
            return self._detach(execution).wait()
        try:
            return execution.perform(roomy=True)
        except BaseException:
            # Ctrl-C between two of our own lines: never leave the session busy.
            execution.abandon(Interrupted())
            raise

    def _fits_here(self) -> bool:
        """Return whether a run may be performed on this thread: it has room, and no tool may have to be left behind."""
        return not self._guest.tools.blocking() and self._guest.source.fits_here()

    async def _await(
        self, job: requests.MakeJob, limits: Limits | None = None, listener: Listener | None = None
    ) -> Result[Any]:
        import asyncio

        execution = self._begin(job, limits, listener, asyncio.get_running_loop())
        return await self._detach(execution).wait_async()

    def _begin(
        self,
        make_job: requests.MakeJob,
        limits: Limits | None,
        listener: Listener | None,
        loop: "asyncio.AbstractEventLoop | None",
        waiting: WaitingCalls | None = None,
    ) -> Execution:
        limits, guest = self._limits if limits is None else self._checked(limits), self._guest
        self._take()
        try:
            if self._pauses.current is not None:
                self._pauses.check_none()
            job = make_job(guest, limits)
            if guest.budget is not None and job.code is not None:
                limits = guest.affordable(limits)
            if waiting is None and guest.can_suspend is not None:
                waiting = WaitingCalls.none_in(guest.tools)
            run = RunState(limits, listener, waiting)
            execution = self._current = Execution(guest, job, run, self._done, loop)
        except BaseException:
            self._busy.release()
            raise
        return execution

    @contextmanager
    def _taking(self) -> Generator[None]:
        """Take the session for one caller, who keeps it unless this raises."""
        self._take()
        try:
            yield
        except BaseException:
            self._busy.release()
            raise

    def _take(self) -> None:
        if not self._busy.acquire(blocking=False):
            raise SessionBusy
        if self._ended:
            self._busy.release()
            raise SessionClosed(self._ended)

    def _detach(self, execution: Execution) -> Detached:
        try:
            detached = self._current = Detached(execution)
        except BaseException as error:
            execution.cancel(error)
            raise
        return detached

    def _done(self, execution: Execution, error: BaseException | None) -> None:
        """Take the session back from a run that was settled; ``error`` is why its guest was lost."""
        self._note_loss(error)
        if not self._ended:
            self._pauses.settle(execution, error)
        self._release()

    def _note_loss(self, error: BaseException | None) -> None:
        """End the session if its guest was lost for good."""
        if isinstance(error, SessionClosed):
            self._ended = self._ended or error.reason
        elif error is not None and not self._guest.keeps:
            self._ended = self._ended or f"its last run was ended by {type(error).__name__} and rollback is off"

    def _release(self) -> None:
        if self._ended:
            self._guest.close()
        self._current = None
        self._busy.release()

    def _at_rest(self, work: Callable[[], T]) -> T:
        """Do something with the guest while nobody runs it."""
        if not self._busy.acquire(blocking=False):
            raise SessionBusy
        try:
            if self._ended:
                raise SessionClosed(self._ended)
            # A guest that was rolled back repeats what it has done, for which this thread's stack may be too small.
            return work() if self._guest.source.fits_here() else guest_threads.submit(work).result()
        except SessionClosed as error:
            self._ended = self._ended or error.reason
            raise
        finally:
            if self._ended:
                self._guest.close()
            self._busy.release()

    def _interrupt(self, reason: Interrupted) -> bool:
        current = self._current
        return current is not None and current.interrupt(reason)

    def _checked(self, limits: Limits) -> Limits:
        if limits.memory != self._guest.memory:
            raise ConfigurationError(
                "memory",
                f"a session's memory limit is set when it is made: pass Limits(memory={self._guest.memory}, ...)",
            )
        return limits
